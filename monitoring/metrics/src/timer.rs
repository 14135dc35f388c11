//! The duration of work, and whether it failed.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;

use super::fields::{FieldDef, FieldKind, FieldList, status};
use super::histogram::Spread;
use super::registry::{Metric, Source, setters};
use crate::line::{Field, Value};

/// Times a closure. `duration_ns` and `status` are those of the last run, and `ok` and `errors` count runs since boot.
/// The quantiles are those of the runs since the last interval, as in [`Histogram`](super::Histogram). 8 KiB.
///
/// The clock is an argument: in an image `|| Duration::from_micros(kernel::clock::micros())`.
///
/// ```
/// use core::time::Duration;
/// use metrics::Timer;
/// # fn since_boot() -> Duration { Duration::ZERO }
/// static LOADS: Timer = Timer::new("loads", "reading of a file", since_boot);
/// let number: Result<u32, _> = LOADS.run(|| "42".parse());
/// assert_eq!(number, Ok(42));
/// ```
#[derive(Debug)]
pub struct Timer {
    source: Source,
    clock: fn() -> Duration,
    ok: sync::Counter,
    errors: sync::Counter,
    /// The last run. Bit 0: it failed. Above: nanoseconds. In one word, so that a reading never mixes two runs.
    last: AtomicU64,
    buckets: Spread,
}

/// No run yet: a value that is never stored.
const NONE: u64 = u64::MAX;
const LONGEST: u64 = (u64::MAX >> 1) - 1;

const FIELDS: [FieldDef; 8] = [
    FieldDef::new(
        "duration_ns",
        FieldKind::DurationNs,
        "ns",
        "duration of the last run",
    ),
    FieldDef::new(
        "status",
        FieldKind::Status,
        "",
        "result of the last run: ok or error",
    ),
    FieldDef::u64("ok", "runs", "runs since boot that did not fail"),
    FieldDef::u64("errors", "runs", "runs since boot that failed"),
    FieldDef::u64("p50_ns", "ns", "median duration of the last interval"),
    FieldDef::u64(
        "p90_ns",
        "ns",
        "duration that 90 of 100 runs of the last interval did not exceed",
    ),
    FieldDef::u64(
        "p99_ns",
        "ns",
        "duration that 99 of 100 runs of the last interval did not exceed",
    ),
    FieldDef::u64("max_ns", "ns", "longest duration of the last interval"),
];

impl Timer {
    /// Creates a timer without runs. `clock` returns a time that never goes back.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str, clock: fn() -> Duration) -> Self {
        Self {
            source: Source::new(name, doc),
            clock,
            ok: sync::Counter::new(),
            errors: sync::Counter::new(),
            last: AtomicU64::new(NONE),
            buckets: Spread::new(),
        }
    }

    setters!();

    /// Runs `work` and returns its result. While the source is off, this costs one load more than the work.
    ///
    /// # Errors
    /// That of `work`.
    #[inline]
    pub fn run<T, E>(&'static self, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        if !self.source.is_active(self) {
            return work();
        }
        let start = (self.clock)();
        let result = work();
        self.record((self.clock)().saturating_sub(start), result.is_ok());
        result
    }

    /// Adds a run that was timed elsewhere, even if the source is off.
    pub fn record(&self, took: Duration, ok: bool) {
        let nanos = u64::try_from(took.as_nanos()).map_or(LONGEST, |nanos| nanos.min(LONGEST));
        self.buckets.record(nanos);
        if ok {
            self.ok.add(1);
        } else {
            self.errors.add(1);
        }
        self.last
            .store(nanos << 1 | u64::from(!ok), Ordering::Relaxed);
    }
}

impl Metric for Timer {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &FIELDS
    }

    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>])) {
        let summary = self.buckets.look();
        let [duration, ended, ok, errors, p50, p90, p99, max] = FIELDS.map(|field| field.name);
        let mut fields = FieldList::new();
        let last = self.last.load(Ordering::Relaxed);
        if last != NONE {
            fields.add(duration, Value::U64(last >> 1));
            fields.add(ended, status(last & 1 == 0));
        }
        fields.add(ok, Value::U64(self.ok.get()));
        fields.add(errors, Value::U64(self.errors.get()));
        if summary.count > 0 {
            fields.add(p50, Value::U64(summary.p50));
            fields.add(p90, Value::U64(summary.p90));
            fields.add(p99, Value::U64(summary.p99));
            fields.add(max, Value::U64(summary.max));
        }
        line(fields.as_slice());
    }
}
