//! Which blocks that are alive now are sampled: fixed memory, exact, without locks.
//!
//! ```text
//!                    ┌ 16 counters of a set ┐
//!   filter (bytes)   │0 0 1 0 0 0 0 0 0 2 … │    how many sampled blocks have this part of the hash
//!                    └──────────────────────┘
//!   slots (words)    │a 0 0 b 0 c 0 0│             their addresses: a set of 8 is one line of the cache
//! ```
//! A block that is freed looks at one byte of the filter: 0 means that it is not sampled. Else it compares the addresses of its
//! two sets. A block goes to the second one if the first is full. If both are, the caller counts the sample as lost: that begins
//! when some 70 % of all slots are in use.
//!
//! A slot belongs to whoever put an address there. Nobody else can look for the address: the block is not yet, or no longer, the
//! application's. So each step needs no more than one instruction that is not interrupted.

use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use super::word::{Byte, Word};

/// Addresses in one line of the cache.
const WAYS: usize = 8;
/// Bytes of the filter for each slot: with few samples alive, the filter says "perhaps" for nothing as often as its bytes are not
/// 0.
const FILTER_PER_SLOT: usize = 2;
/// No slot, and no address of a block either.
pub(super) const FREE: u64 = 0;
/// A slot whose block is being reallocated, and has no address for now. No block begins at address 1.
const BETWEEN: u64 = 1;

/// What an address is multiplied by for its hash: odd, and of 31 bits, so that it is part of the instruction.
pub(super) const FACTOR: u64 = 0x5bd1_e995;

/// The sampled blocks.
#[derive(Debug)]
pub(super) struct Live {
    filter: Box<[Byte]>,
    pub slots: Box<[Word]>,
}

/// A place in the filter; the set it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(usize);

impl Place {
    /// Blocks differ in few bits, of whatever size and alignment they are; the product's bits from 32 on depend on all of them.
    #[inline(always)]
    pub fn of(address: usize, mask: u64) -> Self {
        let hash = (address as u64).wrapping_mul(FACTOR) >> 32;
        Self((hash & mask) as usize)
    }

    /// Index of the filter's byte.
    #[inline(always)]
    pub fn index(self) -> usize {
        self.0
    }

    /// The two sets among so many, a power of two. Blocks that share one seldom share the other.
    fn sets(self, sets: usize) -> [usize; 2] {
        const PLACES: usize = WAYS * FILTER_PER_SLOT;
        let first = self.0 / PLACES;
        let apart = (self.0 % PLACES + 1) * 37;
        [first, (first ^ apart) & (sets - 1)]
    }
}

impl Live {
    /// Room for `slots` blocks, a power of two and at least 8. Takes 10 bytes for each.
    ///
    /// # Errors
    /// If there is no memory for it.
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

    /// The mask that [`Place::of`] needs.
    pub fn mask(&self) -> u64 {
        self.filter.len() as u64 - 1
    }

    pub fn filter(&self) -> &[Byte] {
        &self.filter
    }

    /// Takes a slot for a block that nobody knows of yet; `None` if its sets are full.
    #[inline]
    pub fn take(&self, address: usize) -> Option<u32> {
        self.search(address, |word| {
            word.get() == FREE && word.compare_exchange(FREE, address as u64).is_ok()
        })
    }

    /// The first slot where a block may be that is `wanted`.
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

    /// From now on [`find`](Self::find) is asked for the block.
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

    /// A slot that was found here.
    #[inline]
    fn slot(&self, slot: u32, address: u64) {
        if let Some(word) = self.slots.get(slot as usize) {
            word.publish(address);
        }
    }

    /// The slot of a block that is alive, if it is sampled.
    #[inline]
    pub fn find(&self, address: usize) -> Option<u32> {
        self.search(address, |word| word.get() == address as u64)
    }

    /// The block is being reallocated: its address may be another block's before the caller knows.
    pub fn detach(&self, slot: u32) {
        self.slot(slot, BETWEEN);
    }

    /// The block keeps its address.
    pub fn attach(&self, slot: u32, address: usize) {
        self.slot(slot, address as u64);
    }

    /// The block is gone: undoes [`enter`](Self::enter) and gives the slot back.
    #[inline]
    pub fn leave(&self, slot: u32, address: usize) {
        self.count(address, 1u8.wrapping_neg());
        self.give_back(slot);
    }

    /// Undoes [`take`](Self::take). Whatever was written about the slot before comes before what its next owner writes.
    #[inline]
    pub fn give_back(&self, slot: u32) {
        self.slot(slot, FREE);
    }

    /// Forgets all blocks. Not while anyone is inside.
    pub fn clear(&self) {
        self.filter.iter().for_each(|byte| byte.set(0));
        self.slots.iter().for_each(|word| word.set(FREE));
    }
}

/// `len` values, or an error where a `Box` would end the program.
pub(super) fn boxed<T>(len: usize, value: impl FnMut() -> T) -> Result<Box<[T]>, TryReserveError> {
    let mut values = Vec::new();
    values.try_reserve_exact(len)?;
    values.resize_with(len, value);
    Ok(values.into_boxed_slice())
}
