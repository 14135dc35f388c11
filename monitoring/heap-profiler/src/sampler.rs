//! Which words are sampled: a countdown to the next hit.
//!
//! ```text
//!   words:   . . . . . . . . . . . ┃ . . . . X . . . . . ┃ . . .      X: hit
//!   left:                      4 ─▶┃             -6 ─▶ + gaps ┃
//!                                  └── a block of 10 words ──┘
//! ```
//! Each block subtracts its words. Whoever takes the countdown below zero owns the hit: it counts the hits in the rest
//! of its block, draws gap after gap until one ends behind the block, and adds all of them.
//!
//! # Without a lock
//! A task can be preempted between its subtraction and its addition, by another that allocates, or by an interrupt.
//! Until the first one goes on, the countdown is negative. Blocks that come meanwhile cannot know where the next hit
//! will be; but hits have no memory, so they draw theirs afresh, from the beginning of the block, give their words
//! back and are right by themselves. At rate 1 each block has as many hits as words, whatever preempts whatever.
//!
//! What remains of a race: while a block's words are subtracted and not yet given back, the countdown is lower by them,
//! and a block that comes just then may take a hit that would have fallen so many words later. A hit may thus move
//! by the words of the blocks that are being counted at one moment; none is lost and none is added.

use super::Rate;
use super::odds::{Chance, Odds, STEP, mix};
use super::word::Word;

/// The countdown while nothing is sampled, in words: 2^65 bytes are never allocated.
const NEVER: u64 = 1 << 62;

/// Words until the next hit, less one: the word that takes it below zero is hit.
///
/// Off and on are the same code; off is a countdown that does not end.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Countdown(Word);

impl Countdown {
    pub const fn new() -> Self {
        Self(Word::new(NEVER))
    }

    /// Counts a block. True if there may be a hit in it: then [`hits`](Self::hits) must be asked.
    #[inline(always)]
    pub fn pass(&self, words: u64) -> bool {
        let before = self.0.fetch_add(words.wrapping_neg());
        before.wrapping_sub(words).cast_signed() < 0
    }

    /// How many words are hit of a block that [`pass`](Self::pass) said may be.
    ///
    /// The subtraction is done again in a way that tells what was left before: in between, another task may have been here.
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

    /// From now on words are sampled.
    pub fn start(&self, chances: &Chances) {
        let gap = chances.odds().hit.gap(&mut || chances.random());
        self.0.publish(gap - 1);
    }

    /// From now on none is.
    pub fn stop(&self) {
        self.0.publish(NEVER);
    }
}

/// The odds and the random numbers, as all tasks share them.
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

    /// Not while anyone draws.
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

    /// One instruction makes the number the caller's own.
    #[inline]
    fn random(&self) -> u64 {
        mix(self.state.fetch_add(STEP))
    }
}

#[cfg(test)]
mod tests;
