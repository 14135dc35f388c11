//! The sampling rate.

use core::fmt;

/// The sampling rate: samples per allocated word, from [`Rate::MIN`] to 1.
///
/// ```
/// # use heap_profiler::Rate;
/// assert_eq!(Rate::new(1e-4).map(Rate::get), Ok(1e-4));
/// assert_eq!(Rate::new(0.0).unwrap_err().to_string(), "sampling rate 0: want from 1e-12 to 1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Rate(f64);

// A rate is never NaN.
impl Eq for Rate {}

/// A number that is not a sampling rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateError(f64);

impl Rate {
    /// The lowest rate, one sample in 8 TB: the limit of the sampler's fixed-point numbers.
    pub const MIN: f64 = 1e-12;

    /// The rate 1: each block is sampled, with as many hits as it has words.
    pub const ALL: Self = Self(1.0);

    /// Checks a rate.
    ///
    /// # Errors
    /// If `rate` is below [`Rate::MIN`], above 1 or not a number.
    pub const fn new(rate: f64) -> Result<Self, RateError> {
        if rate >= Self::MIN && rate <= 1.0 {
            Ok(Self(rate))
        } else {
            Err(RateError(rate))
        }
    }

    /// Returns the samples per word.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl fmt::Display for RateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "sampling rate {}: want from {:e} to 1",
            self.0,
            Rate::MIN
        )
    }
}

impl core::error::Error for RateError {}
