//! The cache of codes: what readers know, and what they expect after it.
//!
//! ```text
//! slot = (code, prediction: the slot that came next the last time, when it was last used)
//! ```
//!
//! Readers keep the same codes and predictions, because every change of them is in the stream; when a slot was
//! last used is ours alone, as is the choice of the slot that a new code takes.
//!
//! **Where a code goes.** A code has two buckets of 8 slots, by two hashes, and goes to the one with more free
//! slots; if there is none, one of the 16 codes makes room. Two choices fill a table evenly: of a trace with 12,000
//! codes none has to, while memtrace's writer, with two single slots for each code, then writes half as much again.
//! A bucket is 64 bytes, a line of the processor's cache.
//!
//! **Defined means cached.** A code is in the cache exactly if the stream has defined it and the code was not
//! evicted since. An evicted code that comes back is defined once more, as the format allows, so no second table
//! of what was ever defined is needed.

use alloc::boxed::Box;
use alloc::vec;

use super::stack::CODES_MAX;

/// Slots of the cache: fixed by the format.
const SLOTS: usize = 1 << 14;
/// Slots of a bucket: 64 bytes.
const WAYS: usize = 8;
const BUCKETS: usize = SLOTS / WAYS;

/// Bytes outside the value itself.
pub(super) const MEMORY: usize = SLOTS * size_of::<Slot>();

/// Each codeword changes a slot's prediction and perhaps another slot's code.
const CHANGES_MAX: usize = 2 * CODES_MAX;

/// The number of a slot. Slot 0 has no code: it is where each stack begins, and its prediction is overwritten by
/// each stack.
pub(super) type SlotNumber = u16;
pub(super) const START: SlotNumber = 0;

#[derive(Clone, Copy, Default)]
struct Slot {
    /// 0: never filled. No code of a stack is 0.
    code: u32,
    prediction: SlotNumber,
    /// The low bits of the time of its last use.
    used: u16,
}

/// What a packet's header says of the cache at the start of the packet, for readers to compare.
#[derive(Clone, Copy)]
pub(super) struct Check {
    pub(super) slot: SlotNumber,
    pub(super) prediction: SlotNumber,
    pub(super) code: u32,
}

/// The cache of one trace.
pub(super) struct Cache {
    slots: Box<[Slot; SLOTS]>,
    /// Changes since the last [`Cache::keep`], in order: a slot and what it was.
    changes: [(SlotNumber, Slot); CHANGES_MAX],
    changed: usize,
    /// The slot whose change was kept last.
    newest: Option<SlotNumber>,
    /// A clock for `used`: it moves on every 16 stacks, so that its 16 bits tell a million stacks apart. What
    /// was not used for longer may pass for recently used.
    stacks: u32,
    /// Codes that had to make room, and how many of them since the last [`Cache::keep`].
    pub(super) evictions: u64,
    evicted: u64,
}

impl Cache {
    pub(super) fn new() -> Self {
        let slots = vec![Slot::default(); SLOTS].into_boxed_slice();
        let Ok(slots) = slots.try_into() else {
            unreachable!("as long as was asked for")
        };
        Self {
            slots,
            changes: [(0, Slot::default()); CHANGES_MAX],
            changed: 0,
            newest: None,
            stacks: 0,
            evictions: 0,
            evicted: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.changed = 0;
        self.newest = None;
        self.stacks = 0;
        self.evictions = 0;
        self.evicted = 0;
    }

    #[inline]
    fn slot(&mut self, number: SlotNumber) -> &mut Slot {
        &mut self.slots[usize::from(number) % SLOTS]
    }

    #[inline]
    const fn now(&self) -> u16 {
        (self.stacks >> 4) as u16
    }

    /// The slot of a code.
    #[inline]
    pub(super) fn find(&self, code: u32) -> Option<SlotNumber> {
        let [first, second] = buckets(code);
        self.find_in(first, code)
            .or_else(|| self.find_in(second, code))
    }

    #[inline]
    fn find_in(&self, bucket: usize, code: u32) -> Option<SlotNumber> {
        let slots: &[Slot; WAYS] = self.slots[bucket * WAYS..][..WAYS]
            .try_into()
            .expect("a bucket");
        // Without a branch for each: one of them is the code, or none.
        let mut found = WAYS;
        for (way, slot) in slots.iter().enumerate() {
            if slot.code == code {
                found = way;
            }
        }
        (found < WAYS).then_some((bucket * WAYS + found) as SlotNumber)
    }

    /// Follows predictions from `from` as long as they say what `codes` says. How many, and the last one's slot.
    #[inline]
    pub(super) fn predicted(&mut self, from: SlotNumber, codes: &[u32]) -> (usize, SlotNumber) {
        let now = self.now();
        let mut at = from;
        let mut next = self.slot(at).prediction;
        for (count, code) in codes.iter().enumerate() {
            let slot = self.slot(next);
            if slot.code != *code {
                return (count, at);
            }
            slot.used = now;
            at = next;
            next = slot.prediction;
        }
        (codes.len(), at)
    }

    /// After `from` comes `to`, as readers note for each codeword.
    #[inline]
    pub(super) fn link(&mut self, from: SlotNumber, to: SlotNumber) {
        let now = self.now();
        self.slot(to).used = now;
        let slot = *self.slot(from);
        if slot.prediction != to {
            self.changes[self.changed] = (from, slot);
            self.changed += 1;
            self.slot(from).prediction = to;
        }
    }

    /// Puts a code that is in no slot into one.
    #[cold]
    pub(super) fn put(&mut self, code: u32) -> SlotNumber {
        let number = self.place_for(code);
        let (now, old) = (self.now(), *self.slot(number));
        self.changes[self.changed] = (number, old);
        self.changed += 1;
        self.evicted += u64::from(old.code != 0);
        // The prediction stays: readers keep it, too.
        *self.slot(number) = Slot {
            code,
            used: now,
            ..old
        };
        number
    }

    fn place_for(&self, code: u32) -> SlotNumber {
        let ways = |bucket: usize| (bucket * WAYS..(bucket + 1) * WAYS).filter(|at| *at != 0);
        let free = |bucket| ways(bucket).filter(|at| self.slots[*at].code == 0);
        let [first, second] = buckets(code);
        let roomier = if free(second).count() > free(first).count() {
            second
        } else {
            first
        };
        free(roomier)
            .next()
            .unwrap_or_else(|| self.victim([first, second])) as SlotNumber
    }

    /// The slot that makes room: in turns any of the sixteen, and of any two the one that was used less recently,
    /// drawn by a number that is another each time. The least recently used of all would be the worst choice for
    /// a program that goes round through more codes than there are slots, because each would go just before it
    /// comes back; any one would be a bad choice for a program that uses few of its codes often. This is less
    /// than memtrace's writer takes for both (`tests/memtrace/size.rs`).
    fn victim(&self, buckets: [usize; 2]) -> usize {
        let drawn = (self.evictions + self.evicted + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let slot = |bits: u32| {
            let number = (drawn >> bits) as usize % (2 * WAYS);
            // Slot 0 is not to be had.
            (buckets[number / WAYS] * WAYS + number % WAYS).max(1)
        };
        let age = |slot: usize| self.now().wrapping_sub(self.slots[slot].used);
        let (one, other) = (slot(60), slot(52));
        let any = drawn >> 40 & 1 == 0;
        if any || age(one) > age(other) {
            one
        } else {
            other
        }
    }

    /// The changes since the last call are in the stream.
    #[inline]
    pub(super) fn keep(&mut self) {
        if let Some((newest, _)) = self.changes[..self.changed].last() {
            self.newest = Some(*newest);
            self.evictions += self.evicted;
            self.evicted = 0;
        }
        self.changed = 0;
        self.stacks = self.stacks.wrapping_add(1);
    }

    /// The changes since the last [`keep`](Self::keep) are not in the stream and never were.
    pub(super) fn take_back(&mut self) {
        for at in (0..self.changed).rev() {
            let (number, old) = self.changes[at];
            *self.slot(number) = old;
        }
        self.changed = 0;
        self.evicted = 0;
    }

    /// The slot that was changed last: a reader that missed a packet is most likely to have it wrong.
    pub(super) fn check(&self) -> Option<Check> {
        let number = self.newest?;
        let slot = self.slots[usize::from(number)];
        Some(Check {
            slot: number,
            prediction: slot.prediction,
            code: slot.code,
        })
    }
}

/// The two buckets of a code: the high bits of its product with the golden ratio (Knuth, TAOCP 3, 6.4), which
/// spreads neighbours, and bits below them.
#[inline]
const fn buckets(code: u32) -> [usize; 2] {
    const BITS: u32 = BUCKETS.trailing_zeros();
    let hash = code.wrapping_mul(0x9E37_79B1);
    let first = hash >> (32 - BITS);
    let second = hash >> (32 - 2 * BITS) & (BUCKETS as u32 - 1);
    [first as usize, second as usize]
}
