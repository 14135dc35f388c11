//! From hits to bytes, and how sure that is.
//!
//! Each allocated word is sampled independently with probability `p`. So the hits of `W` allocated words are a sum of
//! binomial variables with one `p`, and so themselves Binomial(`W`, `p`), however the words are spread over blocks. `W` is
//! unknown; `hits / p` is its unbiased estimate. The interval is that of all `W` for which the hits are no further from
//! their mean than `Z` standard deviations:
//!
//! ```text
//! |hits − W·p| ≤ Z·√(W·p·(1−p))      with m = W·p and q = Z²·(1−p):
//! m = hits + q/2 ± √(q·hits + q²/4)
//! ```
//!
//! That is the score interval (E. B. Wilson, "Probable inference, the law of succession, and statistical inference",
//! JASA 22, 1927), solved for the number of trials instead of their probability. It is exact at p = 1, has no width
//! there, and unlike `hits ± Z·√hits` it never reaches below 0 and tells of what was never hit, too.
//!
//! The difference of two estimates has the interval that follows from theirs (MOVER: G. Zou and A. Donner, "Construction of
//! confidence limits about effect measures", Statistics in Medicine 27, 2008):
//!
//! ```text
//! low  = a − b − √((a − a.low)² + (b.high − b)²)
//! high = a − b + √((a.high − a)² + (b − b.low)²)
//! ```

use serde::Serialize;

/// Standard deviations that hold 95 % of a normal distribution: its quantile at 0.975.
pub const Z: f64 = 1.959_963_984_540_054;

/// The bytes that a hit stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    /// Probability that a word is sampled, more than 0 and at most 1.
    pub rate: f64,
    /// Bytes of a word.
    pub word_bytes: f64,
}

/// An estimated amount with its 95 % confidence interval.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Estimate {
    /// Bytes. Below 0 only for a difference.
    pub bytes: f64,
    /// The interval's lower end.
    pub low: f64,
    /// The interval's upper end.
    pub high: f64,
}

impl Scale {
    /// Bytes of which so many words were hit.
    ///
    /// ```
    /// use hermon_heap::estimate::Scale;
    /// let all = Scale { rate: 1.0, word_bytes: 8.0 }.bytes(100);
    /// assert_eq!((all.bytes, all.low, all.high), (800.0, 800.0, 800.0));
    /// let some = Scale { rate: 1e-4, word_bytes: 8.0 }.bytes(100);
    /// assert_eq!((some.bytes, some.low.round(), some.high.round()), (8e6, 6578240.0, 9729046.0));
    /// ```
    pub fn bytes(&self, hits: u64) -> Estimate {
        let hits = hits as f64;
        let q = Z * Z * (1.0 - self.rate);
        let middle = hits + q / 2.0;
        let half = (q * hits + q * q / 4.0).sqrt();
        let one = self.word_bytes / self.rate;
        Estimate {
            bytes: hits * one,
            low: (middle - half).max(0.0) * one,
            high: (middle + half) * one,
        }
    }
}

impl Estimate {
    /// Returns by how much this is more than `other`, if both were found independently.
    pub fn minus(self, other: Self) -> Self {
        let bytes = self.bytes - other.bytes;
        Self {
            bytes,
            low: bytes - (self.bytes - self.low).hypot(other.high - other.bytes),
            high: bytes + (self.high - self.bytes).hypot(other.bytes - other.low),
        }
    }

    /// The same per so many seconds.
    pub fn over(self, seconds: f64) -> Self {
        Self {
            bytes: self.bytes / seconds,
            low: self.low / seconds,
            high: self.high / seconds,
        }
    }

    /// Returns whether the interval leaves out 0: then a difference is more than chance.
    pub fn is_sure(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bisection for the largest and smallest mean that the hits are compatible with: the definition, not its solution.
    fn by_definition(hits: f64, rate: f64, upper: bool) -> f64 {
        let fits = |mean: f64| (hits - mean).abs() <= Z * (mean * (1.0 - rate)).sqrt();
        let (mut inside, mut outside) = (hits, if upper { 10.0 * hits + 100.0 } else { 0.0 });
        for _ in 0..200 {
            let middle = f64::midpoint(inside, outside);
            if fits(middle) {
                inside = middle;
            } else {
                outside = middle;
            }
        }
        inside
    }

    #[test]
    fn the_interval_is_what_its_definition_says() {
        for rate in [1e-6, 1e-4, 0.1, 0.5, 0.99, 1.0] {
            let scale = Scale {
                rate,
                word_bytes: 8.0,
            };
            for hits in [0, 1, 2, 10, 1_000, 1_000_000] {
                let found = scale.bytes(hits);
                let one = 8.0 / rate;
                for (got, upper) in [(found.high, true), (found.low, false)] {
                    let want = by_definition(hits as f64, rate, upper) * one;
                    assert!(
                        (got - want).abs() <= 1e-6 * want.max(one),
                        "{hits} at {rate}: {got} is not {want}"
                    );
                }
            }
        }
    }

    /// A small generator of equally likely bits: xorshift64*.
    fn random(state: &mut u64) -> f64 {
        *state ^= *state >> 12;
        *state ^= *state << 25;
        *state ^= *state >> 27;
        (state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 11) as f64 / (1_u64 << 53) as f64
    }

    #[test]
    fn the_interval_covers_the_truth_nineteen_times_in_twenty() {
        let mut state = 7;
        for (words, rate) in [(200_u32, 0.1), (2_000, 0.01), (500, 0.5)] {
            let scale = Scale {
                rate,
                word_bytes: 8.0,
            };
            let runs = 4_000;
            let covered = (0..runs)
                .filter(|_| {
                    let hits = (0..words).filter(|_| random(&mut state) < rate).count();
                    let found = scale.bytes(hits as u64);
                    (found.low..=found.high).contains(&(f64::from(words) * 8.0))
                })
                .count();
            // 95 % of 4,000 is 3,800 with a standard deviation of 14. Hits are whole numbers, so up to a percent is off.
            assert!(
                (3_700..=3_900).contains(&covered),
                "{covered} of {runs} at {rate}"
            );
        }
    }

    #[test]
    fn a_difference_is_sure_only_beyond_chance() {
        let scale = Scale {
            rate: 1e-3,
            word_bytes: 8.0,
        };
        let difference = |a, b| scale.bytes(a).minus(scale.bytes(b));
        assert!(!difference(100, 100).is_sure());
        assert!(!difference(110, 100).is_sure());
        assert!(difference(200, 100).is_sure() && difference(100, 200).is_sure());
        assert!(!difference(1, 0).is_sure());
        assert!(difference(200, 100).low > 0.0);
        let exact = Scale {
            rate: 1.0,
            word_bytes: 8.0,
        };
        assert!(exact.bytes(2).minus(exact.bytes(1)).is_sure());
    }
}
