//! Finds the programs that `scripts/setup-deploy.sh` leaves in `target/deploy`, or the reason why one is missing.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Returns the folder of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Reads a file of the repository as text.
///
/// # Panics
/// Panics if it cannot be read.
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

/// Returns whether all programs must be present: in continuous integration that could build Telegraf.
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

/// Returns these programs. If one is missing, prints a line that says so and returns `None`; then the test is skipped.
///
/// # Panics
/// Panics if one is missing where all must be present.
pub fn need<const N: usize>(names: [&str; N]) -> Option<[PathBuf; N]> {
    let found: Result<Vec<_>, _> = names.into_iter().map(find).collect();
    match found {
        Ok(found) => Some(found.try_into().expect("as many as names")),
        Err(why) => {
            assert!(!must_be_there(), "{why}");
            let test = std::thread::current();
            // The test runner does not capture the handle itself. A failed write does not matter.
            drop(writeln!(
                std::io::stderr(),
                "SKIPPED {}: {why}",
                test.name().unwrap_or("?")
            ));
            None
        }
    }
}
