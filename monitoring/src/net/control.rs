//! The control port: commands in, one line of reply each, in order.
//!
//! A command ends at a line feed, a NUL, or when the client closes its half; one carriage return before the end
//! belongs to the end. It may arrive in any number of segments, and many in one. An empty command has no reply.
//! (mirage-monitoring executed what one segment held, so a command in two segments was half executed.)
//!
//! ```text
//!                 1 a whole command: reply
//!             ┌────────────┐
//!             │            ▼        2 longer than COMMAND_MAX: reply
//!             └────── ┌─────────┐ ─────────────────────────────▶ ┌──────────┐
//!                     │ Reading │                                │ Skipping │
//!                     └─────────┘ ◀───────────────────────────── └──────────┘
//!                          │        3 the end of that command          │
//!                          │ 4 the client closed its half, or          │
//!                          ▼   CONTROL_IDLE without movement           ▼
//!                        closed ◀───────────────────────────────────────
//! ```
//!
//! The next command is read only when the reply to the last one is handed over whole: a client that does not
//! read stops itself, and needs no memory but its own buffers.

use super::bounds::{COMMAND_MAX, CONTROL_IDLE, CONTROL_SOCKETS, REPLY_MAX};
use super::command::{Command, CommandError, Reply, Status, answer};
use super::{Service, Step, Stream};
use crate::time::Micros;

/// Memory of one session, in bytes: a command with the carriage return that may follow it, and a reply.
pub const SESSION_BYTES: usize = COMMAND_MAX + 1 + REPLY_MAX;

/// What the control service has done, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ControlCounts {
    /// Commands that were answered, with `ok` or an error.
    pub commands: u64,
    /// Connections that were closed because nothing moved on them.
    pub idle_closed: u64,
}

/// All sessions of the control port. Never allocates.
#[derive(Debug)]
pub struct Control<'a> {
    sessions: [Session<'a>; CONTROL_SOCKETS],
    counts: ControlCounts,
}

impl<'a> Control<'a> {
    /// Memory that [`Control::new`] takes, in bytes.
    pub const BYTES: usize = CONTROL_SOCKETS * SESSION_BYTES;

    /// No session yet.
    ///
    /// # Panics
    /// If the memory is smaller than [`Control::BYTES`].
    #[must_use]
    pub fn new(memory: &'a mut [u8]) -> Self {
        let mut memory = memory.chunks_exact_mut(SESSION_BYTES);
        let sessions = core::array::from_fn(|_| {
            let memory = memory.next().expect("memory for every session");
            let (line, reply) = memory.split_at_mut(COMMAND_MAX + 1);
            Session::new(line, reply)
        });
        Self {
            sessions,
            counts: ControlCounts::default(),
        }
    }

    /// What was done so far.
    #[must_use]
    pub const fn counts(&self) -> &ControlCounts {
        &self.counts
    }

    /// The service for one round; `status` is asked by the command that tells it.
    pub const fn serve<'s>(&'s mut self, status: &'s dyn Fn() -> Status) -> Serving<'s, 'a> {
        Serving {
            control: self,
            status,
        }
    }
}

/// The control service with the status it tells.
pub struct Serving<'s, 'a> {
    control: &'s mut Control<'a>,
    status: &'s dyn Fn() -> Status,
}

impl Service for Serving<'_, '_> {
    fn opened(&mut self, slot: usize, now: Micros) {
        self.control.sessions[slot].open(now);
    }

    fn turn(&mut self, slot: usize, now: Micros, stream: &mut dyn Stream) -> Step {
        let Control { sessions, counts } = &mut *self.control;
        sessions[slot].turn(now, stream, self.status, counts)
    }
}

/// Where a session stands; the drawing is in the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Collecting the bytes of a command.
    Reading,
    /// Throwing away the rest of a command that is too long.
    Skipping,
}

/// One connection: a command that arrives, a reply that leaves.
#[derive(Debug)]
pub struct Session<'a> {
    state: State,
    line: &'a mut [u8],
    len: usize,
    reply: Reply<'a>,
    /// When a byte last moved in either direction.
    moved: Micros,
    unacknowledged: usize,
}

impl<'a> Session<'a> {
    /// A session in the given memory: a command and its carriage return, and a reply.
    ///
    /// # Panics
    /// If `line` is not longer than [`COMMAND_MAX`] or `reply` is shorter than [`REPLY_MAX`].
    #[must_use]
    pub fn new(line: &'a mut [u8], reply: &'a mut [u8]) -> Self {
        assert!(line.len() > COMMAND_MAX);
        let reply = Reply::new(reply);
        Self {
            state: State::Reading,
            line,
            len: 0,
            reply,
            moved: Micros::ZERO,
            unacknowledged: 0,
        }
    }

    /// Starts afresh, for a new connection.
    pub const fn open(&mut self, now: Micros) {
        self.state = State::Reading;
        self.len = 0;
        self.reply.clear();
        self.moved = now;
        self.unacknowledged = 0;
    }

    /// Answers what has arrived, as far as the replies are taken. Work: bounded by the connection's buffers.
    pub fn turn(
        &mut self,
        now: Micros,
        stream: &mut dyn Stream,
        status: &dyn Fn() -> Status,
        counts: &mut ControlCounts,
    ) -> Step {
        let unacknowledged = stream.unacknowledged();
        if unacknowledged < self.unacknowledged {
            self.moved = now;
        }
        let mut finished = false;
        loop {
            let taken = stream.write(self.reply.rest());
            self.reply.take(taken);
            if taken > 0 {
                self.moved = now;
            }
            if !self.reply.rest().is_empty() || finished {
                break;
            }
            match self.read(now, stream) {
                Some(command) => {
                    counts.commands += 1;
                    answer(command, status, &mut self.reply);
                }
                None if stream.ended() => finished = true,
                None => break,
            }
        }
        self.unacknowledged = stream.unacknowledged();
        if finished && self.reply.rest().is_empty() {
            return Step::Close; // 4
        }
        let idle_at = self.moved + CONTROL_IDLE;
        if now < idle_at {
            return Step::Stay(idle_at);
        }
        counts.idle_closed += 1;
        // What the client has not taken in all this time it will not take while we linger.
        if self.unacknowledged == 0 {
            Step::Close
        } else {
            Step::Abort
        } // 4
    }

    /// The next command, if it is there as a whole. What is consumed is remembered.
    fn read(
        &mut self,
        now: Micros,
        stream: &mut dyn Stream,
    ) -> Option<Result<Command, CommandError>> {
        loop {
            let bytes = stream.peek();
            if bytes.is_empty() {
                // The client's close ends a command, but an empty one is none.
                return if stream.ended() { self.end() } else { None };
            }
            let mut seen = 0;
            let mut result = None;
            for &byte in bytes {
                seen += 1;
                result = match byte {
                    b'\n' | b'\0' => self.end(),
                    _ => self.add(byte),
                };
                if result.is_some() {
                    break;
                }
            }
            stream.consume(seen);
            self.moved = now;
            if result.is_some() {
                return result;
            }
        }
    }

    fn add(&mut self, byte: u8) -> Option<Result<Command, CommandError>> {
        if self.state == State::Skipping {
            return None;
        }
        // One byte more than a command has, if it may turn out to belong to the end.
        if self.len < COMMAND_MAX || (self.len == COMMAND_MAX && byte == b'\r') {
            self.line[self.len] = byte;
            self.len += 1;
            return None;
        }
        self.state = State::Skipping; // 2
        self.len = 0;
        Some(Err(CommandError::TooLong))
    }

    fn end(&mut self) -> Option<Result<Command, CommandError>> {
        let command = &self.line[..self.len];
        let command = command.strip_suffix(b"\r").unwrap_or(command);
        self.state = State::Reading; // 1, 3
        self.len = 0;
        if command.is_empty() {
            None
        } else {
            Some(Command::parse(command))
        }
    }
}
