//! `hermon run` with a program in QEMU's place that does what each test needs.

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

use common::{STARTING, Tool};
use tempfile::TempDir;

fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The tool with this body as QEMU, on ports that are free.
fn run(folder: &TempDir, qemu: &str, options: &[&str]) -> Tool {
    let image = folder.path().join("app.elf");
    fs::write(&image, "").unwrap();
    let qemu = script(folder.path(), "qemu", qemu);
    let fixed = [
        "run",
        "--plain",
        "--accel",
        "tcg",
        "--influx-port",
        "0",
        "--control-port",
        "0",
        "--memtrace-port",
        "0",
        "--qemu",
        qemu.to_str().unwrap(),
        "--image",
        image.to_str().unwrap(),
    ];
    Tool::start(fixed.iter().chain(options))
}

fn folder() -> TempDir {
    TempDir::new().expect("a folder")
}

#[test]
fn console_and_qemu_are_shown_and_success_is_success() {
    let folder = folder();
    let mut tool = run(
        &folder,
        "printf 'hello\\r\\n'; echo complaint >&2; exit 3",
        &[],
    );
    tool.line_with("runs under tcg: as given");
    let mut said = [tool.line(), tool.line()];
    said.sort();
    assert_eq!(said, ["console hello", "qemu    complaint"]);
    assert_eq!(tool.line(), "hermon  0 points");
    assert_eq!(tool.line(), "hermon  the guest ended with success");
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn failure_reset_and_death_of_the_guest_are_failures() {
    for (end, told) in [
        ("exit 1", "the guest ended with failure"),
        ("exit 0", "the guest powered off or reset"),
        ("exit 7", "qemu ended with status 7"),
        ("kill -9 $$", "qemu was killed by signal 9"),
    ] {
        let folder = folder();
        let mut tool = run(&folder, end, &[]);
        tool.line_with(told);
        assert_eq!(tool.wait().code(), Some(1), "{end}");
    }
}

#[test]
fn metrics_sent_by_the_guest_are_shown() {
    let folder = folder();
    // The port is the last thing in `--influx tcp://10.0.2.2:PORT` on the command line.
    let qemu = "port=$(printf '%s\\n' \"$*\" | sed 's/.*--influx tcp:..10.0.2.2:\\([0-9]*\\).*/\\1/')
        exec bash -c \"exec 3<>/dev/tcp/127.0.0.1/$port; echo 'memory,vm=a live_bytes=1i' >&3; exit 3\"";
    let mut tool = run(&folder, qemu, &["--tcp"]);
    assert!(
        tool.line_with("tcp     127.0.0.1:")
            .ends_with(" memory,vm=a live_bytes=1i")
    );
    tool.line_with("hermon  1 points");
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn an_influx_target_of_the_users_own_is_respected() {
    let folder = folder();
    let arguments = ["--", "--influx", "tcp://10.0.2.2:9"];
    let mut tool = run(&folder, "echo \"$*\"; exit 3", &arguments);
    assert_eq!(
        tool.line(),
        "hermon  metrics go to tcp://10.0.2.2:9 as given, they are not shown here"
    );
    let line = tool.line_with("console");
    assert_eq!(line.matches("--influx").count(), 1, "{line}");
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn ctrl_c_ends_the_guest_and_says_so() {
    let folder = folder();
    let mut tool = run(&folder, "echo $$; exec sleep 600", &[]);
    let line = tool.line_with("console ");
    let pid: u32 = line
        .trim_start_matches("console ")
        .parse()
        .expect("a process id");
    tool.interrupt();
    tool.line_with("hermon  ended by Ctrl-C");
    assert_eq!(tool.wait().code(), Some(130));
    assert!(
        !Path::new(&format!("/proc/{pid}")).exists(),
        "process {pid} is left over"
    );
}

#[test]
fn a_taken_port_is_one_line_that_names_it_and_the_option() {
    for option in ["--control-port", "--memtrace-port", "--influx-port"] {
        let folder = folder();
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port().to_string();
        // The port is given once more, so the fixed options must not name it.
        let image = folder.path().join("app.elf");
        fs::write(&image, "").unwrap();
        let mut line = vec![
            "run",
            "--image",
            image.to_str().unwrap(),
            "--qemu",
            "/bin/false",
        ];
        for name in ["--control-port", "--memtrace-port", "--influx-port"] {
            line.extend([name, if name == option { &port } else { "0" }]);
        }
        let mut tool = Tool::start(line);
        let line = tool.line();
        assert!(
            line.starts_with(&format!(
                "hermon: cannot listen on tcp port 127.0.0.1:{port}: "
            )),
            "{line}"
        );
        assert!(
            line.ends_with(&format!("choose another with {option} PORT")),
            "{line}"
        );
        assert_eq!(tool.wait().code(), Some(3));
    }
}

#[test]
fn the_image_is_built_with_the_heap_that_was_asked_for() {
    let folder = folder();
    let qemu = script(folder.path(), "qemu", "echo \"booted $*\"; exit 3");
    let image = folder.path().join("built.elf");
    fs::write(&image, "").unwrap();
    let build = script(
        folder.path(),
        "build",
        &format!(
            "echo \"+ building $*\" >&2\necho first line\necho {}",
            image.display()
        ),
    );
    let mut tool = Tool::start([
        "run",
        "--plain",
        "--accel",
        "tcg",
        "--heap",
        "linked-list",
        "--influx-port",
        "0",
        "--control-port",
        "0",
        "--memtrace-port",
        "0",
        "--qemu",
        qemu.to_str().unwrap(),
        "--build",
        build.to_str().unwrap(),
    ]);
    assert_eq!(tool.line(), "+ building --heap linked-list");
    let booted = tool.line_with("console booted");
    assert!(booted.contains(image.to_str().unwrap()), "{booted}");
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn a_failed_build_a_missing_image_and_a_missing_qemu_are_one_line_each() {
    let folder = folder();
    let image = folder.path().join("app.elf");
    fs::write(&image, "").unwrap();
    for (options, told) in [
        (
            ["--build", "/bin/false", "--accel", "tcg"],
            "/bin/false did not build an image",
        ),
        (
            ["--image", "/nowhere.elf", "--accel", "tcg"],
            "there is no image /nowhere.elf",
        ),
        (
            ["--image", image.to_str().unwrap(), "--qemu", "/no-qemu"],
            "cannot run \"/no-qemu\"",
        ),
    ] {
        let ports = [
            "run",
            "--accel=tcg",
            "--influx-port=0",
            "--control-port=0",
            "--memtrace-port=0",
        ];
        let ports = ports
            .iter()
            .filter(|option| !options.contains(&"--accel") || !option.contains("accel"));
        let mut tool = Tool::start(ports.chain(&options));
        let line = tool.line_with("hermon: ");
        assert!(line.starts_with(&format!("hermon: {told}")), "{line}");
        assert_eq!(tool.wait().code(), Some(3));
    }
}

#[test]
fn kvm_that_does_not_run_the_image_is_not_used_and_the_reason_is_told() {
    let folder = folder();
    let qemu = "case \"$*\" in
        *'-accel kvm'*) echo 'KVM internal error. Suberror: 1' >&2; exec sleep 600;;
        *) exit 3;;
    esac";
    let image = folder.path().join("app.elf");
    fs::write(&image, "").unwrap();
    let qemu = script(folder.path(), "qemu", qemu);
    let mut tool = Tool::start([
        "run",
        "--plain",
        "--influx-port",
        "0",
        "--control-port",
        "0",
        "--memtrace-port",
        "0",
        "--qemu",
        qemu.to_str().unwrap(),
        "--image",
        image.to_str().unwrap(),
    ]);
    let line = tool.line_with("runs under");
    // Where the device cannot be opened there is nothing to probe.
    assert!(
        line.ends_with("runs under tcg: a probe boot failed: KVM internal error. Suberror: 1")
            || line.contains("runs under tcg: /dev/kvm cannot be opened"),
        "{line}"
    );
    assert_eq!(tool.wait().code(), Some(0));
}
