//! The cache of codes: what readers know, and what they expect after it.
//!
//! ```text
//! slot = (code, prediction: the slot that came next the last time, when it was last used, whom it serves)
//! ```
//!
//! Readers keep the same codes and predictions, because every change of them is in the stream; when a slot was
//! last used and whom it serves is ours alone, as is the choice of the slot that a code takes.
//!
//! **A code's own slot.** A code has two buckets of 8 slots, by two hashes, and goes to the one with more room; if
//! there is none, one of the 16 codes makes room. Two choices fill a table evenly: of a trace with 12,000
//! codes none has to, while memtrace's writer, with two single slots for each code, then writes half as much again.
//! A bucket is 64 bytes, a line of the processor's cache.
//!
//! **Slots that serve one tail.** A code may have more slots, each for one [`Tail`] that begins with it, in the bucket
//! that the tail's hash names. What comes after it is then always the same, so its prediction is never changed for
//! another tail: a run does not end at such a slot but at the end of the stack. Tails share
//! those of their inner tails. Nothing relies on them: a run is compared code by code, so that of a slot that was taken
//! away, or of two tails with one hash, the worst is another codeword. They only take what own slots leave them.
//!
//! **Defined means cached.** A code has its own slot exactly if the stream has defined it and the code was not
//! evicted since. An evicted code that comes back is defined once more, as the format allows, so no second table
//! of what was ever defined is needed.

use alloc::boxed::Box;
use alloc::vec;

use super::stack::CODES_MAX;
use super::tail::Tail;

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
    /// The slot, and whether this one serves a tail alone: bits that the number leaves free.
    next: u16,
    /// The low bits of the time of its last use.
    used: u16,
}

/// Of [`Slot::next`].
const ALONE: u16 = 1 << 15;
const _: () = assert!(SLOTS <= ALONE as usize);

impl Slot {
    #[inline]
    const fn prediction(self) -> SlotNumber {
        self.next & !ALONE
    }

    #[inline]
    const fn is_own(self) -> bool {
        self.next & ALONE == 0
    }

    /// Neither empty nor a slot that gives way.
    #[inline]
    const fn is_taken(self) -> bool {
        self.code != 0 && self.is_own()
    }

    #[inline]
    const fn predict(&mut self, number: SlotNumber) {
        self.next = self.next & ALONE | number;
    }
}

/// Frames that readers predict after a codeword's own.
#[derive(Clone, Copy)]
pub(super) struct Run {
    pub(super) count: u8,
    /// The slot of the last one, or of the codeword.
    pub(super) last: SlotNumber,
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
    /// Slots that were given to tails, and how many of them since the last [`Cache::keep`].
    pub(super) copies: u64,
    copied: u64,
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
            copies: 0,
            copied: 0,
        }
    }

    pub(super) fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.changed = 0;
        self.newest = None;
        self.stacks = 0;
        (self.evictions, self.evicted) = (0, 0);
        (self.copies, self.copied) = (0, 0);
    }

    #[inline]
    fn slot(&mut self, number: SlotNumber) -> &mut Slot {
        &mut self.slots[usize::from(number) % SLOTS]
    }

    #[inline]
    const fn now(&self) -> u16 {
        (self.stacks >> 4) as u16
    }

    #[inline]
    fn age(&self, number: usize) -> u16 {
        self.now().wrapping_sub(self.slots[number].used)
    }

    /// A code's own slot.
    #[inline]
    pub(super) fn find(&self, code: u32) -> Option<SlotNumber> {
        let [first, second] = buckets(code);
        let own = |slot: &SlotNumber| self.slots[usize::from(*slot)].is_own();
        self.find_in(first, code)
            .filter(own)
            .or_else(|| self.find_in(second, code).filter(own))
    }

    /// The slot that serves this tail alone, or perhaps another with its hash.
    #[inline]
    pub(super) fn find_for(&self, tail: &Tail<'_>) -> Option<SlotNumber> {
        self.find_in(bucket(tail), *tail.codes.first()?)
            .filter(|slot| !self.slots[usize::from(*slot)].is_own())
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

    /// After `from` comes `to`, as readers note for each codeword, and then what `codes` says as far as it is
    /// predicted, and back to where a run may end: at an own slot, or at the end of the stack. Nothing changes if that is
    /// before `to`.
    #[inline]
    pub(super) fn link_and_follow(
        &mut self,
        from: SlotNumber,
        to: SlotNumber,
        codes: &[u32],
    ) -> Option<Run> {
        // First of all: the run may come back to `from`.
        let before = *self.slot(from);
        self.slot(from).predict(to);
        let mut run = self.follow(to, codes);
        if usize::from(run.count) < codes.len() && !self.slot(run.last).is_own() {
            match self.retreat(to, run.count) {
                Some(shorter) => run = shorter,
                None => {
                    self.slot(from).next = before.next;
                    return None;
                }
            }
        }
        if before.prediction() != to {
            self.note(from, before);
        }
        Some(run)
    }

    #[inline]
    fn follow(&mut self, from: SlotNumber, codes: &[u32]) -> Run {
        let now = self.now();
        let slot = self.slot(from);
        slot.used = now;
        let (mut last, mut next) = (from, slot.next);
        let mut count = 0;
        for code in codes {
            let slot = self.slot(next);
            if slot.code != *code {
                break;
            }
            // A store each time would make an event take some nanoseconds more (measured).
            if slot.used != now {
                slot.used = now;
            }
            last = next;
            next = slot.next;
            count += 1;
        }
        let last = last & !ALONE;
        Run { count, last }
    }

    /// Of a run of `count` predictions, the part that ends at its last own slot.
    #[cold]
    fn retreat(&mut self, from: SlotNumber, count: u8) -> Option<Run> {
        let (mut last, mut end) = (from, None);
        for count in 0..=count {
            let slot = *self.slot(last);
            if slot.is_own() {
                end = Some(Run { count, last });
            }
            last = slot.prediction();
        }
        end
    }

    /// The run through slots alone that serve this tail.
    pub(super) fn predicted_alone(&mut self, from: SlotNumber, codes: &[u32]) -> Run {
        let mut run = Run {
            count: 0,
            last: from,
        };
        for code in codes {
            let next = self.slot(run.last).prediction();
            let slot = self.slot(next);
            if slot.code != *code || slot.is_own() {
                break;
            }
            run.count += 1;
            run.last = next;
        }
        run
    }

    /// After `from` comes `to`.
    #[inline]
    pub(super) fn link(&mut self, from: SlotNumber, to: SlotNumber) {
        let before = *self.slot(from);
        if before.prediction() != to {
            self.note(from, before);
            self.slot(from).predict(to);
        }
    }

    #[inline]
    fn note(&mut self, number: SlotNumber, before: Slot) {
        self.changes[self.changed] = (number, before);
        self.changed += 1;
    }

    /// Puts a code that has no slot into its own.
    #[cold]
    pub(super) fn put(&mut self, code: u32) -> SlotNumber {
        let number = self.place_for(code);
        self.evicted += u64::from(self.slot(number).is_taken());
        self.fill(number, code, 0);
        number
    }

    /// Puts the first code of a tail into a slot that serves the tail alone, if there is room: a free slot, or the
    /// least recently used of those that serve others.
    pub(super) fn put_for(&mut self, tail: &Tail<'_>) -> Option<SlotNumber> {
        let (code, bucket) = (*tail.codes.first()?, bucket(tail));
        // Of one code, a bucket holds the own slot or others: so it is enough to look for the code.
        if buckets(code).contains(&bucket) {
            return None;
        }
        let number = self.give_way(bucket)? as SlotNumber;
        self.copied += 1;
        self.fill(number, code, ALONE);
        Some(number)
    }

    fn fill(&mut self, number: SlotNumber, code: u32, alone: u16) {
        let (old, used) = (*self.slot(number), self.now());
        self.note(number, old);
        // The prediction stays: readers keep it, too.
        let next = old.prediction() | alone;
        *self.slot(number) = Slot { code, next, used };
    }

    /// The slots of a bucket that a code may have.
    fn ways(bucket: usize) -> impl Iterator<Item = usize> {
        (bucket * WAYS..(bucket + 1) * WAYS).filter(|at| *at != usize::from(START))
    }

    /// A slot that is free, or else the one of those for single tails that was not used for longest.
    fn give_way(&self, bucket: usize) -> Option<usize> {
        Self::ways(bucket)
            .filter(|at| !self.slots[*at].is_taken())
            .min_by_key(|at| (self.slots[*at].code != 0, u16::MAX - self.age(*at)))
    }

    fn place_for(&self, code: u32) -> SlotNumber {
        let room = |bucket| Self::ways(bucket).filter(|at| !self.slots[*at].is_taken());
        let [first, second] = buckets(code);
        let roomier = if room(second).count() > room(first).count() {
            second
        } else {
            first
        };
        self.give_way(roomier)
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
        let (one, other) = (slot(60), slot(52));
        let any = drawn >> 40 & 1 == 0;
        if any || self.age(one) > self.age(other) {
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
            self.copies += self.copied;
        }
        (self.evicted, self.copied) = (0, 0);
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
        (self.evicted, self.copied) = (0, 0);
    }

    /// The slot that was changed last: a reader that missed a packet is most likely to have it wrong.
    pub(super) fn check(&self) -> Option<Check> {
        let number = self.newest?;
        let slot = self.slots[usize::from(number)];
        Some(Check {
            slot: number,
            prediction: slot.prediction(),
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

/// The bucket of the slot that serves a tail.
#[inline]
fn bucket(tail: &Tail<'_>) -> usize {
    (tail.hash() >> (32 - BUCKETS.trailing_zeros())) as usize
}
