//! The tool's exit codes, and failures: what it says when a command cannot go on.

use core::fmt::{self, Display};
use std::io;
use std::process::ExitCode;

/// The way the tool ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// All went well.
    Success,
    /// The guest ended with failure, answered with an error, or wrote a trace that breaks its format.
    Guest,
    /// Bad arguments that only a look at all of them shows; clap ends with the same code for the others.
    Arguments,
    /// Something on this machine is missing or in the way.
    Machine,
    /// By Ctrl-C (128 + SIGINT, as shells count), or another signal that asks for the end.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Guest => 1,
            Self::Arguments => 2,
            Self::Machine => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The reason why a command cannot go on. Nobody looks into it: it is a line on standard error, and an exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Standard output takes nothing.
    Output(io::Error),
    /// Anything else: how the tool ends, and what it says.
    Line(Exit, String),
}

impl Failure {
    /// Something on this machine is missing or in the way.
    pub(crate) fn machine(line: impl Display) -> Self {
        Self::Line(Exit::Machine, line.to_string())
    }

    /// The same, with the system's word behind what cannot be done.
    pub(crate) fn system<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self::machine(format_args!("{what}: {error}"))
    }

    /// The way the tool ends.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Output(_) => Exit::Machine,
            Self::Line(exit, _) => *exit,
        }
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Line(_, line) => f.write_str(line),
        }
    }
}

/// An error without more ado: something on this machine is missing or in the way.
impl<E: core::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::machine(error)
    }
}
