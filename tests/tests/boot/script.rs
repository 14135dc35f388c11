//! Uses `scripts/run.sh` as a person would.

use core::time::Duration;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use tests::boot::long_enough;
use tests::gate::Turn;

/// The limit of a wait. The script may have to compile the tool and the image first, on a busy host.
const DEADLINE: Duration = Duration::from_secs(3_600);

struct Script {
    child: Child,
    lines: Receiver<String>,
    heard: Vec<String>,
    _turn: Turn,
}

impl Script {
    fn start(options: &str) -> Self {
        let turn = Turn::shared();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/run.sh");
        let mut child = Command::new(path)
            .args(
                "--plain --accel tcg --influx-port 0 --control-port 0 --memtrace-port 0".split(' '),
            )
            .args(options.split(' '))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("scripts/run.sh");
        let stdout = child.stdout.take().expect("piped");
        let (to, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                drop(to.send(line));
            }
        });
        Self {
            child,
            lines,
            heard: Vec::new(),
            _turn: turn,
        }
    }

    fn wait_for(&mut self, part: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(DEADLINE).unwrap_or_else(|error| {
                panic!("waiting for {part:?}: {error}, after {:#?}", self.heard);
            });
            self.heard.push(line.clone());
            if line.contains(part) {
                return line;
            }
        }
    }

    fn end(&mut self) -> ExitStatus {
        self.child.wait().expect("it ends")
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // The script has become the tool (`exec`), which ends its guest when asked to.
        drop(
            Command::new("kill")
                .args(["-TERM", &self.child.id().to_string()])
                .status(),
        );
        drop(self.child.wait());
    }
}

#[test]
fn run_sh_shows_the_console_and_the_metrics_of_both_transports() {
    for transport in ["udp", "tcp"] {
        let line = long_enough(1, |seconds| {
            let options = format!("--{transport} -- --interval 500ms --duration {seconds}s");
            let mut script = Script::start(&options);
            script.wait_for(" console ");
            script.wait_for("hermon  the guest ended with success");
            assert_eq!(script.end().code(), Some(0));
            let metrics = format!(" {transport}     127.0.0.1:");
            let mut lines = script.heard.iter();
            lines.find(|line| line.contains(&metrics)).cloned()
        });
        assert!(line.contains(",vm=hermit "), "{line}");
    }
}

#[test]
fn ctrl_c_ends_run_sh_and_its_guest() {
    let mut script = Script::start("-- --workload idle");
    script.wait_for("monitoring: ready");
    let tool = script.child.id();
    let children: String = std::fs::read_dir(format!("/proc/{tool}/task"))
        .expect("the tool runs")
        .filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok())
        .collect();
    let qemu: u32 = children
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("one child, not {children:?}"));
    let status = Command::new("kill")
        .args(["-INT", &tool.to_string()])
        .status()
        .expect("kill");
    assert!(status.success());
    script.wait_for("hermon  ended by Ctrl-C");
    assert_eq!(script.end().code(), Some(130));
    assert!(
        !Path::new(&format!("/proc/{qemu}")).exists(),
        "QEMU {qemu} is left over"
    );
}

#[test]
fn a_bad_option_of_run_sh_is_refused_before_anything_is_built() {
    let mut script = Script::start("--memory 1T");
    assert_eq!(script.end().code(), Some(2));
}
