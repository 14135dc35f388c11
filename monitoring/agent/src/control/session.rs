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
//!     5 not let in, or  │   │ 4 the client closed its half, or         │
//!     HTTP or TLS:      ▼   ▼   nothing moved for the idle time        ▼
//!     reply ──────▶ Ending ──▶ closed ◀────────────────────────────────
//! ```
//! A proof of the token that must wait (see [`Door`]) is `Proving` until it is compared.
//!
//! A page of any site can make a browser send a request to the port, with a body that holds commands. So a request and
//! the beginning of a TLS handshake get one answer, and not a byte after them is read.
//!
//! The session reads the next command only when the last reply is handed over whole. So a client that does not read
//! stops itself, and needs no memory besides its own buffers.

use super::answer::{Managed, answer};
use super::command::{Command, CommandError};
use super::foreign;
use super::reply::Reply;
use crate::door::{Challenge, Door, Knock, Refusal};
use network::bounds::{COMMAND_MAX, PROVE_WITHIN, REPLY_MAX, YIELDS_AFTER};
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
    /// Connections that gave their place to a newcomer.
    pub yielded: u64,
    /// Connections that spoke HTTP or TLS.
    pub foreign: u64,
}

/// The state of a session; the module's documentation has the drawing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The session collects the bytes of a command.
    Reading,
    /// The session discards the rest of a command that is too long.
    Skipping,
    /// A line of this length, a proof of the token, waits to be compared.
    Proving { len: usize, until: Micros },
    /// The session hands over the last reply.
    Ending,
}

/// The result of reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Found {
    /// A command: this many bytes at the start of the line.
    Command(usize),
    TooLong,
    /// The first bytes of a TLS handshake.
    Tls,
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
    challenge: Option<Challenge>,
    trusted: bool,
    /// `true` while the connection is open.
    is_open: bool,
    /// `true` if its place was given to a newcomer.
    has_yielded: bool,
    opened: Micros,
    /// The time of the last command, or of the opening.
    since: Micros,
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
            challenge: None,
            trusted: false,
            is_open: false,
            has_yielded: false,
            opened: Micros::ZERO,
            since: Micros::ZERO,
            moved: Micros::ZERO,
            idle,
            unacknowledged: 0,
        }
    }

    /// Resets the session for a new connection.
    pub const fn open(&mut self, now: Micros) {
        self.state = State::Reading;
        self.len = 0;
        self.answered = 0;
        self.reply.clear();
        self.challenge = None;
        self.trusted = false;
        self.is_open = true;
        self.has_yielded = false;
        self.opened = now;
        self.since = now;
        self.moved = now;
        self.unacknowledged = 0;
    }

    /// Notes that the connection has ended.
    pub const fn close(&mut self) {
        self.is_open = false;
    }

    /// Returns the time since which the connection has given no command, if it may give its place to a newcomer. With a
    /// token only a client that has not proven to know it may, unless its proof waits.
    pub fn yields(&self, now: Micros, is_guarded: bool) -> Option<Micros> {
        let may = if is_guarded {
            self.is_unproven() && !matches!(self.state, State::Proving { .. })
        } else {
            now >= self.since + YIELDS_AFTER
        };
        (self.is_open && !self.has_yielded && may).then_some(self.since)
    }

    /// Returns `true` if the client has not proven that it knows the token.
    pub const fn is_unproven(&self) -> bool {
        self.is_open && !self.has_yielded && !self.trusted
    }

    /// Ends the connection at its next turn, for a newcomer.
    pub const fn give_up(&mut self) {
        self.has_yielded = true;
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
        if self.has_yielded {
            return Step::Abort;
        }
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
            let found = match self.state {
                State::Proving { until, .. } if now < until => break,
                State::Proving { len, .. } => Some(Found::Command(len)),
                _ => self.read(now, stream),
            };
            match found {
                Some(found) => {
                    self.since = now;
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
        if let State::Proving { until, .. } = self.state {
            return Step::Stay(until);
        }
        let mut idle_at = self.moved + self.idle;
        if door.is_guarded() && !self.trusted && self.state != State::Ending {
            let late = self.opened + PROVE_WITHIN;
            if now >= late {
                counts.auth_failures += 1;
                self.reply.set_error(&Refusal::TooLate);
                self.state = State::Ending; // 5
                return Step::Stay(now);
            }
            idle_at = idle_at.min(late);
        }
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
            // Its beginning is kept: a request may have a long path.
            Found::TooLong => &self.line[..COMMAND_MAX],
            Found::Tls => &[],
        };
        if found == Found::Tls || foreign::is_http(line) {
            counts.foreign += 1;
            if found == Found::Tls {
                self.reply.set(format_args!("{}", foreign::TLS));
            } else {
                self.reply.set(format_args!("{}", foreign::HTTP));
            }
            self.state = State::Ending; // 5
            return;
        }
        counts.commands += 1;
        let line = if found == Found::TooLong { &[] } else { line };
        if door.is_guarded() && !self.trusted {
            match door.knock(now, line, self.challenge.as_ref()) {
                Knock::Challenge => {
                    let challenge = self.challenge.insert(door.challenge());
                    self.reply.set(format_args!("ok: {challenge}"));
                }
                Knock::Admitted => {
                    self.challenge = None;
                    self.trusted = true;
                    self.state = State::Reading;
                    self.reply.set(format_args!("ok"));
                }
                Knock::Refused(refusal) => {
                    counts.auth_failures += 1;
                    self.reply.set_error(&refusal);
                    self.state = State::Ending; // 5
                }
                Knock::Wait(until) => {
                    counts.commands -= 1;
                    let len = line.len();
                    self.state = State::Proving { len, until };
                }
            }
            return;
        }
        let command = match found {
            Found::Command(_) => Command::parse(line),
            Found::TooLong | Found::Tls => Err(CommandError::TooLong),
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
        if self.len == 1 && foreign::is_tls([self.line[0], byte]) {
            return Some(Found::Tls);
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
