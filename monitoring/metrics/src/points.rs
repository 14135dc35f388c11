//! Points with tag values.

use super::fields::FieldDef;
use super::registry::{Metric, Origin, Source};
use super::registry::{SERIES_FIELDS_MAX, SERIES_LABELS_MAX};
use crate::line::{Field, Value};

/// Values with tags: one series for every set of tag values. The last point of a series is sent each interval until the
/// series expires. See [`SeriesCache`](super::SeriesCache) for the bounds.
///
/// ```
/// use metrics::line::Value;
/// use metrics::{FieldDef, Points};
/// static REQUESTS: Points<2, 1> = Points::new(
///     "requests",
///     "requests by route",
///     &["method", "route"],
///     [FieldDef::u64("bytes", "bytes", "size of the reply")],
/// );
/// REQUESTS.push(["GET", "/"], [Value::U64(512)]);
/// ```
#[derive(Debug)]
pub struct Points<const LABELS: usize, const FIELDS: usize> {
    source: Source,
    fields: [FieldDef; FIELDS],
}

impl<const LABELS: usize, const FIELDS: usize> Points<LABELS, FIELDS> {
    /// Creates a source without points. `labels` are the names of the tags whose values come with each point. More than
    /// [`SERIES_LABELS_MAX`] of them, or more than [`SERIES_FIELDS_MAX`] fields, do not compile.
    #[must_use]
    pub const fn new(
        name: &'static str,
        doc: &'static str,
        labels: &'static [&'static str; LABELS],
        fields: [FieldDef; FIELDS],
    ) -> Self {
        const {
            assert!(LABELS <= SERIES_LABELS_MAX, "too many tags");
            assert!(FIELDS <= SERIES_FIELDS_MAX, "too many fields");
        }
        let mut source = Source::new(name, doc);
        source.labels = labels;
        Self { source, fields }
    }

    /// Replaces the last point of the series with these tag values, while the source is on. A point is refused and
    /// counted if its values do not have the declared types, or if its series finds no room. Cost: one hash of the tag
    /// values, at most 16 comparisons and one copy with interrupts masked.
    #[inline(always)]
    pub fn push(&'static self, labels: [&str; LABELS], values: [Value<'static>; FIELDS]) {
        if self.source.is_active(self) {
            self.keep(&labels, &values);
        }
    }

    /// Does the same for a point that is expensive to make: while the source is off, `point` is not called and the cost
    /// is one load.
    ///
    /// ```
    /// use metrics::line::Value;
    /// use metrics::{FieldDef, Points};
    /// static QUEUES: Points<1, 1> = Points::new(
    ///     "queues",
    ///     "lengths of queues",
    ///     &["queue"],
    ///     [FieldDef::u64("jobs", "jobs", "jobs that wait")],
    /// );
    /// # let queue = [1, 2, 3];
    /// QUEUES.push_with(|| (["mail"], [Value::U64(queue.iter().sum())]));
    /// ```
    #[inline(always)]
    pub fn push_with<'t>(
        &'static self,
        point: impl FnOnce() -> ([&'t str; LABELS], [Value<'static>; FIELDS]),
    ) {
        if self.source.is_active(self) {
            let (labels, values) = point();
            self.keep(&labels, &values);
        }
    }

    /// Stores a point. Out of line, so that a source that is off costs only the look at its switch.
    #[inline(never)]
    fn keep(&'static self, labels: &[&str; LABELS], values: &[Value<'static>; FIELDS]) {
        let Some(registry) = self.source.home() else {
            return;
        };
        let typed = self.fields.iter().zip(values);
        if typed.clone().all(|(field, value)| field.kind.takes(value)) {
            registry.series().push(self, labels, values);
        } else {
            debug_assert!(
                false,
                "{}: {values:?} are not as declared",
                self.source.name
            );
            registry.series().refuse_point();
        }
    }
}

impl<const LABELS: usize, const FIELDS: usize> Metric for Points<LABELS, FIELDS> {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    fn origin(&self) -> Origin {
        Origin::Series
    }

    /// Does nothing: the lines come from the cache.
    fn sample(&self, _: &mut dyn FnMut(&[Field<'_>])) {}
}
