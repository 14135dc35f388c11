//! The amount that is added up for each stack.

use core::ops::{Add, AddAssign, Sub, SubAssign};

/// Parts of a block: numbers of blocks are estimated, and sums must come out even when all is taken away again.
const PARTS: f64 = 65_536.0;

/// An amount of sampled blocks. Sums stop at the largest number: only a trace that was made up comes there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Weight {
    /// Sampled blocks.
    pub(crate) samples: u64,
    /// Their sampled words.
    pub(crate) hits: u64,
    /// The number of blocks that they stand for, in 65,536ths.
    parts: u64,
}

impl Weight {
    /// A sampled block. It stands for as many as one in which a block of this size is sampled at all: 1 / (1 − (1 − rate)^words)
    /// (D. G. Horvitz and D. J. Thompson, "A generalization of sampling without replacement from a finite universe",
    /// JASA 47, 1952).
    pub(crate) fn of(words: u64, hits: u64, rate: f64) -> Self {
        // A block has as many words as were hit, at least, whatever a trace says.
        let words = words.max(hits) as f64;
        let sampled = -(words * (-rate).ln_1p()).exp_m1();
        Self {
            samples: 1,
            hits,
            parts: (PARTS / sampled).round() as u64,
        }
    }

    /// Returns the number of blocks that these stand for.
    pub(crate) fn blocks(&self) -> f64 {
        self.parts as f64 / PARTS
    }
}

impl Add for Weight {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Weight {
    fn add_assign(&mut self, other: Self) {
        self.samples = self.samples.saturating_add(other.samples);
        self.hits = self.hits.saturating_add(other.hits);
        self.parts = self.parts.saturating_add(other.parts);
    }
}

impl Sub for Weight {
    type Output = Self;

    fn sub(mut self, other: Self) -> Self {
        self -= other;
        self
    }
}

/// Takes away what was added before.
impl SubAssign for Weight {
    fn sub_assign(&mut self, other: Self) {
        self.samples = self.samples.saturating_sub(other.samples);
        self.hits = self.hits.saturating_sub(other.hits);
        self.parts = self.parts.saturating_sub(other.parts);
    }
}

impl core::iter::Sum for Weight {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_stands_for_as_many_blocks_as_it_was_picked_from() {
        for (words, rate, want) in [
            (1, 1.0, 1.0),
            (1_000_000, 1.0, 1.0),
            (1, 0.5, 2.0),
            (2, 0.5, 4.0 / 3.0),
            (1, 1e-4, 1e4),
            (1_000_000, 1e-4, 1.0),
        ] {
            let blocks = Weight::of(words, 1, rate).blocks();
            assert!(
                (blocks - want).abs() < 1e-4 * want,
                "{words} at {rate}: {blocks} is not {want}"
            );
        }
    }

    #[test]
    fn nothing_is_left_when_all_is_taken_away() {
        let weights: Vec<Weight> = (1..100).map(|words| Weight::of(words, 1, 0.001)).collect();
        let mut sum: Weight = weights.iter().copied().sum();
        for weight in weights {
            sum -= weight;
        }
        assert_eq!(sum, Weight::default());
    }
}
