//! Counters whose keys are known only at run time.

use super::fields::{FIELDS_MAX, FieldDef, FieldList};
use super::registry::{Metric, Source, setters};
use crate::line::{Field, Value};
use sync::Lock;

/// The most keys of one source. Keys are values of an enumeration (status codes, commands), not names of users.
pub const KEYS_MAX: usize = 32;

/// The longest key, in bytes.
pub const KEY_BYTES_MAX: usize = 32;

/// The field that counts events without a separate field: keys beyond [`KEYS_MAX`], keys longer than [`KEY_BYTES_MAX`],
/// empty keys, and the keys `other` and `total`.
pub const OTHER: &str = "other";

/// The field that counts all events.
pub const TOTAL: &str = "total";

const _: () = assert!(KEYS_MAX + 2 <= FIELDS_MAX && KEY_BYTES_MAX < 256);

#[derive(Clone, Copy, Debug)]
struct Key {
    bytes: [u8; KEY_BYTES_MAX],
    len: u8,
    count: u64,
}

impl Key {
    const EMPTY: Self = Self {
        bytes: [0; KEY_BYTES_MAX],
        len: 0,
        count: 0,
    };

    fn text(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

#[derive(Clone, Copy, Debug)]
struct Table {
    keys: [Key; KEYS_MAX],
    len: usize,
    other: u64,
    total: u64,
}

/// Counts events since boot by key: one field for every key, `other`, and `total`. 1.5 KiB.
///
/// ```
/// use metrics::KeyedCounter;
/// static REPLIES: KeyedCounter = KeyedCounter::new("http-replies", "replies by status");
/// REPLIES.add("200", 1);
/// REPLIES.add("404", 2);
/// assert_eq!((REPLIES.get("404"), REPLIES.total()), (2, 3));
/// ```
#[derive(Debug)]
pub struct KeyedCounter {
    source: Source,
    fields: [FieldDef; 2],
    table: Lock<Table>,
}

impl KeyedCounter {
    /// Creates a counter without keys.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        Self {
            source: Source::new(name, doc),
            fields: [
                FieldDef::u64(OTHER, "events", "events whose key has no field"),
                FieldDef::u64(TOTAL, "events", "all events since boot"),
            ],
            table: Lock::new(Table {
                keys: [Key::EMPTY; KEYS_MAX],
                len: 0,
                other: 0,
                total: 0,
            }),
        }
    }

    /// Sets the name of the counted things, in the plural.
    #[must_use]
    pub const fn unit(mut self, unit: &'static str) -> Self {
        self.fields[0].unit = unit;
        self.fields[1].unit = unit;
        self
    }

    setters!();

    /// Adds `n` to `key` while the source is on. Cost: at most [`KEYS_MAX`] comparisons, with interrupts masked.
    #[inline(always)]
    pub fn add(&'static self, key: &str, n: u64) {
        if self.source.is_active(self) {
            self.count(key, n);
        }
    }

    /// Adds to a key. Out of line, so that a source that is off costs only the look at its switch.
    #[inline(never)]
    fn count(&self, key: &str, n: u64) {
        let mut table = self.table.lock();
        table.total = table.total.wrapping_add(n);
        match table.place(key) {
            Some(place) => place.count = place.count.wrapping_add(n),
            None => table.other = table.other.wrapping_add(n),
        }
    }

    /// Returns the count of this key; 0 for a key that was never counted, or was counted under `other`.
    #[must_use]
    pub fn get(&self, key: &str) -> u64 {
        let table = self.table.lock();
        let mut keys = table.keys[..table.len].iter();
        keys.find(|known| known.text() == key.as_bytes())
            .map_or(0, |known| known.count)
    }

    /// Returns the count of keys without a field.
    #[must_use]
    pub fn other(&self) -> u64 {
        self.table.lock().other
    }

    /// Returns the count of all events.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.table.lock().total
    }
}

impl Table {
    fn place(&mut self, key: &str) -> Option<&mut Key> {
        let text = key.as_bytes();
        let mut known = self.keys[..self.len].iter();
        if let Some(at) = known.position(|known| known.text() == text) {
            return self.keys.get_mut(at);
        }
        if key.is_empty() || text.len() > KEY_BYTES_MAX || key == OTHER || key == TOTAL {
            return None;
        }
        let place = self.keys.get_mut(self.len)?;
        place.bytes[..text.len()].copy_from_slice(text);
        place.len = text.len() as u8;
        self.len += 1;
        Some(place)
    }
}

impl Metric for KeyedCounter {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        &self.fields
    }

    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>])) {
        let table = *self.table.lock();
        let mut fields = FieldList::new();
        for key in &table.keys[..table.len] {
            // Whole strings are copied in, so the key is text.
            if let Ok(name) = str::from_utf8(key.text()) {
                fields.add(name, Value::U64(key.count));
            }
        }
        fields.add(OTHER, Value::U64(table.other));
        fields.add(TOTAL, Value::U64(table.total));
        line(fields.as_slice());
    }
}
