//! The grammar of the command `M`.
//!
//! ```text
//! switches = switch *("," switch)
//! switch   = en / "*:" en / name ":" en / "src:" any ":" en / "tag:" any ":" en
//! en       = "enable" / "on" / "disable" / "off"      ; any case
//! name     = any text without a colon; any = with
//! ```
//!
//! This is the grammar of `mirage-monitoring`, which could list a name with a colon but not set it.

use core::fmt;
use core::str::Split;

use units::OneLine;

/// One switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch<'a> {
    /// All sources.
    All(bool),
    /// The sources with this tag.
    Tag(&'a str, bool),
    /// The source of this name.
    Source(&'a str, bool),
}

/// A valid list of switches, as text.
///
/// ```
/// use agent::control::{Switch, Switches};
///
/// let switches = Switches::parse("*:disable,memory:on,tag:http:Enable").unwrap();
/// let switches: Vec<Switch<'_>> = switches.iter().collect();
/// assert_eq!(switches, [Switch::All(false), Switch::Source("memory", true), Switch::Tag("http", true)]);
///
/// let error = Switches::parse("memory:maybe").unwrap_err();
/// assert_eq!(error.to_string(), "couldn't decode 'enable' or 'disable': maybe");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Switches<'a> {
    text: &'a str,
}

impl<'a> Switches<'a> {
    /// Checks the whole text. Cost: one pass; allocates nothing.
    ///
    /// # Errors
    /// [`SwitchesError`] for the first item that is wrong.
    pub fn parse(text: &'a str) -> Result<Self, SwitchesError<'a>> {
        text.split(',')
            .try_for_each(|item| parse_item(item).map(drop))?;
        Ok(Self { text })
    }

    /// Returns the switches in the given order, at least one.
    pub fn iter(&self) -> impl Iterator<Item = Switch<'a>> + use<'a> {
        // `parse` has checked every item, so this drops none.
        let items: Split<'a, char> = self.text.split(',');
        items.filter_map(|item| parse_item(item).ok())
    }
}

/// The reason why a list of switches is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchesError<'a> {
    /// This text is neither on nor off.
    UnknownState(&'a str),
    /// This item has too many parts.
    CannotDecode(&'a str),
}

/// Writes the texts of `mirage-monitoring`, which shows the first in lower case. The result is always one line.
impl fmt::Display for SwitchesError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownState(text) => {
                f.write_str("couldn't decode 'enable' or 'disable': ")?;
                text.chars().try_for_each(|char| {
                    let char = char.to_ascii_lowercase();
                    OneLine(char.encode_utf8(&mut [0; 4])).fmt(f)
                })
            }
            Self::CannotDecode(text) => write!(f, "couldn't decode metrics {}", OneLine(text)),
        }
    }
}

impl core::error::Error for SwitchesError<'_> {}

fn parse_item(item: &str) -> Result<Switch<'_>, SwitchesError<'_>> {
    let Some((target, word)) = item.rsplit_once(':') else {
        return parse_state(item).map(Switch::All);
    };
    let switch: fn(_, _) -> _;
    let name;
    if let Some(source) = target.strip_prefix("src:") {
        (switch, name) = (Switch::Source, source);
    } else if let Some(tag) = target.strip_prefix("tag:") {
        (switch, name) = (Switch::Tag, tag);
    } else if target.contains(':') {
        return Err(SwitchesError::CannotDecode(item));
    } else if target == "*" {
        return parse_state(word).map(Switch::All);
    } else {
        (switch, name) = (Switch::Source, target);
    }
    parse_state(word).map(|on| switch(name, on))
}

fn parse_state(word: &str) -> Result<bool, SwitchesError<'_>> {
    let is = |names: [&str; 2]| names.iter().any(|name| name.eq_ignore_ascii_case(word));
    match () {
        () if is(["enable", "on"]) => Ok(true),
        () if is(["disable", "off"]) => Ok(false),
        () => Err(SwitchesError::UnknownState(word)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn switches(text: &str) -> Vec<Switch<'_>> {
        Switches::parse(text).unwrap().iter().collect()
    }

    fn error(text: &str) -> String {
        Switches::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn each_form_is_a_switch() {
        use Switch::{All, Source, Tag};
        for (text, expected) in [
            ("enable", All(true)),
            ("OFF", All(false)),
            ("*:Disable", All(false)),
            ("memory:on", Source("memory", true)),
            ("src:memory:off", Source("memory", false)),
            ("src:a:b:c:off", Source("a:b:c", false)),
            ("tag:http:enable", Tag("http", true)),
            ("tag:a:b:enable", Tag("a:b", true)),
            ("src:enable", Source("src", true)),
            ("tag:enable", Source("tag", true)),
            (":enable", Source("", true)),
            ("src::enable", Source("", true)),
            (" *:enable", Source(" *", true)),
        ] {
            assert_eq!(switches(text), [expected], "{text}");
        }
    }

    #[test]
    fn what_is_neither_on_nor_off_is_named_in_lower_case() {
        let text = "couldn't decode 'enable' or 'disable': ";
        for (input, named) in [
            ("", ""),
            ("Memory", "memory"),
            ("memory:", ""),
            ("memory:YES", "yes"),
            ("*:enable,memory:e\nÉ", "e\\nÉ"),
            ("src:a:b:maybe", "maybe"),
            ("enable,", ""),
        ] {
            assert_eq!(error(input), format!("{text}{named}"));
        }
    }

    #[test]
    fn an_item_of_too_many_parts_is_named() {
        assert_eq!(error("a:b:enable"), "couldn't decode metrics a:b:enable");
        assert_eq!(error("on,*:b:\tX"), "couldn't decode metrics *:b:\\tX");
    }
}
