//! Units of time as types: the time of a clock, passed to the core as an argument.
//!
//! The pure core never reads a clock. The shell reads it once per turn and passes a [`Now`].

use core::fmt;
use core::ops::{Add, AddAssign, Sub};
use core::time::Duration;

/// A point in time or a span, in microseconds since the image was booted.
///
/// Monotonic: a later reading is never smaller. Range 0 to 2^64 - 1 µs, about 584,000 years, so a saturated sum is a
/// time that never comes. Epoch: the boot of the image, not Unix time.
///
/// ```
/// # use units::Micros;
/// let start = Micros::from_millis(1_500);
/// let deadline = start + Micros::from_secs(10);
/// assert_eq!(deadline - start, Micros(10_000_000));
/// assert_eq!(start - deadline, Micros::ZERO);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

impl Micros {
    /// The moment of boot, or an empty span.
    pub const ZERO: Self = Self(0);
    /// A time that never comes.
    pub const MAX: Self = Self(u64::MAX);

    /// Returns a number of milliseconds; saturates at [`Micros::MAX`].
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// Returns a number of seconds; saturates at [`Micros::MAX`].
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1_000_000))
    }

    /// Returns whole milliseconds, rounded down.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// Returns whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1_000_000
    }

    /// Returns the span as the standard library's type. The result is exact.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

/// Converts to whole microseconds, rounded down. A span beyond the range becomes [`Micros::MAX`].
impl From<Duration> for Micros {
    fn from(span: Duration) -> Self {
        Self(u64::try_from(span.as_micros()).unwrap_or(u64::MAX))
    }
}

/// Saturates at [`Micros::MAX`].
impl Add for Micros {
    type Output = Self;

    fn add(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

/// Saturates at [`Micros::MAX`].
impl AddAssign for Micros {
    fn add_assign(&mut self, span: Self) {
        *self = *self + span;
    }
}

/// Saturates at [`Micros::ZERO`]: the time since a moment in the future is zero.
impl Sub for Micros {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }
}

/// Writes seconds with six decimals and the unit, such as `12.345678 s`.
impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06} s", self.as_secs(), self.0 % 1_000_000)
    }
}

/// Wall-clock time, in nanoseconds since 1970-01-01T00:00:00 UTC, without leap seconds.
///
/// Signed because InfluxDB's timestamps are signed 64-bit nanoseconds: years 1677 to 2262. The wall clock may be set
/// back at any time; use [`Micros`] for spans and deadlines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixNanos(pub i64);

/// Advances the time; saturates at the end of the range, in the year 2262.
impl Add<Micros> for UnixNanos {
    type Output = Self;

    fn add(self, span: Micros) -> Self {
        let nanos = i64::try_from(span.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(nanos))
    }
}

/// The time of both clocks at one moment: one reading per turn of the loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// The time since boot, for spans and deadlines.
    pub mono: Micros,
    /// The wall clock, for timestamps that leave the image.
    pub unix: UnixNanos,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_differences_saturate() {
        assert_eq!(Micros::MAX + Micros(1), Micros::MAX);
        assert_eq!(Micros(3) - Micros(5), Micros::ZERO);
        assert_eq!(Micros::from_secs(u64::MAX), Micros::MAX);
        assert_eq!(Micros::from_millis(u64::MAX), Micros::MAX);
        assert_eq!(UnixNanos(i64::MAX - 1) + Micros(1), UnixNanos(i64::MAX));
        assert_eq!(UnixNanos(-5) + Micros::MAX, UnixNanos(i64::MAX - 5));
        let mut at = Micros(1);
        at += Micros::MAX;
        assert_eq!(at, Micros::MAX);
    }

    #[test]
    fn conversions_round_down() {
        assert_eq!(Micros(1_999_999).as_secs(), 1);
        assert_eq!(Micros(1_999).as_millis(), 1);
        assert_eq!(Micros::from(Duration::from_nanos(2_999)), Micros(2));
        assert_eq!(Micros::from(Duration::MAX), Micros::MAX);
        assert_eq!(Micros(7).as_duration(), Duration::from_micros(7));
    }

    #[test]
    fn a_time_is_shown_in_seconds_with_six_decimals() {
        assert_eq!(format!("{}", Micros(12_000_045)), "12.000045 s");
    }
}
