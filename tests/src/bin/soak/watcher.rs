//! `hermon watch`, and what it shows.

use core::net::SocketAddr;
use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};

use tests::DEADLINE;

/// What one machine's lines have shown until now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Shown {
    /// Points.
    pub lines: u64,
    /// Bytes allocated in the image now.
    pub live_bytes: u64,
}

#[derive(Debug, Default)]
struct Output {
    machines: HashMap<String, Shown>,
    /// The lines of hermon itself, of which the last one is its sum.
    own: Vec<String>,
}

/// A running `hermon watch` whose output a thread reads.
#[derive(Debug)]
pub(crate) struct Watcher {
    hermon: Child,
    output: Arc<(Mutex<Output>, Condvar)>,
    reader: JoinHandle<()>,
    port: u16,
    page: SocketAddr,
}

impl Watcher {
    /// Starts hermon with a page and a database in this folder.
    pub(crate) fn start(folder: &Path) -> Self {
        let database = folder.join("points.redb");
        drop(fs::remove_file(&database));
        let hermon = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tool/hermon");
        let mut hermon = Command::new(&hermon)
            .args([
                "watch",
                "--plain",
                "--listen=127.0.0.1:0",
                "--web=127.0.0.1:0",
                "--db",
            ])
            .arg(&database)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", hermon.display()));
        let output = Arc::new((Mutex::new(Output::default()), Condvar::new()));
        let lines = BufReader::new(hermon.stdout.take().expect("a pipe")).lines();
        let reader = thread::spawn({
            let output = output.clone();
            move || {
                for line in lines {
                    let line = line.expect("hermon writes text");
                    output.0.lock().expect("no panic").take(&line);
                    output.1.notify_all();
                }
            }
        });
        let mut watcher = Self {
            hermon,
            output,
            reader,
            port: 0,
            page: SocketAddr::from(([0; 4], 0)),
        };
        let address = |line: String, before: &str| -> Option<SocketAddr> {
            let (_, rest) = line.split_once(before)?;
            rest.split_whitespace().next()?.parse().ok()
        };
        watcher.port = watcher.own(|line| address(line, "listening on ")).port();
        watcher.page = watcher.own(|line| address(line, "the page is at http://"));
        watcher
    }

    /// Waits for a line of hermon itself from which `wanted` returns a value.
    fn own<T>(&self, wanted: impl Fn(String) -> Option<T>) -> T {
        let (output, changed) = &*self.output;
        let mut output = output.lock().expect("no panic");
        loop {
            if let Some(found) = output.own.iter().cloned().find_map(&wanted) {
                return found;
            }
            let (next, late) = changed.wait_timeout(output, DEADLINE).expect("no panic");
            assert!(!late.timed_out(), "hermon does not say it: {:?}", next.own);
            output = next;
        }
    }

    /// Returns the port for metrics.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the page's address.
    pub(crate) fn page(&self) -> SocketAddr {
        self.page
    }

    /// Returns what has been shown of a machine.
    pub(crate) fn shown(&self, machine: &str) -> Shown {
        let output = self.output.0.lock().expect("no panic");
        output.machines.get(machine).copied().unwrap_or_default()
    }

    /// Returns hermon's memory now (`VmRSS`, proc(5)), in bytes.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.hermon.id()));
        let status = status.expect("hermon runs");
        let kib = status.lines().find_map(|line| {
            let rest = line.strip_prefix("VmRSS:")?;
            rest.split_whitespace().next()?.parse::<u64>().ok()
        });
        kib.expect("the size") * 1024
    }

    /// Ends hermon as Ctrl-C does. Returns what has been shown of each machine, and hermon's last line, the sum of what arrived and
    /// what was lost.
    pub(crate) fn end(mut self) -> (HashMap<String, Shown>, String) {
        let pid = self.hermon.id().to_string();
        let killed = Command::new("kill").args(["-INT", &pid]).status();
        assert!(killed.expect("kill").success());
        let status = self.hermon.wait().expect("hermon ends");
        self.reader.join().expect("no panic");
        let output = core::mem::take(&mut *self.output.0.lock().expect("no panic"));
        let last = output.own.last().cloned().unwrap_or_default();
        (output.machines, format!("{last} ({status})"))
    }
}

impl Output {
    /// Takes a line `hh:mm:ss.mmm ORIGIN TEXT`; TEXT of a point is `PEER LINE`.
    fn take(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let origin = words.nth(1);
        match origin {
            Some("hermon") => self.own.push(words.collect::<Vec<_>>().join(" ")),
            Some("udp" | "tcp") => {
                let Some(point) = words.nth(1) else { return };
                let Some((_, tags)) = point.split_once(",vm=") else {
                    return;
                };
                let name = tags.split([',', ' ']).next().unwrap_or_default();
                if !name.starts_with("soak-") {
                    return;
                }
                let shown = self.machines.entry(name.to_owned()).or_default();
                shown.lines += 1;
                if point.starts_with("memory,")
                    && let Some((_, rest)) = line.split_once("live_bytes=")
                    && let Some((bytes, _)) = rest.split_once('i')
                {
                    shown.live_bytes = bytes.parse().unwrap_or(shown.live_bytes);
                }
            }
            _ => {}
        }
    }
}
