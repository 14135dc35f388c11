//! The built-in sources, which every image has.
//!
//! `sources/declared.rs` declares them. They are registered like all others, so that they are switched by name and by
//! tag. The monitoring task reads their values at the beginning of an interval, all at once: a [`Readings`].
//!
//! To add a field: a row in `declared.rs`, and its value in [`Readings`] if that does not have it yet. To add a source:
//! an entry there. `cargo test -p agent --test sources` says which files to accept, and how.
//!
//! Names of fields state their unit where it is not a plain number: `_bytes`, `_us` (microseconds). Counters count
//! since boot; reading does not reset them. A type never changes: InfluxDB fixes a field's type at its first value.
//! `docs/METRICS.md` is the table of all of them.

pub mod clock;
// A table: one row a line.
#[rustfmt::skip]
mod declared;
mod load;
mod readings;

use core::ptr;

use metrics::{FieldList, Registry, Source};

pub use self::declared::{ALL, BuiltIn, OF_THE_MACHINE, TASKS, push_task};
pub use self::load::{Load, LoadMeter};
pub use self::readings::{Image, Interrupts, Machine, Own, Readings, StackUse};

/// Registers the built-in sources, and those of the machine if `with_machine`. If the application has taken a name, the
/// built-in source stays off and is counted; the application's source replaces it.
pub fn register(registry: &'static Registry, with_machine: bool) {
    if with_machine {
        for source in OF_THE_MACHINE {
            let _ = registry.register(*source);
        }
        let _ = registry.register(&TASKS);
    }
    for source in ALL {
        let _ = registry.register(*source);
    }
}

/// Adds the fields of this built-in source; adds none for another source. Cost: a few stores; allocates nothing.
pub fn tell(source: &Source, readings: &Readings, fields: &mut FieldList<'_>) {
    let built_in = ALL.iter().chain(OF_THE_MACHINE);
    if let Some(built_in) = built_in.copied().find(|it| ptr::eq(it.source(), source)) {
        built_in.tell(readings, fields);
    }
}

#[cfg(test)]
mod tests;
