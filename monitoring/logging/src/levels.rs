//! Log levels: their grammar, and the table of sources and levels.
//!
//! ```text
//! levels = item *("," item)
//! item   = level / "*:" level / ["src:"] target ":" level
//! level  = "quiet" / "off" / "app" / "error" / "warning" / "warn" / "info" / "debug" / "trace"   ; any case
//! ```
//!
//! The grammar is that of `mirage-runtime`'s `--logs` and of `mirage-monitoring`'s command `L`, with these differences.
//! A level may be in any case. A target may contain colons, as module paths do, and ends at the last one. It may begin
//! with `src:`, as in the command `M`. The last of several items for one target wins. `warn`, `off` and `trace` are
//! known.

mod source;
mod table;

pub use self::source::LogSource;
pub(crate) use self::source::Unsettled;
pub use self::table::{ApplyError, Known, MAX_SEEN, MAX_SOURCES, MAX_TARGET_LEN, Table, Unknown};

use core::fmt;
use core::str::{FromStr, Split};

use units::OneLine;

/// The amount of logging, from nothing to everything.
///
/// Two levels let through the same records, because the crate `log` has no level between nothing and errors:
/// [`Level::App`] is shown as `app`, but lets through the records of [`Level::Quiet`].
///
/// ```
/// use logging::Level;
/// assert_eq!("warn".parse(), Ok(Level::Warning));
/// assert!(Level::Warning < Level::Info);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// No records. Written `quiet` or `off`.
    Quiet,
    /// Only output that an application must show. The crate `log` has no such records.
    App,
    /// Errors.
    Error,
    /// Errors and warnings. Written `warning` or `warn`.
    Warning,
    /// Also reports of success.
    Info,
    /// Also details that help to find errors.
    Debug,
    /// Everything.
    Trace,
}

impl Level {
    const ALL: [(&'static str, Self); 9] = [
        ("quiet", Self::Quiet),
        ("app", Self::App),
        ("error", Self::Error),
        ("warning", Self::Warning),
        ("info", Self::Info),
        ("debug", Self::Debug),
        ("trace", Self::Trace),
        ("off", Self::Quiet),
        ("warn", Self::Warning),
    ];

    /// Returns the name under which the level is shown, in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }

    /// Returns the corresponding filter of the crate `log`.
    #[must_use]
    pub const fn filter(self) -> log::LevelFilter {
        match self {
            Self::Quiet | Self::App => log::LevelFilter::Off,
            Self::Error => log::LevelFilter::Error,
            Self::Warning => log::LevelFilter::Warn,
            Self::Info => log::LevelFilter::Info,
            Self::Debug => log::LevelFilter::Debug,
            Self::Trace => log::LevelFilter::Trace,
        }
    }

    /// Returns the level with this number in the order of declaration.
    const fn from_index(index: u8) -> Self {
        match index {
            0 => Self::Quiet,
            1 => Self::App,
            2 => Self::Error,
            3 => Self::Warning,
            4 => Self::Info,
            5 => Self::Debug,
            _ => Self::Trace,
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The error of a text that is not the name of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownLevel;

impl fmt::Display for UnknownLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unknown log level")
    }
}

impl core::error::Error for UnknownLevel {}

impl FromStr for Level {
    type Err = UnknownLevel;

    /// Parses a name in any case.
    fn from_str(text: &str) -> Result<Self, UnknownLevel> {
        let known = Self::ALL
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        known.map(|(_, level)| *level).ok_or(UnknownLevel)
    }
}

/// One setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The target; `None` stands for all targets without their own level. Never empty and never `*`.
    pub target: Option<&'a str>,
    /// The level.
    pub level: Level,
}

/// A valid list of settings, as text.
///
/// ```
/// use logging::{Item, Level, Levels};
///
/// let levels = Levels::parse("*:info,dns:debug,app::cache:Warn").unwrap();
/// let items: Vec<Item<'_>> = levels.iter().collect();
/// assert_eq!(items[0], Item { target: None, level: Level::Info });
/// assert_eq!(items[2], Item { target: Some("app::cache"), level: Level::Warning });
///
/// assert_eq!(Levels::parse("loud").unwrap_err().to_string(), "\"loud\": unknown log level");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Levels<'a> {
    text: &'a str,
}

impl<'a> Levels<'a> {
    /// Checks the whole text. Cost: one pass; allocates nothing.
    ///
    /// # Errors
    ///
    /// [`LevelsError`] for the first item that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, LevelsError<'a>> {
        text.split(',')
            .try_for_each(|item| parse_item(item).map(drop))?;
        Ok(Self { text })
    }

    /// Returns the settings in the given order, at least one.
    #[must_use]
    pub fn iter(&self) -> Items<'a> {
        Items {
            rest: self.text.split(','),
        }
    }
}

impl<'a> IntoIterator for &Levels<'a> {
    type Item = Item<'a>;
    type IntoIter = Items<'a>;

    fn into_iter(self) -> Items<'a> {
        self.iter()
    }
}

/// The settings of a list.
#[derive(Clone, Debug)]
pub struct Items<'a> {
    rest: Split<'a, char>,
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        // `parse` has checked every item, so this skips none.
        self.rest.find_map(|item| parse_item(item).ok())
    }
}

/// The reason why a list of levels is invalid.
///
/// ```
/// use logging::{Levels, LevelsError};
/// assert_eq!(Levels::parse("dns:loud"), Err(LevelsError::UnknownLevel("loud")));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LevelsError<'a> {
    /// This text is not a level.
    UnknownLevel(&'a str),
    /// This item is invalid: it names no target, or has several colons and no level after the last.
    CannotParse(&'a str),
}

/// Writes the texts of `mirage-runtime`. The result is always one line.
impl fmt::Display for LevelsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownLevel(text) => write!(f, "{text:?}: unknown log level"),
            Self::CannotParse(text) => write!(f, "Can't parse log threshold: {}", OneLine(text)),
        }
    }
}

impl core::error::Error for LevelsError<'_> {}

fn parse_item(item: &str) -> Result<Item<'_>, LevelsError<'_>> {
    let Some((target, word)) = item.rsplit_once(':') else {
        let level = item.parse().map_err(|_| LevelsError::UnknownLevel(item))?;
        return Ok(Item {
            target: None,
            level,
        });
    };
    let Ok(level) = word.parse() else {
        // The reference implementation reports too many colons and names the whole item.
        let several = target.contains(':');
        return Err(if several {
            LevelsError::CannotParse(item)
        } else {
            LevelsError::UnknownLevel(word)
        });
    };
    match name_of(target) {
        "" => Err(LevelsError::CannotParse(item)),
        "*" => Ok(Item {
            target: None,
            level,
        }),
        target => Ok(Item {
            target: Some(target),
            level,
        }),
    }
}

/// Returns the target without an optional `src:` in front. In a module path of a crate called `src`, two colons follow.
fn name_of(target: &str) -> &str {
    let name = target.strip_prefix("src:");
    name.filter(|name| !name.starts_with(':')).unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(text: &str) -> Vec<(Option<&str>, Level)> {
        Levels::parse(text)
            .unwrap()
            .iter()
            .map(|item| (item.target, item.level))
            .collect()
    }

    fn error(text: &str) -> String {
        Levels::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_bare_level_and_a_star_are_for_everyone() {
        assert_eq!(items("info"), [(None, Level::Info)]);
        assert_eq!(items("*:debug"), [(None, Level::Debug)]);
        let all = "quiet,app,error,warning,info,debug,trace,off,warn";
        let levels: Vec<Level> = Levels::parse(all)
            .unwrap()
            .iter()
            .map(|item| item.level)
            .collect();
        assert_eq!(levels, Level::ALL.map(|(_, level)| level));
    }

    #[test]
    fn a_list_keeps_its_order() {
        let expected = [
            (None, Level::Info),
            (Some("dns"), Level::Debug),
            (Some("tcp"), Level::Quiet),
            (None, Level::Error),
        ];
        assert_eq!(items("*:info,dns:debug,tcp:quiet,error"), expected);
    }

    #[test]
    fn a_level_may_be_in_any_case_and_a_target_is_kept_as_it_is() {
        assert_eq!(
            items("DEBUG,Dns:Warning,*:oFF"),
            [
                (None, Level::Debug),
                (Some("Dns"), Level::Warning),
                (None, Level::Quiet)
            ]
        );
    }

    #[test]
    fn a_target_ends_at_the_last_colon() {
        assert_eq!(items("a::b:debug"), [(Some("a::b"), Level::Debug)]);
        assert_eq!(items("a:b:info"), [(Some("a:b"), Level::Info)]);
        assert_eq!(items(": :info"), [(Some(": "), Level::Info)]);
    }

    #[test]
    fn src_in_front_of_a_target_belongs_to_the_grammar() {
        assert_eq!(items("src:dns:debug"), [(Some("dns"), Level::Debug)]);
        assert_eq!(items("src:a::b:debug"), [(Some("a::b"), Level::Debug)]);
        assert_eq!(items("src:info"), [(Some("src"), Level::Info)]);
        assert_eq!(items("src:src:info"), [(Some("src"), Level::Info)]);
        assert_eq!(items("src::a:info"), [(Some("src::a"), Level::Info)]);
        assert_eq!(error("src::info"), "Can't parse log threshold: src::info");
    }

    #[test]
    fn an_unknown_level_is_named() {
        assert_eq!(error("loud"), "\"loud\": unknown log level");
        assert_eq!(error("dns:loud"), "\"loud\": unknown log level");
        assert_eq!(error("*:info,dns:"), "\"\": unknown log level");
        assert_eq!(error(""), "\"\": unknown log level");
        assert_eq!(error("info,"), "\"\": unknown log level");
        assert_eq!(error(" info"), "\" info\": unknown log level");
        assert_eq!(error("info\n"), "\"info\\n\": unknown log level");
    }

    #[test]
    fn an_item_that_cannot_be_read_is_named() {
        assert_eq!(error("a:b:c"), "Can't parse log threshold: a:b:c");
        assert_eq!(
            error("info,a::b:loud"),
            "Can't parse log threshold: a::b:loud"
        );
        assert_eq!(error(":info"), "Can't parse log threshold: :info");
        assert_eq!(error("\"é\t:x:y"), "Can't parse log threshold: \"é\\t:x:y");
    }

    #[test]
    fn a_level_reads_back_from_its_name() {
        for (index, (_, level)) in Level::ALL[..7].iter().enumerate() {
            assert_eq!(level.to_string().parse(), Ok(*level));
            assert_eq!(Level::from_index(index as u8), *level);
        }
        assert!(Level::Quiet < Level::App && Level::Warning < Level::Info);
    }
}
