//! The distribution of sizes and of lifetimes.

use crate::weight::Weight;

/// Classes of sizes: powers of two of words.
const SIZE_CLASSES: usize = 48;

/// Classes of lifetimes: less than 10 µs, 100 µs, … 10,000 s, and longer.
const LIFETIME_CLASSES: usize = 11;

/// Sizes of blocks. Class `n` holds blocks of more than 2^(n−1) and at most 2^n words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sizes([Weight; SIZE_CLASSES]);

impl Default for Sizes {
    fn default() -> Self {
        Self([Weight::default(); SIZE_CLASSES])
    }
}

impl Sizes {
    /// Adds a block.
    pub(crate) fn add(&mut self, words: u64, weight: Weight) {
        let class = words
            .saturating_sub(1)
            .checked_ilog2()
            .map_or(0, |log| log as usize + 1);
        self.0[class.min(SIZE_CLASSES - 1)] += weight;
    }

    /// The largest number of words in each class that is not empty, and what is in it.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (u64, Weight)> {
        let classes = self.0.iter().enumerate();
        classes
            .filter(|(_, weight)| weight.samples > 0)
            .map(|(class, &weight)| (1 << class, weight))
    }
}

/// Lifetimes of blocks that were freed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Lifetimes([Weight; LIFETIME_CLASSES]);

impl Lifetimes {
    /// Adds a block that lived so long.
    pub(crate) fn add(&mut self, micros: u64, weight: Weight) {
        let class = micros.max(1).ilog10() as usize;
        self.0[class.min(LIFETIME_CLASSES - 1)] += weight;
    }

    /// Returns for each class that is not empty where it ends, in microseconds and not within it, and what is in it. The last class
    /// has no end.
    pub(crate) fn classes(&self) -> impl Iterator<Item = (Option<u64>, Weight)> {
        let classes = self.0.iter().enumerate();
        classes
            .filter(|(_, weight)| weight.samples > 0)
            .map(|(class, &weight)| {
                let end = (class + 1 < LIFETIME_CLASSES).then(|| 10_u64.pow(class as u32 + 1));
                (end, weight)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Weight {
        Weight::of(1, 1, 1.0)
    }

    #[test]
    fn a_size_is_in_the_class_of_the_next_power_of_two() {
        for (words, class) in [
            (0, 1),
            (1, 1),
            (2, 2),
            (3, 4),
            (4, 4),
            (5, 8),
            (1 << 20, 1 << 20),
            (u64::MAX, 1 << 47),
        ] {
            let mut sizes = Sizes::default();
            sizes.add(words, one());
            assert_eq!(
                sizes.classes().collect::<Vec<_>>(),
                [(class, one())],
                "{words}"
            );
        }
    }

    #[test]
    fn a_lifetime_is_below_its_classs_end() {
        for (micros, end) in [
            (0, Some(10)),
            (9, Some(10)),
            (10, Some(100)),
            (999_999, Some(1_000_000)),
            (9_999_999_999, Some(10_000_000_000)),
            (10_000_000_000, None),
            (u64::MAX, None),
        ] {
            let mut lifetimes = Lifetimes::default();
            lifetimes.add(micros, one());
            assert_eq!(
                lifetimes.classes().collect::<Vec<_>>(),
                [(end, one())],
                "{micros}"
            );
        }
    }
}
