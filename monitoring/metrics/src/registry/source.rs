//! The common part of all kinds of sources: a name, a switch, and a way to read the values.

use core::sync::atomic::{AtomicU8, Ordering};

use spin::Once;

use super::Registry;
use crate::fields::FieldDef;
use crate::line::{Field, Tag};

const NEW: u8 = 0;
const OFF: u8 = 1;
const ON: u8 = 2;
/// The registry has no place for the source, or its name is taken: it stays off permanently.
const REFUSED: u8 = 3;

/// The head of every source.
///
/// ```text
///   new ──1──▶ on ◀──2──▶ off        1 registered: explicitly, or by the first use
///    └────1──▶ refused               2 switched by name, tag, or all
/// ```
///
/// The switch is one byte, read by one relaxed load. That is the whole cost of a use while the source is off.
#[derive(Debug)]
pub struct Source {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    /// Tags with the same value on every line.
    pub(crate) tags: &'static [Tag<'static>],
    /// Tags whose values come with each point.
    pub(crate) labels: &'static [&'static str],
    state: AtomicU8,
    home: Once<&'static Registry>,
}

impl Source {
    /// Creates a source that no registry knows yet.
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

    /// Returns the source with tags that have the same value on every line.
    #[must_use]
    pub const fn tagged(mut self, tags: &'static [Tag<'static>]) -> Self {
        self.tags = tags;
        self
    }

    /// Returns the name of the measurement.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the source's meaning, in one sentence.
    #[must_use]
    pub const fn doc(&self) -> &'static str {
        self.doc
    }

    /// Returns the tags with the same value on every line.
    #[must_use]
    pub const fn tags(&self) -> &'static [Tag<'static>] {
        self.tags
    }

    /// Returns the names of the tags whose values come with each point.
    #[must_use]
    pub const fn labels(&self) -> &'static [&'static str] {
        self.labels
    }

    /// Returns the names of all tags, without the tag `vm`, which is on every line.
    pub fn tag_names(&self) -> impl Iterator<Item = &'static str> + use<> {
        let fixed = self.tags.iter().map(|(name, _)| *name);
        fixed.chain(self.labels.iter().copied())
    }

    /// Returns `true` if the source is on. One relaxed load; the first use also registers the source.
    #[inline(always)]
    pub(crate) fn is_active(&self, metric: &'static dyn Metric) -> bool {
        match self.state.load(Ordering::Relaxed) {
            ON => true,
            NEW => self.first_use(metric),
            _ => false,
        }
    }

    /// Returns `true` if the source is on; never registers it.
    pub(crate) fn is_on(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ON
    }

    /// Registers the source at its first use. The registry counts a clash of names; the caller cannot handle it.
    #[cold]
    fn first_use(&self, metric: &'static dyn Metric) -> bool {
        let registered = super::registry().register(metric);
        registered.is_ok() && self.state.load(Ordering::Relaxed) == ON
    }

    /// Returns the registry of the source.
    pub(crate) fn home(&self) -> Option<&'static Registry> {
        self.home.get().copied()
    }

    pub(crate) fn settle(&self, registry: &'static Registry, active: bool) {
        self.home.call_once(|| registry);
        self.switch(active);
    }

    pub(crate) fn switch(&self, active: bool) {
        self.state
            .store(if active { ON } else { OFF }, Ordering::Relaxed);
    }

    pub(crate) fn refuse(&self) {
        self.state.store(REFUSED, Ordering::Relaxed);
    }
}

/// The place of a source's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The source holds them.
    Itself,
    /// The registry's cache of series holds them.
    Series,
    /// The emitter knows them, see [`Told`](crate::Told).
    Emitter,
}

/// A source as the registry sees it. Applications use the kinds of this module and need not name this trait.
///
/// Implementer's duties: [`sample`](Metric::sample) does bounded work, holds no lock while it calls `line`,
/// allocates nothing, and gives every field the type that [`fields`](Metric::fields) declares.
pub trait Metric: Sync {
    /// Returns the source's head.
    fn source(&self) -> &Source;

    /// Returns the declarations of its fields. A source whose keys are known only at run time declares the fields that
    /// always exist.
    fn fields(&self) -> &[FieldDef];

    /// Returns the place of its values.
    fn origin(&self) -> Origin {
        Origin::Itself
    }

    /// Calls `line` with the present values: the fields of one line, or never. Called once per interval.
    fn sample(&self, line: &mut dyn FnMut(&[Field<'_>]));
}

/// Defines the setters that kinds of metrics share, for their `impl` blocks. Setters of a trait could not be `const`,
/// and metrics are `static`. With `unit`, for a kind with one field.
macro_rules! setters {
    () => {
        /// Sets the tags with their values, the same on every line.
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
pub(crate) use setters;
