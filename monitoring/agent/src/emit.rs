//! The schedule and the writing of lines: every interval, each source once, all with one timestamp.

use metrics::line::{self, Field, MAX_TAGS, Point, Tag};
use metrics::{FieldList, Look, Metric, Origin, Registry, Snapshot, Source};
use network::bounds::{LINE_MAX, LINES_PER_ROUND};
use network::outbox::Outbox;
use units::{Micros, UnixNanos};

/// The intervals. The n-th begins at `start + n · interval`, however late the loop notices it.
///
/// ```
/// use agent::emit::Schedule;
/// use units::Micros;
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
    /// The number of the next interval to emit.
    number: u64,
    missed: u64,
}

impl Schedule {
    /// Creates a schedule that has not started. `interval` must not be 0.
    #[must_use]
    pub const fn new(interval: Micros) -> Self {
        Self {
            interval,
            start: None,
            number: 0,
            missed: 0,
        }
    }

    /// Begins the first interval now, unless it has begun before.
    pub fn start(&mut self, now: Micros) {
        self.start.get_or_insert(now);
    }

    /// Returns `true` once per interval, when it has begun. Intervals that began and ended unnoticed are skipped and
    /// counted: a burst of old points would repeat the same values.
    pub fn due(&mut self, now: Micros) -> bool {
        let Some(start) = self.start else {
            return false;
        };
        // While the clock stands still or goes back, no interval begins.
        let number = (now - start).0 / self.interval.0.max(1);
        if now < start || number < self.number {
            return false;
        }
        self.missed += number - self.number;
        self.number = number.saturating_add(1);
        true
    }

    /// Skips the interval that [`due`](Self::due) has just reported, and counts it as missed.
    pub const fn skip(&mut self) {
        self.missed += 1;
    }

    /// Returns the number of the latest interval that has begun, from 0.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number.saturating_sub(1)
    }

    /// Returns the time when the next interval begins.
    #[must_use]
    pub fn next(&self) -> Option<Micros> {
        Some(self.start? + Micros(self.interval.0.saturating_mul(self.number)))
    }

    /// Returns the number of skipped intervals, since boot.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

/// Counts of values that the encoder changed or left out, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncodeCounts {
    /// Values outside the protocol's range, sent as the nearest value in it: unsigned values above 2^63 - 1, and
    /// timestamps outside the years 1677 to 2262.
    pub values_clamped: u64,
    /// Values that the protocol cannot represent (NaN, infinities).
    pub values_left_out: u64,
}

/// A wall clock before 2020 was never set: a machine without an RTC begins in 1970. Its points carry no timestamp, so
/// the receiver uses the time of their arrival.
const CLOCK_IS_SET: UnixNanos = UnixNanos(1_577_836_800_000_000_000);

/// The most looks at empty places of the series in one round. With [`LINES_PER_ROUND`] it bounds a round's work.
const LOOKS_PER_ROUND: usize = 16;

/// A line that does not fit is halved if it has at least this many fields.
const HALVED_MIN: usize = 2;

/// The emission of one interval, a few lines at a time.
///
/// ```text
///            1 an interval begins          2 all sources are done
///   ┌──────┐ ───────────────▶ ┌─────────┐ ────────────────────▶ ┌────────┐
///   │ Idle │                  │ Sources │                       │ Series │
///   └──────┘ ◀─┐              └─────────┘                       └────────┘
///              └──────────────────────────────────────────────────── 3 all series are done
/// ```
///
/// All lines of one interval have one timestamp. The emission writes lines while the outbox has room; then it waits for
/// lines to leave. If no line has left since the last interval began, the receiver takes none. Waiting would then keep
/// the oldest lines instead of the newest. So the emission writes on, and the outbox drops and counts its oldest lines.
#[derive(Clone, Copy, Debug)]
pub struct Emission {
    state: State,
    /// The timestamp of all lines; `None` if the wall clock was never set.
    timestamp: Option<UnixNanos>,
    /// The number of lines that had left when the interval began.
    left_before: u64,
    /// `true` if no line has left for an interval.
    stuck: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Idle,
    /// The source with this number is next.
    Sources(usize),
    /// The place with this number in the cache of series is next.
    Series(usize),
}

/// A function that adds the fields of a source whose values the monitoring task knows.
pub type Told<'t> = dyn Fn(&Source, &mut FieldList<'_>) + 't;

/// The destination of lines, and the tag that all of them have.
pub struct Sink<'s, 'o> {
    /// The value of the tag `vm`.
    pub vm: &'s str,
    /// Takes the lines.
    pub outbox: &'s mut Outbox<'o>,
    /// Counts what the encoder changes.
    pub counts: &'s mut EncodeCounts,
}

impl Emission {
    /// Creates an emission that has nothing to do.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            state: State::Idle,
            timestamp: None,
            left_before: 0,
            stuck: false,
        }
    }

    /// Begins the emission of an interval. `number` counts intervals, including missed ones.
    pub fn begin(
        &mut self,
        number: u64,
        timestamp: UnixNanos,
        registry: &Registry,
        outbox: &Outbox<'_>,
    ) {
        self.follow(outbox);
        registry.series().begin(number as u32);
        self.timestamp = (timestamp >= CLOCK_IS_SET).then_some(timestamp);
        self.state = State::Sources(0); // 1
    }

    /// Notes that an interval has begun before this emission is done; that interval is skipped. Checks whether lines
    /// have left since the last one.
    pub fn follow(&mut self, outbox: &Outbox<'_>) {
        let left = outbox.counts().lines_sent;
        self.stuck = left == self.left_before && outbox.lines_waiting() > 0;
        self.left_before = left;
    }

    /// Returns `true` if there is more to write.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state != State::Idle
    }

    /// Returns `true` if [`step`](Self::step) has something to do now.
    #[must_use]
    pub fn can_go_on(&self, outbox: &Outbox<'_>) -> bool {
        self.is_running() && (self.stuck || outbox.has_room())
    }

    /// Writes the lines of up to [`LINES_PER_ROUND`] sources or series. `told` adds the fields of sources that do not
    /// hold their values. Allocates nothing.
    pub fn step(&mut self, registry: &Registry, told: &Told<'_>, sink: &mut Sink<'_, '_>) {
        let (mut lines, mut looks) = (0, 0);
        while lines < LINES_PER_ROUND && looks < LOOKS_PER_ROUND && self.can_go_on(sink.outbox) {
            match self.state {
                State::Idle => {}
                State::Sources(at) => match registry.entry(at) {
                    None => self.state = State::Series(0), // 2
                    Some(entry) => {
                        self.state = State::Sources(at + 1);
                        if entry.active {
                            self.source(entry.metric, told, sink);
                            lines += 1;
                        }
                    }
                },
                State::Series(at) => match registry.series().look(at) {
                    Look::End => self.state = State::Idle, // 3
                    Look::Nothing(next) => {
                        self.state = State::Series(next);
                        looks += 1;
                    }
                    Look::Series(series, next) => {
                        self.state = State::Series(next);
                        self.series(&series, sink);
                        lines += 1;
                    }
                },
            }
        }
    }

    fn source(&self, metric: &dyn Metric, told: &Told<'_>, sink: &mut Sink<'_, '_>) {
        let source = metric.source();
        match metric.origin() {
            Origin::Series => {}
            Origin::Itself => metric.sample(&mut |fields| {
                self.write(source, [].into_iter(), fields, sink);
            }),
            Origin::Emitter => {
                let mut fields = FieldList::new();
                told(source, &mut fields);
                self.write(source, [].into_iter(), fields.as_slice(), sink);
            }
        }
    }

    fn series(&self, series: &Snapshot, sink: &mut Sink<'_, '_>) {
        let mut fields = FieldList::new();
        for Field { key, value } in series.fields() {
            fields.add(key, value);
        }
        let source = series.metric().source();
        self.write(source, series.labels(), fields.as_slice(), sink);
    }

    /// Writes a point. `vm` is the first tag, so that a tag of the same name takes precedence.
    fn write<'t>(
        &self,
        source: &'t Source,
        labels: impl Iterator<Item = Tag<'t>>,
        fields: &[Field<'_>],
        sink: &mut Sink<'_, '_>,
    ) {
        let mut tags = [("vm", sink.vm); MAX_TAGS];
        let mut len = 1;
        for tag in source.tags().iter().copied().chain(labels) {
            // The registry rejects a source with more tags.
            if let Some(place) = tags.get_mut(len) {
                *place = tag;
                len += 1;
            }
        }
        let point = Point {
            measurement: source.name(),
            tags: &tags[..len],
            fields,
            timestamp: self.timestamp,
        };
        sink.write(&point);
    }
}

impl Default for Emission {
    fn default() -> Self {
        Self::new()
    }
}

impl Sink<'_, '_> {
    /// Writes a point as one line, or as several with a part of its fields each. Receivers merge points of the same
    /// series and time (InfluxDB, "duplicate points"). A single field that does not fit is lost and counted.
    fn write(&mut self, point: &Point<'_>) {
        let mut buffer = [0; LINE_MAX];
        match line::encode(point, &mut buffer) {
            Ok(encoded) => {
                self.counts.values_clamped += u64::from(encoded.clamped);
                self.counts.values_left_out += u64::from(encoded.left_out);
                if encoded.len > 0 {
                    self.outbox.push(&buffer[..encoded.len]);
                }
            }
            Err(line::Full) if point.fields.len() >= HALVED_MIN => {
                let (first, second) = point.fields.split_at(point.fields.len() / 2);
                for fields in [first, second] {
                    self.write(&Point { fields, ..*point });
                }
            }
            Err(line::Full) => self.outbox.push_too_long(),
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
                // The oracle: all intervals that have begun, minus those emitted.
                let begun = (start..=now).filter(|at| (at - start) % interval == 0).count() as u64;
                prop_assert_eq!(schedule.missed(), begun - emitted.len() as u64);
                prop_assert_eq!(schedule.next(), Some(Micros(start + begun * interval)));
            }
        }
    }
}
