//! The programs that `scripts/setup-deploy.sh` leaves in `target/deploy`, or why one is not there.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A file of the repository as text.
///
/// # Panics
/// If it cannot be read.
pub fn text(path: &str) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn find(name: &str) -> Result<PathBuf, String> {
    let folder = root().join("target/deploy");
    let program = folder.join(name);
    if program.exists() {
        return Ok(program);
    }
    let why = fs::read_to_string(folder.join(format!("{name}.missing")))
        .unwrap_or_else(|_| "run scripts/setup-deploy.sh".to_owned());
    Err(format!("{name} is missing: {}", why.trim_end()))
}

/// Where nothing may be missing: continuous integration that could build Telegraf.
fn must_be_there() -> bool {
    let go = || {
        let mut go = Command::new("go");
        go.arg("version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        go.status().is_ok_and(|status| status.success())
    };
    std::env::var("CI").is_ok_and(|value| value == "true") && go()
}

/// These programs; `None`, and a line that says so, if one cannot be had: the test is skipped.
///
/// # Panics
/// If one cannot be had where all must be.
pub fn need<const N: usize>(names: [&str; N]) -> Option<[PathBuf; N]> {
    let found: Result<Vec<_>, _> = names.into_iter().map(find).collect();
    match found {
        Ok(found) => Some(found.try_into().expect("as many as names")),
        Err(why) => {
            assert!(!must_be_there(), "{why}");
            let test = std::thread::current();
            // The handle itself is not captured by the test runner. That it fails does not matter.
            drop(writeln!(
                std::io::stderr(),
                "SKIPPED {}: {why}",
                test.name().unwrap_or("?")
            ));
            None
        }
    }
}
