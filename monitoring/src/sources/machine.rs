//! What only the machine knows: declared here, read by the shell on Hermit.

use super::clock::CLOCK;
use crate::metrics::FieldDef;
use crate::time::Micros;

/// A source that a shell adds.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// What it tells.
    pub doc: &'static str,
    /// Names of the tags that each point has values for.
    pub labels: &'static [&'static str],
    /// Its fields.
    pub fields: &'static [FieldDef],
}

/// How busy the core is.
pub const CPU: Description = Description {
    name: "cpu",
    doc: "how busy the core is; idle is the time that it was halted, measured at the halt and at the interrupt that ended it",
    labels: &[],
    fields: &CPU_FIELDS,
};

/// Fields of [`CPU`].
pub const CPU_FIELDS: [FieldDef; 4] = [
    FieldDef::u64(
        "busy_us",
        "µs",
        "time that the core was not idle, since boot",
    ),
    FieldDef::u64("idle_us", "µs", "time that the core was idle, since boot"),
    FieldDef::u64(
        "busy_permille",
        "thousandths",
        "share of the last interval that it was busy",
    ),
    FieldDef::u64(
        "idle_permille",
        "thousandths",
        "share of the last interval that it was idle",
    ),
];

/// How much of their stacks tasks have used.
pub const TASKS: Description = Description {
    name: "tasks",
    doc: "how much of its stack a task has ever used, for the monitoring's own task and those that ask for it",
    labels: &TASKS_LABELS,
    fields: &TASKS_FIELDS,
};

/// Labels of [`TASKS`].
pub const TASKS_LABELS: [&str; 1] = ["task"];

/// Fields of [`TASKS`].
pub const TASKS_FIELDS: [FieldDef; 2] = [
    FieldDef::u64("stack_bytes", "bytes", "size of the stack"),
    FieldDef::u64(
        "stack_high_water_bytes",
        "bytes",
        "the most that was in use at once, as far as it was looked at",
    ),
];

/// All of them, for the documentation.
pub const ALL: [Description; 3] = [CPU, TASKS, CLOCK];

/// The fields of [`CPU`], from two readings of the clock and of the time idle.
#[derive(Clone, Copy, Debug, Default)]
pub struct Load {
    elapsed: Micros,
    idle: Micros,
}

impl Load {
    /// Nothing was read yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            elapsed: Micros::ZERO,
            idle: Micros::ZERO,
        }
    }

    /// Busy and idle since boot in µs, and their shares since the last call in thousandths, rounded to the nearest.
    /// `idle` is never more than `elapsed`; both count from the same moment.
    pub fn follow(&mut self, elapsed: Micros, idle: Micros) -> [u64; 4] {
        let span = (elapsed - self.elapsed).0.max(1);
        let idle_span = (idle - self.idle).0.min(span);
        let idle_permille = (idle_span * 1_000 + span / 2) / span;
        *self = Self { elapsed, idle };
        [
            (elapsed - idle).0,
            idle.0,
            1_000 - idle_permille,
            idle_permille,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_since_the_last_reading() {
        let mut load = Load::new();
        assert_eq!(
            load.follow(Micros(1_000), Micros(250)),
            [750, 250, 750, 250]
        );
        assert_eq!(
            load.follow(Micros(2_000), Micros(1_250)),
            [750, 1_250, 0, 1_000]
        );
        assert_eq!(
            load.follow(Micros(3_000), Micros(1_250)),
            [1_750, 1_250, 1_000, 0]
        );
        assert_eq!(
            load.follow(Micros(3_000), Micros(1_250)),
            [1_750, 1_250, 1_000, 0]
        );
    }
}
