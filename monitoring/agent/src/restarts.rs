//! The limit of restarts after panics of the monitoring task.

use core::fmt;
use core::time::Duration;

use units::Micros;

/// The restarts within [`WITHIN`] after which monitoring stays off. A rare fault costs an interval or two each time. One that comes
/// back at once would otherwise print its backtrace for ever, at a higher priority than the application.
pub const RESTARTS_MAX: usize = 3;

/// The time in which restarts are counted together: far more than a fault needs that comes with each interval.
pub const WITHIN: Duration = Duration::from_secs(600);

/// Counts restarts and limits them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    count: u64,
    /// The times of the last restarts, the oldest first.
    last: [Option<Micros>; RESTARTS_MAX],
}

/// The monitoring task has panicked too often: monitoring stays off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooOften;

impl fmt::Display for TooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = WITHIN.as_secs();
        write!(
            f,
            "off, its task panicked again after {RESTARTS_MAX} restarts within {seconds} s"
        )
    }
}

impl core::error::Error for TooOften {}

impl Restarts {
    /// Creates it without a restart.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            count: 0,
            last: [None; RESTARTS_MAX],
        }
    }

    /// Counts a restart at this time. Returns the number of all restarts.
    ///
    /// # Errors
    /// [`TooOften`]: there must be no restart, now or later.
    pub fn begin(&mut self, now: Micros) -> Result<u64, TooOften> {
        let [oldest, ..] = self.last;
        if oldest.is_some_and(|oldest| now < oldest + WITHIN.into()) {
            return Err(TooOften);
        }
        self.last.rotate_left(1);
        self.last[RESTARTS_MAX - 1] = Some(now);
        self.count += 1;
        Ok(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Micros {
        Micros::from_secs(seconds)
    }

    #[test]
    fn a_rare_fault_is_always_followed_by_a_restart() {
        let mut restarts = Restarts::new();
        for n in 0..100 {
            assert_eq!(restarts.begin(at(n * 200)), Ok(n + 1));
        }
    }

    #[test]
    fn a_fault_that_comes_back_ends_the_monitoring() {
        let mut restarts = Restarts::new();
        for n in 1..=3 {
            assert_eq!(restarts.begin(at(n)), Ok(n));
        }
        assert_eq!(restarts.begin(at(600)), Err(TooOften));
        assert_eq!(
            restarts.begin(at(601)),
            Ok(4),
            "a task that is off never asks"
        );
        let text = TooOften.to_string();
        assert_eq!(
            text,
            "off, its task panicked again after 3 restarts within 600 s"
        );
    }
}
