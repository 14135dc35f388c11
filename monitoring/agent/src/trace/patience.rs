//! How long the client of a trace may keep a packet waiting.
//!
//! A packet has at most 32 KiB, so a client that takes one in time reads some hundred bytes a second, whatever happens. A
//! client that reads less holds the only place of the port. If the profile is always on and loses samples meanwhile, it
//! also makes the live blocks wrong; then its time is shorter.

use network::bounds::{TRACE_SLOW, TRACE_STALL};
use units::Micros;

/// The packet that waits for the client. While none waits, there is nothing to remember.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// The number of packets before it.
    packet: u64,
    since: Micros,
    /// Samples lost at that time, because the ring was full.
    lost: u64,
}

impl Patience {
    /// Follows the trace after a turn in which the client took no more. `before` is the result of the turn before, if the
    /// same was true then.
    pub(super) fn follow(before: Option<Self>, now: Micros, packet: u64, lost: u64) -> Self {
        let since = now;
        before
            .filter(|before| before.packet == packet)
            .unwrap_or(Self {
                packet,
                since,
                lost,
            })
    }

    /// Returns `true` if the client's time is over. `lost`: the samples lost until now, if the profile is always on.
    pub(super) fn is_over(&self, now: Micros, lost: Option<u64>) -> bool {
        let loses = lost.is_some_and(|lost| lost > self.lost);
        now >= self.since + if loses { TRACE_SLOW } else { TRACE_STALL }
    }

    /// Returns the samples lost since the packet waits.
    pub(super) const fn lost(&self, lost: u64) -> u64 {
        lost - self.lost
    }
}
