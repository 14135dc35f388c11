//! The commands `T` and `H`: the heap profiler.

use core::fmt;

use super::reply::Reply;
use crate::trace::{Profiler, ProfilerError};

/// The number of sites that `H` lists. Their names may be long: a reply that is too long is cut, and ends in `…`.
const TOP: usize = 8;

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
