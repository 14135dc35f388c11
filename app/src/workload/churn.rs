//! A workload that only allocates and frees, to measure a heap or its profiler with.

use alloc::vec::Vec;
use core::hint::black_box;

use super::size;
use crate::random::Random;

/// The most blocks alive.
pub const BLOCKS_MAX: usize = 1024;
/// The most bytes alive: far from the 10 MiB heap of the smallest guest, even when a fragmented heap needs several times that.
pub const BYTES_MAX: usize = 512 * 1024;
/// The allocations and frees of one step, together. A step makes fewer where a block would exceed the bounds.
pub const OPERATIONS: usize = 256;

const _: () = assert!(size::SIZE_MAX <= BYTES_MAX, "the largest block must fit");

/// Blocks of mixed sizes in random slots. A step fills free slots and empties taken ones, so half of the slots are taken in the
/// long run. Lifetimes are geometric: most blocks die young, some grow old.
#[derive(Debug)]
pub struct Churn {
    random: Random,
    slots: Vec<Option<Vec<u8>>>,
    blocks: usize,
    bytes: usize,
}

impl Churn {
    /// Allocates the table of slots, and nothing else until the first step.
    pub fn new(seed: u64) -> Self {
        let slots = (0..BLOCKS_MAX).map(|_| None).collect();
        Self {
            random: Random::new(seed),
            slots,
            blocks: 0,
            bytes: 0,
        }
    }

    /// Returns the blocks and bytes alive.
    pub fn live(&self) -> (usize, usize) {
        (self.blocks, self.bytes)
    }

    /// Makes up to [`OPERATIONS`] allocations and frees.
    pub fn step(&mut self) {
        for _ in 0..OPERATIONS {
            self.flip_a_slot();
        }
    }

    fn flip_a_slot(&mut self) {
        let slot = self.random.below(BLOCKS_MAX as u32) as usize;
        if let Some(block) = self.slots[slot].take() {
            self.blocks -= 1;
            self.bytes -= block.len();
            return;
        }
        let bytes = size::draw(&mut self.random);
        if self.bytes + bytes > BYTES_MAX {
            return;
        }
        self.slots[slot] = Some(match bytes {
            0..64 => small_block(bytes),
            64..1024 => medium_block(bytes),
            _ => large_block(bytes),
        });
        self.blocks += 1;
        self.bytes += bytes;
    }
}

// Three functions, so that a profile has three allocation sites. They fill their blocks with different bytes, because the compiler
// would merge equal bodies into one function.

#[inline(never)]
fn small_block(bytes: usize) -> Vec<u8> {
    black_box(alloc::vec![1; bytes])
}

#[inline(never)]
fn medium_block(bytes: usize) -> Vec<u8> {
    black_box(alloc::vec![2; bytes])
}

#[inline(never)]
fn large_block(bytes: usize) -> Vec<u8> {
    black_box(alloc::vec![0; bytes])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_alive_is_what_the_slots_hold_and_stays_within_its_bounds() {
        let mut churn = Churn::new(1);
        let mut most = 0;
        for _ in 0..1000 {
            churn.step();
            let held = || churn.slots.iter().flatten();
            assert_eq!(churn.live(), (held().count(), held().map(Vec::len).sum()));
            assert!(churn.blocks <= BLOCKS_MAX && churn.bytes <= BYTES_MAX);
            most = most.max(churn.bytes);
        }
        assert!(
            most > BYTES_MAX - size::SIZE_MAX,
            "the bound was never near: {most}"
        );
        // Half of the slots are taken in the long run; the standard deviation is 16.
        assert!((432..=592).contains(&churn.blocks), "{}", churn.blocks);
    }
}
