//! Forgets series that nobody updates, so that a machine that is gone does not keep another one out.
//!
//! * **By age**: a series without a point for the age in the limits is forgotten, and a machine with its last series.
//! * **By pressure**: if a new series or field finds no place, series that are dead are forgotten, a part of the table at
//!   a time, so that the cost is shared: first those that sent one point only, then those that missed three of their
//!   own intervals, the longest silent first. A series that goes on is never forgotten for another one.

use crate::point::UnixMicros;

/// The part of the series that is forgotten at one time. The followers get everything again afterwards.
pub(super) const PART: usize = 16;

/// The missed intervals after which a series is dead, as in the view.
const MISSED: i64 = 3;

/// Scatter of arrivals, in microseconds.
const SCATTER: i64 = 1_000_000;

/// The time between two searches for series that are too old, in microseconds.
pub(super) const EVERY: i64 = 60_000_000;

/// The times at which a series sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    pub last: UnixMicros,
    /// The usual time between two points in microseconds; `None` until the second.
    pub gap: Option<i64>,
}

impl Rhythm {
    /// Begins with the first point.
    pub(super) fn beginning(now: UnixMicros) -> Self {
        Self {
            last: now,
            gap: None,
        }
    }

    /// Notes a point. Points that come in a burst shorten the usual gap by no more than a half at a time.
    pub(super) fn beat(&mut self, now: UnixMicros) {
        let gap = now.0.saturating_sub(self.last.0).max(0);
        self.gap = Some(self.gap.map_or(gap, |before| gap.max(before / 2)));
        self.last = now;
    }

    /// Returns `true` if it sent one point only, or missed its intervals.
    pub(super) fn is_dead(self, now: UnixMicros) -> bool {
        let silent = now.0.saturating_sub(self.last.0);
        self.gap
            .is_none_or(|gap| silent > gap.saturating_mul(MISSED).saturating_add(SCATTER))
    }
}

/// Numbers what is kept.
pub(super) fn numbered(kept: &[bool]) -> Vec<Option<usize>> {
    let mut next = 0..;
    let number = |&kept: &bool| if kept { next.next() } else { None };
    kept.iter().map(number).collect()
}

/// Keeps those whose index is kept.
pub(super) fn retain<T>(all: &mut Vec<T>, is_kept: impl Fn(usize) -> bool) {
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        is_kept(at - 1)
    });
}
