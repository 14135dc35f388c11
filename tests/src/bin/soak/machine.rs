//! One image of the soak.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use hermon_machine::qemu::{HOST_SEEN_BY_GUEST, Machine as Type, Nic};
use tests::DEADLINE;
use tests::boot::{Boot, Running};
use tests::cable::Cable;
use tests::qmp::Qmp;
use tests::trace::Ports;

use crate::wire::Wire;

/// The interval between two metrics, short so that histories on the host fill.
const INTERVAL: &str = "250ms";

/// The time in which an operator's command must be answered before it is asked again.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way in which an image sends its lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Udp,
    Tcp,
}

/// What an image says of its lines, and what was seen of them on its cable.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Lines {
    /// Lines that left, by UDP, or were acknowledged, by TCP.
    pub sent: u64,
    /// Lines that it has lost, by its own count.
    pub lost: u64,
    /// Lines acknowledged shortly before a connection broke.
    pub in_doubt: u64,
    /// Intervals for which nothing was sent.
    pub missed: u64,
    /// Lines on the cable, by UDP.
    pub on_cable: u64,
}

/// An image under QEMU with an operator and an attacker on its network.
#[derive(Debug)]
pub(crate) struct Machine {
    by: By,
    guest: Running,
    qmp: Qmp,
    ports: Ports,
    wire: Wire,
    asked: AtomicU64,
    unanswered: AtomicU64,
}

impl Machine {
    /// Boots the image and waits until it is ready.
    pub(crate) fn boot(by: By, receiver: u16) -> Self {
        let (cable, ports) = (Cable::open(), Ports::free());
        let name = match by {
            By::Udp => "udp",
            By::Tcp => "tcp",
        };
        let mut guest = Boot::new(Type::Q35)
            .nic(Nic::Default(cable.beside(ports.forwards())))
            .arguments(&format!(
                "--vm soak-{name} --interval {INTERVAL} --heap-profile on --log *:debug"
            ))
            .argument(format!("--influx={name}://{HOST_SEEN_BY_GUEST}:{receiver}"))
            .commanded()
            .start();
        guest.ready();
        let qmp = guest.qmp();
        let machine = Self {
            by,
            guest,
            qmp,
            ports,
            wire: Wire::start(cable, receiver, 1 + by as u64),
            asked: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
        };
        machine.ask("M*:on");
        machine
    }

    pub(crate) fn by(&self) -> By {
        self.by
    }

    /// Returns the value of its tag `vm`.
    pub(crate) fn name(&self) -> &'static str {
        match self.by {
            By::Udp => "soak-udp",
            By::Tcp => "soak-tcp",
        }
    }

    pub(crate) fn ports(&self) -> Ports {
        self.ports
    }

    /// Returns how many commands the operator has given, and how many connections for them had no answer.
    pub(crate) fn operator(&self) -> (u64, u64) {
        (
            self.asked.load(Ordering::Relaxed),
            self.unanswered.load(Ordering::Relaxed),
        )
    }

    /// Gives a command as an operator does, again and again until it is answered.
    pub(crate) fn ask(&self, command: &str) -> String {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            if let Ok(reply) = self.try_to_ask(command) {
                return reply;
            }
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        panic!("{}: no answer to {command}", self.name());
    }

    fn try_to_ask(&self, command: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.ports.control.address())?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(format!("{command}\n").as_bytes())?;
        let mut reply = String::new();
        BufReader::new(stream).read_line(&mut reply)?;
        if reply.starts_with("ok") && reply.ends_with('\n') {
            Ok(reply)
        } else {
            Err(std::io::Error::other(reply))
        }
    }

    /// Sets the state of the link of its network card.
    pub(crate) fn link(&mut self, up: bool) {
        let arguments = format!(r#"{{"name": "net0", "up": {up}}}"#);
        self.qmp.execute_with("set_link", &arguments);
    }

    /// Returns the lines at a moment between two intervals, when none is on its way.
    pub(crate) fn lines(&self) -> Lines {
        let deadline = Instant::now() + DEADLINE;
        let mut before = self.look();
        while Instant::now() < deadline {
            let now = self.look();
            if now.1 == 0 && now.0.sent == before.0.sent && now.0.on_cable == before.0.on_cable {
                return now.0;
            }
            before = now;
        }
        panic!("{}: its lines never come to rest", self.name());
    }

    /// Returns its lines, and how many of them wait.
    fn look(&self) -> (Lines, u64) {
        let status = self.ask("s");
        let number = |key: &str| -> u64 {
            let value = status
                .split_whitespace()
                .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='));
            let value = value.unwrap_or_else(|| panic!("no {key} in {status}"));
            value.parse().expect("a number")
        };
        let lines = Lines {
            sent: number("lines_sent"),
            lost: number("lines_lost"),
            in_doubt: number("lines_in_doubt"),
            missed: number("intervals_missed"),
            on_cable: self.wire.lines(),
        };
        (lines, number("lines_waiting"))
    }

    /// Ends the attack and the metrics, and returns the lines when the last one has left, and the state of all metrics before.
    pub(crate) fn calm(&self) -> (Lines, String) {
        self.wire.calm();
        let metrics = self.ask("m");
        self.ask("M*:off");
        (self.lines(), metrics)
    }

    /// Ends the machine. Returns the number of the attack's frames, and what the console said of panics and crashes.
    pub(crate) fn end(mut self) -> (u64, Vec<String>) {
        let frames = self.wire.end();
        let has_ended = self.guest.has_ended();
        let mut complaints: Vec<_> = self
            .guest
            .lines()
            .filter(|line| line.contains("panic") || line.contains("ERROR"))
            .map(str::to_owned)
            .collect();
        if has_ended {
            complaints.push("the machine ended before the soak did".into());
        }
        self.guest.kill();
        (frames, complaints)
    }
}
