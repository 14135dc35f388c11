//! Backtraces: the part that equals the last one is left out, and the rest is written over a cache of codes.
//!
//! ```text
//! backtrace = number of outermost codes that are those of the last one | u8 or u16 count | count × codeword
//! codeword  = u16: slot << 2 | how      0: its code            2: its code and n predicted ones   u8 n follows
//!                                       1: and a predicted one 3: a new code comes into the slot  u64 code follows
//! ```
//!
//! Each of 16,384 slots has a code and a prediction: the slot that came next the last time. Readers keep the same codes
//! and predictions, because every change of them is in the stream. Only the writer keeps the time of a slot's last use,
//! and only the writer chooses the slot for a new code.
//!
//! **The slot of a code.** A code has two buckets of 8 slots, by two hashes, and goes to the one with more free slots.
//! If both are full, one of the 16 codes makes room. Two choices fill a table evenly: in a trace with 12,000 codes no
//! code has to make room, while memtrace's writer, with two single slots for each code, writes half as much again.
//! A bucket has 64 bytes, a line of the processor's cache.
//!
//! **What is in the cache is defined.** A code enters the cache with the event that needs it, after its definition. A
//! code that made room is defined again when it comes back, as the format allows. So no second table of all defined
//! codes is needed.

use alloc::boxed::Box;
use alloc::vec;

use crate::packet::Packet;
use crate::{FRAMES_MAX, code};

/// The most codes of a backtrace: its frames and the mark that some were dropped.
const CODES_MAX: usize = FRAMES_MAX + 1;
/// Slots of the cache: fixed by the format.
const SLOTS: usize = 1 << 14;
/// Slots of a bucket.
const WAYS: usize = 8;
const BUCKETS: usize = SLOTS / WAYS;

/// The number of a slot.
type SlotNumber = u16;
/// The slot that the format takes as the one before the first codeword of each backtrace.
const START: SlotNumber = 0;
/// Stands for "no slot".
const NONE: SlotNumber = SlotNumber::MAX;

const HIT: SlotNumber = 0;
const HIT_AND_ONE: SlotNumber = 1;
const HIT_AND_MORE: SlotNumber = 2;
const MISS: SlotNumber = 3;

#[derive(Clone, Copy, Default)]
struct Slot {
    /// 0 in an empty slot. No code of a backtrace is 0.
    code: u32,
    prediction: SlotNumber,
    /// The low bits of the time when a codeword last named the slot.
    used: u16,
}

/// A slot at the beginning of a packet. The packet's header holds it, and readers compare it with theirs.
#[derive(Clone, Copy)]
pub(crate) struct Check {
    pub(crate) slot: SlotNumber,
    pub(crate) prediction: SlotNumber,
    pub(crate) code: u32,
}

/// Codes, the outermost first, at the end of the array, because stacks are unwound from the innermost frame.
struct Backtrace {
    codes: [u32; CODES_MAX],
    len: usize,
}

impl Backtrace {
    const EMPTY: Self = Self {
        codes: [0; CODES_MAX],
        len: 0,
    };

    fn codes(&self) -> &[u32] {
        &self.codes[CODES_MAX - self.len..]
    }

    /// Takes a stack, the innermost frame first. There is at least one code afterwards.
    #[inline]
    fn take(&mut self, stack: impl IntoIterator<Item = u64>) {
        let mut frames = stack.into_iter();
        self.len = 0;
        for (code, frame) in self.codes.iter_mut().rev().zip(&mut frames) {
            *code = legal(frame);
            self.len += 1;
        }
        if self.len == 0 {
            self.codes[CODES_MAX - 1] = code::UNKNOWN as u32;
            self.len = 1;
        } else if self.len == CODES_MAX && frames.next().is_some() {
            self.codes[0] = code::OUTER_DROPPED as u32;
        }
    }
}

/// The code of a frame: the cache has 32 bits for it, and 0 in an empty slot.
#[inline]
const fn legal(frame: u64) -> u32 {
    match frame {
        0 => code::UNKNOWN as u32,
        0x1_0000_0000.. => code::OUTSIDE as u32,
        frame => frame as u32,
    }
}

/// The cache of one trace, the last backtrace, and the next.
///
/// The order of calls: [`take`](Self::take), then [`defined`](Self::defined) for each code that is
/// [`undefined`](Self::undefined), then [`write`](Self::write). Only the last of them changes what readers keep.
pub(crate) struct Cache {
    slots: Box<[Slot; SLOTS]>,
    /// The backtraces of the last event and of the next one; `last` is the index of the former.
    backtraces: [Backtrace; 2],
    last: usize,
    /// Outermost codes that the two have in common.
    common: usize,
    /// The slots of the next one's other codes, at the places of the codes. A code without a slot has [`NONE`].
    found: [SlotNumber; CODES_MAX],
    /// The place of the first code that may need a definition.
    unknown: usize,
    /// Codes that are defined and wait for the event that takes them into the cache.
    waiting: [u32; CODES_MAX],
    waits: usize,
    /// The slot that was changed last: a reader that missed a packet most likely has a wrong value there.
    newest: SlotNumber,
    /// Backtraces so far: a clock for [`Slot::used`].
    written: u32,
    /// Codes that made room for others.
    pub(crate) evictions: u64,
}

impl Cache {
    /// Bytes outside the value.
    pub(crate) const MEMORY: usize = SLOTS * size_of::<Slot>();
    /// The most bytes of [`write`](Self::write) without the codewords.
    const FIXED_MAX: usize = 3 + 2;
    /// The most bytes of a codeword: a slot and a new code.
    const CODEWORD_MAX: usize = 2 + 8;
    /// The most bytes of a backtrace.
    pub(crate) const BYTES_MAX: usize = Self::FIXED_MAX + CODES_MAX * Self::CODEWORD_MAX;

    pub(crate) fn new() -> Self {
        let slots = vec![Slot::default(); SLOTS].into_boxed_slice();
        let Ok(slots) = slots.try_into() else {
            unreachable!("as long as was asked for")
        };
        Self {
            slots,
            backtraces: [Backtrace::EMPTY; 2],
            last: 0,
            common: 0,
            found: [NONE; CODES_MAX],
            unknown: CODES_MAX,
            waiting: [0; CODES_MAX],
            waits: 0,
            newest: NONE,
            written: 0,
            evictions: 0,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.slots.fill(Slot::default());
        self.backtraces[self.last].len = 0;
        self.waits = 0;
        self.newest = NONE;
        self.written = 0;
        self.evictions = 0;
    }

    /// Takes a stack, the innermost frame first, as the next backtrace.
    #[inline]
    pub(crate) fn take(&mut self, stack: impl IntoIterator<Item = u64>) {
        self.backtraces[1 - self.last].take(stack);
        let (last, next) = (&self.backtraces[self.last], &self.backtraces[1 - self.last]);
        let pairs = last.codes().iter().zip(next.codes());
        self.common = pairs.take_while(|(a, b)| a == b).count();
        self.unknown = CODES_MAX;
        let mut slot = START;
        for place in CODES_MAX - next.len + self.common..CODES_MAX {
            let code = next.codes[place];
            // Usually the predicted slot.
            slot = self.slots[usize::from(slot) % SLOTS].prediction;
            if self.slots[usize::from(slot) % SLOTS].code != code {
                slot = self.find(code).unwrap_or(NONE);
                if slot == NONE {
                    self.unknown = self.unknown.min(place);
                }
            }
            self.found[place] = slot;
        }
    }

    /// Returns a code of the next backtrace that is still to be defined.
    #[inline]
    pub(crate) fn undefined(&mut self) -> Option<u32> {
        while self.unknown < CODES_MAX {
            let code = self.backtraces[1 - self.last].codes[self.unknown];
            if self.found[self.unknown] == NONE && !self.waiting[..self.waits].contains(&code) {
                return Some(code);
            }
            self.unknown += 1;
        }
        None
    }

    /// Notes that the stream defines a code of the next backtrace.
    pub(crate) fn defined(&mut self, code: u32) {
        // If the list is full, it forgets codes of events that were given up. They are defined again if they come back.
        self.waits %= CODES_MAX;
        self.waiting[self.waits] = code;
        self.waits += 1;
    }

    /// Returns the most bytes of the next backtrace.
    #[inline]
    pub(crate) const fn bytes_max(&self) -> usize {
        let codes = self.backtraces[1 - self.last].len - self.common;
        Self::FIXED_MAX + codes * Self::CODEWORD_MAX
    }

    /// Writes the next backtrace; its count of codewords has `count_bytes` bytes. All of its codes are defined, and the
    /// packet has [`bytes_max`](Self::bytes_max).
    #[inline]
    pub(crate) fn write(&mut self, count_bytes: usize, packet: &mut Packet) {
        packet.number(self.common as u64);
        let count_place = packet.len();
        // At most 129, so a second byte is 0.
        packet.bytes(&[0; 2][..count_bytes]);
        let mut place = CODES_MAX - self.backtraces[1 - self.last].len + self.common;
        let (mut previous, mut count) = (START, 0);
        while place < CODES_MAX {
            let first = place;
            place += 1;
            count += 1;
            let slot = self.found[first];
            if slot == NONE {
                previous = self.miss(first, previous, packet);
                continue;
            }
            self.link(previous, slot);
            previous = slot;
            while place < CODES_MAX && self.slot(previous).prediction == self.found[place] {
                previous = self.found[place];
                place += 1;
            }
            match place - first - 1 {
                0 => packet.bytes(&(slot << 2 | HIT).to_le_bytes()),
                1 => packet.bytes(&(slot << 2 | HIT_AND_ONE).to_le_bytes()),
                predicted => {
                    let [low, high] = (slot << 2 | HIT_AND_MORE).to_le_bytes();
                    packet.bytes(&[low, high, predicted as u8]);
                }
            }
        }
        packet.set(count_place, count);
        self.last = 1 - self.last;
        self.waits = 0;
        self.written = self.written.wrapping_add(1);
    }

    /// Puts the code at `place` into a slot and writes the codeword.
    #[cold]
    fn miss(&mut self, place: usize, previous: SlotNumber, packet: &mut Packet) -> SlotNumber {
        let code = self.backtraces[1 - self.last].codes[place];
        let slot = self.place_for(code);
        self.evictions += u64::from(self.slot(slot).code != 0);
        // Readers keep the prediction, too.
        self.slot(slot).code = code;
        self.link(previous, slot);
        packet.bytes(&(slot << 2 | MISS).to_le_bytes());
        packet.bytes(&u64::from(code).to_le_bytes());
        // The same code may come again further in, and so may the one that made room.
        let next = &self.backtraces[1 - self.last];
        for (found, later) in self.found[place..].iter_mut().zip(&next.codes[place..]) {
            if *later == code {
                *found = slot;
            } else if *found == slot {
                *found = NONE;
            }
        }
        slot
    }

    #[inline]
    fn slot(&mut self, number: SlotNumber) -> &mut Slot {
        &mut self.slots[usize::from(number) % SLOTS]
    }

    /// Notes that `to` comes after `from`. Readers note the same for each codeword.
    #[inline]
    fn link(&mut self, from: SlotNumber, to: SlotNumber) {
        self.slot(to).used = self.now();
        let slot = self.slot(from);
        if slot.prediction != to {
            slot.prediction = to;
            self.newest = from;
        }
    }

    /// Returns the slot of a code.
    #[inline]
    fn find(&self, code: u32) -> Option<SlotNumber> {
        let [first, second] = buckets(code);
        self.find_in(first, code)
            .or_else(|| self.find_in(second, code))
    }

    #[inline]
    fn find_in(&self, bucket: usize, code: u32) -> Option<SlotNumber> {
        let slots: &[Slot; WAYS] = self.slots[bucket * WAYS..][..WAYS]
            .try_into()
            .expect("a bucket");
        // No branch per slot: at most one of them has the code.
        let mut found = WAYS;
        for (way, slot) in slots.iter().enumerate() {
            if slot.code == code {
                found = way;
            }
        }
        (found < WAYS).then_some((bucket * WAYS + found) as SlotNumber)
    }

    /// Returns the time for [`Slot::used`]. It advances every 16 backtraces, so 16 bits distinguish a million of them.
    /// A slot that was not used for longer may look recently used.
    #[inline]
    const fn now(&self) -> u16 {
        (self.written >> 4) as u16
    }

    /// Returns the slot for a new code.
    fn place_for(&self, code: u32) -> SlotNumber {
        let free = |bucket: usize| {
            (bucket * WAYS..(bucket + 1) * WAYS).filter(|at| self.slots[*at].code == 0)
        };
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

    /// Returns the slot that makes room. Every other time it is a random one of the sixteen; otherwise it is the one of
    /// two that was used less recently.
    ///
    /// The least recently used slot of all would be the worst choice for a program that cycles through more codes than
    /// there are slots: each code would be removed just before it comes back. A random slot would be a bad choice for a
    /// program that uses few of its codes often. In both cases this rule takes fewer bytes than memtrace's writer
    /// (`tests/memtrace/size.rs`).
    fn victim(&self, buckets: [usize; 2]) -> usize {
        let drawn = (self.evictions + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let slot = |bits: u32| {
            let number = (drawn >> bits) as usize % (2 * WAYS);
            buckets[number / WAYS] * WAYS + number % WAYS
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

    /// Returns the slot that was changed last, for the header of the packet that begins now.
    pub(crate) fn check(&self) -> Option<Check> {
        let slot = self.slots.get(usize::from(self.newest))?;
        Some(Check {
            slot: self.newest,
            prediction: slot.prediction,
            code: slot.code,
        })
    }
}

/// Returns the two buckets of a code: the high bits of its product with the golden ratio (Knuth, TAOCP 3, 6.4), which
/// spreads neighbours, and bits below them.
#[inline]
const fn buckets(code: u32) -> [usize; 2] {
    const BITS: u32 = BUCKETS.trailing_zeros();
    let hash = code.wrapping_mul(0x9E37_79B1);
    let first = hash >> (32 - BITS);
    let second = hash >> (32 - 2 * BITS) & (BUCKETS as u32 - 1);
    [first as usize, second as usize]
}
