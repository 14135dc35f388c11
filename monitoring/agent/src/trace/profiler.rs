//! The heap profiler as commands and sources see it.

use core::fmt;

use heap_profiler::Rate;

use super::TraceCounts;

/// The heap profiler. Calls are short, and may be made while a trace goes on.
pub trait Profiler {
    /// How it is doing.
    fn state(&self) -> ProfilerState;

    /// Sets the rate of the next trace.
    ///
    /// # Errors
    /// [`ProfilerError::AlwaysOn`].
    fn set_rate(&self, rate: Rate) -> Result<(), ProfilerError>;

    /// Ends the trace that goes on.
    ///
    /// # Errors
    /// [`ProfilerError::NoTrace`].
    fn stop(&self) -> Result<(), ProfilerError>;

    /// Whether the heap is always sampled: only then it is known what is alive.
    fn is_always_on(&self) -> bool;

    /// Writes what is alive, in one line: the total, what could not be recorded, and the `count` places with the most.
    ///
    /// # Errors
    /// Those of `out`.
    fn write_top(&self, out: &mut dyn fmt::Write, count: usize) -> fmt::Result;
}

/// How the heap profiler is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProfilerState {
    /// Of the next trace; none without a profiler.
    pub rate: Option<Rate>,
    /// Whether a client gets a trace.
    pub tracing: bool,
    /// Whether the heap is always sampled.
    pub always_on: bool,
    /// What was traced, since boot.
    pub counts: TraceCounts,
    /// Sampled blocks that could not be recorded, since boot.
    pub lost: u64,
    /// Clients that were closed because another one was served, since boot.
    pub refused: u64,
}

/// `key=value` pairs, one space between them.
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
        ] {
            write!(f, " {key}={value}")?;
        }
        Ok(())
    }
}

/// Why the profiler does not do it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ProfilerError {
    /// The image has none, or it could not be started.
    Off,
    /// The heap is always sampled, at this rate.
    AlwaysOn(Rate),
    /// Nobody gets a trace.
    NoTrace,
    /// Nothing is known of what is alive.
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
