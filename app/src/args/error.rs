//! The errors in the image's arguments, and their texts.

use core::error::Error;
use core::fmt;

use monitoring::config::BadValue;
use monitoring::logging::LevelsError;

/// An argument's name as it was typed, without its dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// A name after two dashes.
    Long(&'a str),
    /// A letter after one dash.
    Short(char),
}

/// Writes the key with its dashes, escaped as in a Rust string.
impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(name) => write!(f, "--{}", name.escape_debug()),
            Self::Short(letter) => write!(f, "-{}", letter.escape_debug()),
        }
    }
}

/// A mistake in the arguments. Each one is one line: texts are escaped, so that none can break the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArgsError<'a> {
    /// The argument is unknown.
    Unknown(Key<'a>),
    /// A text that is neither an argument nor the value of one.
    Surplus(&'a str),
    /// The argument is the last text, or another argument follows it.
    NoValue(Key<'a>),
    /// The argument takes no value but was given one, as in `--help=value`.
    NeedlessValue {
        /// The argument.
        key: Key<'a>,
        /// The value that it was given.
        value: &'a str,
    },
    /// The value does not fit the argument.
    Value {
        /// The argument.
        key: Key<'a>,
        /// The reason, with the value.
        reason: BadValue<'a>,
    },
    /// `--log` is not a list of levels.
    Levels {
        /// The argument.
        key: Key<'a>,
        /// The reason, with the value.
        reason: LevelsError<'a>,
    },
    /// `--control-port` and `--memtrace-port` are the same port.
    Ports(BadValue<'a>),
}

impl fmt::Display for ArgsError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(key) => write!(f, "unknown argument \"{key}\", see --help"),
            Self::Surplus(text) => write!(f, "surplus argument {text:?}, see --help"),
            Self::NoValue(key) => write!(f, "argument {key} needs a value"),
            Self::NeedlessValue { key, value } => {
                write!(f, "argument {key} takes no value, but got {value:?}")
            }
            Self::Value { key, reason } => write!(f, "argument {key}: {reason}"),
            Self::Levels { key, reason } => write!(f, "argument {key}: {reason}"),
            Self::Ports(reason) => reason.fmt(f),
        }
    }
}

impl Error for ArgsError<'_> {}
