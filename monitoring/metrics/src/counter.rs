//! A counter of events.

use super::fields::FieldDef;
use super::registry::{Metric, Source, setters};
use crate::line::{Field, Value};

/// Counts events since boot in the field `count`. Reading does not reset it.
///
/// ```
/// use metrics::Counter;
/// static HITS: Counter = Counter::new("cache-hits", "lookups that found an entry").unit("lookups");
/// HITS.add(1);
/// assert_eq!(HITS.get(), 1);
/// ```
#[derive(Debug)]
pub struct Counter {
    source: Source,
    fields: [FieldDef; 1],
    count: sync::Counter,
}

impl Counter {
    /// Creates a counter at 0.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        Self {
            source: Source::new(name, doc),
            fields: [FieldDef::u64("count", "events", "count since boot")],
            count: sync::Counter::new(),
        }
    }

    setters!(unit: "Names what is counted, in the plural.");

    /// Adds `n` while the source is on. One load and one addition.
    #[inline]
    pub fn add(&'static self, n: u64) {
        if self.source.is_active(self) {
            self.count.add(n);
        }
    }

    /// Returns the count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.count.get()
    }
}

impl Metric for Counter {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>])) {
        line(&[Field {
            key: self.fields[0].name,
            value: Value::U64(self.get()),
        }]);
    }
}
