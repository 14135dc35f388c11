//! Random numbers of the distributions that sampling needs, in integers.
//!
//! Each word is hit with probability p, independently of all others. So the distance from one hit to the next is
//! geometric, P(gap > k) = (1 - p)^k, and the hits in n words are binomial.
//!
//! # A gap
//! gap = 1 + ⌊E · s⌋ with s = 1 / -log2(1 - p), and E = -log2(U) for a uniform U in (0, 1]: then P(gap > k) = P(U ≤
//! 2^(-k/s)) = (1 - p)^k. s is computed once, at the start, in floating point.
//!
//! ```text
//!   64 random bits:  0 0 … 0 1 v v v v v v …       U = (1 + v) / 2^(zeros + 1),  0 ≤ v < 1
//!                    zeros     mantissa            E = zeros + (1 - log2(1 + v))
//! ```
//! The logarithm comes from a table of 257 values with linear interpolation. A chord lies above the curve by up to
//! h²/8 · log2 e = 2.8e-6, and by two thirds of that in the mean. The table's values are lowered by the mean. So the
//! error of E is at most 2e-6, and the error of its mean is below 1e-9, which no trace is long enough to show.
//!
//! # Many hits
//! A block of a million words at rate 1/2 has half a million hits. To draw each gap would delay the caller by
//! milliseconds. With more than [`COUNTED`] expected hits (or misses, if these are fewer), the number is drawn from a
//! normal distribution with the binomial distribution's mean and variance, which approximates it well by then.

use super::Rate;

/// The most expected hits that are drawn one by one: about 2 µs. With more hits and more misses than this, the normal
/// distribution is as good: its bounds, 16 standard deviations, lie inside the possible range.
const COUNTED: u128 = 512;
/// Fraction bits of a logarithm.
const LOG_BITS: u32 = 30;
/// Fraction bits of [`Chance::scale`].
const SCALE_BITS: u32 = 24;
/// Bits of the table's index, and of the position between two of its values.
const INDEX_BITS: u32 = 8;
const BETWEEN_BITS: u32 = 24;
const INTERVALS: usize = 1 << INDEX_BITS;

/// The probability of an event, ready for drawing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Chance {
    /// 1 / -log2(1 - p), with [`SCALE_BITS`] fraction bits; at most 2^40, which is p = 6e-13.
    pub scale: u64,
    /// p · 2^64, at most 2^64 - 1.
    pub probability: u64,
}

/// The chances that a word is hit and that it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Odds {
    pub hit: Chance,
    pub miss: Chance,
}

impl Chance {
    fn new(p: f64) -> Self {
        const LARGEST: f64 = (1u64 << 40) as f64;
        const TWO_TO_64: f64 = 18_446_744_073_709_551_616.0;
        let scale = core::f64::consts::LN_2 / negated_log_of_rest(p);
        Self {
            scale: (scale.min(LARGEST) * (1u64 << SCALE_BITS) as f64 + 0.5) as u64,
            // A cast saturates: 1 becomes 2^64 - 1.
            probability: (p * TWO_TO_64) as u64,
        }
    }

    /// Draws the distance from one event to the next: 1 or more.
    #[inline]
    pub fn gap(self, random: &mut impl FnMut() -> u64) -> u64 {
        let exponential = u128::from(negated_log2(random()));
        1 + ((exponential * u128::from(self.scale)) >> (LOG_BITS + SCALE_BITS)) as u64
    }

    fn expected(self, trials: u64) -> u128 {
        (u128::from(trials) * u128::from(self.probability)) >> 64
    }

    /// Draws the number of events in `trials`.
    fn events(self, trials: u64, random: &mut impl FnMut() -> u64) -> u64 {
        if self.probability == 0 {
            0
        } else if self.expected(trials) <= COUNTED {
            self.count(trials, random).0
        } else {
            self.normal(trials, random)
        }
    }

    /// Draws gap by gap. Returns the number of events in `trials`, and the place of the first one after them: more than
    /// `trials`.
    #[inline]
    fn count(self, trials: u64, random: &mut impl FnMut() -> u64) -> (u64, u64) {
        let (mut events, mut next) = (0, self.gap(random));
        while next <= trials {
            events += 1;
            next += self.gap(random);
        }
        (events, next)
    }

    /// Draws from the normal distribution: the number of ones in 256 random bits has mean 128 and standard deviation 8.
    /// A uniform number is added before the fraction is cut off, which keeps the mean.
    fn normal(self, trials: u64, random: &mut impl FnMut() -> u64) -> u64 {
        let ones: u32 = (0..4).map(|_| random().count_ones()).sum();
        let eighths = i128::from(ones) - 128;
        let mean = (u128::from(trials) * u128::from(self.probability)) >> 32;
        let variance = mean * u128::from(!self.probability >> 32);
        let deviation = variance.isqrt().cast_signed();
        let fraction = i128::from(random() >> 32);
        let events = (mean.cast_signed() + deviation * eighths / 8 + fraction) >> 32;
        events.clamp(0, i128::from(trials)) as u64
    }
}

impl Odds {
    pub fn new(rate: Rate) -> Self {
        Self {
            hit: Chance::new(rate.get()),
            miss: Chance::new(1.0 - rate.get()),
        }
    }

    /// Draws the number of hits in `words` words.
    pub fn hits(self, words: u64, random: &mut impl FnMut() -> u64) -> u64 {
        if self.hit.probability > self.miss.probability {
            words - self.miss.events(words, random)
        } else {
            self.hit.events(words, random)
        }
    }

    /// Draws the number of hits in `words` words, and the place of the next hit: more than `words`.
    pub fn hits_and_next(self, words: u64, random: &mut impl FnMut() -> u64) -> (u64, u64) {
        let few = self.hit.expected(words) <= COUNTED;
        if few && self.hit.probability <= self.miss.probability {
            return self.hit.count(words, random);
        }
        // Later hits do not depend on earlier ones.
        (self.hits(words, random), words + self.hit.gap(random))
    }
}

/// Returns pseudo-random bits for a state: SplitMix64 (G. Steele, D. Lea, C. Flood, 2014). Its state is a counter, so
/// each task that adds to it gets a different number.
#[inline]
pub(super) fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The step of the counter for [`mix`].
pub(super) const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Returns -ln(1 - p); infinite for 1. Used only at the start; `core` has no logarithm.
fn negated_log_of_rest(p: f64) -> f64 {
    /// Returns -ln(1 - x) = x + x²/2 + x³/3 + …, for x up to 1/2.
    fn series(x: f64) -> f64 {
        let (mut sum, mut power) = (0.0, 1.0);
        for n in 1..=60 {
            power *= x;
            sum += power / f64::from(n);
        }
        sum
    }
    let (mut rest, mut halvings) = (1.0 - p, 0.0);
    if p <= 0.5 {
        return series(p);
    }
    if rest <= 0.0 {
        return f64::INFINITY;
    }
    while rest < 0.5 {
        rest *= 2.0;
        halvings += 1.0;
    }
    halvings * core::f64::consts::LN_2 + series(1.0 - rest)
}

/// Returns -log2 of a random number in (0, 1], with [`LOG_BITS`] fraction bits: at most 64.
#[inline]
fn negated_log2(random: u64) -> u64 {
    let random = random | 1;
    let zeros = random.leading_zeros();
    let mantissa = random << zeros << 1;
    let index = (mantissa >> (64 - INDEX_BITS)) as usize;
    let between = (mantissa << INDEX_BITS >> (64 - BETWEEN_BITS)).cast_signed();
    let (left, right) = (i64::from(LOG[index]), i64::from(LOG[index + 1]));
    let fraction = left + (((right - left) * between) >> BETWEEN_BITS);
    ((i64::from(zeros) << LOG_BITS) + fraction)
        .max(0)
        .cast_unsigned()
}

/// 1 - log2(1 + n/256), lowered as the module's documentation states.
static LOG: [i32; INTERVALS + 1] = {
    let mut table = [0; INTERVALS + 1];
    let mut n = 0;
    while n <= INTERVALS {
        // h²/12 · log2 e / (1 + v)², with h = 1/256, is 2^30 · log2 e / 12 / (256 + n)².
        const LOWERED: u64 = 129_090_167; // 2^30 · log2 e / 12
        let sum = (INTERVALS + n) as u64;
        let value =
            (1 << LOG_BITS) - log2(sum << (63 - INDEX_BITS)) - (LOWERED / (sum * sum)) as i64;
        table[n] = value as i32;
        n += 1;
    }
    table
};

/// Returns log2 of a number in [1, 2] with 63 fraction bits, to [`LOG_BITS`]: bit by bit, by squaring.
const fn log2(number: u64) -> i64 {
    if number == 0 {
        // 2 does not fit: its shift gave 0.
        return 1 << LOG_BITS;
    }
    let (mut number, mut bits, mut n) = (number, 0, 0);
    while n < LOG_BITS {
        let square = (number as u128) * (number as u128);
        bits <<= 1;
        if square >> 127 == 1 {
            bits |= 1;
            number = (square >> 64) as u64;
        } else {
            number = (square >> 63) as u64;
        }
        n += 1;
    }
    bits
}

#[cfg(test)]
mod tests;
