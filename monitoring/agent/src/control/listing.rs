//! Replies that may be long: one line, written source by source.
//!
//! ```text
//! l, l*, lA,B   [*:LEVEL,]NAME:LEVEL,NAME:LEVEL…
//! m, m*, mA,B   [*:STATE,][tag:NAME:enabled,…]NAME:STATE,NAME:STATE…            STATE = enabled / disabled
//! S             NAME:STATE tags=TAG,TAG fields=FIELD:TYPE:UNIT,FIELD:TYPE:UNIT;NAME:STATE …
//! ```
//!
//! The first two have the form of `mirage-monitoring`, in the order in which the sources were registered. A change
//! during a listing may or may not be in it.

use core::fmt;

use super::answer::Managed;
use super::reply::{Full, Reply};
use metrics::{Entry, Source};
use units::OneLine;

/// The sources that a listing shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The sources that differ from the default.
    Differing,
    /// All sources.
    All,
    /// The sources that the command names.
    Named,
}

impl Which {
    fn shows(self, names: &str, name: &str, differs: bool) -> bool {
        match self {
            Self::Differing => differs,
            Self::All => true,
            Self::Named => names.split(',').any(|named| named == name),
        }
    }
}

/// The position of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listing {
    next: Item,
    /// The text between the next item and the one before.
    divider: &'static str,
}

/// The item to write next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    /// The log source with this number.
    Level(Which, usize),
    /// The enabled tag with this number, then all metrics sources.
    Tag(usize),
    /// The metrics source with this number.
    Metric(Which, usize),
    /// The metrics source with the first number. The second number is 0 for its name and tags, n + 1 for its field n.
    Source(usize, usize),
    /// The line feed.
    End,
}

impl Listing {
    /// Creates a listing of log sources and their levels.
    #[must_use]
    pub const fn levels(which: Which) -> Self {
        Self::new(which, Item::Level(which, 0))
    }

    /// Creates a listing of metrics sources and whether they are on.
    #[must_use]
    pub const fn metrics(which: Which) -> Self {
        let next = match which {
            Which::All => Item::Tag(0),
            Which::Differing | Which::Named => Item::Metric(which, 0),
        };
        Self::new(which, next)
    }

    /// Creates a listing of metrics sources with their tags and fields.
    #[must_use]
    pub const fn sources() -> Self {
        Self {
            next: Item::Source(0, 0),
            divider: "",
        }
    }

    const fn new(which: Which, next: Item) -> Self {
        // The reply already begins with the default, unless the command names sources.
        let divider = match which {
            Which::Differing | Which::All => ",",
            Which::Named => "",
        };
        Self { next, divider }
    }

    /// Writes as many items as the reply has room for. Returns `None` once the line is complete.
    pub(super) fn go_on(
        &mut self,
        managed: &Managed<'_>,
        names: &str,
        reply: &mut Reply<'_>,
    ) -> Option<()> {
        loop {
            match self.write(managed, names, reply) {
                Ok(Some(next)) => self.next = next,
                Ok(None) => return None,
                Err(Full) => return Some(()),
            }
        }
    }

    /// Writes the next item, if it is shown. Returns the item after it.
    fn write(
        &mut self,
        managed: &Managed<'_>,
        names: &str,
        reply: &mut Reply<'_>,
    ) -> Result<Option<Item>, Full> {
        let next = match self.next {
            Item::Level(which, at) => {
                let Some(source) = managed.log.source(at) else {
                    return Ok(Some(Item::End));
                };
                let (name, level) = (source.name(), source.level);
                let differs = level != managed.log.default_level();
                if which.shows(names, name, differs) {
                    self.item(reply, format_args!("{}:{level}", OneLine(name)))?;
                }
                Item::Level(which, at + 1)
            }
            Item::Tag(at) => match managed.registry.enabled_tags().nth(at) {
                Some(tag) => {
                    self.item(reply, format_args!("tag:{}:enabled", OneLine(tag)))?;
                    Item::Tag(at + 1)
                }
                None => Item::Metric(Which::All, 0),
            },
            Item::Metric(which, at) => {
                let Some(entry) = managed.registry.entry(at) else {
                    return Ok(Some(Item::End));
                };
                let name = entry.metric.source().name();
                if which.shows(names, name, entry.active != managed.registry.all()) {
                    self.item(reply, format_args!("{}", State(&entry)))?;
                }
                Item::Metric(which, at + 1)
            }
            Item::Source(at, part) => {
                let Some(entry) = managed.registry.entry(at) else {
                    return Ok(Some(Item::End));
                };
                self.part(reply, &entry, at, part)?
            }
            Item::End => {
                reply.piece(format_args!("\n"))?;
                return Ok(None);
            }
        };
        Ok(Some(next))
    }

    fn part(
        &mut self,
        reply: &mut Reply<'_>,
        entry: &Entry,
        at: usize,
        part: usize,
    ) -> Result<Item, Full> {
        if part == 0 {
            let tags = Tags(entry.metric.source());
            self.item(reply, format_args!("{} tags={tags} fields=", State(entry)))?;
            self.divider = "";
            return Ok(Item::Source(at, 1));
        }
        let Some(field) = entry.metric.fields().get(part - 1) else {
            self.divider = ";";
            return Ok(Item::Source(at + 1, 0));
        };
        let (name, kind, unit) = (OneLine(field.name), field.kind.name(), OneLine(field.unit));
        self.item(reply, format_args!("{name}:{kind}:{unit}"))?;
        Ok(Item::Source(at, part + 1))
    }

    fn item(&mut self, reply: &mut Reply<'_>, text: fmt::Arguments<'_>) -> Result<(), Full> {
        reply.piece_or_cut(format_args!("{}{text}", self.divider))?;
        self.divider = ",";
        Ok(())
    }
}

/// Writes `NAME:enabled` or `NAME:disabled`.
struct State<'e>(&'e Entry);

impl fmt::Display for State<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = OneLine(self.0.metric.source().name());
        let state = if self.0.active { "enabled" } else { "disabled" };
        write!(f, "{name}:{state}")
    }
}

struct Tags<'e>(&'e Source);

impl fmt::Display for Tags<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divider = "";
        self.0.tag_names().try_for_each(|name| {
            write!(f, "{divider}{}", OneLine(name))?;
            divider = ",";
            Ok(())
        })
    }
}
