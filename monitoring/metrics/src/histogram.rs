//! The distribution of values: buckets that are finer for small values, as in HdrHistogram.
//!
//! Values 0 to 15 have one bucket each. Above, every power of two is divided into 8 buckets of the same width, so a
//! bucket that begins at `low` is at most `low / 8` wide. A quantile is reported as the middle of its bucket: **its
//! error is at most 1/16 (6.25 %) of the true value, and it is exact below 16.** `count`, `sum`, `mean` and `max` are
//! exact.

use core::sync::atomic::{AtomicU64, Ordering};

use super::fields::{FieldDef, FieldKind, FieldList};
use super::registry::{Metric, Source, setters};
use crate::line::{Field, Value};
use sync::Lock;

/// 2^3 buckets per power of two.
const PRECISION_BITS: u32 = 3;
const PER_POWER: usize = 1 << PRECISION_BITS;
/// Each value below 8 has one bucket, and so has each eighth of the 61 powers of two above.
const BUCKETS: usize = PER_POWER + (u64::BITS - PRECISION_BITS) as usize * PER_POWER;

/// Returns the number of the bucket of `value`.
const fn bucket(value: u64) -> usize {
    if value < PER_POWER as u64 {
        return value as usize;
    }
    let power = value.ilog2() - PRECISION_BITS;
    // 8 to 15: the first four digits of the value in binary.
    let digits = (value >> power) as usize;
    power as usize * PER_POWER + digits
}

/// Returns the middle of a bucket, rounded down.
const fn middle(bucket: usize) -> u64 {
    if bucket < 2 * PER_POWER {
        return bucket as u64;
    }
    let power = bucket / PER_POWER - 1;
    let low = ((PER_POWER + bucket % PER_POWER) as u64) << power;
    low + ((1 << power) - 1) / 2
}

/// The distribution of the values since the last look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The number of values.
    pub count: u64,
    /// The sum of the values; wraps around.
    pub sum: u64,
    /// The median: half of the values are at most this.
    pub p50: u64,
    /// 90 of 100 values are at most this.
    pub p90: u64,
    /// 99 of 100 values are at most this.
    pub p99: u64,
    /// The largest value.
    pub max: u64,
}

/// A histogram that is not a source, for fields of another source. 8 KiB.
///
/// Holds the counts of buckets, and a copy of them from the last look; the counts are never reset.
#[derive(Debug)]
pub struct Spread {
    counts: [sync::Counter; BUCKETS],
    sum: sync::Counter,
    max: AtomicU64,
    seen: Lock<Seen>,
}

#[derive(Debug)]
struct Seen {
    counts: [u64; BUCKETS],
    sum: u64,
}

impl Spread {
    /// Creates a histogram without values.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            counts: [const { sync::Counter::new() }; BUCKETS],
            sum: sync::Counter::new(),
            max: AtomicU64::new(0),
            seen: Lock::new(Seen {
                counts: [0; BUCKETS],
                sum: 0,
            }),
        }
    }

    /// Adds a value. One load and two additions.
    #[inline]
    pub fn record(&self, value: u64) {
        self.counts[bucket(value)].add(1);
        self.sum.add(value);
        if value > self.max.load(Ordering::Relaxed) {
            self.max.fetch_max(value, Ordering::Relaxed);
        }
    }

    /// Returns the sum of all values since boot; wraps around.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum.get()
    }

    /// Returns the number of values since boot. One load per bucket.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().map(sync::Counter::get).sum()
    }

    /// Summarizes the values since the last look. Two passes over 496 counts, the first under a lock that no task of
    /// the application takes. A value that is being recorded at this moment may be counted in this look and added to
    /// the sum in the next.
    #[must_use]
    pub fn look(&self) -> Summary {
        let mut new = [0; BUCKETS];
        let mut summary = Summary::default();
        {
            let mut seen = self.seen.lock();
            summary.max = self.max.swap(0, Ordering::Relaxed);
            let sum = self.sum.get();
            summary.sum = sum.wrapping_sub(seen.sum);
            seen.sum = sum;
            for ((new, seen), counter) in new.iter_mut().zip(&mut seen.counts).zip(&self.counts) {
                let now = counter.get();
                *new = now.wrapping_sub(*seen);
                *seen = now;
                summary.count += *new;
            }
        }
        let wanted = [50, 90, 99].map(|percent| rank(summary.count, percent));
        let mut found = [0; 3];
        let mut below = 0;
        for (bucket, new) in new.iter().enumerate() {
            let upto = below + new;
            for (rank, found) in wanted.iter().zip(&mut found) {
                if below < *rank && *rank <= upto {
                    *found = middle(bucket).min(summary.max);
                }
            }
            below = upto;
        }
        [summary.p50, summary.p90, summary.p99] = found;
        summary
    }
}

impl Default for Spread {
    fn default() -> Self {
        Self::new()
    }
}

/// Returns the nearest rank of a quantile, 1 to `count`.
fn rank(count: u64, percent: u64) -> u64 {
    let rank = (u128::from(count) * u128::from(percent)).div_ceil(100);
    u64::try_from(rank).unwrap_or(u64::MAX)
}

/// The distribution of values. `count` and `sum` are since boot; `mean`, `p50`, `p90`, `p99` and `max` are those of the
/// values since the last interval, and left out if there were none. 8 KiB.
///
/// Quantiles are by nearest rank, with an error of at most 1/16 of the true value; below 16 they are exact. A value
/// that is recorded during the summary may count for `max` of this interval and for the other fields of the next.
///
/// ```
/// use metrics::Histogram;
/// static SIZES: Histogram = Histogram::new("reply-size", "size of replies").unit("bytes");
/// SIZES.record(1_432);
/// ```
#[derive(Debug)]
pub struct Histogram {
    source: Source,
    fields: [FieldDef; 7],
    buckets: Spread,
}

impl Histogram {
    /// Creates a histogram without values.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        const fn recent(name: &'static str, doc: &'static str) -> FieldDef {
            FieldDef::u64(name, "", doc)
        }
        Self {
            source: Source::new(name, doc),
            fields: [
                FieldDef::u64("count", "values", "number of values since boot"),
                FieldDef::u64("sum", "", "sum of the values since boot"),
                FieldDef::new("mean", FieldKind::F64, "", "mean of the last interval"),
                recent("p50", "median of the last interval"),
                recent(
                    "p90",
                    "value that 90 of 100 of the last interval did not exceed",
                ),
                recent(
                    "p99",
                    "value that 99 of 100 of the last interval did not exceed",
                ),
                recent("max", "largest value of the last interval"),
            ],
            buckets: Spread::new(),
        }
    }

    /// Sets the unit of the values, in the plural.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        let mut at = 1;
        while at < self.fields.len() {
            self.fields[at].unit = unit;
            at += 1;
        }
        self
    }

    setters!();

    /// Adds a value while the source is on. Two loads, two additions.
    #[inline]
    pub fn record(&'static self, value: u64) {
        if self.source.is_active(self) {
            self.buckets.record(value);
        }
    }
}

impl Metric for Histogram {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>])) {
        let summary = self.buckets.look();
        let [count, sum, mean, p50, p90, p99, max] = self.fields.each_ref().map(|field| field.name);
        let mut fields = FieldList::new();
        fields.add(count, Value::U64(self.buckets.count()));
        fields.add(sum, Value::U64(self.buckets.sum()));
        if summary.count > 0 {
            fields.add(mean, Value::F64(summary.sum as f64 / summary.count as f64));
            fields.add(p50, Value::U64(summary.p50));
            fields.add(p90, Value::U64(summary.p90));
            fields.add(p99, Value::U64(summary.p99));
            fields.add(max, Value::U64(summary.max));
        }
        line(fields.as_slice());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value() -> impl Strategy<Value = u64> {
        prop_oneof![
            0_u64..20,
            0_u64..1_000_000,
            any::<u64>(),
            (0_u32..64).prop_map(|power| 1 << power),
            (0_u32..64).prop_map(|power| (1 << power) - 1),
        ]
    }

    #[test]
    fn buckets_follow_each_other_without_a_gap() {
        let mut last = 0;
        for value in (0..100_000).chain((17..64).flat_map(|power| {
            let low = 1_u64 << power;
            (0..8).map(move |eighth| low + eighth * (low / 8))
        })) {
            let bucket = bucket(value);
            assert!(
                bucket == last || bucket == last + 1 || value > 100_000,
                "{value}"
            );
            assert!(bucket >= last);
            last = bucket;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(bucket(0), 0);
    }

    proptest! {
        #[test]
        fn quantiles_are_off_by_a_sixteenth_at_most(
            rounds in prop::collection::vec(prop::collection::vec(value(), 0..300), 1..4),
        ) {
            let buckets = Spread::new();
            for mut values in rounds {
                for value in &values {
                    buckets.record(*value);
                }
                let summary = buckets.look();
                // The oracle: all values, sorted.
                values.sort_unstable();
                prop_assert_eq!(summary.count, values.len() as u64);
                prop_assert_eq!(summary.max, values.last().copied().unwrap_or(0));
                for (percent, told) in [(50, summary.p50), (90, summary.p90), (99, summary.p99)] {
                    let rank = (values.len() * percent).div_ceil(100);
                    let truth = if rank == 0 { 0 } else { values[rank - 1] };
                    prop_assert!(told.abs_diff(truth) <= truth / 16, "p{}: {} for {}", percent, told, truth);
                }
            }
        }
    }
}
