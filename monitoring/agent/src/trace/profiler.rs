//! The heap profiler's interface for commands and sources.

use core::fmt;

use heap_profiler::Rate;

use super::tracer::TraceCounts;

/// The heap profiler. Calls are short, and are allowed while a trace runs.
pub trait Profiler {
    /// Returns the profiler's state.
    fn state(&self) -> ProfilerState;

    /// Sets the rate of the next trace.
    ///
    /// # Errors
    /// [`ProfilerError::AlwaysOn`].
    fn set_rate(&self, rate: Rate) -> Result<(), ProfilerError>;

    /// Ends the trace that is running.
    ///
    /// # Errors
    /// [`ProfilerError::NoTrace`].
    fn stop(&self) -> Result<(), ProfilerError>;

    /// Returns `true` if the heap is always sampled. Only then the blocks alive are known.
    fn is_always_on(&self) -> bool;

    /// Writes the blocks alive, in one line: the total, the losses, and the `count` places with the most.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_top(&self, out: &mut dyn fmt::Write, count: usize) -> fmt::Result;
}

/// The state of the heap profiler.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProfilerState {
    /// The rate of the next trace; `None` without a profiler.
    pub rate: Option<Rate>,
    /// `true` if a client gets a trace.
    pub tracing: bool,
    /// `true` if the heap is always sampled.
    pub always_on: bool,
    /// Counts of traces, since boot.
    pub counts: TraceCounts,
    /// Sampled blocks that could not be recorded, since boot.
    pub lost: u64,
    /// Clients that were closed because another one was being served, since boot.
    pub refused: u64,
    /// Clients that were reset because they did not read, or too slowly, since boot.
    pub slow: u64,
}

/// Writes `key=value` pairs with one space between them.
impl fmt::Display for ProfilerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.tracing { "tracing" } else { "idle" };
        let always = if self.always_on { "on" } else { "off" };
        let rate = self.rate.map_or(0.0, Rate::get);
        write!(f, "rate={rate:e} state={state} heap_profile={always}")?;
        for (key, value) in [
            ("traces", self.counts.traces),
            ("allocations", self.counts.allocs),
            ("frees", self.counts.frees),
            ("bytes", self.counts.bytes),
            ("lost", self.lost),
            ("refused", self.refused),
            ("slow", self.slow),
        ] {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

/// The reason why the profiler refuses a command.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProfilerError {
    /// The image has no profiler, or it could not be started.
    Off,
    /// The heap is always sampled, at this rate.
    AlwaysOn(Rate),
    /// No client gets a trace.
    NoTrace,
    /// The blocks alive are not known, because the heap is not always sampled.
    NotAlwaysOn,
}

impl fmt::Display for ProfilerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Off => f.write_str("the heap profiler is off"),
            Self::AlwaysOn(rate) => {
                let rate = rate.get();
                write!(f, "the heap profile is always on, at the rate {rate:e}")
            }
            Self::NoTrace => f.write_str("nobody gets a trace"),
            Self::NotAlwaysOn => {
                f.write_str("the heap profile is off: boot the image with --heap-profile on")
            }
        }
    }
}

impl core::error::Error for ProfilerError {}
