//! What every kind of source has: a name, a switch, and a way to tell its values.

use core::sync::atomic::{AtomicU8, Ordering};

use spin::Once;

use super::fields::FieldDef;
use super::registry::Registry;
use crate::line::{Field, Tag};

const NEW: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;
/// The registry has no place for it, or its name is taken: off for good.
const REFUSED: u8 = 3;

/// The head of every source.
///
/// ```text
///   new ──1──▶ on ◀──2──▶ off        1 registered: explicitly, or by the first use
///    └────1──▶ refused               2 switched by name, tag, or all
/// ```
///
/// Whether it is on is one byte, read by one relaxed load: that is all that a use costs while it is off.
#[derive(Debug)]
pub struct Source {
    pub(super) name: &'static str,
    pub(super) doc: &'static str,
    /// Tags with the same value on every line.
    pub(super) tags: &'static [Tag<'static>],
    /// Tags whose values come with each point.
    pub(super) labels: &'static [&'static str],
    state: AtomicU8,
    home: Once<&'static Registry>,
}

impl Source {
    /// A source that no registry knows yet.
    #[must_use]
    pub const fn new(name: &'static str, doc: &'static str) -> Self {
        Self {
            name,
            doc,
            tags: &[],
            labels: &[],
            state: AtomicU8::new(NEW),
            home: Once::new(),
        }
    }

    /// The same with tags that have the same value on every line.
    #[must_use]
    pub const fn tagged(mut self, tags: &'static [Tag<'static>]) -> Self {
        self.tags = tags;
        self
    }

    /// Name of the measurement.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What it tells, in one sentence.
    #[must_use]
    pub const fn doc(&self) -> &'static str {
        self.doc
    }

    /// Tags with the same value on every line.
    #[must_use]
    pub const fn tags(&self) -> &'static [Tag<'static>] {
        self.tags
    }

    /// Names of tags whose values come with each point.
    #[must_use]
    pub const fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// The names of all its tags. The tag `vm`, which is on every line, is not one of them.
    pub fn tag_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let fixed = self.tags.iter().map(|(name, _)| *name);
        fixed.chain(self.labels.iter().copied())
    }

    /// Whether it is on. One relaxed load; the first use also registers the source.
    #[inline(always)]
    pub(super) fn is_active(&self, metric: &'static dyn Metric) -> bool {
        match self.state.load(Ordering::Relaxed) {
            ON => true,
            NEW => self.first_use(metric),
            _ => false,
        }
    }

    /// Whether it is on; never registers it.
    pub(super) fn is_on(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ON
    }

    /// A clash of names is counted by the registry; nobody is there to whom it could be told.
    #[cold]
    fn first_use(&self, metric: &'static dyn Metric) -> bool {
        let registered = super::registry().register(metric);
        registered.is_ok() && self.state.load(Ordering::Relaxed) == ON
    }

    /// The registry that the source belongs to.
    pub(super) fn home(&self) -> Option<&'static Registry> {
        self.home.get().copied()
    }

    pub(super) fn settle(&self, registry: &'static Registry, active: bool) {
        self.home.call_once(|| registry);
        self.switch(active);
    }

    pub(super) fn switch(&self, active: bool) {
        self.state
            .store(if active { ON } else { OFF }, Ordering::Relaxed);
    }

    pub(super) fn refuse(&self) {
        self.state.store(REFUSED, Ordering::Relaxed);
    }
}

/// Where the values of a source are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The source tells them itself.
    Itself,
    /// In the registry's cache of series.
    Series,
    /// Whoever emits the lines knows them, see [`Told`](super::Told).
    Emitter,
}

/// A source as the registry sees it. Applications use the kinds of this module and need not name this trait.
///
/// Implementer's duties: [`sample`](Metric::sample) does bounded work, holds no lock while it calls `line`,
/// allocates nothing, and gives every field the type that [`fields`](Metric::fields) declares.
pub trait Metric: Sync {
    /// Its head.
    fn source(&self) -> &Source;

    /// What is declared about its fields. A source whose keys are known only at run time declares those that
    /// are always there.
    fn fields(&self) -> &[FieldDef];

    /// Where its values are.
    fn origin(&self) -> Origin {
        Origin::Itself
    }

    /// Hands over the values of now: the fields of one line, or none. Called once per interval.
    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>]));
}

/// The setters that kinds of metrics have alike, for their `impl` blocks: those of a trait could not be `const`, and metrics are
/// `static`. With `unit`, for a kind with one field.
macro_rules! setters {
    () => {
        /// Tags with their values, the same on every line.
        #[must_use]
        pub const fn tags(mut self, tags: &'static [crate::line::Tag<'static>]) -> Self {
            self.source.tags = tags;
            self
        }
    };
    (unit: $doc:literal) => {
        #[doc = $doc]
        #[must_use]
        pub const fn unit(mut self, unit: &'static str) -> Self {
            self.fields[0].unit = unit;
            self
        }

        setters!();
    };
}
pub(super) use setters;
