//! The table of sources and their levels. Every record that is not disabled for all reads it; changes are rare.
//!
//! ```text
//!  names   a │ a::b │ dns │ …          written once, then published by `len`: never changed, never removed
//!  own     – │ debug│  –  │ …          the level set for this source; `–`: its nearest ancestor's, or the default
//!  level  info debug  info             the resulting level: the only value that a record reads
//! ```
//!
//! A name is found by its hash. Targets that log become sources, so a record's target is found at the first attempt.
//! Otherwise its ancestors are tried, the nearest first.
//!
//! Readers take no lock. A task of lower priority could be preempted while it held the lock; a task of higher priority
//! that logs would then wait forever. Names are only added, and a level is one byte. Writers hold a lock that masks
//! interrupts; they compare most names before they take it.

mod entry;

use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

pub use self::entry::Known;
use self::entry::{Entry, Name, bytes_of, name_of};
use super::{Item, Level, Levels, LogSource};
use sync::Counter;
use sync::Lock;
use units::OneLine;

/// The most sources. An image has a few dozen modules that log; a change looks at each with interrupts masked.
pub const MAX_SOURCES: usize = 64;

/// The most sources that are not declared: seen in a record, or named in a list of levels. It is less than all, so that
/// targets with ever new names leave room for declarations.
pub const MAX_SEEN: usize = 48;

/// The longest name of a source, in bytes. Module paths are shorter. The table holds copies, because the text of a
/// record or command does not live long.
pub const MAX_TARGET_LEN: usize = 64;

/// Places of the hash table, a power of two. Half of them are always empty, so that a search is short and ends.
const PLACES: usize = 2 * MAX_SOURCES;

const WORDS: usize = MAX_TARGET_LEN / 8;
const _: () = {
    assert!(MAX_SEEN < MAX_SOURCES && MAX_SOURCES < NONE as usize);
    assert!(PLACES.is_power_of_two());
    assert!(
        MAX_TARGET_LEN.is_multiple_of(8) && MAX_TARGET_LEN < 256,
        "a name fills whole words, its length a byte"
    );
};

/// No level was set, or there is no ancestor.
const NONE: u8 = 0xff;

/// The default level, the sources, and the level of each. About 7 KB.
///
/// Any task and any interrupt may read it. A record's target has the level of its nearest ancestor among the sources.
/// With the sources `a` and `a::b`, the level of `a::b` applies to `a::b` and `a::b::c`; neither applies to `a::bc`.
#[derive(Debug)]
pub struct Table {
    default: AtomicU8,
    len: AtomicUsize,
    entries: [Entry; MAX_SOURCES],
    /// The index of the source with a hash, or [`NONE`].
    places: [AtomicU8; PLACES],
    refused: Counter,
    changing: Lock<()>,
    /// Receives the highest level after each change.
    publish: fn(Level),
}

/// The treatment of a target that is not a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unknown {
    /// Make it a source: at boot, levels are set before any source has logged.
    Enter,
    /// Refuse the whole list, unless the target is an ancestor of a source: then make it a source.
    Refuse,
}

/// The reason why a list of levels was not applied. No part of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError<'a> {
    /// No source has this name, and no source is below it.
    Unknown(&'a str),
    /// There is no room for this target.
    TooMany(&'a str),
    /// This target is longer than [`MAX_TARGET_LEN`].
    TooLong(&'a str),
}

impl fmt::Display for ApplyError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(target) => write!(f, "unknown source: {}", OneLine(target)),
            Self::TooMany(target) => write!(
                f,
                "{target:?}: more than {MAX_SEEN} log sources that are not declared"
            ),
            Self::TooLong(target) => write!(
                f,
                "{target:?}: log source longer than {MAX_TARGET_LEN} bytes"
            ),
        }
    }
}

impl core::error::Error for ApplyError<'_> {}

impl Table {
    /// Creates a table without sources and with this default. `publish` receives the highest level after each change,
    /// with interrupts masked.
    #[must_use]
    pub const fn new(default: Level, publish: fn(Level)) -> Self {
        Self {
            default: AtomicU8::new(default as u8),
            len: AtomicUsize::new(0),
            entries: [const { Entry::new() }; MAX_SOURCES],
            places: [const { AtomicU8::new(NONE) }; PLACES],
            refused: Counter::new(),
            changing: Lock::new(()),
            publish,
        }
    }

    /// Returns the level of a target. Cost: a hash and a comparison, and one more of each for every ancestor until one
    /// is a source. Adds no source.
    #[must_use]
    pub fn level(&self, target: &str) -> Level {
        match self.nearest(target) {
            Some(at) => self.entries[at].level(),
            None => self.default_level(),
        }
    }

    /// Returns the level of a record's target, and makes the target a source. Cost: as [`Table::level`]; for a new
    /// target also a copy and a comparison with every source, with interrupts masked.
    #[must_use]
    pub fn see(&self, target: &str) -> Level {
        let nearest = self.nearest(target);
        let (level, known) = match nearest {
            Some(at) => {
                let entry = &self.entries[at];
                (entry.level(), entry.len() == target.len())
            }
            None => (self.default_level(), false),
        };
        if !known {
            self.enter(target);
        }
        level
    }

    #[cold]
    fn enter(&self, target: &str) {
        let full = self.len() == MAX_SOURCES;
        let name = if full { None } else { name_of(target) };
        let entered = name.and_then(|name| {
            let _changing = self.changing.lock();
            self.insert(target, &name, None)
        });
        if entered.is_none() {
            self.refused.add(1);
        }
    }

    /// Returns the level of all targets that have no source and no ancestor that is one.
    #[must_use]
    pub fn default_level(&self) -> Level {
        Level::from_index(self.default.load(Ordering::Relaxed))
    }

    /// Returns the highest level of all. No source logs records above it.
    #[must_use]
    pub fn max(&self) -> Level {
        let levels = self.entries().iter().map(Entry::level);
        levels.fold(self.default_level(), Level::max)
    }

    /// Returns the number of sources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Acquire).min(MAX_SOURCES)
    }

    /// Returns `true` if there are no sources.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of records whose target had no place among the sources, since boot.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.get()
    }

    /// Returns the source with this number, in the order of registration from 0.
    #[must_use]
    pub fn source(&self, index: usize) -> Option<Known> {
        let entry = self.entries().get(index)?;
        Some(Known {
            bytes: bytes_of(
                &entry
                    .name
                    .each_ref()
                    .map(|word| word.load(Ordering::Relaxed)),
            ),
            len: entry.len(),
            level: entry.level(),
            declared: entry.declared.is_completed(),
        })
    }

    /// Returns all sources, in the order of registration.
    pub fn sources(&self) -> impl Iterator<Item = Known> + '_ {
        (0..).map_while(|index| self.source(index))
    }

    /// Returns `true` if a source has exactly this name.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// Adds a declared source. Declaring it again changes nothing and is not an error. If another source has its name,
    /// it follows that source's level. If there is no place, it follows its nearest ancestor's.
    pub fn declare(&self, source: &'static LogSource) {
        let Some(name) = name_of(source.name()) else {
            source.look_up();
            return;
        };
        let _changing = self.changing.lock();
        let place = self
            .find(source.name())
            .or_else(|| self.insert(source.name(), &name, Some(source)));
        let Some(at) = place else {
            self.refused.add(1);
            source.look_up();
            return;
        };
        let entry = &self.entries[at];
        let first = entry.declared.get().is_none();
        if !core::ptr::eq(*entry.declared.call_once(|| source), source) {
            source.look_up();
            return;
        }
        if let Some(level) = source.first()
            && first
            && entry.own().is_none()
        {
            entry.own.store(level as u8, Ordering::Relaxed);
        }
        self.settle();
    }

    /// Applies a list of settings, all of it or nothing. If the list sets the level for all, every source loses its own
    /// level unless the list sets it. Otherwise only the named sources change. The last of several items for one source
    /// wins.
    ///
    /// Cost: a search for each item, and for a new target a comparison with every source. Allocates nothing and waits
    /// for nothing.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] for the first target that cannot be set.
    pub fn apply<'a>(&self, levels: &Levels<'a>, unknown: Unknown) -> Result<(), ApplyError<'a>> {
        let (mut new, mut count) = ([""; MAX_SEEN], 0);
        for target in levels.iter().filter_map(|item| item.target) {
            if self.has(target) || new[..count].contains(&target) {
                continue;
            }
            if unknown == Unknown::Refuse && !self.is_ancestor(target) {
                return Err(ApplyError::Unknown(target));
            }
            if target.len() > MAX_TARGET_LEN {
                return Err(ApplyError::TooLong(target));
            }
            if self.seen() + count >= MAX_SEEN {
                return Err(ApplyError::TooMany(target));
            }
            new[count] = target;
            count += 1;
        }
        let mut own = [None; MAX_SOURCES];
        let (mut default, mut everyone) = (self.default_level(), false);
        for Item { target, level } in levels {
            let Some(target) = target else {
                (default, everyone) = (level, true);
                continue;
            };
            let place = self.find(target).or_else(|| {
                let name = name_of(target)?;
                let _changing = self.changing.lock();
                self.find(target)
                    .or_else(|| self.insert(target, &name, None))
            });
            // There is no place only if another task has added names since they were counted above.
            own[place.ok_or(ApplyError::TooMany(target))?] = Some(level);
        }
        let _changing = self.changing.lock();
        self.default.store(default as u8, Ordering::Relaxed);
        for (entry, level) in self.entries().iter().zip(own) {
            if level.is_some() || everyone {
                let own = level.map_or(NONE, |level| level as u8);
                entry.own.store(own, Ordering::Relaxed);
            }
        }
        self.settle();
        Ok(())
    }

    /// Updates the resulting level of all sources. The caller holds the lock.
    fn settle(&self) {
        for entry in self.entries() {
            let level = self.inherited(entry);
            entry.level.store(level as u8, Ordering::Relaxed);
            if let Some(source) = entry.declared.get() {
                source.set(level);
            }
        }
        (self.publish)(self.max());
    }

    /// Returns the entry's own level, or that of its nearest ancestor that has one, or the default.
    fn inherited<'e>(&'e self, mut entry: &'e Entry) -> Level {
        loop {
            if let Some(level) = entry.own() {
                return level;
            }
            match self.entries.get(usize::from(entry.parent())) {
                Some(parent) => entry = parent,
                None => return self.default_level(),
            }
        }
    }

    /// Adds a new name. The caller holds the lock.
    fn insert(
        &self,
        target: &str,
        name: &Name,
        declared: Option<&'static LogSource>,
    ) -> Option<usize> {
        // Another task may have added it before this one had the lock.
        if let Some(at) = self.find(target) {
            return Some(at);
        }
        let at = self.len();
        if declared.is_none() && self.seen() >= MAX_SEEN {
            return None;
        }
        let entry = self.entries.get(at)?;
        for (mine, word) in entry.name.iter().zip(name) {
            mine.store(*word, Ordering::Relaxed);
        }
        let parent = self.nearest(target);
        let index_of = |at: Option<usize>| at.map_or(NONE, |at| at as u8);
        entry.len.store(target.len() as u8, Ordering::Relaxed);
        entry.parent.store(index_of(parent), Ordering::Relaxed);
        entry.own.store(NONE, Ordering::Relaxed);
        if let Some(source) = declared {
            entry.declared.call_once(|| source);
            if let Some(level) = source.first() {
                entry.own.store(level as u8, Ordering::Relaxed);
            }
        }
        let level = self.inherited(entry);
        entry.level.store(level as u8, Ordering::Relaxed);
        for below in self.entries() {
            let farther = below.parent() == index_of(parent);
            if farther && below.len() > target.len() && below.is_below(target) {
                below.parent.store(at as u8, Ordering::Relaxed);
            }
        }
        self.len.store(at + 1, Ordering::Release);
        let empty = probe(name, target.len()).find(|&place| self.at(place) == NONE);
        self.places[empty?].store(at as u8, Ordering::Release);
        Some(at)
    }

    fn entries(&self) -> &[Entry] {
        &self.entries[..self.len()]
    }

    fn at(&self, place: usize) -> u8 {
        self.places[place].load(Ordering::Acquire)
    }

    fn find(&self, target: &str) -> Option<usize> {
        let name = name_of(target)?;
        probe(&name, target.len())
            .map(|place| usize::from(self.at(place)))
            .take_while(|&at| at < MAX_SOURCES)
            .find(|&at| self.entries[at].is(&name, target.len()))
    }

    /// Returns the source of this name, or the nearest one above it.
    fn nearest(&self, target: &str) -> Option<usize> {
        let ends = (1..target.len()).rev();
        let above = ends.filter(|&end| target.as_bytes()[end..].starts_with(b"::"));
        let names = above.map(|end| &target[..end]);
        self.find(target)
            .or_else(|| names.into_iter().find_map(|name| self.find(name)))
    }

    fn is_ancestor(&self, target: &str) -> bool {
        self.entries().iter().any(|entry| entry.is_below(target))
    }

    /// Returns the number of sources that are not declared.
    fn seen(&self) -> usize {
        let declared = |entry: &&Entry| entry.declared.is_completed();
        self.len() - self.entries().iter().filter(declared).count()
    }
}

/// Returns the places where a name may be, in the order of the search.
fn probe(name: &Name, len: usize) -> impl Iterator<Item = usize> + use<> {
    // Multiplied by the golden ratio of 2^64 (Knuth, The Art of Computer Programming, volume 3, section 6.4). The upper
    // bits of the product depend on the whole word.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |hash: u64, word: &u64| (hash.rotate_left(5) ^ word).wrapping_mul(GOLDEN);
    let hash = name[..len.div_ceil(8)].iter().fold(len as u64, mix);
    let first = (hash >> (u64::BITS - PLACES.ilog2())) as usize;
    (first..first + PLACES).map(|place| place % PLACES)
}

#[cfg(test)]
mod tests;
