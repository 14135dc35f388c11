//! The choice of the words that are sampled: a countdown to the next hit.
//!
//! ```text
//!   words:   . . . . . . . . . . . ┃ . . . . X . . . . . ┃ . . .      X: hit
//!   left:                      4 ─▶┃             -6 ─▶ + gaps ┃
//!                                  └── a block of 10 words ──┘
//! ```
//! Each block subtracts its words. The block that takes the countdown below zero owns the hit: it counts the hits in
//! its rest, draws gap after gap until one ends after the block, and adds all of them.
//!
//! # Without a lock
//! Another task that allocates, or an interrupt, can preempt a task between its subtraction and its addition. Until the
//! first task continues, the countdown is negative. Blocks that come meanwhile cannot know where the next hit will be.
//! But hits have no memory. So these blocks draw new hits from their beginning and give their words back; the result
//! has the right distribution. At rate 1 each block has as many hits as words, in any order of preemption.
//!
//! One race remains: while a block's words are subtracted and not yet given back, the countdown is lower by them. A
//! block that comes at this moment may take a hit that would have come that many words later. So a hit may move by the
//! words of the blocks that are being counted at one moment; no hit is lost and none is added.

use super::Rate;
use super::odds::{Chance, Odds, STEP, mix};
use super::word::Word;

/// The countdown while nothing is sampled, in words. 2^65 bytes are never allocated.
const NEVER: u64 = 1 << 62;

/// The words before the next hit: the word that takes the countdown below zero is hit.
///
/// Sampling and not sampling run the same code; without sampling the countdown does not end.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Countdown(Word);

impl Countdown {
    pub const fn new() -> Self {
        Self(Word::new(NEVER))
    }

    /// Counts a block. Returns `true` if it may have a hit; then [`hits`](Self::hits) must be called.
    #[inline(always)]
    pub fn pass(&self, words: u64) -> bool {
        let before = self.0.fetch_add(words.wrapping_neg());
        before.wrapping_sub(words).cast_signed() < 0
    }

    /// Returns the number of hits in a block for which [`pass`](Self::pass) returned `true`.
    ///
    /// It repeats the subtraction, now with the previous value as its result: another task may have run in between.
    pub fn hits(&self, words: u64, chances: &Chances) -> u64 {
        self.0.add(words);
        let before = self.0.fetch_add(words.wrapping_neg()).cast_signed();
        let after = before.wrapping_sub_unsigned(words);
        if after >= 0 {
            return 0;
        }
        let (odds, mut random) = (chances.odds(), || chances.random());
        if before >= 0 {
            let (hits, next) = odds.hits_and_next((!after).cast_unsigned(), &mut random);
            self.0.add(next);
            1 + hits
        } else {
            self.0.add(words);
            odds.hits(words, &mut random)
        }
    }

    #[cfg(test)]
    pub fn set(&self, words: u64) {
        self.0.set(words);
    }

    #[cfg(test)]
    pub fn get(&self) -> u64 {
        self.0.get()
    }

    /// Starts sampling.
    pub fn start(&self, chances: &Chances) {
        let gap = chances.odds().hit.gap(&mut || chances.random());
        self.0.publish(gap - 1);
    }

    /// Stops sampling.
    pub fn stop(&self) {
        self.0.publish(NEVER);
    }
}

/// The odds and the random numbers that all tasks share.
#[derive(Debug)]
pub(super) struct Chances {
    hit: [Word; 2],
    miss: [Word; 2],
    state: Word,
}

impl Chances {
    pub fn new() -> Self {
        let zeros = || [Word::new(0), Word::new(0)];
        Self {
            hit: zeros(),
            miss: zeros(),
            state: Word::new(0),
        }
    }

    /// Sets the odds and the seed. Must not run while a task draws.
    pub fn set(&self, rate: Rate, seed: u64) {
        let odds = Odds::new(rate);
        for (words, chance) in [(&self.hit, odds.hit), (&self.miss, odds.miss)] {
            words[0].set(chance.scale);
            words[1].set(chance.probability);
        }
        self.state.set(mix(seed.wrapping_add(STEP)));
    }

    fn odds(&self) -> Odds {
        let chance = |words: &[Word; 2]| Chance {
            scale: words[0].get(),
            probability: words[1].get(),
        };
        Odds {
            hit: chance(&self.hit),
            miss: chance(&self.miss),
        }
    }

    /// Returns a random number. One instruction advances the state, so no other caller gets the same number.
    #[inline]
    fn random(&self) -> u64 {
        mix(self.state.fetch_add(STEP))
    }
}

#[cfg(test)]
mod tests;
