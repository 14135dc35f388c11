//! The tool as a process, run as a person runs it.

#![expect(
    dead_code,
    reason = "each test file is a separate program and uses only a part of this"
)]

pub mod browser;
pub mod http;
pub mod image;
pub mod pty;

use core::time::Duration;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// So that a test that hangs ends. Beside busy loops, at the lowest priority, everything takes a hundred times as long.
pub const DEADLINE: Duration = Duration::from_secs(900);

/// Options for `run`: any port for metrics, and no port that leads into the guest.
pub const ANY_PORTS: [&str; 3] = ["--influx-port=0", "--control-port=0", "--memtrace-port=0"];

/// Held while a program is written and while one is started. A process that is being started holds this process's open
/// files for a moment, and a program that is open for writing cannot be executed (ETXTBSY).
pub static STARTING: Mutex<()> = Mutex::new(());

/// Writes an executable shell script.
pub fn script(folder: &Path, name: &str, body: &str) -> PathBuf {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

pub struct Tool {
    child: Child,
    /// The lines of both outputs, unchanged.
    pub lines: Receiver<String>,
}

impl Tool {
    pub fn start(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        Self::begin(Command::new(env!("CARGO_BIN_EXE_hermon")).args(arguments))
    }

    /// Starts a program that becomes the tool.
    pub fn begin(command: &mut Command) -> Self {
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = command
            .env_remove("QEMU")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        drop(starting);
        let (to, lines) = channel();
        for output in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let to = to.clone();
            thread::spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    drop(to.send(line));
                }
            });
        }
        Self { child, lines }
    }

    /// Returns the next line, without its time of day.
    pub fn line(&self) -> String {
        self.next().expect("a line")
    }

    /// The same; `None` if it has ended.
    fn next(&self) -> Option<String> {
        let line = match self.lines.recv_timeout(DEADLINE) {
            Ok(line) => line,
            Err(RecvTimeoutError::Disconnected) => return None,
            Err(RecvTimeoutError::Timeout) => panic!("no line"),
        };
        Some(match line.split_at_checked("hh:mm:ss.mmm ".len()) {
            Some((time, text)) if time.bytes().filter(|&byte| byte == b':').count() == 2 => {
                text.to_owned()
            }
            _ => line,
        })
    }

    pub fn line_with(&self, part: &str) -> String {
        self.says(part).expect("a line")
    }

    /// The next line with this part; `None` if the tool ends without it.
    pub fn says(&self, part: &str) -> Option<String> {
        core::iter::from_fn(|| self.next()).find(|line| line.contains(part))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn interrupt(&self) {
        self.signal("-INT");
    }

    pub fn signal(&self, signal: &str) {
        send(self.child.id(), signal);
    }

    pub fn wait(&mut self) -> ExitStatus {
        self.child.wait().expect("the tool ends")
    }
}

/// Runs until the tool has said what it says if it has the time. It waits half a second for a guest's last metrics, a second for its
/// end after a signal, and five for a probe; on a busy machine it may need more.
pub fn until_said<T>(mut run: impl FnMut() -> Option<T>) -> T {
    let said = (0..50).find_map(|_| run());
    said.expect("it is said in one of 50 runs")
}

/// Sends a signal such as `-INT`.
pub fn send(pid: u32, signal: &str) {
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut kill = Command::new("kill");
    let status = kill.args([signal, &pid.to_string()]).status();
    assert!(status.expect("kill").success());
}

impl Drop for Tool {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
