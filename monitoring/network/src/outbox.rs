//! Lines on their way out: what waits, what is on the way, and what became of the rest.
//!
//! ```text
//!  push ──▶ waiting ──▶ on the way ──▶ sent (the datagram left, or the peer's TCP acknowledged the line)
//!              │            │
//!              ▼            └──▶ again, whole, on the next connection: counted as resent
//!    lost: the oldest goes when a new line does not fit
//! ```
//!
//! **At least once.** A line of which the peer's TCP has not acknowledged every byte stays in memory and is sent
//! again, from its first byte, when the connection breaks. A receiver that had it already sees it twice: every
//! line carries a timestamp, so the second overwrites the first (a point is its series and its timestamp,
//! telegraf#1310). The other way round, lines that were acknowledged but perhaps not read by a receiver that
//! died are counted as *in doubt*: nobody on this side can know.
//!
//! A line on the way is never dropped to make room, because its first half may have been sent.

use super::bounds::{LINE_MAX, LINES_PER_SOURCE, ON_THE_WAY_BYTES, QUEUE_BYTES, QUEUE_LINES};
use super::ring::LineRing;

/// What became of lines, since boot. No counter is ever reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that left in a datagram, or that the peer's TCP acknowledged.
    pub lines_sent: u64,
    /// Bytes of those lines.
    pub bytes_sent: u64,
    /// Datagrams that left.
    pub datagrams_sent: u64,
    /// Lines dropped, the oldest first, because a new one did not fit.
    pub lost_queue_full: u64,
    /// Lines dropped because they are longer than [`LINE_MAX`] or than a datagram of this device.
    pub lost_too_long: u64,
    /// Lines that were sent a second time because a connection broke before all of the line was acknowledged.
    pub lines_resent: u64,
    /// Lines that were acknowledged shortly before their connection broke: the receiver may not have read
    /// them. Not contained in the lost ones.
    pub lines_in_doubt: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Opened connections that ended other than by our own will.
    pub connections_lost: u64,
    /// Attempts to connect that failed.
    pub connect_failures: u64,
}

impl Counts {
    /// Lines that are known to be lost, whatever the cause.
    #[must_use]
    pub const fn lines_lost(&self) -> u64 {
        self.lost_queue_full + self.lost_too_long
    }
}

/// Lines on their way out. Never allocates.
#[derive(Debug)]
pub struct Outbox<'a> {
    pub(super) waiting: LineRing<'a>,
    pub(super) on_the_way: LineRing<'a>,
    pub(super) counts: Counts,
}

impl<'a> Outbox<'a> {
    /// An empty outbox over two pieces of memory.
    ///
    /// # Panics
    /// If a piece is smaller than [`QUEUE_BYTES`] or [`ON_THE_WAY_BYTES`].
    #[must_use]
    pub fn new(waiting: &'a mut [u8], on_the_way: &'a mut [u8]) -> Self {
        assert!(waiting.len() >= QUEUE_BYTES && on_the_way.len() >= ON_THE_WAY_BYTES);
        Self {
            waiting: LineRing::new(waiting, QUEUE_LINES),
            on_the_way: LineRing::new(on_the_way, QUEUE_LINES),
            counts: Counts::default(),
        }
    }

    /// Adds one line, with its line feed. If there is no room, the oldest waiting lines are dropped and counted;
    /// a line that could never be sent is dropped itself. Cost: one copy, and a search through what is dropped.
    pub fn push(&mut self, line: &[u8]) {
        if line.len() > LINE_MAX {
            self.counts.lost_too_long += 1;
            return;
        }
        while self.waiting.push(line).is_err() {
            if self.waiting.pop() == 0 {
                debug_assert!(false, "not one line: {line:?}");
                self.counts.lost_too_long += 1;
                return;
            }
            self.counts.lost_queue_full += 1;
        }
    }

    /// Whether some lines fit without pushing others out: what one source may need, see [`LINES_PER_SOURCE`].
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.waiting.room() >= LINES_PER_SOURCE * LINE_MAX
            && self.waiting.lines() + LINES_PER_SOURCE <= QUEUE_LINES
    }

    /// Counts a line that the encoder could not write because it is longer than [`LINE_MAX`].
    pub const fn push_too_long(&mut self) {
        self.counts.lost_too_long += 1;
    }

    /// What became of lines.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Lines that wait or are on the way.
    #[must_use]
    pub const fn lines_waiting(&self) -> usize {
        self.waiting.lines() + self.on_the_way.lines()
    }

    /// Takes the oldest line on the way as sent.
    pub(super) fn sent(&mut self) -> usize {
        let len = self.on_the_way.pop();
        self.counts.lines_sent += 1;
        self.counts.bytes_sent += len as u64;
        len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_lines_are_dropped_whole_and_counted() {
        let mut memory = [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]];
        let [waiting, on_the_way] = &mut memory;
        let mut outbox = Outbox::new(waiting, on_the_way);
        let line = |number: u32, len: usize| {
            let mut line = format!("m v={number:06}i ").into_bytes();
            line.resize(len - 1, b'0');
            line.push(b'\n');
            line
        };
        let fit = QUEUE_BYTES / 1_000;
        for number in 0..fit as u32 + 3 {
            outbox.push(&line(number, 1_000));
        }
        assert_eq!(outbox.counts().lost_queue_full, 3);
        assert_eq!(outbox.lines_waiting(), fit);
        assert_eq!(
            outbox.waiting.front().map(|(a, b)| [a, b].concat()),
            Some(line(3, 1_000))
        );

        // One long line pushes out two of the others.
        outbox.push(&line(99, LINE_MAX));
        assert_eq!(
            outbox.counts().lost_queue_full,
            4,
            "the room left over holds part of it"
        );
        assert_eq!(outbox.counts().lines_lost(), 4);
    }

    #[test]
    fn the_number_of_lines_is_bounded_too() {
        let mut memory = [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]];
        let [waiting, on_the_way] = &mut memory;
        let mut outbox = Outbox::new(waiting, on_the_way);
        for _ in 0..QUEUE_LINES + 5 {
            outbox.push(b"a\n");
        }
        assert_eq!(
            (outbox.lines_waiting(), outbox.counts().lost_queue_full),
            (QUEUE_LINES, 5)
        );
    }

    #[test]
    fn a_line_that_fits_no_datagram_is_lost_alone() {
        let mut memory = [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]];
        let [waiting, on_the_way] = &mut memory;
        let mut outbox = Outbox::new(waiting, on_the_way);
        outbox.push(b"short\n");
        let mut long = vec![b'x'; LINE_MAX];
        long.push(b'\n');
        outbox.push(&long);
        assert_eq!(
            (outbox.lines_waiting(), outbox.counts().lost_too_long),
            (1, 1)
        );
    }
}
