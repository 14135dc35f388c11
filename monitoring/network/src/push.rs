//! Lines over a TCP connection that is opened again whenever it breaks.
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
//! On 5 and 6 the lines of which not every byte was acknowledged go back and are sent again, whole, before all
//! others (see [`outbox`](super::outbox): at least once). The tail of a line is never the first thing on a
//! connection.
//!
//! The pause doubles from [`BACK_OFF_MIN`] with every attempt that brought no line across, up to the interval
//! or [`BACK_OFF_MAX`]; of each pause a random half is left out, so that a hundred images do not come back to
//! a restarted receiver at the same moment.
//!
//! A peer's close counts as the end although TCP would allow to go on sending: a receiver of metrics that
//! closes does not read any more (mirage-monitoring lost a whole round of lines that way).

use core::fmt;

use super::bounds::{
    BACK_OFF_MAX, BACK_OFF_MIN, CONNECT_MAX, CONNECT_MIN, DOUBT, DRAIN, PUSH_SEND_BYTES, STALL,
};
use super::outbox::Outbox;
use super::{Closed, Link, LinkState, Unreachable};
use units::Micros;

/// The state of the emitter over TCP; the drawing is in the module's documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No connection; the next attempt is made at this time.
    Waiting {
        /// End of the pause.
        until: Micros,
    },
    /// An attempt is being made.
    Connecting {
        /// When it has failed.
        deadline: Micros,
    },
    /// Lines flow.
    Open {
        /// When the peer last acknowledged something, or nothing was waiting for it to do so.
        progress: Micros,
    },
    /// The peer has closed; what is on the way may still be acknowledged.
    Draining {
        /// When the rest is given up.
        deadline: Micros,
    },
}

/// What happened to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushEvent {
    /// It is open.
    Connected,
    /// An attempt failed. Told for the 1st, 2nd, 4th, 8th … failure in a row only.
    ConnectFailed {
        /// Why.
        reason: ConnectFailure,
        /// Failures in a row.
        failures: u32,
    },
    /// It ended.
    Lost {
        /// Why.
        reason: Loss,
        /// Lines of which a part was sent and that go again.
        resent: usize,
    },
}

/// Why an attempt to connect failed.
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

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The peer closed it.
    PeerClosed,
    /// The peer reset it.
    Reset,
    /// The peer has not been heard for too long.
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
    /// Bytes of the lines on the way that were handed to the connection, counted from the oldest line.
    written: usize,
    /// What of them was not acknowledged when last looked at.
    unacknowledged: usize,
    /// Attempts in a row that brought no line across.
    failures: u32,
    back_off_max: Micros,
    connect_time: Micros,
    doubt: Doubt,
    random: u64,
}

impl StreamPush {
    /// An emitter that connects at once. `interval` bounds its pauses, `seed` makes them its own.
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

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the connection needs attention soon: it is being opened, or something is on the way.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        match self.state {
            State::Waiting { .. } => false,
            State::Open { .. } => self.unacknowledged > 0,
            State::Connecting { .. } | State::Draining { .. } => true,
        }
    }

    /// Does what can be done now: counts what was acknowledged, follows the connection, hands over lines.
    /// Returns when to be called again at the latest.
    ///
    /// `up`: whether the interface has an address. Work: at most the connection's send buffer is filled.
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
                // Only a stack that lost its address ends a connection by itself.
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
            // Without an address there is nothing to wake up for: it comes with a frame.
            State::Waiting { .. } if !up => None,
            State::Waiting { until } => Some(until),
            State::Connecting { deadline } | State::Draining { deadline } => Some(deadline),
            State::Open { progress } if self.unacknowledged > 0 => Some(progress + STALL),
            State::Open { .. } => None,
        }
    }

    /// Takes lines that the peer has acknowledged as sent; returns whether it acknowledged anything.
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

    /// 3
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

    /// 5, 6
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

/// Throws away what the peer says, so that its window stays open and its close is seen.
fn discard(link: &mut impl Link) {
    loop {
        let count = link.peek().len();
        if count == 0 {
            break;
        }
        link.consume(count);
    }
}

/// Lines on the way of which at least one byte is among the first `written`.
fn lines_touched(outbox: &Outbox<'_>, written: usize) -> usize {
    let (first, second) = outbox.on_the_way.tail(0);
    let bytes = || first.iter().chain(second).take(written);
    let ended = bytes().filter(|&&byte| byte == b'\n').count();
    ended + usize::from(bytes().last().is_some_and(|&byte| byte != b'\n'))
}

/// How many lines were acknowledged lately: in the last [`DOUBT`], or up to a quarter of it less.
#[derive(Clone, Copy, Debug, Default)]
struct Doubt {
    /// Lines per quarter, and the number of that quarter since boot.
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
