//! The guest ends with the tool in every case, also when nobody reads what the tool writes.

mod common;

use core::time::Duration;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::process::{Command, Stdio};
use std::sync::PoisonError;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

use common::{ANY_PORTS, DEADLINE, STARTING, Tool, script, send, until_said};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

/// The parts around the tool in a folder: a program in place of QEMU, and a fifo that this program keeps open as its
/// file 3, so that its end is an event.
struct Stage {
    folder: TempDir,
    life: Receiver<String>,
}

/// The text that the fifo's reader sends after the last line.
const GONE: &str = "gone";

impl Stage {
    fn new(qemu: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let fifo = folder.path().join("life");
        fs::write(folder.path().join("app.elf"), "").unwrap();
        {
            let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
            let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
            assert!(made.success());
        }
        let body = format!("exec 3>{}\n{qemu}", fifo.display());
        script(folder.path(), "qemu", &body);
        let (to, life) = channel();
        thread::spawn(move || {
            let fifo = BufReader::new(File::open(fifo).unwrap());
            for line in fifo.lines().map_while(Result::ok) {
                drop(to.send(line));
            }
            drop(to.send(GONE.to_owned()));
        });
        Self { folder, life }
    }

    fn arguments(&self, accel: &str) -> Vec<String> {
        let path = |name: &str| self.folder.path().join(name).display().to_string();
        let fixed = ["run", "--plain"].into_iter().chain(ANY_PORTS);
        fixed
            .map(str::to_owned)
            .chain([
                format!("--accel={accel}"),
                format!("--qemu={}", path("qemu")),
                format!("--image={}", path("app.elf")),
            ])
            .collect()
    }

    fn next(&self) -> String {
        self.life.recv_timeout(DEADLINE).expect("a sign of life")
    }
}

/// A tool whose output is a pipe that is full and stays full, because the guest writes lines without end.
struct Blocked {
    child: std::process::Child,
    ended: Receiver<()>,
    _reader: PipeReader,
}

impl Blocked {
    fn start(arguments: &[String]) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        let full = writer.try_clone().unwrap();
        let starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut child = Command::new(env!("CARGO_BIN_EXE_hermon"))
            .args(arguments)
            .env_remove("QEMU")
            .stdin(Stdio::null())
            .stdout(writer)
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        drop(starting);
        // Only the tool has this file open, so the file's end is the tool's end.
        let mut stderr = child.stderr.take().unwrap();
        let (to, ended) = channel();
        thread::spawn(move || {
            drop(stderr.read_to_end(&mut Vec::new()));
            // The test may have failed meanwhile.
            to.send(()).unwrap_or_default();
        });
        let blocked = Self {
            child,
            ended,
            _reader: reader,
        };
        let deadline = Instant::now() + DEADLINE;
        let pause = Timespec::default();
        while poll(&mut [PollFd::new(&full, PollFlags::OUT)], Some(&pause)).unwrap() > 0 {
            assert!(Instant::now() < deadline, "the output is never full");
            thread::yield_now();
        }
        blocked
    }

    fn code(mut self, within: Duration) -> Option<i32> {
        self.ended.recv_timeout(within).expect("the tool ends");
        self.child.wait().unwrap().code()
    }
}

const POUR: &str = "echo $$ >&3; while :; do echo a line of the console; done";

#[test]
fn a_signal_ends_tool_and_guest_though_nobody_reads_the_output() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let stage = Stage::new(POUR);
        let tool = Blocked::start(&stage.arguments("tcg"));
        assert_ne!(stage.next(), GONE);
        send(tool.child.id(), signal);
        assert_eq!(stage.next(), GONE, "{signal}");
        assert_eq!(tool.code(DEADLINE), Some(130), "{signal}");
    }
}

#[test]
fn a_watch_ends_though_nobody_reads_the_output() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    thread::spawn(move || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        // Until the end of the test's process. Losses and refusals before the tool listens do not matter.
        loop {
            drop(socket.send_to(b"m v=1\n", address));
        }
    });
    let tool = Blocked::start(&["watch".to_owned(), format!("--listen={address}")]);
    send(tool.child.id(), "-INT");
    assert_eq!(tool.code(DEADLINE), Some(130));
}

#[test]
fn a_signal_during_the_probe_or_later_ends_the_guest_and_is_called_by_its_name() {
    for (signal, name) in [("-TERM", "SIGTERM"), ("-HUP", "SIGHUP"), ("-INT", "Ctrl-C")] {
        let said = until_said(|| {
            // With KVM's device this is the probe's guest, without it the real one.
            let stage = Stage::new("echo $$ >&3; exec sleep 600");
            let mut tool = Tool::start(stage.arguments("auto"));
            assert_ne!(stage.next(), GONE);
            tool.signal(signal);
            assert_eq!(stage.next(), GONE);
            assert_eq!(tool.wait().code(), Some(130));
            tool.says("ended by")
        });
        assert_eq!(said, format!("hermon  ended by {name}"));
    }
}

#[test]
fn the_guest_is_gone_when_the_tool_was_killed() {
    for (accel, signal) in [("tcg", "-KILL"), ("auto", "-KILL"), ("tcg", "-ABRT")] {
        let stage = Stage::new("echo $$ >&3; exec sleep 600");
        let tool = Tool::start(stage.arguments(accel));
        assert_ne!(stage.next(), GONE);
        tool.signal(signal);
        assert_eq!(stage.next(), GONE, "{accel} {signal}");
    }
}

#[test]
fn a_child_of_the_guest_that_keeps_the_console_open_does_not_delay_the_end() {
    until_said(|| {
        let stage = Stage::new("sleep 600 3>&- & echo $! >&3; wait");
        let mut tool = Tool::start(stage.arguments("tcg"));
        let left_over = stage.next().parse().expect("a process id");
        tool.interrupt();
        assert_eq!(tool.wait().code(), Some(130));
        send(left_over, "-KILL");
        tool.says("hermon  ended by Ctrl-C")
    });
}

/// Reads lines until one is `what` after its time and origin. Returns the lines that were shown, those that were lost, and whether
/// the shown ones came in order. Calls `told` when a loss is told.
fn shown_and_lost(reader: PipeReader, what: &str, mut told: impl FnMut()) -> (u64, u64, bool) {
    let (mut shown, mut lost, mut last) = (0, 0, None);
    for line in BufReader::new(reader).lines() {
        let line = line.expect("the output");
        let (_, text) = line.split_once(' ').expect("a time");
        if let Some(words) = text.strip_prefix("hermon ").map(str::trim_start) {
            if let Some((count, _)) = words.split_once(" lines lost: ") {
                lost += count.parse::<u64>().expect("a number");
                told();
            }
        } else if let Some((_, number)) = text.split_once("number=") {
            let number: u64 = number.parse().expect("a number");
            if last >= Some(number) {
                return (shown, lost, false);
            }
            last = Some(number);
            shown += 1;
        }
        if text.ends_with(what) {
            break;
        }
    }
    (shown, lost, true)
}

/// Starts the tool with a pipe as its output. Nobody reads it until the test does.
fn unread(arguments: &[String]) -> (std::process::Child, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let _starting = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
    let child = Command::new(env!("CARGO_BIN_EXE_hermon"))
        .args(arguments)
        .env_remove("QEMU")
        .stdin(Stdio::null())
        .stdout(writer)
        .stderr(Stdio::null())
        .spawn()
        .expect("the tool starts");
    (child, reader)
}

#[test]
fn the_console_is_drained_though_nobody_reads_the_output_and_what_is_lost_is_told() {
    // More than the output's pipe, the queue and the pipe of the console hold together. Then the guest prints when it is told to.
    const LINES: u64 = 60_000;
    let folder = TempDir::new().unwrap();
    let go = folder.path().join("go");
    let pour = format!(
        "seq -f 'a line of the console that is not read number=%.0f' {LINES}; echo poured >&3; \
         until [ -e {go} ]; do sleep 0.05; done; echo the guest goes on; exit 3",
        go = go.display()
    );
    let stage = Stage::new(&pour);
    let (mut tool, reader) = unread(&stage.arguments("tcg"));
    // The guest could print everything, and nobody has read a byte.
    assert_eq!(stage.next(), "poured");
    let (shown, lost, is_sorted) = shown_and_lost(reader, "the guest goes on", || {
        fs::write(&go, "").unwrap();
    });
    assert!(is_sorted);
    assert_eq!(shown + lost, LINES, "{shown} shown, {lost} lost");
    assert!(lost > 0);
    assert!(tool.wait().unwrap().code().is_some());
}

#[test]
fn metrics_are_taken_though_nobody_reads_the_output_and_what_is_not_shown_is_told() {
    const LINES: u64 = 60_000;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = port.local_addr().unwrap();
    drop(port);
    let arguments = [
        "watch".to_owned(),
        "--plain".to_owned(),
        format!("--listen={address}"),
        format!("--points={}", LINES + 1),
    ];
    let (mut tool, reader) = unread(&arguments);
    let deadline = Instant::now() + DEADLINE;
    let mut socket = loop {
        if let Ok(socket) = std::net::TcpStream::connect(address) {
            break socket;
        }
        assert!(Instant::now() < deadline, "it never listens");
        thread::yield_now();
    };
    for number in 0..LINES {
        let line = format!("m,some=tag,another=tag,to=fill,the=line v=1i,number={number}\n");
        std::io::Write::write_all(&mut socket, line.as_bytes()).unwrap();
    }
    // All of it was taken, though not a byte is read: the last point ends the tool, which does not wait for ever.
    let text = b"m last=1i\n";
    std::io::Write::write_all(&mut socket, text).unwrap();
    assert_eq!(tool.wait().unwrap().code(), Some(0));
    let (shown, _, is_sorted) = shown_and_lost(reader, "nothing", || {});
    assert!(is_sorted && shown < LINES, "{shown}");
}
