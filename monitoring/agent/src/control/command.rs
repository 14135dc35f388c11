//! The commands of the control port.

use core::fmt;

use super::listing::Which;
use super::switches::{Switches, SwitchesError};
use crate::config::parse_rate;
use heap_profiler::Rate;
use logging::{Levels, LevelsError};
use network::BadValue;

/// The version of the control protocol, which `s` and `?` tell. The framing of commands and replies, a command's form, and the form of
/// what it answers belong to it. A change that breaks a client which follows `docs/CONTROL.md` raises it: a command or a key that goes or
/// means something else. A new command, a new key of `s` or a new error text does not.
pub const PROTOCOL: u32 = 1;

/// All commands, each with its syntax and its meaning. They are the reply to `?`.
pub const COMMANDS: [(&str, &str); 15] = [
    ("?", "this help"),
    ("s", "status"),
    (
        "S",
        "metrics sources with state, tags, fields, types, units",
    ),
    ("l", "default log level and those that differ"),
    ("l*", "all log levels"),
    ("lA,B", "of these"),
    ("LA:LEVEL,*:LEVEL", "set log levels"),
    ("m", "default of metrics and those that differ"),
    ("m*", "all metrics"),
    ("mA,B", "of these"),
    ("MA:on,tag:T:off,*:on", "switch metrics"),
    ("T", "the trace of the heap: rate, state, counts"),
    ("TRATE", "rate of the next trace"),
    ("Tstop", "end the trace"),
    ("H", "sites with the most bytes alive"),
];

/// The text of [`COMMANDS`] and [`PROTOCOL`], without a line feed.
#[derive(Clone, Copy, Debug)]
pub struct Help;

impl fmt::Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (form, meaning) in COMMANDS {
            write!(f, "{form} {meaning}; ")?;
        }
        write!(f, "protocol {PROTOCOL}")
    }
}

/// A command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    /// `?`: lists the commands.
    Help,
    /// `s`: shows the state of the image.
    Status,
    /// `S`: lists all metrics sources with their fields.
    Sources,
    /// `l`: lists log levels.
    Levels(Query<'a>),
    /// `L`: sets log levels.
    SetLevels(Levels<'a>),
    /// `m`: lists metrics sources and whether they are on.
    Metrics(Query<'a>),
    /// `M`: switches metrics sources.
    SetMetrics(Switches<'a>),
    /// `T`: shows the state of the trace.
    Trace,
    /// `TRATE`: sets the rate of the next trace.
    SetRate(Rate),
    /// `Tstop`: ends the trace.
    StopTrace,
    /// `H`: lists the allocation sites with the most bytes alive.
    Heap,
}

/// The sources that a query asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Query<'a> {
    /// The sources that differ from the default.
    Differing,
    /// All sources.
    All,
    /// The sources in this list, separated by commas.
    Named(&'a str),
}

impl<'a> Query<'a> {
    const fn of(text: &'a str) -> Self {
        match text.as_bytes() {
            b"" => Self::Differing,
            b"*" => Self::All,
            _ => Self::Named(text),
        }
    }

    /// Returns the query without the names.
    #[must_use]
    pub const fn which(self) -> Which {
        match self {
            Self::Differing => Which::Differing,
            Self::All => Which::All,
            Self::Named(_) => Which::Named,
        }
    }
}

/// The reason why bytes are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommandError<'a> {
    /// There is no command of this name.
    Unknown,
    /// The bytes after the command's letter are not UTF-8.
    NotText,
    /// The command is longer than [`COMMAND_MAX`](network::bounds::COMMAND_MAX).
    TooLong,
    /// The list of levels is invalid.
    Levels(LevelsError<'a>),
    /// The list of switches is invalid.
    Switches(SwitchesError<'a>),
    /// The sampling rate is invalid.
    Rate(BadValue<'a>),
}

impl fmt::Display for CommandError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("unknown command"),
            Self::NotText => f.write_str("command is not UTF-8"),
            Self::TooLong => f.write_str("command too long"),
            Self::Levels(error) => error.fmt(f),
            Self::Switches(error) => error.fmt(f),
            Self::Rate(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for CommandError<'_> {}

impl<'a> Command<'a> {
    /// Parses one command, without the line's end. Cost: one pass; allocates nothing.
    ///
    /// # Errors
    /// [`CommandError`].
    ///
    /// ```
    /// use agent::control::{Command, CommandError, Query};
    /// assert_eq!(Command::parse(b"s"), Ok(Command::Status));
    /// assert_eq!(Command::parse(b"m*"), Ok(Command::Metrics(Query::All)));
    /// assert_eq!(Command::parse(b"ss"), Err(CommandError::Unknown));
    /// ```
    pub fn parse(bytes: &'a [u8]) -> Result<Self, CommandError<'a>> {
        match bytes {
            b"?" => Ok(Self::Help),
            b"s" => Ok(Self::Status),
            b"S" => Ok(Self::Sources),
            [b'l', rest @ ..] => Ok(Self::Levels(Query::of(text(rest)?))),
            [b'm', rest @ ..] => Ok(Self::Metrics(Query::of(text(rest)?))),
            [b'L', rest @ ..] => {
                let levels = Levels::parse(text(rest)?).map_err(CommandError::Levels)?;
                Ok(Self::SetLevels(levels))
            }
            [b'M', rest @ ..] => {
                let switches = Switches::parse(text(rest)?).map_err(CommandError::Switches)?;
                Ok(Self::SetMetrics(switches))
            }
            b"H" => Ok(Self::Heap),
            b"T" => Ok(Self::Trace),
            b"Tstop" => Ok(Self::StopTrace),
            [b'T', rest @ ..] => {
                let rate = parse_rate(text(rest)?).map_err(CommandError::Rate)?;
                Ok(Self::SetRate(rate))
            }
            _ => Err(CommandError::Unknown),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, CommandError<'_>> {
    str::from_utf8(bytes).map_err(|_| CommandError::NotText)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_a_command_is_one() {
        for bytes in [
            &b""[..],
            b" ",
            b"SS",
            b"S*",
            b"ss",
            b"s ",
            b"?\r",
            b"\xff",
            b"s\xff",
            b"auth x",
        ] {
            let parsed = Command::parse(bytes);
            assert_eq!(parsed, Err(CommandError::Unknown), "{bytes:?}");
        }
        for bytes in [&b"l\xff"[..], b"m\xff", b"L\xff:info", b"M\xc3:on"] {
            let parsed = Command::parse(bytes);
            assert_eq!(parsed, Err(CommandError::NotText), "{bytes:?}");
        }
    }

    #[test]
    fn a_query_is_for_those_that_differ_for_all_or_for_some() {
        let query = |text: &'static [u8]| Command::parse(text).unwrap();
        assert_eq!(query(b"l"), Command::Levels(Query::Differing));
        assert_eq!(query(b"m*"), Command::Metrics(Query::All));
        assert_eq!(query(b"la,b"), Command::Levels(Query::Named("a,b")));
        assert_eq!(query(b"m*,a"), Command::Metrics(Query::Named("*,a")));
    }

    #[test]
    fn what_is_parsed_is_in_the_help_and_the_other_way_round() {
        const FILE: &str = "monitoring/agent/src/control/command.rs";
        for letter in 0..=u8::MAX {
            let is_parsed = Command::parse(&[letter]) != Err(CommandError::Unknown);
            let has_help = COMMANDS
                .iter()
                .any(|(form, _)| form.as_bytes()[0] == letter);
            let letter = char::from(letter);
            assert!(
                has_help || !is_parsed,
                "{letter}: a command without its help: add it to COMMANDS in {FILE}"
            );
            assert!(
                is_parsed || !has_help,
                "{letter}: in COMMANDS, but no command: add it to Command::parse in {FILE}"
            );
        }
    }

    #[test]
    fn the_help_is_one_line_and_ends_with_the_protocol() {
        let help = Help.to_string();
        assert!(help.starts_with("? this help; s status; "), "{help}");
        assert!(help.ends_with(&format!("; protocol {PROTOCOL}")), "{help}");
        assert!(!help.contains('\n'));
    }
}
