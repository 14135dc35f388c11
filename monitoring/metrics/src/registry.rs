//! All sources of an image, and their switches.
//!
//! A source is on if it was switched on by its name. If it was not switched by name, it is on if `all` is on or one of
//! its tags is. A switch by name holds until all sources are switched; switches of tags do not change it. A source that
//! is registered later follows the rules in force then.
//!
//! | call | all | tags that are on | single sources |
//! |---|---|---|---|
//! | `enable_all` | on | stay | follow the rules again |
//! | `disable_all` | off | none | follow the rules again |
//! | `enable_tag`, `disable_tag` | stays | one more, one less | those switched by name stay |
//! | `enable`, `disable` | stays | stay | this one stays on or off |
//!
//! As in `mirage/metrics`, tags have no effect while all is on. Unlike there, a tag does not undo a switch of a single
//! source, and unknown names are errors.

mod plan;
mod series;
mod source;

use core::fmt;

pub use self::plan::Plan;
pub use self::series::{
    EXPIRY_DEFAULT, Look, SERIES_FIELDS_MAX, SERIES_LABELS_MAX, SERIES_MAX, SERIES_TAG_BYTES,
    SeriesCache, SeriesCounts, Snapshot,
};
pub(crate) use self::source::setters;
pub use self::source::{Metric, Origin, Source};
use crate::line::MAX_TAGS;
use sync::Lock;
use units::OneLine;

/// The most sources. An application has a few dozen. Every source costs a look per interval, and a switch of a tag
/// looks at all of them with interrupts masked: 128 take some µs. 4 KiB.
pub const SOURCES_MAX: usize = 128;

/// The most tags that are on at a time: one for each subsystem of an image, and a reserve.
pub const ENABLED_TAGS_MAX: usize = 32;

/// The reason why a source was not registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegisterError {
    /// Another source has this name.
    NameTaken(&'static str),
    /// This source is one more than [`SOURCES_MAX`].
    TooMany(&'static str),
    /// This source has more tags than fit a line beside `vm`: [`MAX_TAGS`] less one.
    TooManyTags(&'static str),
    /// The source has no name.
    NoName,
}

impl fmt::Display for RegisterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameTaken(name) => write!(f, "{name:?}: another source has this name"),
            Self::TooMany(name) => write!(f, "{name:?}: more than {SOURCES_MAX} sources"),
            Self::TooManyTags(name) => write!(f, "{name:?}: more than {} tags", MAX_TAGS - 1),
            Self::NoName => f.write_str("\"\": a source needs a name"),
        }
    }
}

impl core::error::Error for RegisterError {}

/// The reason why nothing was switched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchError<'a> {
    /// No source has this name.
    UnknownSource(&'a str),
    /// No source has a tag of this name.
    UnknownTag(&'a str),
    /// This tag is one more than [`ENABLED_TAGS_MAX`].
    TooManyTags(&'a str),
}

/// Writes the texts of the control port; the first is `mirage-monitoring`'s. An unknown tag has the same text: the
/// source with that tag is unknown.
impl fmt::Display for SwitchError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownSource(name) | Self::UnknownTag(name) => {
                write!(f, "unknown source: {}", OneLine(name))
            }
            Self::TooManyTags(name) => write!(
                f,
                "more than {ENABLED_TAGS_MAX} tags on: tag:{}",
                OneLine(name)
            ),
        }
    }
}

impl core::error::Error for SwitchError<'_> {}

/// A registered source and its switch.
#[derive(Clone, Copy)]
pub struct Entry {
    /// The source.
    pub metric: &'static dyn Metric,
    /// `true` if it is on.
    pub active: bool,
    /// The last switch by name since all sources were switched.
    pub explicit: Option<bool>,
}

#[derive(Clone, Copy)]
struct Slot {
    metric: &'static dyn Metric,
    explicit: Option<bool>,
    /// The number of its tags that are on, at most [`MAX_TAGS`].
    tags_on: u8,
}

impl Slot {
    fn is_active(&self, all: bool) -> bool {
        self.explicit.unwrap_or(all || self.tags_on > 0)
    }
}

struct Inner {
    slots: [Option<Slot>; SOURCES_MAX],
    len: usize,
    all: bool,
    tags: [Option<&'static str>; ENABLED_TAGS_MAX],
    refused: u64,
}

/// The sources and their switches. An image has one: [`super::registry`]; tests make their own as a `static`.
///
/// Any task may make any call; none allocates. Memory: under 5 KiB and the [`SeriesCache`].
pub struct Registry {
    inner: Lock<Inner>,
    series: &'static SeriesCache,
}

impl Registry {
    /// Creates a registry without sources, with all on. The cache is a separate `static`: it is all zeros, so it takes
    /// no space in the image's file.
    #[must_use]
    pub const fn new(series: &'static SeriesCache) -> Self {
        Self {
            inner: Lock::new(Inner {
                slots: [None; SOURCES_MAX],
                len: 0,
                all: true,
                tags: [None; ENABLED_TAGS_MAX],
                refused: 0,
            }),
            series,
        }
    }

    /// Adds a source. Adding it again changes nothing and is not an error. Cost: one comparison per source.
    ///
    /// # Errors
    /// [`RegisterError`]; then the source stays off and is counted.
    pub fn register(&'static self, metric: &'static dyn Metric) -> Result<(), RegisterError> {
        let source = metric.source();
        let mut inner = self.inner.lock();
        let found = inner.find(source.name).map(|at| inner.slots[at]);
        let result = match found.flatten() {
            Some(slot) if core::ptr::eq(slot.metric.source(), source) => return Ok(()),
            Some(_) => Err(RegisterError::NameTaken(source.name)),
            None if source.name.is_empty() => Err(RegisterError::NoName),
            None if source.tag_names().count() >= MAX_TAGS => {
                Err(RegisterError::TooManyTags(source.name))
            }
            None if inner.len == SOURCES_MAX => Err(RegisterError::TooMany(source.name)),
            None => Ok(()),
        };
        if result.is_err() {
            inner.refused += 1;
            source.refuse();
            return result;
        }
        let is_on = |name: &&'static str| inner.tags.contains(&Some(*name));
        let slot = Slot {
            metric,
            explicit: None,
            tags_on: source.tag_names().filter(is_on).count() as u8,
        };
        let at = inner.len;
        inner.slots[at] = Some(slot);
        inner.len += 1;
        source.settle(self, slot.is_active(inner.all));
        Ok(())
    }

    /// Returns the memory of the registry and its series, in bytes. It is static and does not grow.
    #[must_use]
    pub const fn memory_bytes(&self) -> usize {
        size_of::<Self>() + SeriesCache::BYTES
    }

    /// Switches all sources on, also those registered later.
    pub fn enable_all(&self) {
        self.inner.lock().switch_all(true);
    }

    /// Switches all sources off, also those registered later, and switches all tags off.
    pub fn disable_all(&self) {
        self.inner.lock().switch_all(false);
    }

    /// Switches on the sources that have a tag of this name, also those registered later.
    ///
    /// # Errors
    /// [`SwitchError`] if no source has the tag, or too many tags are on.
    pub fn enable_tag<'a>(&self, name: &'a str) -> Result<(), SwitchError<'a>> {
        let mut inner = self.inner.lock();
        let tag = inner.tag(name)?;
        if inner.tags.contains(&Some(tag)) {
            return Ok(());
        }
        let free = inner.tags.iter().position(Option::is_none);
        inner.tags[free.ok_or(SwitchError::TooManyTags(name))?] = Some(tag);
        inner.settle();
        Ok(())
    }

    /// Switches a tag off.
    ///
    /// # Errors
    /// [`SwitchError`] if no source has the tag.
    pub fn disable_tag<'a>(&self, name: &'a str) -> Result<(), SwitchError<'a>> {
        let mut inner = self.inner.lock();
        let tag = inner.tag(name)?;
        if let Some(at) = inner.tags.iter().position(|on| *on == Some(tag)) {
            inner.tags[at] = None;
            inner.settle();
        }
        Ok(())
    }

    /// Switches one source on.
    ///
    /// # Errors
    /// [`SwitchError`] if no source has this name.
    pub fn enable<'a>(&self, name: &'a str) -> Result<(), SwitchError<'a>> {
        self.inner.lock().switch(name, true)
    }

    /// Switches one source off. It sends nothing from the next interval on.
    ///
    /// # Errors
    /// [`SwitchError`] if no source has this name.
    pub fn disable<'a>(&self, name: &'a str) -> Result<(), SwitchError<'a>> {
        self.inner.lock().switch(name, false)
    }

    /// Applies a plan, at once. Cost: a look at every source and its tags, with interrupts masked.
    ///
    /// # Errors
    /// [`SwitchError`] if too many tags would be on; then nothing is switched.
    pub fn apply(&self, plan: &Plan) -> Result<(), SwitchError<'static>> {
        let mut inner = self.inner.lock();
        let tags = inner.tags_after(plan)?;
        inner.tags = tags;
        inner.all = plan.all.unwrap_or(inner.all);
        for at in 0..inner.len {
            if let Some(slot) = &mut inner.slots[at] {
                let kept = slot.explicit.filter(|_| plan.all.is_none());
                slot.explicit = plan.sources[at].or(kept);
            }
        }
        inner.settle();
        Ok(())
    }

    /// Returns the number of the source with this name.
    pub(super) fn index(&self, name: &str) -> Option<usize> {
        self.inner.lock().find(name)
    }

    /// Returns the tag of this name, as the source holds it.
    pub(super) fn tag<'a>(&self, name: &'a str) -> Result<&'static str, SwitchError<'a>> {
        self.inner.lock().tag(name)
    }

    /// Returns `true` if sources without a switch of their name are on.
    #[must_use]
    pub fn all(&self) -> bool {
        self.inner.lock().all
    }

    /// Returns the tags that are on, in any order.
    pub fn enabled_tags(&self) -> impl Iterator<Item = &'static str> + use<> {
        let tags = self.inner.lock().tags;
        tags.into_iter().flatten()
    }

    /// Returns the source with this number, in the order of registration from 0.
    #[must_use]
    pub fn entry(&self, index: usize) -> Option<Entry> {
        let inner = self.inner.lock();
        let slot = inner.slots.get(index).copied().flatten()?;
        Some(Entry {
            metric: slot.metric,
            active: slot.is_active(inner.all),
            explicit: slot.explicit,
        })
    }

    /// Returns the source with this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Entry> {
        let index = self.inner.lock().find(name)?;
        self.entry(index)
    }

    /// Returns all sources in the order of registration. The lock is taken for one at a time.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..).map_while(|index| self.entry(index))
    }

    /// Returns the number of sources.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inner.lock().len
    }

    /// Returns `true` if there are no sources.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of sources that could not be registered, since boot.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.inner.lock().refused
    }

    /// Returns the last values of the sources that push points.
    #[must_use]
    pub const fn series(&self) -> &SeriesCache {
        self.series
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").finish_non_exhaustive()
    }
}

static SERIES: SeriesCache = SeriesCache::new();
static REGISTRY: Registry = Registry::new(&SERIES);

/// Returns the registry of the image, which switches sources by name, by tag, or all.
///
/// ```
/// use metrics::Counter;
/// static JOBS: Counter = Counter::new("jobs", "jobs done");
/// metrics::register(&JOBS).unwrap();
/// metrics::registry().disable("jobs").unwrap();
/// assert!(!metrics::registry().find("jobs").unwrap().active);
/// ```
#[must_use]
pub fn registry() -> &'static Registry {
    &REGISTRY
}

/// Registers a source before its first use.
///
/// ```
/// use metrics::{self, Counter, RegisterError};
/// static ONE: Counter = Counter::new("jobs", "jobs done");
/// static TWO: Counter = Counter::new("jobs", "jobs begun");
/// metrics::register(&ONE).unwrap();
/// assert_eq!(metrics::register(&TWO), Err(RegisterError::NameTaken("jobs")));
/// ```
///
/// # Errors
/// [`RegisterError`]; the source stays off then.
pub fn register(metric: &'static dyn Metric) -> Result<(), RegisterError> {
    REGISTRY.register(metric)
}

impl Inner {
    fn find(&self, name: &str) -> Option<usize> {
        let mut slots = self.slots[..self.len].iter();
        slots.position(|slot| slot.is_some_and(|slot| slot.metric.source().name == name))
    }

    /// Returns the text of the tag that lives as long as its source.
    fn tag<'a>(&self, name: &'a str) -> Result<&'static str, SwitchError<'a>> {
        let mut tags = self
            .slots
            .iter()
            .flatten()
            .flat_map(|slot| slot.metric.source().tag_names());
        tags.find(|tag| *tag == name)
            .ok_or(SwitchError::UnknownTag(name))
    }

    fn switch<'a>(&mut self, name: &'a str, on: bool) -> Result<(), SwitchError<'a>> {
        let at = self.find(name).ok_or(SwitchError::UnknownSource(name))?;
        if let Some(slot) = &mut self.slots[at] {
            slot.explicit = Some(on);
            slot.metric.source().switch(on);
        }
        Ok(())
    }

    /// Returns the tags that are on after `plan`.
    fn tags_after(
        &self,
        plan: &Plan,
    ) -> Result<[Option<&'static str>; ENABLED_TAGS_MAX], SwitchError<'static>> {
        let mut tags = self.tags;
        if plan.all == Some(false) {
            tags = [None; ENABLED_TAGS_MAX];
        }
        let planned = || plan.tags.iter().flatten();
        for tag in &mut tags {
            if planned().any(|(off, on)| !on && *tag == Some(*off)) {
                *tag = None;
            }
        }
        for (tag, _) in planned().filter(|(_, on)| *on) {
            if !tags.contains(&Some(tag)) {
                let free = tags.iter_mut().find(|place| place.is_none());
                *free.ok_or(SwitchError::TooManyTags(tag))? = Some(tag);
            }
        }
        Ok(tags)
    }

    /// Gives every source the state that follows from all switches.
    fn settle(&mut self) {
        let tags = self.tags;
        for slot in self.slots.iter_mut().flatten() {
            let source = slot.metric.source();
            let is_on = |name: &&'static str| tags.contains(&Some(*name));
            slot.tags_on = source.tag_names().filter(is_on).count() as u8;
            source.switch(slot.is_active(self.all));
        }
    }

    fn switch_all(&mut self, on: bool) {
        self.all = on;
        if !on {
            self.tags = [None; ENABLED_TAGS_MAX];
        }
        for slot in self.slots.iter_mut().flatten() {
            slot.explicit = None;
        }
        self.settle();
    }
}

/// Creates a registry for one test. Unoptimized code moves it over the stack several times, and a test's thread has too
/// little stack for that.
#[cfg(test)]
pub(crate) fn leaked() -> &'static Registry {
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    let made = thread.spawn(|| {
        &*Box::leak(Box::new(Registry::new(Box::leak(Box::new(
            SeriesCache::new(),
        )))))
    });
    made.expect("a thread").join().expect("a registry")
}

#[cfg(test)]
mod tests;
