//! The commands of the control port: what they are, and the reply to each.
//!
//! One command, one reply of one line. A reply starts with `ok` or `error: ` (the form of mirage-monitoring,
//! with the line feed that is missing there). Log levels and metrics sources get their commands here later.

use core::fmt::{self, Write};

use super::bounds::REPLY_MAX;
use super::outbox::Counts;
use crate::config::{Cidr, Target};
use crate::heap::HeapStats;
use crate::time::Micros;

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// `?`: which commands there are.
    Help,
    /// `s`: how the image is doing.
    Status,
}

/// Why bytes are no command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No command is called that.
    Unknown,
    /// Longer than [`COMMAND_MAX`](super::bounds::COMMAND_MAX).
    TooLong,
}

impl fmt::Display for CommandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "unknown command",
            Self::TooLong => "command too long",
        })
    }
}

impl core::error::Error for CommandError {}

impl Command {
    /// Parses one command, without its end.
    ///
    /// # Errors
    /// [`CommandError::Unknown`].
    ///
    /// ```
    /// use monitoring::net::command::{Command, CommandError};
    /// assert_eq!(Command::parse(b"s"), Ok(Command::Status));
    /// assert_eq!(Command::parse(b"S"), Err(CommandError::Unknown));
    /// ```
    pub const fn parse(bytes: &[u8]) -> Result<Self, CommandError> {
        match bytes {
            b"?" => Ok(Self::Help),
            b"s" => Ok(Self::Status),
            _ => Err(CommandError::Unknown),
        }
    }
}

/// What the command `s` tells.
#[derive(Clone, Copy, Debug)]
pub struct Status {
    /// Since boot.
    pub uptime: Micros,
    /// The interface's address, if it has one.
    pub address: Option<Cidr>,
    /// Where metrics go.
    pub target: Target,
    /// What became of lines.
    pub counts: Counts,
    /// Lines that wait or are on the way.
    pub lines_waiting: usize,
    /// Intervals that were missed.
    pub intervals_missed: u64,
    /// The application's heap.
    pub heap: HeapStats,
}

/// `key=value` pairs, one space between them.
impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uptime = self.uptime;
        write!(f, "version={}", env!("CARGO_PKG_VERSION"))?;
        write!(
            f,
            " uptime_s={}.{:06}",
            uptime.as_secs(),
            uptime.0 % 1_000_000
        )?;
        match self.address {
            Some(address) => write!(f, " address={address}")?,
            None => f.write_str(" address=none")?,
        }
        write!(f, " metrics={}", self.target)?;
        for (key, value) in [
            ("lines_sent", self.counts.lines_sent),
            ("lines_lost", self.counts.lines_lost()),
            ("lines_in_doubt", self.counts.lines_in_doubt),
            ("lines_waiting", self.lines_waiting as u64),
            ("connections_lost", self.counts.connections_lost),
            ("intervals_missed", self.intervals_missed),
            ("live_bytes", self.heap.live_bytes),
            ("live_blocks", self.heap.live_blocks),
            ("peak_bytes", self.heap.peak_bytes),
            ("free_bytes", self.heap.free_bytes),
            ("heap_bytes", self.heap.size_bytes),
        ] {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

/// Writes the reply to what was received, line feed included. `status` is asked only by the command that
/// tells it.
pub fn answer(
    command: Result<Command, CommandError>,
    status: &dyn Fn() -> Status,
    reply: &mut Reply<'_>,
) {
    match command {
        Ok(Command::Help) => reply.set(format_args!("ok: ? this help, s status")),
        Ok(Command::Status) => reply.set(format_args!("ok: {}", status())),
        Err(error) => reply.set(format_args!("error: {error}")),
    }
}

/// One reply: written whole, then handed over in as many pieces as the connection takes.
#[derive(Debug)]
pub struct Reply<'a> {
    bytes: &'a mut [u8],
    len: usize,
    taken: usize,
}

impl<'a> Reply<'a> {
    /// No reply, in memory for one.
    ///
    /// # Panics
    /// If the memory is smaller than [`REPLY_MAX`].
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        assert!(bytes.len() >= REPLY_MAX);
        Self {
            bytes,
            len: 0,
            taken: 0,
        }
    }

    /// Replaces the reply by one line. A text too long for it becomes an error that says so: half a reply
    /// would be taken for a whole one.
    pub fn set(&mut self, text: fmt::Arguments<'_>) {
        self.clear();
        if writeln!(self, "{text}").is_err() {
            self.clear();
            let fits = self.write_str("error: reply too long\n");
            debug_assert!(fits.is_ok());
        }
    }

    /// Forgets the reply.
    pub const fn clear(&mut self) {
        self.len = 0;
        self.taken = 0;
    }

    /// What is still to be handed over.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.taken..self.len]
    }

    /// Takes `count` bytes of the rest as handed over.
    pub fn take(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.len);
    }
}

impl Write for Reply<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use core::net::{Ipv4Addr, SocketAddrV4};

    use super::*;

    fn largest_status() -> Status {
        let counts = Counts {
            lines_sent: u64::MAX,
            bytes_sent: u64::MAX,
            datagrams_sent: u64::MAX,
            lost_queue_full: u64::MAX,
            lost_too_long: 0,
            lines_resent: u64::MAX,
            lines_in_doubt: u64::MAX,
            connections: u64::MAX,
            connections_lost: u64::MAX,
            connect_failures: u64::MAX,
        };
        let heap = HeapStats {
            live_bytes: u64::MAX,
            live_blocks: u64::MAX,
            peak_bytes: u64::MAX,
            free_bytes: u64::MAX,
            size_bytes: u64::MAX,
            ..HeapStats::default()
        };
        Status {
            uptime: Micros::MAX,
            address: Cidr::new(Ipv4Addr::new(223, 255, 254, 254), 24),
            target: Target::Udp(SocketAddrV4::new(
                Ipv4Addr::new(223, 255, 255, 254),
                u16::MAX,
            )),
            counts,
            lines_waiting: usize::MAX,
            intervals_missed: u64::MAX,
            heap,
        }
    }

    #[test]
    fn the_largest_status_is_one_line_that_fits() {
        let mut memory = [0; REPLY_MAX];
        let mut reply = Reply::new(&mut memory);
        answer(Ok(Command::Status), &largest_status, &mut reply);
        let text = str::from_utf8(reply.rest()).expect("text");
        assert!(text.starts_with("ok: version="), "{text}");
        assert!(
            text.contains(" address=223.255.254.254/24 metrics=udp://223.255.255.254:65535 "),
            "{text}"
        );
        assert!(
            text.ends_with(&format!(" heap_bytes={}\n", u64::MAX)),
            "{text}"
        );
        assert_eq!(text.matches('\n').count(), 1);
    }

    #[test]
    fn a_reply_that_does_not_fit_is_an_error_that_says_so() {
        let mut memory = [0; REPLY_MAX];
        let mut reply = Reply::new(&mut memory);
        reply.set(format_args!("{:1$}", "", REPLY_MAX - 1));
        assert_eq!(reply.rest().len(), REPLY_MAX);
        reply.set(format_args!("{:1$}", "", REPLY_MAX));
        assert_eq!(reply.rest(), b"error: reply too long\n");
    }

    #[test]
    fn a_reply_is_handed_over_in_pieces() {
        let mut memory = [0; REPLY_MAX];
        let mut reply = Reply::new(&mut memory);
        assert_eq!(reply.rest(), b"");
        answer(Err(CommandError::TooLong), &largest_status, &mut reply);
        reply.take(7);
        assert_eq!(reply.rest(), b"command too long\n");
        reply.take(99);
        assert_eq!(reply.rest(), b"");
    }

    #[test]
    fn only_what_is_a_command_is_one() {
        for bytes in [&b""[..], b" ", b"S", b"ss", b"s ", b"?\r", b"\xff"] {
            assert_eq!(
                Command::parse(bytes),
                Err(CommandError::Unknown),
                "{bytes:?}"
            );
        }
    }
}
