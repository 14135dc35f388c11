//! The clients of the memtrace port that have not proven yet to know the token.
//!
//! ```text
//!  a challenge  1 auth: another one                3 right: the trace begins
//!  opened ───▶ ┌──────────┐ ───┐      ┌─────────┐ ──────────────────────────▶ admitted
//!              │ Knocking │ ◀──┘      │ Waiting │
//!              └──────────┘ ────────▶ └─────────┘
//!                 │   2 a proof that must wait │ 4 anything else, or PROVE_WITHIN is over: one line, closed
//!                 └────────────────────────────┴──────────────────────────▶ closed
//! ```
//! The challenge comes unasked, because a client must know whether the first bytes are a trace.

use core::fmt;

use network::bounds::{PROVE_WITHIN, TRACE_RECEIVE_BYTES, TRACE_SOCKETS};
use network::{Step, Stream};
use units::Micros;

use crate::door::{Challenge, Door, Knock, Lock, Refusal};

/// The longest line, `auth` and a token in the clear, or a proof.
const LINE_MAX: usize = TRACE_RECEIVE_BYTES;

/// Memory for a reply: `ok: memtrace` and a challenge, or an error.
const REPLY_MAX: usize = 192;

#[derive(Clone, Copy, Debug)]
struct Knocking {
    opened: Micros,
    challenge: Option<Challenge>,
    /// The time until which a proof waits.
    waits: Option<Micros>,
}

/// The door of the port, and the clients before it.
#[derive(Debug)]
pub(super) struct Entrance {
    door: Door,
    knocking: [Option<Knocking>; TRACE_SOCKETS],
}

impl Entrance {
    pub(super) const fn new(lock: Lock) -> Self {
        Self {
            door: Door::new(lock, "memtrace"),
            knocking: [None; TRACE_SOCKETS],
        }
    }

    /// Takes a new connection. Returns `true` if it is admitted at once.
    pub(super) const fn opened(&mut self, slot: usize, now: Micros) -> bool {
        if !self.door.is_guarded() {
            return true;
        }
        self.knocking[slot] = Some(Knocking {
            opened: now,
            challenge: None,
            waits: None,
        });
        false
    }

    pub(super) const fn closed(&mut self, slot: usize) {
        self.knocking[slot] = None;
    }

    /// Forgets all clients, whose connections are gone.
    pub(super) const fn clear(&mut self) {
        self.knocking = [None; TRACE_SOCKETS];
    }

    /// Returns `true` if the client has not been admitted yet.
    pub(super) const fn is_knocking(&self, slot: usize) -> bool {
        self.knocking[slot].is_some()
    }

    /// Returns the client that has knocked for longest and whose place goes to another.
    pub(super) fn gives_up(&mut self) -> Option<usize> {
        let clients = self.knocking.iter().enumerate();
        let may = clients.filter_map(|(slot, client)| {
            let client = client.as_ref().filter(|client| client.waits.is_none())?;
            Some((client.opened, slot))
        });
        let (_, slot) = may.min()?;
        self.knocking[slot] = None;
        Some(slot)
    }

    /// Works on a client. Returns `None` if it has been admitted.
    pub(super) fn turn(
        &mut self,
        slot: usize,
        now: Micros,
        stream: &mut dyn Stream,
    ) -> Option<Step> {
        let client = self.knocking[slot].as_mut()?;
        let late = client.opened + PROVE_WITHIN;
        if client.challenge.is_none() {
            let challenge = *client.challenge.insert(self.door.challenge());
            say(stream, format_args!("ok: {challenge}\n"));
        }
        loop {
            if let Some(until) = client.waits.filter(|&until| now < until) {
                return Some(Step::Stay(until));
            }
            let bytes = stream.peek();
            let Some(end) = bytes.iter().position(|&byte| byte == b'\n') else {
                let refusal = if bytes.len() >= LINE_MAX || stream.ended() {
                    Refusal::NoToken
                } else if now < late {
                    return Some(Step::Stay(late));
                } else {
                    Refusal::TooLate
                };
                return Some(self.refuse(slot, refusal, stream)); // 4
            };
            let line = bytes[..end].strip_suffix(b"\r").unwrap_or(&bytes[..end]);
            match self.door.knock(now, line, client.challenge.as_ref()) {
                Knock::Challenge => {
                    let challenge = client.challenge.insert(self.door.challenge()); // 1
                    let challenge = *challenge;
                    stream.consume(end + 1);
                    say(stream, format_args!("ok: {challenge}\n"));
                }
                Knock::Wait(until) => client.waits = Some(until), // 2
                Knock::Admitted => {
                    stream.consume(end + 1);
                    self.knocking[slot] = None; // 3
                    return None;
                }
                Knock::Refused(refusal) => return Some(self.refuse(slot, refusal, stream)), // 4
            }
        }
    }

    fn refuse(&mut self, slot: usize, refusal: Refusal, stream: &mut dyn Stream) -> Step {
        self.knocking[slot] = None;
        say(stream, format_args!("error: {refusal}\n"));
        Step::Close
    }
}

/// Hands over a line, which the empty send buffer takes whole.
fn say(stream: &mut dyn Stream, text: fmt::Arguments<'_>) {
    struct Line {
        bytes: [u8; REPLY_MAX],
        len: usize,
    }
    impl fmt::Write for Line {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            let room = self.bytes.get_mut(self.len..self.len + text.len());
            room.ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
            self.len += text.len();
            Ok(())
        }
    }
    let mut line = Line {
        bytes: [0; REPLY_MAX],
        len: 0,
    };
    let written = fmt::Write::write_fmt(&mut line, text);
    debug_assert!(written.is_ok(), "every reply fits");
    stream.write(&line.bytes[..line.len]);
}
