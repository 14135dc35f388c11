//! The ring from the allocator's hook to the monitoring task: many producers, one consumer, fixed memory, no locks.
//!
//! ```text
//!             tail                              head
//!              ▼                                 ▼
//!   │ 0 0 0 0 0 A t w h s s s F t A t w h s s s … 0 0 0 0 0 0 0 0 │   words of 8 bytes; 0: not written
//!              └──────────────┘└─┘└── reserved, header still 0 ──┘
//!                 an alloc     a free
//!
//!   alloc:  header │ ticks │ words │ hits │ two return addresses a word, innermost first
//!   free:   header │ ticks
//!
//!   header (never 0):   63      32 31     16 15      8 7    2 1   0
//!                      │   slot   │    0    │ frames  │cut│0 │ kind │     kind: 1 alloc, 2 free; cut: bit 2
//! ```
//! A producer **reserves** by one instruction on the word that holds the head and the number of sampled live blocks.
//! Then it writes, and **commits** by storing the header last. The consumer reads up to the first header that is 0. It
//! sets a record's words to 0 again and only then moves the tail. So records come in the order of their reservation. An
//! unfinished record of a preempted task delays the records after it, for the consumer only.
//!
//! # Admission
//! An alloc is admitted only if afterwards there is still room for one free of every sampled live block. So the free of
//! a sampled block is never lost, however long the consumer is away.
//!
//! A return address is stored as its distance from the beginning of the image's code, in 32 bits.

use alloc::boxed::Box;
use alloc::collections::TryReserveError;

use super::live::boxed;
use super::word::Word;

/// The most return addresses of one record. Longer stacks lose their outermost addresses: the usual cause is deep
/// recursion, and the allocating code is innermost.
pub const MAX_FRAMES: usize = 128;
/// Words of an alloc before its frames, and of a free.
const ALLOC_WORDS: usize = 4;
pub(super) const FREE_WORDS: usize = 2;
/// Bits of the number of live blocks, below the head: a million sampled blocks.
pub(super) const LIVE_BITS: u32 = 20;
/// The most live blocks that a ring can count.
pub(super) const MAX_LIVE: usize = 1 << LIVE_BITS;
/// The largest alloc and one free. A smaller ring could never admit it.
pub(super) const MIN_WORDS: usize = (ALLOC_WORDS + MAX_FRAMES / 2 + FREE_WORDS).next_power_of_two();

/// The bits of a header that tell the kind of record.
const KIND: u64 = 3;
const ALLOC: u64 = 1;
const FREE: u64 = 2;
const CUT: u64 = 1 << 2;

/// Room for the return addresses of one record.
pub type Frames = [usize; MAX_FRAMES];

/// The head does not wrap at the end of the memory, so the length must be a power of two.
const _: () =
    assert!(MIN_WORDS.is_power_of_two() && MAX_FRAMES < 256 && MAX_FRAMES.is_multiple_of(2));

/// A reserved place.
#[derive(Debug)]
pub(super) struct Reserved(u64);

/// The data of an alloc without its stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sample {
    pub slot: u32,
    pub ticks: u64,
    pub words: u64,
    pub hits: u64,
}

/// A record that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry<'a> {
    Alloc {
        sample: Sample,
        frames: &'a [usize],
        truncated: bool,
    },
    Free {
        slot: u32,
        ticks: u64,
    },
}

/// The reason why there is no next record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Nothing {
    /// All records are read.
    Empty,
    /// The next record is reserved and not yet written.
    Unfinished,
}

/// The ring.
#[derive(Debug)]
pub(super) struct Ring {
    /// The head in words, shifted by [`LIVE_BITS`], and the number of live blocks. Wraps around at 2^44 words.
    pub head: Word,
    /// The tail in words; it wraps around as the head does. Only the consumer writes it.
    pub tail: Word,
    pub words: Box<[Word]>,
}

impl Ring {
    /// Creates a ring of `words` words, a power of two.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(words: usize) -> Result<Self, TryReserveError> {
        debug_assert!(words.is_power_of_two());
        Ok(Self {
            head: Word::new(0),
            tail: Word::new(0),
            words: boxed(words, || Word::new(0))?,
        })
    }

    pub fn bytes(&self) -> usize {
        size_of_val(&*self.words)
    }

    /// Reserves room for an alloc with `frames` frames, and for its free later on. Returns `None` if there is no room.
    #[inline]
    pub fn reserve_alloc(&self, frames: usize) -> Option<Reserved> {
        let len = (ALLOC_WORDS + frames.div_ceil(2)) as u64;
        let mut head = self.head.load();
        loop {
            let live = head & (MAX_LIVE as u64 - 1);
            let kept = (live + 1) * FREE_WORDS as u64;
            if self.used(head) + len + kept > self.words.len() as u64 {
                // New records may have been written and read meanwhile; then the tail is ahead of the head that was
                // loaded.
                let now = self.head.load();
                if now == head {
                    return None;
                }
                head = now;
                continue;
            }
            match self
                .head
                .compare_exchange(head, head.wrapping_add(len << LIVE_BITS) + 1)
            {
                Ok(()) => return Some(Reserved(head >> LIVE_BITS)),
                Err(now) => head = now,
            }
        }
    }

    /// Reserves room for the free of an admitted block. This always succeeds.
    #[inline]
    pub fn reserve_free(&self) -> Reserved {
        const STEP: u64 = ((FREE_WORDS as u64) << LIVE_BITS) - 1;
        Reserved(self.head.fetch_add(STEP) >> LIVE_BITS)
    }

    /// Returns the words between the tail and this head: too many if the tail is older than the head, and far too many
    /// if it is newer.
    #[inline]
    pub fn used(&self, head: u64) -> u64 {
        let tail = self.tail.load();
        (head >> LIVE_BITS).wrapping_sub(tail) & (u64::MAX >> LIVE_BITS)
    }

    /// Returns the words of a record: in one piece, unless the record wraps around the end.
    #[inline]
    fn words(&self, at: u64, len: usize) -> impl Iterator<Item = &Word> {
        let start = at as usize & (self.words.len() - 1);
        let (before, from) = self.words.split_at_checked(start).unwrap_or_default();
        from.iter().chain(before).take(len)
    }

    /// Writes an alloc with as many frames as were reserved, two in a word.
    #[inline]
    pub fn write_alloc(
        &self,
        at: Reserved,
        sample: Sample,
        frames: usize,
        pairs: &[u64],
        cut: bool,
    ) {
        let cut = if cut { CUT } else { 0 };
        let header = ALLOC | cut | (frames as u64) << 8 | u64::from(sample.slot) << 32;
        let fixed = [sample.ticks, sample.words, sample.hits];
        let start = at.0 as usize & (self.words.len() - 1);
        // Nearly always in one piece: then the only branches are the loop's.
        if let Some([first, ticks, words, hits, rest @ ..]) =
            self.words.get(start..start + ALLOC_WORDS + pairs.len())
        {
            ticks.set(sample.ticks);
            words.set(sample.words);
            hits.set(sample.hits);
            for (word, &pair) in rest.iter().zip(pairs) {
                word.set(pair);
            }
            first.publish(header);
        } else {
            let mut words = self.words(at.0, ALLOC_WORDS + pairs.len());
            let first = words.next();
            for (word, &value) in words.zip(fixed.iter().chain(pairs)) {
                word.set(value);
            }
            first.into_iter().for_each(|first| first.publish(header));
        }
    }

    #[inline]
    pub fn write_free(&self, at: Reserved, slot: u32, ticks: u64) {
        let mut words = self.words(at.0, FREE_WORDS);
        let first = words.next();
        words.for_each(|word| word.set(ticks));
        first
            .into_iter()
            .for_each(|first| first.publish(FREE | u64::from(slot) << 32));
    }

    /// Shows the next record, which remains the next one until [`take`](Self::take). Return addresses are `base` plus
    /// their distance; `base` is the beginning of the code. For one consumer at a time.
    ///
    /// # Errors
    /// If there is no record to show.
    pub fn peek<'f>(&self, base: usize, frames: &'f mut Frames) -> Result<Entry<'f>, Nothing> {
        let tail = self.tail.get();
        if self.head.load() >> LIVE_BITS == tail {
            return Err(Nothing::Empty);
        }
        let header = self.header(tail);
        let slot = (header >> 32) as u32;
        let len = len_of(header).ok_or(Nothing::Unfinished)?;
        let mut words = self.words(tail, len).map(Word::get).skip(1);
        let mut fixed = || words.next().unwrap_or_default();
        let ticks = fixed();
        if header & KIND == FREE {
            return Ok(Entry::Free { slot, ticks });
        }
        let sample = Sample {
            slot,
            ticks,
            words: fixed(),
            hits: fixed(),
        };
        for (pair, word) in frames.as_chunks_mut::<2>().0.iter_mut().zip(words) {
            *pair = [word as u32, (word >> 32) as u32].map(|distance| base + distance as usize);
        }
        Ok(Entry::Alloc {
            sample,
            frames: &frames[..frames_of(header)],
            truncated: header & CUT != 0,
        })
    }

    /// Removes the record that [`peek`](Self::peek) has shown, and frees its room.
    pub fn take(&self) {
        let tail = self.tail.get();
        if let Some(len) = len_of(self.header(tail)) {
            self.words(tail, len).for_each(|word| word.set(0));
            let next = tail.wrapping_add(len as u64) & (u64::MAX >> LIVE_BITS);
            self.tail.publish(next);
        }
    }

    fn header(&self, at: u64) -> u64 {
        self.words(at, 1).map(Word::load).sum()
    }

    /// Removes all records. Must not run while a task writes or reads.
    pub fn clear(&self) {
        self.words.iter().for_each(|word| word.set(0));
        self.tail.set(0);
        self.head.publish(0);
    }
}

/// Returns the number of frames in a header.
fn frames_of(header: u64) -> usize {
    ((header >> 8 & 0xff) as usize).min(MAX_FRAMES)
}

/// Returns the words of the record with this header; `None` before it is written.
fn len_of(header: u64) -> Option<usize> {
    match header & KIND {
        ALLOC => Some(ALLOC_WORDS + frames_of(header).div_ceil(2)),
        FREE => Some(FREE_WORDS),
        _ => None,
    }
}
