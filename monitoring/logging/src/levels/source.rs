//! A source of log records that an application declares.

use core::sync::atomic::{AtomicU8, Ordering};

use super::Level;

/// The source is not in a table yet.
const NEW: u8 = 0xff;
/// Another source has this name, or the table has no place: the level is looked up by name.
const BY_NAME: u8 = 0xfe;

/// A declared source: a target with a name, a description, and its level in one byte.
///
/// ```text
///   new ──1──▶ has its level ◀──2       1 declared: explicitly, or by its first record
///    └────1──▶ looked up by name        2 the level is changed
/// ```
///
/// A record of [`log_to!`](crate::log_to) costs one load while the source's level is too low for it. A record of the
/// facade (`log::debug!(…)`) costs one load only while no source logs at its level; otherwise a look into the
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
    /// Creates a source that no table knows yet. [`log_source!`](crate::log_source) makes a `static` of it.
    ///
    /// # Panics
    /// If the name is empty or longer than [`MAX_TARGET_LEN`](super::MAX_TARGET_LEN). A `static` fails at compile time.
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

    /// Returns the source with a level from the start, unless its level was set before it was declared. A level for all
    /// sources replaces it.
    #[must_use]
    pub const fn at(mut self, level: Level) -> Self {
        self.first = Some(level);
        self
    }

    /// Returns the source with a function that receives each new level, for a log outside this crate. It is called with
    /// interrupts masked, so it must do little and must not enable interrupts.
    #[must_use]
    pub const fn followed_by(mut self, follower: fn(Level)) -> Self {
        self.follower = Some(follower);
        self
    }

    /// Returns the name. The control port uses it, and records show it as their target.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the description, in one sentence.
    #[must_use]
    pub const fn doc(&self) -> &'static str {
        self.doc
    }

    pub(super) const fn first(&self) -> Option<Level> {
        self.first
    }

    /// Returns `true` if records of this level are logged. One relaxed load; the first use declares the source.
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

    /// Returns the level, or [`Unsettled`] if the source is not declared or must be looked up. One relaxed load.
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

/// The reason why a source does not hold its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsettled {
    /// No table knows the source yet.
    New,
    /// The table has the level of the source's name.
    ByName,
}

/// Declares a source of log records: a `static` [`LogSource`].
///
/// The default name is the module's path. The source appears on the control port with its first record, or after a call
/// of [`logging::declare`](crate::declare).
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

/// Logs a record of a declared source: `log_to!(CACHE, Debug, "evicted {count} entries")`.
///
/// The level is a variant of [`log::Level`]. While it is off for the source, this costs one load, and the arguments are
/// not evaluated.
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
