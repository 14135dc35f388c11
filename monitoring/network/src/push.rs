//! Lines over a TCP connection that is reopened when it breaks.
//!
//! ```text
//!                 1 the pause is over, the address is up
//!   ┌─────────┐ ────────────────────────────────────▶ ┌────────────┐
//!   │ Waiting │                                       │ Connecting │
//!   └─────────┘ ◀──────────────────────────────────── └────────────┘
//!     ▲     ▲     3 refused, no answer, no address          │ 2 the peer answered
//!     │     │                                               ▼
//!     │     │     5 reset, silent, stalled, no address  ┌────────┐
//!     │     └────────────────────────────────────────── │  Open  │
//!     │                                                 └────────┘
//!     │  6 all acknowledged, reset, or DRAIN is over        │ 4 the peer closed its half
//!   ┌──────────┐                                            │
//!   │ Draining │ ◀──────────────────────────────────────────┘
//!   └──────────┘
//! ```
//!
//! On 5 and 6 the lines that were not acknowledged completely go back. They are sent again, whole, before all others
//! (see [`outbox`](super::outbox): at least once). A connection never begins with the rest of a line.
//!
//! The pause doubles from [`BACK_OFF_MIN`] with every attempt that delivered no line, up to the interval or
//! [`BACK_OFF_MAX`]. A random part of up to half is taken off each pause, so that a hundred images do not reconnect to
//! a restarted receiver at the same moment.
//!
//! A peer's close ends the connection, although TCP would allow to send more: a receiver of metrics that closes does
//! not read any more (mirage-monitoring lost a whole round of lines that way).

use core::fmt;

use super::bounds::{
    BACK_OFF_MAX, BACK_OFF_MIN, CONNECT_MAX, CONNECT_MIN, DOUBT, DRAIN, PUSH_SEND_BYTES, STALL,
};
use super::outbox::Outbox;
use super::stream::{Closed, Link, LinkState, Unreachable};
use units::Micros;

/// The state of the emitter over TCP; the drawing is in the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no connection; the next attempt begins at this time.
    Waiting {
        /// End of the pause.
        until: Micros,
    },
    /// An attempt to connect is running.
    Connecting {
        /// The time at which it has failed.
        deadline: Micros,
    },
    /// Lines are sent.
    Open {
        /// The time when the peer last acknowledged something, or when nothing waited for an acknowledgement.
        progress: Micros,
    },
    /// The peer has closed; it may still acknowledge lines in flight.
    Draining {
        /// The time at which the rest is given up.
        deadline: Micros,
    },
}

/// An event of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushEvent {
    /// The connection is open.
    Connected,
    /// An attempt failed. Sent only for the 1st, 2nd, 4th, 8th … failure in a row.
    ConnectFailed {
        /// The reason.
        reason: ConnectFailure,
        /// Failures in a row.
        failures: u32,
    },
    /// The connection ended.
    Lost {
        /// The reason.
        reason: Loss,
        /// Lines that were sent in part and will be sent again.
        resent: usize,
    },
}

/// The reason why an attempt to connect failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// The peer refused.
    Refused,
    /// The peer did not answer in time.
    NoAnswer,
    /// There is no address to connect from.
    NoAddress,
}

impl fmt::Display for ConnectFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Refused => "refused",
            Self::NoAnswer => "no answer",
            Self::NoAddress => "no address",
        })
    }
}

/// The reason why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The peer closed it.
    PeerClosed,
    /// The peer reset it.
    Reset,
    /// The peer was silent for too long.
    Silent,
    /// The peer acknowledged nothing for too long.
    Stalled,
    /// The interface lost its address.
    AddressLost,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PeerClosed => "closed by the peer",
            Self::Reset => "reset by the peer",
            Self::Silent => "the peer is silent",
            Self::Stalled => "the peer has stalled",
            Self::AddressLost => "the address was lost",
        })
    }
}

/// The emitter over TCP. Never allocates.
#[derive(Debug)]
pub struct StreamPush {
    state: State,
    /// Bytes of lines in flight that were handed to the connection, counted from the oldest line.
    written: usize,
    /// The number of these bytes that were not acknowledged at the last look.
    unacknowledged: usize,
    /// Attempts in a row that delivered no line.
    failures: u32,
    back_off_max: Micros,
    connect_time: Micros,
    doubt: Doubt,
    random: u64,
}

impl StreamPush {
    /// Creates an emitter that connects at once. `interval` bounds its pauses; `seed` makes them differ from other
    /// images'.
    #[must_use]
    pub fn new(interval: Micros, seed: u64) -> Self {
        Self {
            state: State::Waiting {
                until: Micros::ZERO,
            },
            written: 0,
            unacknowledged: 0,
            failures: 0,
            back_off_max: interval.clamp(BACK_OFF_MIN, BACK_OFF_MAX),
            connect_time: interval.clamp(CONNECT_MIN, CONNECT_MAX),
            doubt: Doubt::default(),
            random: seed,
        }
    }

    /// Returns the state.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Returns `true` if the connection needs attention soon: it is being opened, or something is in flight.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        match self.state {
            State::Waiting { .. } => false,
            State::Open { .. } => self.unacknowledged > 0,
            State::Connecting { .. } | State::Draining { .. } => true,
        }
    }

    /// Does the work that is possible now: counts acknowledged lines, follows the connection, hands over lines. Returns
    /// the latest time for the next call.
    ///
    /// `up`: the interface has an address. Work: at most the connection's send buffer is filled.
    pub fn turn(
        &mut self,
        now: Micros,
        up: bool,
        link: &mut impl Link,
        outbox: &mut Outbox<'_>,
        events: &mut dyn FnMut(PushEvent),
    ) -> Option<Micros> {
        let progressed = self.settle(now, link, outbox);
        if let State::Waiting { until } = self.state
            && up
            && now >= until
        {
            match link.connect() {
                Ok(()) => {
                    // 1
                    let deadline = now + self.connect_time;
                    self.state = State::Connecting { deadline };
                }
                Err(Unreachable) => {
                    self.connect_failed(now, ConnectFailure::NoAddress, outbox, events);
                }
            }
        }
        if let State::Connecting { deadline } = self.state {
            match link.state() {
                LinkState::Open | LinkState::PeerClosed => {
                    // 2
                    self.state = State::Open { progress: now };
                    outbox.counts.connections += 1;
                    events(PushEvent::Connected);
                }
                // 3
                LinkState::Closed(Closed::Reset) => {
                    self.connect_failed(now, ConnectFailure::Refused, outbox, events);
                }
                _ if !up => {
                    link.abort();
                    self.connect_failed(now, ConnectFailure::NoAddress, outbox, events);
                }
                LinkState::Connecting if now < deadline => {}
                _ => {
                    link.abort();
                    self.connect_failed(now, ConnectFailure::NoAnswer, outbox, events);
                }
            }
        }
        if let State::Open { progress } = self.state {
            discard(link);
            let loss = match link.state() {
                LinkState::PeerClosed => {
                    // 4
                    link.close();
                    self.state = State::Draining {
                        deadline: now + DRAIN,
                    };
                    None
                }
                LinkState::Closed(Closed::Reset) => Some(Loss::Reset),
                LinkState::Closed(Closed::Silent) => Some(Loss::Silent),
                // Only a stack that lost its address ends a connection without a call from here.
                LinkState::Closed(Closed::Here) => Some(Loss::AddressLost),
                _ if !up => Some(Loss::AddressLost),
                _ if progressed || self.unacknowledged == 0 => {
                    self.state = State::Open { progress: now };
                    self.write(link, outbox);
                    None
                }
                _ if now >= progress + STALL => Some(Loss::Stalled),
                _ => {
                    self.write(link, outbox);
                    None
                }
            };
            if let Some(loss) = loss {
                link.abort();
                self.lost(now, loss, outbox, events); // 5
            }
        }
        if let State::Draining { deadline } = self.state {
            discard(link);
            let over = matches!(link.state(), LinkState::Closed(_)) || now >= deadline || !up;
            if over {
                link.abort();
                self.lost(now, Loss::PeerClosed, outbox, events); // 6
            }
        }
        self.deadline(up)
    }

    fn deadline(&self, up: bool) -> Option<Micros> {
        match self.state {
            // Without an address there is no need to wake up: a frame brings the address.
            State::Waiting { .. } if !up => None,
            State::Waiting { until } => Some(until),
            State::Connecting { deadline } | State::Draining { deadline } => Some(deadline),
            State::Open { progress } if self.unacknowledged > 0 => Some(progress + STALL),
            State::Open { .. } => None,
        }
    }

    /// Counts acknowledged lines as sent. Returns `true` if the peer acknowledged anything.
    fn settle(&mut self, now: Micros, link: &impl Link, outbox: &mut Outbox<'_>) -> bool {
        if !matches!(self.state, State::Open { .. } | State::Draining { .. }) {
            return false;
        }
        let unacknowledged = link.unacknowledged().min(self.unacknowledged);
        let progressed = unacknowledged < self.unacknowledged;
        self.unacknowledged = unacknowledged;
        let mut lines = 0;
        while outbox
            .on_the_way
            .front_len()
            .is_some_and(|len| len <= self.written - unacknowledged)
        {
            self.written -= outbox.sent();
            lines += 1;
        }
        if lines > 0 {
            self.failures = 0;
            self.doubt.acknowledged(now, lines);
        }
        progressed
    }

    /// Hands over as much as the connection takes.
    fn write(&mut self, link: &mut impl Link, outbox: &mut Outbox<'_>) {
        loop {
            let (piece, _) = outbox.on_the_way.tail(self.written);
            if piece.is_empty() {
                if outbox.waiting.move_front(&mut outbox.on_the_way).is_err() {
                    break;
                }
                continue;
            }
            let taken = link.write(piece);
            if taken == 0 {
                break;
            }
            self.written += taken;
        }
        self.unacknowledged = link.unacknowledged();
        debug_assert!(self.unacknowledged <= PUSH_SEND_BYTES);
    }

    /// Transition 3: an attempt failed.
    fn connect_failed(
        &mut self,
        now: Micros,
        reason: ConnectFailure,
        outbox: &mut Outbox<'_>,
        events: &mut dyn FnMut(PushEvent),
    ) {
        outbox.counts.connect_failures += 1;
        self.wait(now);
        if self.failures.is_power_of_two() {
            events(PushEvent::ConnectFailed {
                reason,
                failures: self.failures,
            });
        }
    }

    /// Transitions 5 and 6: the connection ended.
    fn lost(
        &mut self,
        now: Micros,
        reason: Loss,
        outbox: &mut Outbox<'_>,
        events: &mut dyn FnMut(PushEvent),
    ) {
        let resent = lines_touched(outbox, self.written);
        outbox.counts.connections_lost += 1;
        outbox.counts.lines_resent += resent as u64;
        outbox.counts.lines_in_doubt += self.doubt.take(now);
        self.written = 0;
        self.unacknowledged = 0;
        self.wait(now);
        events(PushEvent::Lost { reason, resent });
    }

    fn wait(&mut self, now: Micros) {
        let doubled = BACK_OFF_MIN.0.saturating_mul(1 << self.failures.min(32));
        let pause = doubled.min(self.back_off_max.0);
        self.failures = self.failures.saturating_add(1);
        let jittered = pause / 2 + self.random() % (pause / 2 + 1);
        self.state = State::Waiting {
            until: now + Micros(jittered),
        };
    }

    /// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, figure 17).
    const fn random(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.random;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Discards the peer's bytes, so that its window stays open and its close is seen.
fn discard(link: &mut impl Link) {
    loop {
        let count = link.peek().len();
        if count == 0 {
            break;
        }
        link.consume(count);
    }
}

/// Returns the number of lines in flight that have at least one byte among the first `written`.
fn lines_touched(outbox: &Outbox<'_>, written: usize) -> usize {
    let (first, second) = outbox.on_the_way.tail(0);
    let bytes = || first.iter().chain(second).take(written);
    let ended = bytes().filter(|&&byte| byte == b'\n').count();
    ended + usize::from(bytes().last().is_some_and(|&byte| byte != b'\n'))
}

/// Counts the lines that were acknowledged in the last [`DOUBT`], or in up to a quarter of it less.
#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    /// The number of lines per quarter, and the number of that quarter since boot.
    quarters: [(u64, u64); 4],
}

impl Doubt {
    fn acknowledged(&mut self, now: Micros, lines: u64) {
        let quarter = now.0 / (DOUBT.0 / 4);
        let slot = &mut self.quarters[(quarter % 4) as usize];
        if slot.1 != quarter {
            *slot = (0, quarter);
        }
        slot.0 += lines;
    }

    fn take(&mut self, now: Micros) -> u64 {
        let quarter = now.0 / (DOUBT.0 / 4);
        let lately = self.quarters.iter().filter(|slot| slot.1 + 4 > quarter);
        let lines = lately.map(|slot| slot.0).sum();
        *self = Self::default();
        lines
    }
}
