//! Several switches at once.

use super::registry::{ENABLED_TAGS_MAX, Registry, SOURCES_MAX, SwitchError};

/// What is to be switched, all of it or nothing: first all, then tags, then single sources. What is said last about one of
/// them counts.
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
    /// By the number of the source, which never changes.
    pub(super) sources: [Option<bool>; SOURCES_MAX],
}

impl Plan {
    /// Nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            all: None,
            tags: [None; ENABLED_TAGS_MAX],
            sources: [None; SOURCES_MAX],
        }
    }

    /// Adds what [`Registry::enable_all`] or [`Registry::disable_all`] does.
    pub const fn all(&mut self, on: bool) {
        self.all = Some(on);
    }

    /// Adds what [`Registry::enable_tag`] or [`Registry::disable_tag`] does. Cost: a comparison with every tag of every source.
    ///
    /// # Errors
    /// [`SwitchError`] if no source has the tag, or more of them are named than may be on.
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

    /// Adds what [`Registry::enable`] or [`Registry::disable`] does. Cost: a comparison with every source.
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
