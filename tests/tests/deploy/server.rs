//! A server for the time of a test: its own folder, free ports of loopback, ended by its process id.

use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicU32, Ordering};
use core::time::Duration;
use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use hermon_machine::offspring;
use tests::DEADLINE;

/// Between two looks at something that only answers questions: an HTTP API tells nobody that something came.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until there is something, and gives it.
///
/// # Panics
/// If there is nothing at the deadline; with the last reason.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) => assert!(Instant::now() < deadline, "waiting for {what}: {why}"),
        }
        thread::sleep(PAUSE);
    }
}

/// A port that is free now.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// A folder of a test's own, gone with it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(format!("hermit-{name}-{process}-{number}"));
        std::fs::create_dir(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left over is in the system's folder for such things.
        drop(std::fs::remove_dir_all(&self.0));
    }
}

/// A running server. Dropped, it is killed; in a failing test it prints the end of what it said.
#[derive(Debug)]
pub struct Server {
    name: String,
    child: Child,
    lines: Receiver<String>,
    said: Vec<String>,
}

impl Server {
    /// # Panics
    /// If it cannot be started.
    pub fn start(mut command: Command) -> Self {
        let name = command.get_program().to_string_lossy().into_owned();
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = offspring::spawn(command).unwrap_or_else(|error| panic!("{name}: {error}"));
        let (to, lines) = channel();
        listen(child.stdout.take().expect("piped"), to.clone());
        listen(child.stderr.take().expect("piped"), to);
        Self {
            name,
            child,
            lines,
            said: Vec::new(),
        }
    }

    /// Waits for a line that contains `part`, among those not yet waited for.
    ///
    /// # Panics
    /// If it ends or the deadline passes before.
    pub fn wait_for(&mut self, part: &str) {
        let deadline = Instant::now() + DEADLINE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left);
            let line =
                line.unwrap_or_else(|error| panic!("{}: waiting for {part:?}: {error}", self.name));
            let found = line.contains(part);
            self.said.push(line);
            if found {
                return;
            }
        }
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    ///
    /// # Panics
    /// If it does not end before the deadline.
    pub fn stop(&mut self) {
        let status = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status();
        assert!(status.expect("kill").success());
        let name = self.name.clone();
        until(&format!("the end of {name}"), || {
            match self.child.try_wait() {
                Ok(Some(_)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only if it has ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if !thread::panicking() {
            return;
        }
        self.said.extend(self.lines.try_iter());
        eprintln!("the last that {} said:", self.name);
        for line in &self.said[self.said.len().saturating_sub(30)..] {
            eprintln!("  {line}");
        }
    }
}

fn listen(from: impl Read + Send + 'static, to: Sender<String>) {
    thread::spawn(move || {
        // To the end also if nobody listens any more: a full pipe would stop the server.
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            drop(to.send(line));
        }
    });
}
