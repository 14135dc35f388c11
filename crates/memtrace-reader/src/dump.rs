//! Writes events as text, as memtrace's `dump_trace` does.

use core::fmt;
use std::io;

use crate::error::Error;
use crate::event::{Event, Kind, Source};
use crate::trace::Trace;

/// Shows an event as `dump_trace` does, without the line's end. Shows nothing for a definition, like `dump_trace`.
#[derive(Clone, Copy, Debug)]
pub struct Dumped<'e, 't>(&'e Event<'t>);

impl<'t> Event<'t> {
    /// Returns the event in the form of memtrace's `dump_trace`.
    #[must_use]
    pub const fn as_dumped(&self) -> Dumped<'_, 't> {
        Dumped(self)
    }
}

impl fmt::Display for Dumped<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = self.0.since_start;
        match &self.0.kind {
            Kind::Location(_) => Ok(()),
            Kind::Promote(id) => write!(f, "{time:010} {id:010} promote"),
            Kind::Collect(id) => write!(f, "{time:010} {id:010} collect"),
            Kind::Alloc(alloc) => {
                let kind = match alloc.source {
                    Source::Minor => "alloc",
                    Source::Major => "alloc_major",
                    Source::External => "alloc_ext",
                };
                write!(
                    f,
                    "{time:010} {:010} {kind} {} len={} {:4}:",
                    alloc.id, alloc.samples, alloc.length, alloc.common_prefix
                )?;
                for frame in alloc.stack.frames() {
                    if frame.positions.is_empty() {
                        write!(f, " ${}", frame.code)?;
                    }
                    for position in frame.positions {
                        write!(f, " {position}")?;
                    }
                }
                Ok(())
            }
        }
    }
}

/// The reason why a trace was not dumped to its end.
#[derive(Debug)]
pub enum DumpError {
    /// The trace breaks a rule.
    Trace(Error),
    /// The text cannot be written.
    Output(io::Error),
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Trace(error) => error.fmt(f),
            Self::Output(error) => write!(f, "cannot write: {error}"),
        }
    }
}

impl core::error::Error for DumpError {}

impl From<Error> for DumpError {
    fn from(error: Error) -> Self {
        Self::Trace(error)
    }
}

impl From<io::Error> for DumpError {
    fn from(error: io::Error) -> Self {
        Self::Output(error)
    }
}

/// Writes every event except definitions, one line each, as memtrace's `dump_trace` does.
///
/// # Errors
/// Returns a [`DumpError`]; the lines before it are written.
pub fn dump(stream: &[u8], out: &mut dyn io::Write) -> Result<(), DumpError> {
    let mut trace = Trace::new(stream)?;
    while let Some(event) = trace.next_event()? {
        if !matches!(event.kind, Kind::Location(_)) {
            writeln!(out, "{}", event.as_dumped())?;
        }
    }
    Ok(())
}
