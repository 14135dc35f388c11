//! The rate of DHCP messages.

use crate::bounds::{DHCP_BURST, DHCP_EVERY};
use units::Micros;

/// The number of DHCP messages that may pass: [`DHCP_BURST`], and one more every [`DHCP_EVERY`].
#[derive(Debug)]
pub(super) struct DhcpRate {
    left: u32,
    dropped: u64,
    /// The time when the last one was added.
    since: Micros,
}

impl DhcpRate {
    pub(super) const fn new(now: Micros) -> Self {
        Self {
            left: DHCP_BURST,
            dropped: 0,
            since: now,
        }
    }

    /// Adds the messages that may pass since the last call.
    pub(super) fn follow(&mut self, now: Micros) {
        let earned = (now - self.since).0 / DHCP_EVERY.0;
        let left = u64::from(self.left) + earned;
        self.left = u32::try_from(left).map_or(DHCP_BURST, |left| left.min(DHCP_BURST));
        self.since += Micros(earned * DHCP_EVERY.0);
    }

    /// Returns the number of messages that did not pass.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Takes one message. Returns `false` if it may not pass.
    pub(super) fn take(&mut self) -> bool {
        let left = self.left.checked_sub(1);
        self.left = left.unwrap_or(0);
        self.dropped += u64::from(left.is_none());
        left.is_some()
    }
}
