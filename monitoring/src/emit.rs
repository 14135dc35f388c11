//! When lines are written, and from what: every interval, each source once, all with one timestamp.

use crate::line::{self, Point};
use crate::net::bounds::LINE_MAX;
use crate::net::outbox::Outbox;
use crate::sources::{FieldList, Source};
use crate::time::{Micros, UnixNanos};

/// The intervals: the n-th begins at `start + n · interval`, whenever the loop gets around to it.
///
/// ```
/// use monitoring::{emit::Schedule, time::Micros};
/// let mut schedule = Schedule::new(Micros::from_secs(10));
/// schedule.start(Micros::from_secs(3));
/// assert!(schedule.due(Micros::from_secs(3)));
/// assert!(!schedule.due(Micros::from_secs(12)));
/// assert!(schedule.due(Micros::from_secs(14)), "late");
/// assert_eq!(schedule.next(), Some(Micros::from_secs(23)), "but the next is not");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    interval: Micros,
    start: Option<Micros>,
    /// Number of the next interval to emit.
    number: u64,
    missed: u64,
}

impl Schedule {
    /// A schedule that has not started. `interval` is not 0.
    #[must_use]
    pub const fn new(interval: Micros) -> Self {
        Self {
            interval,
            start: None,
            number: 0,
            missed: 0,
        }
    }

    /// Begins the first interval now, unless one has begun before.
    pub fn start(&mut self, now: Micros) {
        self.start.get_or_insert(now);
    }

    /// Whether an interval that nothing was emitted for has begun. Says so once per interval. Intervals that
    /// have begun and ended unnoticed are skipped and counted: a burst of old points would all say the same.
    pub fn due(&mut self, now: Micros) -> bool {
        let Some(start) = self.start else {
            return false;
        };
        // A clock that stands still or goes back has begun no new interval.
        let number = (now - start).0 / self.interval.0.max(1);
        if now < start || number < self.number {
            return false;
        }
        self.missed += number - self.number;
        self.number = number.saturating_add(1);
        true
    }

    /// When the next interval begins.
    #[must_use]
    pub fn next(&self) -> Option<Micros> {
        Some(self.start? + Micros(self.interval.0.saturating_mul(self.number)))
    }

    /// Intervals that were skipped, since boot.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

/// What the encoder had to change or leave out, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeCounts {
    /// Values beyond the protocol's range, sent as the nearest it has: unsigned ones above 2^63 - 1, and
    /// timestamps outside the years 1677 to 2262.
    pub values_clamped: u64,
    /// Values that the protocol cannot say (NaN, infinities).
    pub values_left_out: u64,
}

/// Writes one line per source into the outbox, all with the same timestamp or all without. Cost: one reading and one encoding per source.
pub fn emit(
    sources: &[&dyn Source],
    vm: &str,
    timestamp: Option<UnixNanos>,
    outbox: &mut Outbox<'_>,
    counts: &mut EncodeCounts,
) {
    for source in sources {
        let mut fields = FieldList::new();
        source.read(&mut fields);
        let point = Point {
            measurement: source.name(),
            tags: &[("vm", vm)],
            fields: fields.as_slice(),
            timestamp,
        };
        let mut buffer = [0; LINE_MAX];
        match line::encode(&point, &mut buffer) {
            Ok(encoded) => {
                counts.values_clamped += u64::from(encoded.clamped);
                counts.values_left_out += u64::from(encoded.left_out);
                if encoded.len > 0 {
                    outbox.push(&buffer[..encoded.len]);
                }
            }
            Err(line::Full) => outbox.push_too_long(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_due_before_the_start() {
        let mut schedule = Schedule::new(Micros(10));
        assert!(!schedule.due(Micros::MAX));
        assert_eq!(schedule.next(), None);
        schedule.start(Micros(100));
        schedule.start(Micros(50));
        assert!(!schedule.due(Micros(99)), "only the first start counts");
        assert!(schedule.due(Micros(100)));
    }

    #[test]
    fn a_jump_of_the_clock_skips_and_counts_what_was_missed() {
        let mut schedule = Schedule::new(Micros(10));
        schedule.start(Micros(0));
        assert!(schedule.due(Micros(0)));
        assert!(
            schedule.due(Micros(55)),
            "intervals 1 to 4 are over, 5 has begun"
        );
        assert!(!schedule.due(Micros(55)), "once each");
        assert_eq!((schedule.missed(), schedule.next()), (4, Some(Micros(60))));
        assert!(
            !schedule.due(Micros(20)),
            "a clock that goes back emits nothing twice"
        );
        assert!(schedule.due(Micros(60)));
        assert_eq!(schedule.missed(), 4);
    }

    #[test]
    fn the_end_of_time_is_no_overflow() {
        let mut schedule = Schedule::new(Micros(2));
        schedule.start(Micros(0));
        assert!(schedule.due(Micros::MAX));
        assert_eq!(schedule.next(), Some(Micros::MAX));
        assert!(!schedule.due(Micros::MAX));
    }

    proptest! {
        #[test]
        fn every_interval_is_emitted_once_or_counted_as_missed(
            interval in 1_u64..50, start in 0_u64..1000,
            steps in prop::collection::vec(0_u64..200, 1..60),
        ) {
            let mut schedule = Schedule::new(Micros(interval));
            schedule.start(Micros(start));
            let mut now = start;
            let mut emitted = std::collections::BTreeSet::new();
            for step in steps {
                now += step;
                if schedule.due(Micros(now)) {
                    prop_assert!(emitted.insert((now - start) / interval), "an interval emitted twice");
                }
                // The oracle: all intervals that have begun, less those emitted.
                let begun = (start..=now).filter(|at| (at - start) % interval == 0).count() as u64;
                prop_assert_eq!(schedule.missed(), begun - emitted.len() as u64);
                prop_assert_eq!(schedule.next(), Some(Micros(start + begun * interval)));
            }
        }
    }
}
