//! The tool's exit codes, and the failure of a command that cannot go on.

use core::fmt::{self, Display};
use std::io::{self, Write};
use std::process::ExitCode;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// The result of the tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Success.
    Success,
    /// The guest ended with failure, answered with an error, or wrote a trace that breaks its format.
    Guest,
    /// The arguments are bad in a way that only a look at all of them shows. For other bad arguments clap ends with the
    /// same code.
    Arguments,
    /// Something on this machine is missing or in the way.
    Machine,
    /// Ended by Ctrl-C (128 + SIGINT, as shells count), or by another signal that asks for the end.
    Interrupted,
}

impl Exit {
    /// Returns the process's exit code.
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

/// Writes one line for the user to standard error. Where that cannot be written, nobody reads, and the work goes on.
pub(crate) fn say(line: impl Display) {
    let line = format!("hermon: {line}\n");
    let stderr = io::stderr();
    let mut files = [PollFd::new(&stderr, PollFlags::OUT)];
    // A pipe that is full, or a terminal that was stopped, would hold up the end of the tool.
    let ready = poll(&mut files, Some(&BLOCKED));
    if ready.is_ok_and(|ready| ready > 0) {
        drop(stderr.lock().write_all(line.as_bytes()));
    }
}

/// The time after which standard error that accepts nothing is blocked.
const BLOCKED: Timespec = Timespec {
    tv_sec: 1,
    tv_nsec: 0,
};

/// The reason why a command cannot go on: a line on standard error, and an exit code. No code distinguishes the
/// reasons.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Standard output accepts nothing.
    Output(io::Error),
    /// Any other reason: the exit code and the line.
    Line(Exit, String),
}

impl Failure {
    /// Creates a failure because something on this machine is missing or in the way.
    pub(crate) fn machine(line: impl Display) -> Self {
        Self::Line(Exit::Machine, line.to_string())
    }

    /// Creates a failure from the system's error. `what` says what cannot be done.
    pub(crate) fn system<E: Display>(what: impl Display) -> impl FnOnce(E) -> Self {
        move |error| Self::machine(format_args!("{what}: {error}"))
    }

    /// Returns the result of the tool.
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

/// Any error alone means that something on this machine is missing or in the way.
impl<E: core::error::Error> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::machine(error)
    }
}
