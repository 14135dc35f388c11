//! One source of the table, and its name as words. Data that others may write during a read are whole atomic words.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use spin::Once;

use super::super::{Level, LogSource};
use super::{MAX_TARGET_LEN, NONE, WORDS};

/// A name as it is stored: padded with zeros.
pub(super) type Name = [u64; WORDS];

#[derive(Debug)]
pub(super) struct Entry {
    /// The name, padded with zeros, and its length.
    pub(super) name: [AtomicU64; WORDS],
    pub(super) len: AtomicU8,
    /// The index of the nearest ancestor, or [`NONE`].
    pub(super) parent: AtomicU8,
    pub(super) own: AtomicU8,
    pub(super) level: AtomicU8,
    pub(super) declared: Once<&'static LogSource>,
}

impl Entry {
    pub(super) const fn new() -> Self {
        Self {
            name: [const { AtomicU64::new(0) }; WORDS],
            len: AtomicU8::new(0),
            parent: AtomicU8::new(NONE),
            own: AtomicU8::new(NONE),
            level: AtomicU8::new(0),
            declared: Once::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        usize::from(self.len.load(Ordering::Relaxed)).min(MAX_TARGET_LEN)
    }

    pub(super) fn parent(&self) -> u8 {
        self.parent.load(Ordering::Relaxed)
    }

    pub(super) fn own(&self) -> Option<Level> {
        let own = self.own.load(Ordering::Relaxed);
        (own != NONE).then(|| Level::from_index(own))
    }

    pub(super) fn level(&self) -> Level {
        Level::from_index(self.level.load(Ordering::Relaxed))
    }

    pub(super) fn words(&self) -> Name {
        self.name
            .each_ref()
            .map(|word| word.load(Ordering::Relaxed))
    }

    pub(super) fn is(&self, name: &Name, len: usize) -> bool {
        let mut words = self.name.iter().zip(name).take(len.div_ceil(8));
        self.len() == len && words.all(|(mine, word)| mine.load(Ordering::Relaxed) == *word)
    }

    /// Returns `true` if this name is below `ancestor`.
    pub(super) fn is_below(&self, ancestor: &str) -> bool {
        let bytes = bytes_of(&self.words());
        let rest = bytes[..self.len()].strip_prefix(ancestor.as_bytes());
        rest.is_some_and(|rest| rest.starts_with(b"::"))
    }
}

pub(super) fn name_of(target: &str) -> Option<Name> {
    let mut bytes = [0; MAX_TARGET_LEN];
    bytes
        .get_mut(..target.len())
        .filter(|_| !target.is_empty())?
        .copy_from_slice(target.as_bytes());
    let mut name = [0; WORDS];
    for (word, bytes) in name.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(name)
}

pub(super) fn bytes_of(name: &Name) -> [u8; MAX_TARGET_LEN] {
    let mut bytes = [0; MAX_TARGET_LEN];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(name) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

/// A copy of a source at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    pub(super) bytes: [u8; MAX_TARGET_LEN],
    pub(super) len: usize,
    /// The level, its own or inherited.
    pub level: Level,
    /// `true` if the application has declared it.
    pub declared: bool,
}

impl Known {
    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        // The stored bytes were a text, and a name never changes.
        str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}
