//! The load of the core, computed from two readings of the clock and of the idle time.

use units::Micros;

/// Busy and idle time since boot, and their shares of the last interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Time that the core was not idle.
    pub busy: Micros,
    /// Time that the core was idle.
    pub idle: Micros,
    /// The busy share of the last interval, in thousandths, rounded to the nearest.
    pub busy_permille: u64,
    /// The idle share of the last interval, in thousandths: the rest.
    pub idle_permille: u64,
}

/// The previous reading.
#[derive(Clone, Copy, Debug, Default)]
pub struct LoadMeter {
    elapsed: Micros,
    idle: Micros,
}

impl LoadMeter {
    /// Creates a meter before the first reading.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            elapsed: Micros::ZERO,
            idle: Micros::ZERO,
        }
    }

    /// Returns the load, with shares since the last call. `idle` is never more than `elapsed`; both count from the same
    /// moment.
    pub fn follow(&mut self, elapsed: Micros, idle: Micros) -> Load {
        let span = (elapsed - self.elapsed).0.max(1);
        let idle_span = (idle - self.idle).0.min(span);
        let idle_permille = (idle_span * 1_000 + span / 2) / span;
        *self = Self { elapsed, idle };
        Load {
            busy: elapsed - idle,
            idle,
            busy_permille: 1_000 - idle_permille,
            idle_permille,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_the_time_since_the_last_reading() {
        let mut meter = LoadMeter::new();
        for (elapsed, idle, expected) in [
            (1_000, 250, [750, 250, 750, 250]),
            (2_000, 1_250, [750, 1_250, 0, 1_000]),
            (3_000, 1_250, [1_750, 1_250, 1_000, 0]),
            (3_000, 1_250, [1_750, 1_250, 1_000, 0]),
        ] {
            let load = meter.follow(Micros(elapsed), Micros(idle));
            let told = [
                load.busy.0,
                load.idle.0,
                load.busy_permille,
                load.idle_permille,
            ];
            assert_eq!(told, expected);
        }
    }
}
