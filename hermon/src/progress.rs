//! The progress of a capture, told by a line on a terminal that is written over and over, unless somebody else wants to know.

use core::fmt;
use core::time::Duration;
use std::io::{self, IsTerminal, Write};
use std::time::Instant;

use hermon_amounts as amounts;

/// The time between two changes of the line: people do not read faster.
const EVERY: Duration = Duration::from_millis(250);

/// The counts of what has come so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Bytes of whole packets.
    pub bytes: u64,
    /// Alloc and collect events.
    pub events: u64,
    /// The alloc events among them: blocks that were sampled.
    pub allocs: u64,
    /// Hits that the guest lost.
    pub lost_hits: u64,
}

/// The one who is told how far a capture is.
pub(crate) trait Progress: Send {
    /// Tells the bytes that a hit stands for: once, before there are counts.
    fn scale(&mut self, _one: f64) {}
    /// Tells what has come so far: after each packet, and four times a second if there is none.
    fn show(&mut self, now: Instant, counts: &Counts);
    /// It is over.
    fn clear(&mut self) {}
}

/// The line.
#[derive(Debug)]
pub(crate) struct Line {
    began: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
    /// Bytes that a hit stands for.
    one: f64,
}

impl Line {
    /// A line, if standard error is a terminal.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            began: now,
            shown: None,
            is_terminal: io::stderr().is_terminal(),
            one: 0.0,
        }
    }
}

impl Progress for Line {
    fn scale(&mut self, one: f64) {
        self.one = one;
    }

    /// Shows it, if that is due.
    fn show(&mut self, now: Instant, counts: &Counts) {
        if !self.is_terminal || self.shown.is_some_and(|shown| now - shown < EVERY) {
            return;
        }
        self.shown = Some(now);
        let text = Text {
            seconds: (now - self.began).as_secs(),
            counts,
            one: self.one,
        };
        // A terminal that takes nothing does not stop the capture.
        drop(write!(io::stderr(), "\r\x1b[K{text}"));
    }

    /// Takes the line away.
    fn clear(&mut self) {
        if self.shown.is_some() {
            drop(write!(io::stderr(), "\r\x1b[K"));
        }
    }
}

struct Text<'c> {
    seconds: u64,
    counts: &'c Counts,
    one: f64,
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            bytes,
            events,
            lost_hits,
            ..
        } = *self.counts;
        let lost = match lost_hits {
            0 => "nothing lost".to_owned(),
            hits => format!("lost {}", amounts::bytes(hits as f64 * self.one)),
        };
        let (bytes, events) = (amounts::bytes(bytes as f64), amounts::count(events));
        write!(
            f,
            "{} s  {bytes}  {events} events  {lost}  (Ctrl-C ends it)",
            self.seconds
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_bytes_events_and_losses() {
        let mut counts = Counts {
            bytes: 2_048,
            events: 1_234,
            allocs: 1_000,
            lost_hits: 0,
        };
        let text = |counts: &Counts| {
            Text {
                seconds: 3,
                counts,
                one: 80_000.0,
            }
            .to_string()
        };
        assert_eq!(
            text(&counts),
            "3 s  2 KiB  1,234 events  nothing lost  (Ctrl-C ends it)"
        );
        counts.lost_hits = 2;
        assert_eq!(
            text(&counts),
            "3 s  2 KiB  1,234 events  lost 156 KiB  (Ctrl-C ends it)"
        );
    }
}
