//! What is said about arguments that cannot be followed.

use core::error::Error;
use core::fmt;

use monitoring::config::{self, AddressingError};
use monitoring::levels::LevelsError;

use super::table::{DURATION_HOURS_MAX, WORKLOADS};

/// An argument's name as it was typed, without its dashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key<'a> {
    /// After two dashes.
    Long(&'a str),
    /// After one dash.
    Short(char),
}

/// With its dashes; escaped as in a Rust string.
impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Long(name) => write!(f, "--{}", name.escape_debug()),
            Self::Short(letter) => write!(f, "-{}", letter.escape_debug()),
        }
    }
}

/// Why the arguments cannot be followed. One line each: texts are escaped, so that none can break the line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ArgsError<'a> {
    /// There is no such argument.
    Unknown(Key<'a>),
    /// A text that is neither an argument nor the value of one.
    Surplus(&'a str),
    /// The argument is the last text, or another argument follows it.
    NoValue(Key<'a>),
    /// `--help=value`.
    NeedlessValue {
        /// The argument.
        key: Key<'a>,
        /// What it was given.
        value: &'a str,
    },
    /// The value does not fit the argument.
    Value {
        /// The argument.
        key: Key<'a>,
        /// Holds the value.
        reason: BadValue<'a>,
    },
    /// `--control-port` and `--memtrace-port` do not go together.
    Ports(config::PortsError),
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
            Self::Ports(reason) => reason.fmt(f),
        }
    }
}

impl Error for ArgsError<'_> {}

/// Why a value does not fit its argument.
#[derive(Clone, Copy, Debug, PartialEq)]
#[expect(
    missing_docs,
    reason = "each holds the parser's own error, or the text; what is wrong with it is its message"
)]
pub enum BadValue<'a> {
    Target(config::TargetError<'a>),
    Interval(config::IntervalError<'a>),
    Vm(config::VmError<'a>),
    Port(config::PortError<'a>),
    Idle(config::IdleError<'a>),
    Token(config::TokenError),
    Allow(config::AllowError<'a>),
    Rate(config::RateError<'a>),
    Switch(config::SwitchError<'a>),
    SampleBytes(config::SampleBytesError<'a>),
    Addressing(AddressingError<'a>),
    Levels(LevelsError<'a>),
    Workload(&'a str),
    Seed(&'a str),
    Duration(&'a str),
}

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Target(reason) => reason.fmt(f),
            Self::Interval(reason) => reason.fmt(f),
            Self::Vm(reason) => reason.fmt(f),
            Self::Port(reason) => reason.fmt(f),
            Self::Idle(reason) => reason.fmt(f),
            Self::Token(reason) => reason.fmt(f),
            Self::Allow(reason) => reason.fmt(f),
            Self::Rate(reason) => reason.fmt(f),
            Self::Switch(reason) => reason.fmt(f),
            Self::SampleBytes(reason) => reason.fmt(f),
            Self::Addressing(reason) => reason.fmt(f),
            Self::Levels(reason) => reason.fmt(f),
            Self::Workload(text) => write!(f, "{text:?} is not a workload: want {WORKLOADS}"),
            Self::Seed(text) => write!(f, "{text:?} is not a seed: want 0 to {}", u64::MAX),
            Self::Duration(text) => {
                write!(
                    f,
                    "{text:?} is not a duration: want 500ms, 20s, 5m or 24h, at most {DURATION_HOURS_MAX}h"
                )
            }
        }
    }
}

impl Error for BadValue<'_> {}
