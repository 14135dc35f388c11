//! A source of log records that an application declares.

use core::sync::atomic::{AtomicU8, Ordering};

use super::Level;

/// Not in a table yet.
const NEW: u8 = 0xff;
/// Another source has its name, or the table has no place: its level is looked up by name.
const BY_NAME: u8 = 0xfe;

/// A declared source: a target with a name, a sentence, and a level of its own in one byte.
///
/// ```text
///   new ──1──▶ has its level ◀──2       1 declared: explicitly, or by its first record
///    └────1──▶ looked up by name        2 the level is changed
/// ```
///
/// A record that is given to it by [`log_to!`](crate::log_to) costs one load while its level is too low for it. One that is given
/// to the facade (`log::debug!(…)`) costs one load only while no source logs at its level, and else a look into the
/// [`Table`](super::Table).
#[derive(Debug)]
pub struct LogSource {
    name: &'static str,
    doc: &'static str,
    first: Option<Level>,
    follower: Option<fn(Level)>,
    level: AtomicU8,
}

impl LogSource {
    /// A source that no table knows yet. [`log_source!`](crate::log_source) makes a `static` of it.
    ///
    /// # Panics
    /// If the name is empty or longer than [`MAX_TARGET_LEN`](super::MAX_TARGET_LEN): while compiling, for a `static`.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        assert!(!name.is_empty() && name.len() <= super::MAX_TARGET_LEN);
        Self {
            name,
            doc,
            first: None,
            follower: None,
            level: AtomicU8::new(NEW),
        }
    }

    /// The same with a level of its own from the start, unless it was given one before it was declared. A level for
    /// everyone takes it away like any other.
    #[must_use]
    pub const fn at(mut self, level: Level) -> Self {
        self.first = Some(level);
        self
    }

    /// The same with a function that is told each new level: for a log that is not ours. Called with interrupts masked,
    /// so it does little and calls nothing that enables them.
    #[must_use]
    pub const fn followed_by(mut self, follower: fn(Level)) -> Self {
        self.follower = Some(follower);
        self
    }

    /// The name: what the control port calls it, and what its records show as their target.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What logs there, in one sentence.
    #[must_use]
    pub const fn doc(&self) -> &'static str {
        self.doc
    }

    pub(super) const fn first(&self) -> Option<Level> {
        self.first
    }

    /// Whether its records of this level are logged. One relaxed load; the first use declares the source.
    ///
    /// ```
    /// logging::log_source!(CACHE = "app::cache", "answers that were given before");
    /// assert!(CACHE.is_enabled(log::Level::Info) && !CACHE.is_enabled(log::Level::Debug));
    /// ```
    #[inline(always)]
    #[must_use]
    pub fn is_enabled(&'static self, level: log::Level) -> bool {
        let own = self.level();
        level
            <= own
                .unwrap_or_else(|why| crate::level_of(self, why))
                .filter()
    }

    /// Its level, or [`Unsettled`] before it is declared, or if it has to be looked up. One relaxed load.
    #[inline(always)]
    pub(crate) fn level(&self) -> Result<Level, Unsettled> {
        match self.level.load(Ordering::Relaxed) {
            NEW => Err(Unsettled::New),
            BY_NAME => Err(Unsettled::ByName),
            level => Ok(Level::from_index(level)),
        }
    }

    pub(super) fn set(&self, level: Level) {
        let before = self.level.swap(level as u8, Ordering::Relaxed);
        if before != level as u8
            && let Some(follower) = self.follower
        {
            follower(level);
        }
    }

    pub(super) fn look_up(&self) {
        self.level.store(BY_NAME, Ordering::Relaxed);
    }
}

/// A source does not know its level itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsettled {
    /// No table knows it yet.
    New,
    /// The table knows its name's.
    ByName,
}

/// Declares a source of log records: a `static` [`LogSource`].
///
/// The name is the module's path unless another is given. The source appears on the control port with its first
/// record, or once [`logging::declare`](crate::declare) is called.
///
/// ```
/// logging::log_source!(LOG, "what this module does");
/// logging::log_source!(pub CACHE = "app::cache", "answers that were given before");
///
/// logging::log_to!(CACHE, Debug, "evicted {} entries", 17);
/// assert_eq!(CACHE.name(), "app::cache");
/// assert_eq!(LOG.name(), module_path!());
/// ```
#[macro_export]
macro_rules! log_source {
    ($(#[$meta:meta])* $vis:vis $name:ident, $doc:expr) => {
        $crate::log_source!($(#[$meta])* $vis $name = ::core::module_path!(), $doc);
    };
    ($(#[$meta:meta])* $vis:vis $name:ident = $target:expr, $doc:expr) => {
        $(#[$meta])*
        $vis static $name: $crate::LogSource = $crate::LogSource::new($target, $doc);
    };
}

/// Gives a record to a declared source: `log_to!(CACHE, Debug, "evicted {count} entries")`.
///
/// The level is a variant of [`log::Level`]. While it is off for the source, this costs one load, and the arguments
/// are not evaluated.
///
/// ```
/// use logging::{log_source, log_to};
/// log_source!(CACHE = "app::cache", "answers that were given before");
/// log_to!(CACHE, Debug, "evicted {}", unreachable!() as u32);
/// ```
#[macro_export]
macro_rules! log_to {
    ($source:expr, $level:ident, $($argument:tt)+) => {
        if $source.is_enabled($crate::log::Level::$level) {
            $crate::log::log!(logger: $source, $crate::log::Level::$level, $($argument)+);
        }
    };
}
