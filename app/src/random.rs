//! A seeded pseudo-random generator that makes a workload the same in every run.
//!
//! It is not taken from a crate, because the sequence is part of the image's interface: a trace that was recorded with `--seed 7`
//! must be repeatable after every update of a dependency.

use core::ops::RangeInclusive;

/// SplitMix64: 64 bits of state, one addition and two multiplications per number, period 2^64. Every seed is good.
///
/// Not for secrets. Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014, figure 17; constants
/// as in Vigna's `splitmix64.c`. The tests check its first numbers.
///
/// ```
/// let mut random = app::random::Random::new(1234567);
/// assert_eq!(random.next(), 6457827717110365317);
/// ```
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Returns a generator whose whole sequence follows from `seed`.
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number in `0..bound`, or 0 if `bound` is 0.
    ///
    /// Multiply and shift (Lemire, "Fast Random Integer Generation in an Interval", 2019) without its rejection step: the bias
    /// is below 2^-32 for every bound here, and the cost is the same for every call.
    pub const fn below(&mut self, bound: u32) -> u32 {
        let high = self.next() >> 32;
        ((high * bound as u64) >> 32) as u32
    }

    /// Returns true once in `n` calls on average, and never if `n` is 0.
    pub const fn one_in(&mut self, n: u32) -> bool {
        n != 0 && self.below(n) == 0
    }

    /// Returns a number in `range`, which must hold at most 2^32 - 1 numbers.
    pub fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let count = range.end() - range.start() + 1;
        debug_assert!(
            u32::try_from(count).is_ok(),
            "the range {range:?} is wider than 32 bits"
        );
        range.start() + self.below(count as u32) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_first_numbers_are_those_of_the_reference() {
        let mut random = Random::new(1234567);
        let first = [(); 5].map(|()| random.next());
        assert_eq!(
            first,
            [
                6457827717110365317,
                3203168211198807973,
                9817491932198370423,
                4593380528125082431,
                16408922859458223821
            ]
        );
    }

    #[test]
    fn a_bounded_number_stays_below_its_bound_and_reaches_both_ends() {
        let mut random = Random::new(1);
        let mut seen = [0; 10];
        for _ in 0..10_000 {
            seen[random.below(10) as usize] += 1;
        }
        // 1,000 are expected per value, with a standard deviation of 30; the bounds are five of them.
        assert!(seen.iter().all(|&n| (850..=1150).contains(&n)), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert_eq!(random.below(1), 0);
    }

    #[test]
    fn a_range_includes_both_ends() {
        let mut random = Random::new(2);
        let numbers = [(); 200].map(|()| random.within(5..=7));
        for wanted in 5..=7 {
            assert!(numbers.contains(&wanted));
        }
        assert!(numbers.iter().all(|n| (5..=7).contains(n)));
    }

    #[test]
    fn once_in_zero_times_is_never() {
        let mut random = Random::new(3);
        assert!((0..1000).all(|_| !random.one_in(0)));
        assert!((0..1000).all(|_| random.one_in(1)));
    }
}
