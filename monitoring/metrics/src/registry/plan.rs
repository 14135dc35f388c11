//! Several switches at once.

use super::{ENABLED_TAGS_MAX, Registry, SOURCES_MAX, SwitchError};

/// A set of switches that are applied together or not at all: first all, then tags, then single sources. The last
/// switch of a tag or source counts.
///
/// ```
/// use metrics::{self, Counter, Plan};
/// static JOBS: Counter = Counter::new("jobs", "jobs done");
/// metrics::register(&JOBS).unwrap();
/// let registry = metrics::registry();
///
/// let mut plan = Plan::new();
/// plan.source(registry, "jobs", true).unwrap();
/// plan.all(false);
/// registry.apply(&plan).unwrap();
/// assert!(registry.find("jobs").unwrap().active && !registry.all());
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub(super) all: Option<bool>,
    pub(super) tags: [Option<(&'static str, bool)>; ENABLED_TAGS_MAX],
    /// Indexed by the number of the source, which never changes.
    pub(super) sources: [Option<bool>; SOURCES_MAX],
}

impl Plan {
    /// Creates an empty plan.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            all: None,
            tags: [None; ENABLED_TAGS_MAX],
            sources: [None; SOURCES_MAX],
        }
    }

    /// Adds [`Registry::enable_all`] or [`Registry::disable_all`].
    pub const fn all(&mut self, on: bool) {
        self.all = Some(on);
    }

    /// Adds [`Registry::enable_tag`] or [`Registry::disable_tag`]. Cost: a comparison with every tag of every source.
    ///
    /// # Errors
    /// [`SwitchError`] if no source has the tag, or if the plan names more tags than may be on.
    pub fn tag<'a>(
        &mut self,
        registry: &Registry,
        name: &'a str,
        on: bool,
    ) -> Result<(), SwitchError<'a>> {
        let tag = registry.tag(name)?;
        let same = |place: &&mut Option<(&str, bool)>| place.is_none_or(|(known, _)| known == tag);
        let place = self.tags.iter_mut().find(same);
        *place.ok_or(SwitchError::TooManyTags(name))? = Some((tag, on));
        Ok(())
    }

    /// Adds [`Registry::enable`] or [`Registry::disable`]. Cost: a comparison with every source.
    ///
    /// # Errors
    /// [`SwitchError`] if no source has this name.
    pub fn source<'a>(
        &mut self,
        registry: &Registry,
        name: &'a str,
        on: bool,
    ) -> Result<(), SwitchError<'a>> {
        let index = registry.index(name);
        self.sources[index.ok_or(SwitchError::UnknownSource(name))?] = Some(on);
        Ok(())
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self::new()
    }
}
