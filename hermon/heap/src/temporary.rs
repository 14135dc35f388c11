//! Which blocks are temporary: freed so soon that they might not have been needed.

use core::fmt;
use core::str::FromStr;

use hermon_amounts as amounts;
use thiserror::Error;

/// Microseconds below which a block is temporary if nothing else is said: long for a function call, short for anything that
/// waits for another machine.
const DEFAULT_MICROS: u64 = 1_000;

/// When a block is temporary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporary {
    /// It was freed within so many microseconds.
    Within(u64),
    /// It was freed before so many further blocks were sampled. 1: directly, as heaptrack understands the word, but of
    /// sampled blocks.
    Before(u64),
}

impl Default for Temporary {
    fn default() -> Self {
        Self::Within(DEFAULT_MICROS)
    }
}

impl Temporary {
    /// Returns whether a block is temporary that was freed at this age and after so many further samples.
    pub const fn holds(&self, micros: u64, samples: u64) -> bool {
        match *self {
            Self::Within(limit) => micros <= limit,
            Self::Before(limit) => samples < limit,
        }
    }
}

/// Neither a time nor a number.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither a time such as 1ms nor a number of sampled blocks such as 10")]
pub struct TemporaryError(String);

impl FromStr for Temporary {
    type Err = TemporaryError;

    fn from_str(text: &str) -> Result<Self, TemporaryError> {
        if let Ok(number) = text.parse() {
            return Ok(Self::Before(number));
        }
        let time = amounts::duration(text).map_err(|_| TemporaryError(text.to_owned()))?;
        let micros = u64::try_from(time.as_micros());
        Ok(Self::Within(micros.unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Temporary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Within(micros) => write!(f, "freed within {}", amounts::micros(micros)),
            Self::Before(samples) => write!(f, "freed before {samples} further sampled blocks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_has_a_unit_and_a_number_has_none() {
        for (text, want) in [
            ("1ms", Temporary::Within(1_000)),
            ("2s", Temporary::Within(2_000_000)),
            ("1m 30s", Temporary::Within(90_000_000)),
            ("0s", Temporary::Within(0)),
            ("10", Temporary::Before(10)),
        ] {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        for text in ["", "soon", "-1s", "-1", "1 parsec"] {
            let error = text.parse::<Temporary>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn both_limits_are_exact() {
        assert!(Temporary::Within(10).holds(10, 99) && !Temporary::Within(10).holds(11, 0));
        assert!(Temporary::Before(1).holds(99, 0) && !Temporary::Before(1).holds(0, 1));
    }
}
