//! What memtrace's writer spends on packets beyond this one.
//!
//! Its packet of events ends when 4,196 bytes are left, and the definitions of its codes go into packets of their
//! own in front of it; here they stand among the events. Its other reasons to end a packet would only add to its
//! headers, and what a timer sends early here is not counted: it has none.

use super::PACKET_MAX;
use super::location::DEFINITION_MAX;
use super::packet::HEADER;

/// Bytes of events in a packet of memtrace's, with a usual last event.
const THEIRS: u64 = 28_600;
/// A packet of ours with so many bytes may have been full; any other was sent because it was time.
const FULL: usize = PACKET_MAX - DEFINITION_MAX;
/// With so many bytes a packet of ours has room for any usual event.
const OURS: usize = PACKET_MAX - 768;

/// The headers of one trace.
#[derive(Default)]
pub(super) struct Headers {
    /// Bytes of events in the packets so far.
    events: u64,
    /// Bytes of definitions in the packet at hand.
    definitions: usize,
    /// Packets of definitions that it has: one for each packet of its events in which something is defined.
    of_definitions: u64,
    /// The last of these packets of events, counted from 1.
    defined_in: u64,
    /// Packets of ours that were full.
    ours: u64,
    /// How many more it has, at least, whenever the trace ends.
    more: i32,
}

impl Headers {
    /// A definition was written into the packet, from `begin` to `end`.
    pub(super) fn defined(&mut self, begin: usize, end: usize) {
        let events = self.events + (begin - HEADER - self.definitions) as u64;
        let packet = events / THEIRS + 1;
        self.of_definitions += u64::from(packet != self.defined_in);
        self.defined_in = packet;
        self.definitions += end - begin;
        self.compare();
    }

    /// A packet of so many bytes was finished.
    pub(super) fn sealed(&mut self, bytes: usize) {
        self.events += (bytes - HEADER - self.definitions) as u64;
        self.definitions = 0;
        self.ours += u64::from(bytes >= FULL);
        self.compare();
    }

    /// Both have a packet at hand. If ours is the one that will be full first, its successor counts already; as long
    /// as ours is the first of all, nobody knows how many definitions are yet to come into it.
    fn compare(&mut self) {
        let room = OURS.saturating_sub(HEADER + self.definitions) as u64;
        let ours_first = self.ours == 0 || room < THEIRS - self.events % THEIRS;
        let ours = self.ours + u64::from(ours_first);
        let theirs = self.events / THEIRS + self.of_definitions;
        self.more = (theirs as i64 - ours as i64).clamp(-1_000, 1_000) as i32;
    }

    /// Their bytes.
    pub(super) const fn saved(&self) -> i32 {
        self.more * HEADER as i32
    }
}
