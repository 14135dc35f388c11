//! The last point of every series. A series is one set of tag values of a source that pushes points.
//!
//! ```text
//!  hash of source and tag values
//!        │        ┌─────────┐   ┌────────────┐   ┌────────────┐
//!        └──────▶ │ head    │──▶│ a series   │──▶│ a series   │   at most CHAIN_MAX
//!                 └─────────┘   └────────────┘   └────────────┘
//!
//!   none ──1──▶ kept ──2──▶ none      1 a point of new tag values; refused and counted if there is no room
//!              └─3─┘                  2 not updated for several intervals, or its source is off
//!                                     3 a point of the same tag values replaces the last one
//! ```
//!
//! All memory is static, so that points can be pushed before monitoring runs and a series never fails for lack of heap.

use core::fmt;

use super::source::{Metric, Source};
use crate::line::{Field, MAX_TAGS, Tag, Value};
use sync::Lock;

/// The most series. At 10 fields each, 1,000 of them are 10,000 fields per interval.
pub const SERIES_MAX: usize = 1_024;

/// The most fields of one point. A reader cannot remember a line with more; use two sources. Each field costs 24 KiB of
/// the mebibyte that all of monitoring may hold.
pub const SERIES_FIELDS_MAX: usize = 10;

/// The most tags whose values come with a point.
pub const SERIES_LABELS_MAX: usize = 8;

/// Bytes for the tag values of one series (routes, methods, peers), each with one more byte for its length.
pub const SERIES_TAG_BYTES: usize = 64;

/// The number of intervals for which a series that is not updated is still sent.
pub const EXPIRY_DEFAULT: u32 = 5;

/// The most series with the same head. With as many heads as series, more than 16 share a head by chance less than once
/// in 10^14 heads. A peer that chooses colliding tag values gets its own series refused and costs no more time.
const CHAIN_MAX: usize = 16;

/// Places that one call looks at, with interrupts masked.
const LOOK_MAX: usize = 64;

const _: () = {
    assert!(SERIES_LABELS_MAX < MAX_TAGS);
    assert!(SERIES_MAX.is_power_of_two() && SERIES_MAX < u16::MAX as usize);
    assert!(SERIES_TAG_BYTES < 256 && SERIES_FIELDS_MAX < 256);
    assert!(SeriesCache::BYTES <= 340 * 1024);
};

/// Values of tags, one after the other: one byte for the length, then that many bytes of text.
#[derive(Clone, Copy)]
struct Labels {
    bytes: [u8; SERIES_TAG_BYTES],
    len: u8,
}

impl Labels {
    const NONE: Self = Self {
        bytes: [0; SERIES_TAG_BYTES],
        len: 0,
    };

    fn pack(values: &[&str]) -> Option<Self> {
        let mut packed = Self::NONE;
        let mut at = 0;
        for value in values {
            let end = at + 1 + value.len();
            let place = packed.bytes.get_mut(at..end)?;
            place[0] = u8::try_from(value.len()).ok()?;
            place[1..].copy_from_slice(value.as_bytes());
            at = end;
        }
        packed.len = u8::try_from(at).ok()?;
        Some(packed)
    }

    fn packed(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.packed();
        core::iter::from_fn(move || {
            let (len, bytes) = rest.split_first()?;
            let (value, after) = bytes.split_at_checked(usize::from(*len))?;
            rest = after;
            // Whole strings were packed, so the value is text.
            str::from_utf8(value).ok()
        })
    }
}

#[derive(Clone, Copy)]
struct Series {
    /// The source; `None` if the place is free.
    metric: Option<&'static dyn Metric>,
    values: [Value<'static>; SERIES_FIELDS_MAX],
    labels: Labels,
    fields: u8,
    /// The next place of the chain, or the next free place: its number plus one, or 0 for the end.
    next: u16,
    hash: u32,
    /// The interval of the last point.
    updated: u32,
}

impl Series {
    const FREE: Self = Self {
        metric: None,
        values: [Value::I64(0); SERIES_FIELDS_MAX],
        labels: Labels::NONE,
        fields: 0,
        next: 0,
        hash: 0,
        updated: 0,
    };

    fn is(&self, source: &Source, hash: u32, labels: &Labels) -> bool {
        self.hash == hash
            && self
                .metric
                .is_some_and(|metric| core::ptr::eq(metric.source(), source))
            && self.labels.packed() == labels.packed()
    }
}

/// Counts of series: how many there are, and what happened since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SeriesCounts {
    /// Series now.
    pub series: u64,
    /// Points that were refused: their new series had no room, their tag values are longer than [`SERIES_TAG_BYTES`],
    /// or their values have the wrong types.
    pub refused: u64,
    /// Series that were not updated any more, or whose source was switched off.
    pub expired: u64,
}

struct Inner {
    places: [Series; SERIES_MAX],
    heads: [u16; SERIES_MAX],
    /// The first free place that was used before: its number plus one, or 0 if there are none.
    free: u16,
    /// The number of places that were ever used.
    high: u16,
    interval: u32,
    /// The expiry minus [`EXPIRY_DEFAULT`], wrapping around, so that a new cache is all zeros.
    expiry: u32,
    counts: SeriesCounts,
}

/// A copy of one series at one moment.
#[derive(Clone, Copy)]
pub struct Snapshot {
    metric: &'static dyn Metric,
    series: Series,
}

impl Snapshot {
    /// Returns the source that pushed the series.
    #[must_use]
    pub fn metric(&self) -> &'static dyn Metric {
        self.metric
    }

    /// Returns the tags whose values came with the point.
    pub fn labels(&self) -> impl Iterator<Item = Tag<'_>> {
        let names = self.metric.source().labels().iter().copied();
        names.zip(self.series.labels.iter())
    }

    /// Returns the fields.
    pub fn fields(&self) -> impl Iterator<Item = Field<'_>> {
        let values = &self.series.values[..usize::from(self.series.fields)];
        let named = self.metric.fields().iter().zip(values);
        named.map(|(field, value)| Field {
            key: field.name,
            value: *value,
        })
    }
}

/// The result of [`SeriesCache::look`].
#[expect(
    clippy::large_enum_variant,
    reason = "lives on the stack for one line; nothing here may allocate"
)]
pub enum Look {
    /// A series to send. Continue at this place.
    Series(Snapshot, usize),
    /// No series so far. Continue at this place.
    Nothing(usize),
    /// The last place is done.
    End,
}

/// The last points of all series. Any task may make any call; nothing allocates. Interrupts are masked for at most
/// 64 looks or 16 comparisons and one copy of 384 bytes.
pub struct SeriesCache {
    inner: Lock<Inner>,
}

impl SeriesCache {
    /// Memory of the cache, in bytes.
    pub const BYTES: usize = size_of::<Self>();

    /// Creates an empty cache.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            inner: Lock::new(Inner {
                places: [Series::FREE; SERIES_MAX],
                heads: [0; SERIES_MAX],
                free: 0,
                high: 0,
                interval: 0,
                expiry: 0,
                counts: SeriesCounts {
                    series: 0,
                    refused: 0,
                    expired: 0,
                },
            }),
        }
    }

    /// Sets the number of intervals for which a series that is not updated is still sent, at least 1.
    pub fn set_expiry(&self, intervals: u32) {
        self.inner.lock().expiry = intervals.max(1).wrapping_sub(EXPIRY_DEFAULT);
    }

    /// Returns the counts of series.
    #[must_use]
    pub fn counts(&self) -> SeriesCounts {
        self.inner.lock().counts
    }

    /// Sets the number of the present interval, counted from 0; it wraps around.
    pub fn begin(&self, interval: u32) {
        self.inner.lock().interval = interval;
    }

    /// Stores a point, or counts it as refused. `values` has at most [`SERIES_FIELDS_MAX`] elements.
    pub(crate) fn push(
        &self,
        metric: &'static dyn Metric,
        labels: &[&str],
        values: &[Value<'static>],
    ) {
        let Some(labels) = Labels::pack(labels) else {
            self.refuse_point();
            return;
        };
        let hash = hash(metric.source().name(), labels.packed());
        self.inner.lock().put(metric, hash, &labels, values);
    }

    pub(crate) fn refuse_point(&self) {
        self.inner.lock().counts.refused += 1;
    }

    /// Returns the first series to send, from this place on. Expired series on the way are removed. At most
    /// 64 places are looked at.
    #[must_use]
    pub fn look(&self, from: usize) -> Look {
        let mut inner = self.inner.lock();
        let high = usize::from(inner.high);
        for at in from..high.min(from + LOOK_MAX) {
            let series = &inner.places[at];
            let Some(metric) = series.metric else {
                continue;
            };
            let age = inner.interval.wrapping_sub(series.updated);
            if age > inner.expiry.wrapping_add(EXPIRY_DEFAULT) || !metric.source().is_on() {
                inner.remove(at);
                continue;
            }
            let series = *series;
            return Look::Series(Snapshot { metric, series }, at + 1);
        }
        if from + LOOK_MAX >= high {
            Look::End
        } else {
            Look::Nothing(from + LOOK_MAX)
        }
    }
}

impl Default for SeriesCache {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SeriesCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeriesCache").finish_non_exhaustive()
    }
}

impl Inner {
    fn put(
        &mut self,
        metric: &'static dyn Metric,
        hash: u32,
        labels: &Labels,
        values: &[Value<'static>],
    ) {
        let head = hash as usize % SERIES_MAX;
        let mut at = self.heads[head];
        let mut steps = 0;
        let place = loop {
            if at == 0 {
                break self.take(head, steps);
            }
            let place = usize::from(at - 1);
            if self.places[place].is(metric.source(), hash, labels) {
                break Some(place); // 3
            }
            at = self.places[place].next;
            steps += 1;
        };
        let Some(place) = place else {
            self.counts.refused += 1;
            return;
        };
        let series = &mut self.places[place];
        let count = values.len().min(SERIES_FIELDS_MAX);
        series.values[..count].copy_from_slice(&values[..count]);
        series.metric = Some(metric);
        series.labels = *labels;
        series.fields = count as u8;
        series.hash = hash;
        series.updated = self.interval;
    }

    /// Links a free place to the front of a chain. (1)
    fn take(&mut self, head: usize, steps: usize) -> Option<usize> {
        if steps >= CHAIN_MAX {
            return None;
        }
        let place = if self.free > 0 {
            let place = usize::from(self.free - 1);
            self.free = self.places[place].next;
            place
        } else if usize::from(self.high) < SERIES_MAX {
            self.high += 1;
            usize::from(self.high - 1)
        } else {
            return None;
        };
        self.places[place].next = self.heads[head];
        self.heads[head] = place as u16 + 1;
        self.counts.series += 1;
        Some(place)
    }

    /// Removes a place from its chain. (2)
    fn remove(&mut self, place: usize) {
        let Series { next, hash, .. } = self.places[place];
        let head = hash as usize % SERIES_MAX;
        let number = place as u16 + 1;
        if self.heads[head] == number {
            self.heads[head] = next;
        } else {
            let mut at = self.heads[head];
            while at > 0 {
                let before = &mut self.places[usize::from(at - 1)];
                if before.next == number {
                    before.next = next;
                    break;
                }
                at = before.next;
            }
        }
        self.places[place].metric = None;
        self.places[place].next = self.free;
        self.free = number;
        self.counts.series -= 1;
        self.counts.expired += 1;
    }
}

/// Computes FNV-1a, 32 bits (Fowler, Noll, Vo; IETF draft-eastlake-fnv), and mixes its high bits into the low ones.
fn hash(name: &str, labels: &[u8]) -> u32 {
    let bytes = name.bytes().chain([0]).chain(labels.iter().copied());
    let hash = bytes.fold(0x811c_9dc5, |hash: u32, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash ^ hash >> 16
}

#[cfg(test)]
mod tests;
