//! The lines to send: those that wait, those in flight, and counts of the others.
//!
//! ```text
//!  push ──▶ waiting ──▶ in flight ──▶ sent (the datagram left, or the peer's TCP acknowledged the line)
//!              │            │
//!              ▼            └──▶ again, whole, on the next connection: counted as resent
//!    lost: the oldest goes when a new line does not fit
//! ```
//!
//! **At least once.** A line stays in memory until the peer's TCP has acknowledged all its bytes. When the connection
//! breaks, the line is sent again, from its first byte. A receiver that had it already sees it twice. Every line
//! carries a timestamp, so the second overwrites the first (a point is its series and its timestamp, telegraf#1310).
//! Conversely, a receiver that dies may not have read lines that its TCP acknowledged. Such lines are counted as *in
//! doubt*: this side cannot know.
//!
//! A line in flight is never dropped to make room, because its first half may have been sent.

use super::bounds::{LINE_MAX, LINES_PER_SOURCE, ON_THE_WAY_BYTES, QUEUE_BYTES, QUEUE_LINES};
use super::ring::LineRing;

/// Counts of lines by outcome, since boot. No counter is ever reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines that left in a datagram, or that the peer's TCP acknowledged.
    pub lines_sent: u64,
    /// Bytes of these lines.
    pub bytes_sent: u64,
    /// Datagrams that left.
    pub datagrams_sent: u64,
    /// Lines dropped, the oldest first, because a new one did not fit.
    pub lost_queue_full: u64,
    /// Lines dropped because they are longer than [`LINE_MAX`] or than a datagram of this device.
    pub lost_too_long: u64,
    /// Lines that were sent again because a connection broke before the whole line was acknowledged.
    pub lines_resent: u64,
    /// Lines that were acknowledged shortly before their connection broke: the receiver may not have read them. They
    /// are not counted as lost.
    pub lines_in_doubt: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Opened connections that this side did not end.
    pub connections_lost: u64,
    /// Attempts to connect that failed.
    pub connect_failures: u64,
}

impl Counts {
    /// Returns the number of lines that are certainly lost, for any reason.
    #[must_use]
    pub const fn lines_lost(&self) -> u64 {
        self.lost_queue_full + self.lost_too_long
    }
}

/// The lines to send. Never allocates.
#[derive(Debug)]
pub struct Outbox<'a> {
    pub(super) waiting: LineRing<'a>,
    pub(super) on_the_way: LineRing<'a>,
    pub(super) counts: Counts,
}

impl<'a> Outbox<'a> {
    /// Creates an empty outbox over two pieces of memory.
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

    /// Adds one line, with its line feed. If there is no room, the oldest waiting lines are dropped and counted. A line
    /// that is too long to be sent is dropped itself. Cost: one copy, and a search through the dropped lines.
    pub fn push(&mut self, line: &[u8]) {
        if line.len() > LINE_MAX {
            self.counts.lost_too_long += 1;
            return;
        }
        while self.waiting.push(line).is_err() {
            if self.waiting.pop() == 0 {
                debug_assert!(false, "this is not one line: {line:?}");
                self.counts.lost_too_long += 1;
                return;
            }
            self.counts.lost_queue_full += 1;
        }
    }

    /// Returns `true` if the lines of one source fit without dropping others, see [`LINES_PER_SOURCE`].
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.waiting.room() >= LINES_PER_SOURCE * LINE_MAX
            && self.waiting.lines() + LINES_PER_SOURCE <= QUEUE_LINES
    }

    /// Counts a line that the encoder could not write because it is longer than [`LINE_MAX`].
    pub const fn push_too_long(&mut self) {
        self.counts.lost_too_long += 1;
    }

    /// Returns the counts of lines.
    #[must_use]
    pub const fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Returns the number of lines that wait or are in flight.
    #[must_use]
    pub const fn lines_waiting(&self) -> usize {
        self.waiting.lines() + self.on_the_way.lines()
    }

    /// Counts the oldest line in flight as sent, and removes it.
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

        // One long line displaces two of the others.
        outbox.push(&line(99, LINE_MAX));
        assert_eq!(
            outbox.counts().lost_queue_full,
            4,
            "the remaining room holds a part of the line"
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
