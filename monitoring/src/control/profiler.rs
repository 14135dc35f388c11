//! The heap profiler as commands see it: `T` and `H`.

use core::fmt;

use super::reply::Reply;
use crate::heap::Rate;
use crate::trace::TraceCounts;

/// Places that `H` names. Their names may be long: what does not fit the reply is cut, and shows it.
const TOP: usize = 8;

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

pub(super) fn of(profiler: Option<&dyn Profiler>) -> Result<&dyn Profiler, ProfilerError> {
    profiler.ok_or(ProfilerError::Off)
}

pub(super) fn tell_state(profiler: Option<&dyn Profiler>, reply: &mut Reply<'_>) {
    match of(profiler) {
        Ok(profiler) => reply.set(format_args!("ok: {}", profiler.state())),
        Err(error) => reply.set_error(&error),
    }
}

pub(super) fn tell_top(profiler: Option<&dyn Profiler>, reply: &mut Reply<'_>) {
    match of(profiler) {
        Ok(profiler) if profiler.is_always_on() => {
            reply.set_cut(format_args!("ok: {}", Top(profiler)));
        }
        Ok(_) => reply.set_error(&ProfilerError::NotAlwaysOn),
        Err(error) => reply.set_error(&error),
    }
}

struct Top<'p>(&'p dyn Profiler);

impl fmt::Display for Top<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write_top(f, TOP)
    }
}
