//! Which target logs at which level: read by every record that is not disabled for all, changed rarely.
//!
//! No lock: a task that held one could be preempted by a task of higher priority that logs, and that would
//! wait for ever. The table exists twice. Readers use one half; a change is written to the other, and then
//! one store makes that the one to be read. So a reader never waits for a writer, wherever that was
//! preempted, and a reader that was itself preempted by a change sees from the version that it has to look
//! again.
//!
//! ```text
//! version  even: half 0 is read, a change goes to half 1
//!          odd:  half 1 is read, a change goes to half 0
//! ```

use core::fmt;
use core::str;
use core::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering, fence};

use super::{Item, Level, Levels};

/// The most targets with a level of their own. An operator sets a handful; a record that is not disabled for
/// all is compared with each.
pub const MAX_TARGETS: usize = 32;

/// The longest target with a level of its own, in bytes. Module paths are shorter; the table holds copies,
/// because what names them is a command that is gone a moment later.
pub const MAX_TARGET_LEN: usize = 64;

const WORDS: usize = MAX_TARGET_LEN / 8;
const _: () = assert!(
    MAX_TARGET_LEN.is_multiple_of(8) && MAX_TARGET_LEN < 256,
    "a name fills whole words, its length a byte"
);

/// The default level and the levels of single targets. About 4.7 KB.
///
/// May be read from any task and from interrupts. A record's target has the level of its nearest ancestor in
/// the table: of `a` and `a::b`, `a::b` is that of `a::b` and `a::b::c`, and neither has to do with `a::bc`.
#[derive(Debug)]
pub struct Table {
    version: AtomicUsize,
    halves: [Half; 2],
    /// Whether a change is being made.
    changing: AtomicBool,
}

#[derive(Debug)]
struct Half {
    /// Bits 0–7: the default level. Bits 8–15: the number of entries.
    head: AtomicU64,
    entries: [Entry; MAX_TARGETS],
}

#[derive(Debug)]
struct Entry {
    /// Bits 0–7: the level. Bits 8–15: the length of the name.
    head: AtomicU64,
    /// The name, filled up with zeros.
    name: [AtomicU64; WORDS],
}

/// A name as it is stored.
type Name = [u64; WORDS];

/// Why a list of levels was not applied; nothing of it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApplyError<'a> {
    /// This target is one more than [`MAX_TARGETS`].
    TooMany(&'a str),
    /// This target is longer than [`MAX_TARGET_LEN`].
    TooLong(&'a str),
    /// A change by another task is under way: try again.
    Busy,
}

impl fmt::Display for ApplyError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooMany(target) => write!(
                f,
                "{target:?}: more than {MAX_TARGETS} targets have levels of their own"
            ),
            Self::TooLong(target) => write!(
                f,
                "{target:?}: log target longer than {MAX_TARGET_LEN} bytes"
            ),
            Self::Busy => f.write_str("the log levels are being changed by another task"),
        }
    }
}

impl core::error::Error for ApplyError<'_> {}

impl Table {
    /// Everyone logs at `default`.
    #[must_use]
    pub const fn new(default: Level) -> Self {
        let head = AtomicU64::new(default as u64);
        Self {
            version: AtomicUsize::new(0),
            halves: [Half::new(head), Half::new(AtomicU64::new(0))],
            changing: AtomicBool::new(false),
        }
    }

    /// The level of a target. Cost: four loads, and one or more per target that has a level of its own.
    /// Repeated if the table was changed meanwhile.
    #[must_use]
    pub fn level(&self, target: &str) -> Level {
        self.read(|half| half.level(target.as_bytes()))
    }

    /// The level of every target that has none of its own, nor an ancestor that has.
    #[must_use]
    pub fn default_level(&self) -> Level {
        self.read(|half| half.head().0)
    }

    /// The highest level in the table: what is above it is logged by nobody.
    #[must_use]
    pub fn max(&self) -> Level {
        self.read(|half| {
            let (default, len) = half.head();
            half.entries[..len]
                .iter()
                .map(|entry| entry.head().0)
                .fold(default, Level::max)
        })
    }

    /// Calls `f` with each target that has a level of its own, in the order in which they came. A target that
    /// is changed at the same time may be missed.
    pub fn for_each(&self, f: &mut dyn FnMut(&str, Level)) {
        for index in 0..MAX_TARGETS {
            let entry =
                self.read(|half| (index < half.head().1).then(|| half.entries[index].load()));
            let Some((level, len, name)) = entry else {
                return;
            };
            let bytes = bytes_of(&name);
            // Always text: a reading is never torn, and what is stored was a text.
            if let Ok(target) = str::from_utf8(&bytes[..len]) {
                f(target, level);
            }
        }
    }

    /// Applies a list of settings, all of it or nothing. If it sets the level for everyone, no target keeps
    /// one of its own but by this list; else it changes only what it names. The last of several items for
    /// one target wins.
    ///
    /// Cost: for each item a comparison with every target in the table. Allocates nothing, waits for nothing.
    ///
    /// # Errors
    ///
    /// [`ApplyError`] if a target is too long or one too many, or if another task is changing the table.
    pub fn apply<'a>(&self, levels: &Levels<'a>) -> Result<(), ApplyError<'a>> {
        if self
            .changing
            .compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            return Err(ApplyError::Busy);
        }
        let version = self.version.load(Ordering::Relaxed);
        let (now, next) = (&self.halves[version % 2], &self.halves[(version + 1) % 2]);
        // A reader that sees anything of what is written to `next` below must also see that the version has
        // moved since it began to read `next`; this fence pairs with the one in `read`.
        fence(Ordering::Release);
        let result = next.change(now, levels);
        if result.is_ok() {
            self.version
                .store(version.wrapping_add(1), Ordering::Release);
        }
        self.changing.store(false, Ordering::Release);
        result
    }

    /// Reads the half that is current, again if it was no longer current afterwards.
    fn read<T>(&self, reading: impl Fn(&Half) -> T) -> T {
        loop {
            let before = self.version.load(Ordering::Acquire);
            let result = reading(&self.halves[before % 2]);
            fence(Ordering::Acquire);
            // Only after the next version may anyone write to the half that was read.
            if self.version.load(Ordering::Relaxed) == before {
                return result;
            }
        }
    }
}

impl Half {
    const fn new(head: AtomicU64) -> Self {
        Self {
            head,
            entries: [const { Entry::new() }; MAX_TARGETS],
        }
    }

    fn head(&self) -> (Level, usize) {
        let (level, len) = unpack(self.head.load(Ordering::Relaxed));
        (level, len.min(MAX_TARGETS))
    }

    fn level(&self, target: &[u8]) -> Level {
        let (mut level, len) = self.head();
        let mut nearest = 0;
        for entry in &self.entries[..len] {
            let (own, len) = entry.head();
            if len > nearest && is_at_or_below(target, len) && entry.starts(target, len) {
                (level, nearest) = (own, len);
            }
        }
        level
    }

    /// Makes this half what `now` is with the settings applied.
    fn change<'a>(&self, now: &Self, levels: &Levels<'a>) -> Result<(), ApplyError<'a>> {
        let (mut default, mut len) = now.head();
        if levels.iter().any(|item| item.target.is_none()) {
            len = 0;
        }
        for (mine, theirs) in self.entries.iter().zip(&now.entries[..len]) {
            let (level, len, name) = theirs.load();
            mine.store(level, len, &name);
        }
        for Item { target, level } in levels {
            let Some(target) = target else {
                default = level;
                continue;
            };
            let name = name_of(target).ok_or(ApplyError::TooLong(target))?;
            let known = self.entries[..len].iter().position(|entry| {
                let (_, len, stored) = entry.load();
                len == target.len() && stored == name
            });
            let index = known.unwrap_or(len);
            let entry = self.entries.get(index).ok_or(ApplyError::TooMany(target))?;
            entry.store(level, target.len(), &name);
            len = len.max(index + 1);
        }
        self.head.store(pack(default, len), Ordering::Relaxed);
        Ok(())
    }
}

impl Entry {
    const fn new() -> Self {
        Self {
            head: AtomicU64::new(0),
            name: [const { AtomicU64::new(0) }; WORDS],
        }
    }

    fn head(&self) -> (Level, usize) {
        let (level, len) = unpack(self.head.load(Ordering::Relaxed));
        (level, len.min(MAX_TARGET_LEN))
    }

    fn load(&self) -> (Level, usize, Name) {
        let (level, len) = self.head();
        (
            level,
            len,
            self.name
                .each_ref()
                .map(|word| word.load(Ordering::Relaxed)),
        )
    }

    fn store(&self, level: Level, len: usize, name: &Name) {
        self.head.store(pack(level, len), Ordering::Relaxed);
        for (mine, word) in self.name.iter().zip(name) {
            mine.store(*word, Ordering::Relaxed);
        }
    }

    /// Whether the first `len` bytes of `target`, which has as many, are this entry's name.
    fn starts(&self, target: &[u8], len: usize) -> bool {
        target[..len]
            .chunks(8)
            .zip(&self.name)
            .all(|(piece, word)| {
                let mut bytes = [0; 8];
                bytes[..piece.len()].copy_from_slice(piece);
                u64::from_le_bytes(bytes) == word.load(Ordering::Relaxed)
            })
    }
}

/// Whether a target that starts with a name of this length has that name or one below it.
fn is_at_or_below(target: &[u8], len: usize) -> bool {
    target.len() == len
        || target
            .get(len..)
            .is_some_and(|rest| rest.starts_with(b"::"))
}

fn pack(level: Level, len: usize) -> u64 {
    level as u64 | ((len as u64) << 8)
}

fn unpack(head: u64) -> (Level, usize) {
    (
        Level::from_index(head as u8),
        usize::from((head >> 8) as u8),
    )
}

fn name_of(target: &str) -> Option<Name> {
    let mut bytes = [0; MAX_TARGET_LEN];
    bytes
        .get_mut(..target.len())?
        .copy_from_slice(target.as_bytes());
    let mut name = [0; WORDS];
    for (word, bytes) in name.iter_mut().zip(bytes.as_chunks().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    Some(name)
}

fn bytes_of(name: &Name) -> [u8; MAX_TARGET_LEN] {
    let mut bytes = [0; MAX_TARGET_LEN];
    for (bytes, word) in bytes.as_chunks_mut().0.iter_mut().zip(name) {
        *bytes = word.to_le_bytes();
    }
    bytes
}

#[cfg(test)]
mod tests;
