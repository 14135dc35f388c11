//! One connection: it takes commands and replies to each with one line, in order.
//!
//! A command ends at a line feed, a NUL, or when the client closes its half. One carriage return before the end belongs
//! to the end. A command may arrive in any number of segments, and a segment may hold many. An empty command has no
//! reply. (mirage-monitoring executes one segment at a time, so it executes half of a command that arrives in two.)
//!
//! ```text
//!                 1 a whole command: reply
//!             ┌────────────┐
//!             │            ▼        2 longer than COMMAND_MAX: reply
//!             └────── ┌─────────┐ ─────────────────────────────▶ ┌──────────┐
//!                     │ Reading │                                │ Skipping │
//!                     └─────────┘ ◀───────────────────────────── └──────────┘
//!                       │   │       3 the end of that command          │
//!     5 a first line    │   │ 4 the client closed its half, or         │
//!     that is not let   ▼   ▼   nothing moved for the idle time        ▼
//!     in: reply ──▶ Ending ──▶ closed ◀────────────────────────────────
//! ```
//!
//! The session reads the next command only when the last reply is handed over whole. So a client that does not read
//! stops itself, and needs no memory besides its own buffers.

use core::net::Ipv4Addr;

use super::answer::{Managed, answer};
use super::command::{Command, CommandError};
use super::door::Door;
use super::reply::Reply;
use network::bounds::{COMMAND_MAX, REPLY_MAX};
use network::{Step, Stream};
use units::Micros;

/// Memory of one session, in bytes: a command with a carriage return after it, and a reply.
pub const SESSION_BYTES: usize = COMMAND_MAX + 1 + REPLY_MAX;

/// Counts of the control service, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlCounts {
    /// Commands that were answered, with `ok` or an error.
    pub commands: u64,
    /// Connections that were closed because they were idle.
    pub idle_closed: u64,
    /// Connections that did not begin with the token.
    pub auth_failures: u64,
}

/// The state of a session; the module's documentation has the drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The session collects the bytes of a command.
    Reading,
    /// The session discards the rest of a command that is too long.
    Skipping,
    /// The session hands over the last reply.
    Ending,
}

/// The result of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// A command: this many bytes at the start of the line.
    Command(usize),
    TooLong,
}

/// One connection: its command and its reply.
#[derive(Debug)]
pub struct Session<'a> {
    state: State,
    line: &'a mut [u8],
    len: usize,
    /// Length of the command that is being answered. The reply needs the command's names until it is handed over.
    answered: usize,
    reply: Reply<'a>,
    peer: Ipv4Addr,
    trusted: bool,
    /// The time when a byte last moved in either direction.
    moved: Micros,
    idle: Micros,
    unacknowledged: usize,
}

impl<'a> Session<'a> {
    /// Creates a session in this memory: `line` for a command and its carriage return, `reply` for a reply. The session
    /// closes after it was idle for `idle`.
    ///
    /// # Panics
    /// If `line` is not longer than [`COMMAND_MAX`] or `reply` is shorter than [`REPLY_MAX`].
    #[must_use]
    pub fn new(line: &'a mut [u8], reply: &'a mut [u8], idle: Micros) -> Self {
        assert!(line.len() > COMMAND_MAX);
        let reply = Reply::new(reply);
        Self {
            state: State::Reading,
            line,
            len: 0,
            answered: 0,
            reply,
            peer: Ipv4Addr::UNSPECIFIED,
            trusted: false,
            moved: Micros::ZERO,
            idle,
            unacknowledged: 0,
        }
    }

    /// Sets the address of the next connection's client.
    pub const fn meet(&mut self, peer: Ipv4Addr) {
        self.peer = peer;
    }

    /// Resets the session for a new connection.
    pub const fn open(&mut self, now: Micros) {
        self.state = State::Reading;
        self.len = 0;
        self.answered = 0;
        self.reply.clear();
        self.trusted = false;
        self.moved = now;
        self.unacknowledged = 0;
    }

    /// Answers the commands that have arrived, as long as the client takes the replies. The connection's buffers bound
    /// the work.
    pub fn turn(
        &mut self,
        now: Micros,
        stream: &mut dyn Stream,
        managed: &Managed<'_>,
        door: &mut Door,
        counts: &mut ControlCounts,
    ) -> Step {
        let unacknowledged = stream.unacknowledged();
        if unacknowledged < self.unacknowledged {
            self.moved = now;
        }
        let mut finished = false;
        while self.hand_over(now, stream, managed) {
            finished |= self.state == State::Ending;
            if finished {
                break;
            }
            match self.read(now, stream) {
                Some(found) => {
                    counts.commands += 1;
                    self.answer(found, now, managed, door, counts);
                }
                None if stream.ended() => finished = true,
                None => break,
            }
        }
        self.unacknowledged = stream.unacknowledged();
        if finished && self.reply.is_done() {
            return Step::Close; // 4, 5
        }
        let idle_at = self.moved + self.idle;
        if now < idle_at {
            return Step::Stay(idle_at);
        }
        counts.idle_closed += 1;
        // A client that has taken nothing in all this time will not take it while the connection lingers.
        if self.unacknowledged == 0 {
            Step::Close
        } else {
            Step::Abort
        } // 4
    }

    /// Hands over as much of the reply as the connection takes. Returns `true` if that was all.
    fn hand_over(&mut self, now: Micros, stream: &mut dyn Stream, managed: &Managed<'_>) -> bool {
        // The first byte is the command's letter, not part of the names. A command that is not UTF-8 has no listing.
        let names = self.line[..self.answered].get(1..).unwrap_or_default();
        let names = str::from_utf8(names).unwrap_or_default();
        loop {
            let ready = self.reply.ready(managed, names);
            if ready.is_empty() {
                return true;
            }
            let taken = stream.write(ready);
            if taken == 0 {
                return false;
            }
            self.reply.take(taken);
            self.moved = now;
        }
    }

    fn answer(
        &mut self,
        found: Found,
        now: Micros,
        managed: &Managed<'_>,
        door: &mut Door,
        counts: &mut ControlCounts,
    ) {
        let line = match found {
            Found::Command(len) => &self.line[..len],
            Found::TooLong => &[],
        };
        if door.is_guarded() && !self.trusted {
            match door.knock(self.peer, now, line) {
                Ok(()) => {
                    self.trusted = true;
                    self.reply.set(format_args!("ok"));
                }
                Err(refusal) => {
                    counts.auth_failures += 1;
                    self.reply.set_error(&refusal);
                    self.state = State::Ending; // 5
                }
            }
            return;
        }
        let command = match found {
            Found::Command(_) => Command::parse(line),
            Found::TooLong => Err(CommandError::TooLong),
        };
        answer(command, managed, &mut self.reply);
        self.answered = line.len();
    }

    /// Returns the next command once it is complete. The session keeps the bytes that it has consumed.
    fn read(&mut self, now: Micros, stream: &mut dyn Stream) -> Option<Found> {
        loop {
            let bytes = stream.peek();
            if bytes.is_empty() {
                // The client's close ends a command; an empty command is ignored.
                return if stream.ended() { self.end() } else { None };
            }
            let mut seen = 0;
            let mut found = None;
            for &byte in bytes {
                seen += 1;
                found = match byte {
                    b'\n' | b'\0' => self.end(),
                    _ => self.add(byte),
                };
                if found.is_some() {
                    break;
                }
            }
            stream.consume(seen);
            self.moved = now;
            if found.is_some() {
                return found;
            }
        }
    }

    fn add(&mut self, byte: u8) -> Option<Found> {
        if self.state == State::Skipping {
            return None;
        }
        // One byte beyond COMMAND_MAX is kept if it is a carriage return, which may belong to the end.
        if self.len < COMMAND_MAX || (self.len == COMMAND_MAX && byte == b'\r') {
            self.line[self.len] = byte;
            self.len += 1;
            return None;
        }
        self.state = State::Skipping; // 2
        self.len = 0;
        Some(Found::TooLong)
    }

    fn end(&mut self) -> Option<Found> {
        let command = &self.line[..self.len];
        let len = command.strip_suffix(b"\r").unwrap_or(command).len();
        self.state = State::Reading; // 1, 3
        self.len = 0;
        (len > 0).then_some(Found::Command(len))
    }
}
