//! Runs `hermon run` with a program in place of QEMU that does what each test needs.

mod common;

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::sync::mpsc::RecvTimeoutError;

use common::{ANY_PORTS, DEADLINE, STARTING, Tool, script, until_said};
use tempfile::TempDir;

/// Starts the tool with a program of this body as QEMU, on free ports.
fn run(folder: &TempDir, qemu: &str, options: &[&str]) -> Tool {
    let fixed = arguments(folder, qemu);
    let fixed = fixed.iter().map(String::as_str);
    Tool::start(fixed.chain(options.iter().copied()))
}

/// Returns the same command, which the test starts.
fn command(folder: &TempDir, qemu: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermon"));
    command.args(arguments(folder, qemu)).env_remove("QEMU");
    command
}

fn arguments(folder: &TempDir, qemu: &str) -> Vec<String> {
    let image = folder.path().join("app.elf");
    fs::write(&image, "").unwrap();
    let qemu = script(folder.path(), "qemu", qemu);
    let fixed = ["run", "--plain", "--accel", "tcg"];
    let programs = [
        "--qemu",
        qemu.to_str().unwrap(),
        "--image",
        image.to_str().unwrap(),
    ];
    let all = [&fixed[..], &ANY_PORTS, &programs].concat();
    all.into_iter().map(str::to_owned).collect()
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
    let line = until_said(|| {
        let mut tool = run(&folder, qemu, &["--tcp"]);
        let line = tool.says("tcp     127.0.0.1:")?;
        tool.line_with("hermon  1 points");
        assert_eq!(tool.wait().code(), Some(0));
        Some(line)
    });
    assert!(line.ends_with(" memory,vm=a live_bytes=1i"), "{line}");
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
    until_said(|| {
        let folder = folder();
        let mut tool = run(&folder, "echo $$; exec sleep 600", &[]);
        let line = tool.line_with("console ");
        let pid: u32 = line
            .trim_start_matches("console ")
            .parse()
            .expect("a process id");
        tool.interrupt();
        assert_eq!(tool.wait().code(), Some(130));
        let said = tool.says("hermon  ended by Ctrl-C")?;
        assert!(
            !Path::new(&format!("/proc/{pid}")).exists(),
            "process {pid} is left over"
        );
        Some(said)
    });
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
    let fixed = [
        "run",
        "--plain",
        "--accel=tcg",
        "--heap=linked-list",
        "--qemu",
        qemu.to_str().unwrap(),
        "--build",
        build.to_str().unwrap(),
    ];
    let mut tool = Tool::start(fixed.iter().chain(&ANY_PORTS));
    assert_eq!(tool.wait().code(), Some(0));
    // The two outputs are read in any order.
    let said: Vec<_> = tool.lines.iter().collect();
    let booted = format!("-kernel {}", image.display());
    for part in ["+ building --heap linked-list", "console booted", &booted] {
        assert!(said.iter().any(|line| line.contains(part)), "{said:?}");
    }
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
        let accel: &[&str] = match options.contains(&"--accel") {
            true => &[],
            false => &["--accel=tcg"],
        };
        let mut tool = Tool::start([&["run"], accel, &ANY_PORTS, &options].concat());
        let line = tool.line();
        assert!(line.starts_with(&format!("hermon: {told}")), "{line}");
        assert_eq!(tool.wait().code(), Some(3));
        let more = tool.lines.recv_timeout(DEADLINE);
        assert_eq!(more, Err(RecvTimeoutError::Disconnected), "more is said");
    }
}

#[test]
fn two_ports_that_are_the_same_are_refused_before_anything_starts() {
    for (ports, first, second) in [
        (["7", "7", "0"], "--control-port", "--memtrace-port"),
        (["7", "0", "7"], "--control-port", "--influx-port"),
        (["0", "7", "7"], "--memtrace-port", "--influx-port"),
    ] {
        let mut tool = Tool::start([
            "run",
            "--tcp",
            "--build=/bin/false",
            "--qemu=/no-qemu",
            &format!("--control-port={}", ports[0]),
            &format!("--memtrace-port={}", ports[1]),
            &format!("--influx-port={}", ports[2]),
        ]);
        assert_eq!(
            tool.line(),
            format!("hermon: {first} and {second} are both port 7: choose another for one of them")
        );
        assert_eq!(tool.wait().code(), Some(2));
    }
}

#[test]
fn a_port_that_leads_nowhere_is_no_conflict() {
    let folder = folder();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("--control-port={}", taken.local_addr().unwrap().port());
    let run_image = |more: &[&str]| {
        let image = folder.path().join("app.elf");
        fs::write(&image, "").unwrap();
        let image = format!("--image={}", image.display());
        let qemu = script(folder.path(), "qemu", "exit 3");
        let qemu = format!("--qemu={}", qemu.display());
        let memtrace = port.replace("control", "memtrace");
        let fixed = ["run", "--accel=tcg", "--influx-port=0", &image, &qemu];
        Tool::start(
            fixed
                .iter()
                .chain(&[port.as_str(), memtrace.as_str()])
                .chain(more),
        )
    };
    let mut tool = run_image(&[]);
    assert!(tool.line().contains("are both port"));
    assert_eq!(tool.wait().code(), Some(2));
    let mut tool = run_image(&["--", "--control-port=0", "--memtrace-port=0"]);
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn an_error_of_qemu_itself_is_told_in_its_words_and_is_no_failure_of_the_guest() {
    let folder = folder();
    let qemu =
        "echo 'qemu: warning: odd' >&2; echo \"qemu: unable to find CPU model 'x'\" >&2; exit 1";
    let mut tool = run(&folder, qemu, &[]);
    let line = tool.line_with("hermon: ");
    assert_eq!(
        line,
        "hermon: qemu ran no guest: qemu: unable to find CPU model 'x'"
    );
    assert_eq!(tool.wait().code(), Some(3));
}

#[test]
fn a_guest_that_spoke_and_one_of_which_qemu_only_warned_have_failed_themselves() {
    for qemu in [
        "echo hello; echo 'qemu: late' >&2; exit 1",
        "echo 'qemu: warning: odd' >&2; exit 1",
    ] {
        let folder = folder();
        let mut tool = run(&folder, qemu, &[]);
        tool.line_with("hermon  the guest ended with failure");
        assert_eq!(tool.wait().code(), Some(1));
    }
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let folder = folder();
    let mut command = command(&folder, "exit 3");
    command.stdout(fs::File::create("/dev/full").unwrap());
    command.stderr(Stdio::piped());
    let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let tool = command.spawn().expect("the tool starts");
    drop(starting);
    let output = tool.wait_with_output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert!(
        line.starts_with("hermon: cannot write to standard output: "),
        "{line}"
    );
    assert_eq!(output.status.code(), Some(3));
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
    let fixed = [
        "run",
        "--plain",
        "--qemu",
        qemu.to_str().unwrap(),
        "--image",
        image.to_str().unwrap(),
    ];
    // On a busy machine the time of the probe may be over before the script has spoken; then it is probed again.
    until_said(|| {
        let mut tool = Tool::start(fixed.iter().chain(&ANY_PORTS));
        let line = tool.line_with("runs under");
        assert_eq!(tool.wait().code(), Some(0));
        if line.ends_with("runs under tcg: a probe boot did not end within 5 s") {
            return None;
        }
        // Where the device cannot be opened, there is nothing to probe.
        assert!(
            line.ends_with("runs under tcg: a probe boot failed: KVM internal error. Suberror: 1")
                || line.contains("runs under tcg: /dev/kvm cannot be opened"),
            "{line}"
        );
        Some(line)
    });
}
