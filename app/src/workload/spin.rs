//! A workload that computes and neither allocates, sleeps nor yields: the worst neighbour of monitoring.

use core::hint::black_box;

use crate::random::Random;

/// The random numbers of one step.
pub const NUMBERS: u32 = 20_000;

/// A sum of random numbers.
#[derive(Debug)]
pub struct Spin {
    random: Random,
    sum: u64,
}

impl Spin {
    /// Returns a sum of no numbers yet.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            sum: 0,
        }
    }

    /// Adds [`NUMBERS`] numbers.
    pub fn step(&mut self) {
        for _ in 0..NUMBERS {
            self.sum = black_box(self.sum.wrapping_add(self.random.next()));
        }
    }
}
