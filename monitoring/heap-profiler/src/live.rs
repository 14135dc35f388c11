//! The set of sampled blocks that are alive: fixed memory, exact, without locks.
//!
//! ```text
//!                    ┌ 16 counters of a set ┐
//!   filter (bytes)   │0 0 1 0 0 0 0 0 0 2 … │    how many sampled blocks have this part of the hash
//!                    └──────────────────────┘
//!   slots (words)    │a 0 0 b 0 c 0 0│             their addresses: a set of 8 is one line of the cache
//! ```
//! A free reads one byte of the filter: 0 means that the block is not sampled. Otherwise it compares the addresses of
//! its two sets. A block goes to the second set if the first is full. If both are full, the caller counts the sample as
//! lost; that begins when some 70 % of all slots are in use.
//!
//! A slot belongs to the task that put an address there. No other task can look up the address: the application does
//! not have the block yet, or no longer. So each step needs only one uninterruptible instruction.

use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::word::{Byte, Word};

/// Addresses in one cache line.
const WAYS: usize = 8;
/// Bytes of the filter per slot. With few samples alive, the share of false alarms is the share of bytes that are not
/// 0.
const FILTER_PER_SLOT: usize = 2;
/// An empty slot. No block has this address.
pub(super) const FREE: u64 = 0;
/// A slot whose block is being reallocated, and has no address for now. No block begins at address 1.
const BETWEEN: u64 = 1;

/// The factor of an address in its hash: odd, and of 31 bits, so that it is a part of the instruction.
pub(super) const FACTOR: u64 = 0x5bd1_e995;

/// The sampled blocks.
#[derive(Debug)]
pub(super) struct Live {
    filter: Box<[Byte]>,
    pub slots: Box<[Word]>,
}

/// A place in the filter, which also gives the block's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

impl Place {
    /// Computes the place. Addresses differ in few bits, which depend on sizes and alignments; the product's bits from
    /// 32 on depend on all of them.
    #[inline(always)]
    pub fn of(address: usize, mask: u64) -> Self {
        let hash = (address as u64).wrapping_mul(FACTOR) >> 32;
        Self((hash & mask) as usize)
    }

    /// Returns the index of the filter's byte.
    #[inline(always)]
    pub fn index(self) -> usize {
        self.0
    }

    /// Returns the two sets of the block among `sets`, a power of two. Blocks that share one set seldom share the
    /// other.
    fn sets(self, sets: usize) -> [usize; 2] {
        const PLACES: usize = WAYS * FILTER_PER_SLOT;
        let first = self.0 / PLACES;
        let apart = (self.0 % PLACES + 1) * 37;
        [first, (first ^ apart) & (sets - 1)]
    }
}

impl Live {
    /// Creates a set for `slots` blocks, a power of two and at least 8. Takes 10 bytes for each.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(slots: usize) -> Result<Self, TryReserveError> {
        debug_assert!(slots.is_power_of_two() && slots >= WAYS);
        Ok(Self {
            filter: boxed(slots * FILTER_PER_SLOT, || Byte::new(0))?,
            slots: boxed(slots, || Word::new(FREE))?,
        })
    }

    pub fn slots(&self) -> usize {
        self.slots.len()
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.filter) + size_of_val(&*self.slots)
    }

    /// Returns the mask that [`Place::of`] needs.
    pub fn mask(&self) -> u64 {
        self.filter.len() as u64 - 1
    }

    pub fn filter(&self) -> &[Byte] {
        &self.filter
    }

    /// Takes a slot for a new block; `None` if its sets are full.
    #[inline]
    pub fn take(&self, address: usize) -> Option<u32> {
        self.search(address, |word| {
            word.get() == FREE && word.compare_exchange(FREE, address as u64).is_ok()
        })
    }

    /// Returns the first slot in the block's sets that is `wanted`.
    #[inline]
    fn search(&self, address: usize, wanted: impl Fn(&Word) -> bool) -> Option<u32> {
        let (sets, rest) = self.slots.as_chunks::<WAYS>();
        debug_assert!(rest.is_empty());
        for set in Place::of(address, self.mask()).sets(sets.len()) {
            if let Some(way) = sets.get(set)?.iter().position(&wanted) {
                return Some((set * WAYS + way) as u32);
            }
        }
        None
    }

    /// Makes the filter let the block through to [`find`](Self::find).
    #[inline]
    pub fn enter(&self, address: usize) {
        self.count(address, 1);
    }

    #[inline]
    fn count(&self, address: usize, n: u8) {
        if let Some(byte) = self.filter.get(Place::of(address, self.mask()).index()) {
            byte.add(n);
        }
    }

    /// Writes a slot that was found here.
    #[inline]
    fn slot(&self, slot: u32, address: u64) {
        if let Some(word) = self.slots.get(slot as usize) {
            word.publish(address);
        }
    }

    /// Returns the slot of a live block, if it is sampled.
    #[inline]
    pub fn find(&self, address: usize) -> Option<u32> {
        self.search(address, |word| word.get() == address as u64)
    }

    /// Removes the address of a block that is being reallocated: another block may have it before the caller knows.
    pub fn detach(&self, slot: u32) {
        self.slot(slot, BETWEEN);
    }

    /// Restores the address of a block that was not moved.
    pub fn attach(&self, slot: u32, address: usize) {
        self.slot(slot, address as u64);
    }

    /// Removes a freed block: undoes [`enter`](Self::enter) and gives the slot back.
    #[inline]
    pub fn leave(&self, slot: u32, address: usize) {
        self.count(address, 1u8.wrapping_neg());
        self.give_back(slot);
    }

    /// Undoes [`take`](Self::take). All earlier writes about the slot become visible before those of its next owner.
    #[inline]
    pub fn give_back(&self, slot: u32) {
        self.slot(slot, FREE);
    }

    /// Removes all blocks. Must not run while a task is inside.
    pub fn clear(&self) {
        self.filter.iter().for_each(|byte| byte.set(0));
        self.slots.iter().for_each(|word| word.set(FREE));
    }
}

/// Returns `len` values, or an error where a `Box` would abort the program.
pub(super) fn boxed<T>(len: usize, value: impl FnMut() -> T) -> Result<Box<[T]>, TryReserveError> {
    let mut values = Vec::new();
    values.try_reserve_exact(len)?;
    values.resize_with(len, value);
    Ok(values.into_boxed_slice())
}
