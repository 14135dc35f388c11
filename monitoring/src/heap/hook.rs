//! What the allocator's hook does for the profile: next to nothing, then a sample.
//!
//! ```text
//!   alloc ─▶ countdown ≥ 0 ─────────────────────▶ return            (all but one in thousands)
//!               │ below
//!               ▼
//!            hits? ─▶ walk the stack ─▶ take a slot ─▶ reserve ─▶ enter the filter ─▶ write
//!                                         │ none        │ none
//!                                         └─── lost ◀───┘ slot given back
//!
//!   free ──▶ filter is 0 ───────────────────────▶ inner free        (all but few)
//!               │ not
//!               ▼
//!            in a slot? ─▶ reserve ─▶ write ─▶ leave filter and slot ─▶ inner free
//! ```
//! * An alloc is recorded after the inner allocator has given the block and before the application has it; a free
//!   before the inner allocator gets it back. So between its two records the address belongs to one block, and nobody else
//!   can be looking for it.
//! * A realloc frees and allocates. While the inner allocator works, the old block has no address in the set: it may be given
//!   back, and be another task's new block, before the inner allocator returns. Its free is recorded when that has succeeded.
//! * Nothing here allocates, locks, waits or calls the system; each step is one instruction that leaves all in order. So
//!   an interrupt or another task may enter the hook at any point.
//!
//! # Sessions
//! `inside` counts the tasks that are in a slow path. A session begins only when it is 0: whoever comes in later sees that there is
//! no session and leaves without a trace, and whoever was inside a former session has left. So no record, slot or hit of one
//! session is ever seen in another.

use core::ops::ControlFlow;
use core::sync::atomic::Ordering;

use spin::Once;

use super::Rate;
use super::hot::Hot;
use super::live::Live;
use super::losses::Losses;
use super::profile::{
    Drained, LossCause, Lost, MAX_RING_BYTES, MIN_RING_BYTES, PrepareError, Record, Settings,
    StartError, memory_bytes, slots,
};
use super::ring::{Entry, MAX_FRAMES, Nothing, Ring, Sample};
use super::sampler::Chances;
use super::stack::{Machine, Stack, frame_pointer};
use super::word::Word;
use crate::counter::Counter;

/// What every allocation and free looks at, and the rest behind it.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Hook {
    /// First, and at the beginning of a line of the cache.
    pub hot: Hot,
    /// Requests that the allocator refused.
    pub failed: Counter,
    rest: Once<Rest>,
}

/// What only a sample looks at.
#[derive(Debug)]
struct Rest {
    /// Odd while there is a session.
    session: Word,
    /// Tasks that are in a slow path.
    inside: Word,
    chances: Chances,
    live: Live,
    ring: Ring,
    machine: Machine,
    ring_full: Losses,
    live_full: Losses,
    /// The consumer's: whether it is inside `drain`.
    draining: Word,
}

/// A sampled block that the inner allocator is about to move.
#[derive(Debug)]
#[must_use]
pub(super) struct Moving<'h> {
    rest: &'h Rest,
    slot: u32,
    address: usize,
}

impl Hook {
    pub const fn new() -> Self {
        Self {
            hot: Hot::new(),
            failed: Counter::new(),
            rest: Once::new(),
        }
    }

    /// What is rare after an allocation: it was refused, or the countdown has ended. Returns the block, so that the hook can end with
    /// this call. Not inlined: the return address of its frame is
    /// in the code that allocates, so that the innermost frame is never missing.
    #[cold]
    #[inline(never)]
    pub fn sample(&self, block: *mut u8, size: usize) -> *mut u8 {
        let frame = frame_pointer();
        if block.is_null() {
            self.failed.add(1);
            return block;
        }
        let words = words(size);
        if let Some(rest) = self.rest.get() {
            if rest.enter() {
                let hits = self.hot.countdown.hits(words, &rest.chances);
                if hits > 0 {
                    rest.record(block.addr(), words, hits, frame);
                }
            }
            rest.exit();
        }
        block
    }

    /// A block is about to be freed whose byte of the filter is not 0: more often than not because of another block. Looked up inside
    /// only: what is seen before that may be of a session that has ended since.
    pub fn free(&self, address: usize) {
        let Some(rest) = self.rest.get() else { return };
        if rest.enter()
            && let Some(slot) = rest.live.find(address)
        {
            rest.freed(slot, address);
        }
        rest.exit();
    }

    /// A block is about to be reallocated; what comes back is told how that ended.
    pub fn detach(&self, address: usize) -> Option<Moving<'_>> {
        let rest = self.rest.get()?;
        if rest.enter()
            && let Some(slot) = rest.live.find(address)
        {
            rest.live.detach(slot);
            return Some(Moving {
                rest,
                slot,
                address,
            });
        }
        rest.exit();
        None
    }
}

impl Moving<'_> {
    /// The block is reallocated, or where that failed as it was.
    #[cold]
    pub fn moved(self, done: bool) {
        let Self {
            rest,
            slot,
            address,
        } = self;
        if done {
            rest.freed(slot, address);
        } else {
            rest.live.attach(slot, address);
        }
        rest.exit();
    }
}

/// Bytes in words of 8, at least one.
#[inline(always)]
pub(super) fn words(size: usize) -> u64 {
    (size as u64 + 7 + u64::from(size == 0)) / 8
}

impl Rest {
    /// True if there is a session; whether or not, [`exit`](Self::exit) must follow.
    #[inline]
    fn enter(&self) -> bool {
        self.inside.add(1);
        // Before the session is looked at, whoever is about to begin one must see that somebody is inside.
        several_cores_fence();
        self.session.load() & 1 == 1
    }

    #[inline]
    fn exit(&self) {
        self.inside.add(1u64.wrapping_neg());
    }

    #[inline]
    fn record(&self, address: usize, words: u64, hits: u64, frame: usize) {
        let mut stack = Stack::new();
        stack.walk(frame, &self.machine);
        let Some(slot) = self.live.take(address) else {
            return self.live_full.add(words, hits);
        };
        let Some(place) = self.ring.reserve_alloc(stack.frames) else {
            self.live.give_back(slot);
            return self.ring_full.add(words, hits);
        };
        self.live.enter(address);
        let sample = Sample {
            slot,
            ticks: (self.machine.ticks)(),
            words,
            hits,
        };
        self.ring
            .write_alloc(place, sample, stack.frames, stack.pairs(), stack.truncated);
    }

    #[inline]
    fn freed(&self, slot: u32, address: usize) {
        let place = self.ring.reserve_free();
        self.ring.write_free(place, slot, (self.machine.ticks)());
        self.live.leave(slot, address);
    }
}

/// For the consumer.
impl Hook {
    pub fn prepare(&self, settings: Settings) -> Result<usize, PrepareError> {
        let Settings {
            ring_bytes,
            machine,
        } = settings;
        if self.rest.is_completed() {
            return Err(PrepareError::Twice);
        }
        if !ring_bytes.is_power_of_two() || !(MIN_RING_BYTES..=MAX_RING_BYTES).contains(&ring_bytes)
        {
            return Err(PrepareError::RingBytes(ring_bytes));
        }
        if !(1..=u32::MAX as usize + 1).contains(&machine.code.len()) {
            return Err(PrepareError::Code(machine.code));
        }
        let bytes = memory_bytes(ring_bytes);
        let no_memory = |_| PrepareError::Memory { bytes };
        let live = Live::new(slots(ring_bytes)).map_err(no_memory)?;
        let ring = Ring::new(ring_bytes / size_of::<Word>()).map_err(no_memory)?;
        let bytes = live.bytes() + ring.bytes();
        let zero = || Word::new(0);
        let mut mine = false;
        let rest = self.rest.call_once(|| {
            mine = true;
            Rest {
                session: zero(),
                inside: zero(),
                chances: Chances::new(),
                live,
                ring,
                machine,
                ring_full: Losses::none(),
                live_full: Losses::none(),
                draining: zero(),
            }
        });
        if !mine {
            return Err(PrepareError::Twice);
        }
        self.hot.set_filter(rest.live.filter());
        Ok(bytes)
    }

    pub fn start(&self, rate: Rate, seed: u64) -> Result<(), StartError> {
        let rest = self.rest.get().ok_or(StartError::NotPrepared)?;
        let session = rest.session.load();
        if session & 1 == 1 {
            return Err(StartError::Running);
        }
        several_cores_fence();
        if rest.inside.load() != 0 || rest.draining.load() != 0 {
            return Err(StartError::Busy);
        }
        rest.live.clear();
        rest.ring.clear();
        for losses in [&rest.ring_full, &rest.live_full] {
            losses.tell(losses.load());
        }
        rest.chances.set(rate, seed);
        self.hot.set_mask(rest.live.mask());
        rest.session.publish(session + 1);
        // Last: who ends the countdown finds a session.
        self.hot.countdown.start(&rest.chances);
        Ok(())
    }

    pub fn stop(&self) {
        let Some(rest) = self.rest.get() else { return };
        let session = rest.session.load();
        if session & 1 == 1 {
            // First: nobody is sent in for nothing.
            self.hot.countdown.stop();
            self.hot.set_mask(0);
            rest.session.publish(session + 1);
            several_cores_fence();
            // Else a free may go a longer way in vain now and then, until the next session begins.
            if rest.inside.load() == 0 {
                rest.live.clear();
            }
        }
    }

    pub fn is_sampling(&self) -> bool {
        self.rest
            .get()
            .is_some_and(|rest| rest.session.load() & 1 == 1)
    }

    pub fn slots(&self) -> usize {
        self.rest.get().map_or(0, |rest| rest.live.slots())
    }

    pub fn lost(&self) -> Lost {
        let Some(rest) = self.rest.get() else {
            return Lost::default();
        };
        let [ring_full, ring_words, ring_hits] = rest.ring_full.load();
        let [live_full, live_words, live_hits] = rest.live_full.load();
        Lost {
            ring_full,
            live_full,
            words: ring_words.wrapping_add(live_words),
            hits: ring_hits.wrapping_add(live_hits),
        }
    }

    pub fn drain(&self, take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>) -> Drained {
        let Some(rest) = self.rest.get() else {
            return Drained::Empty;
        };
        // Two at once, or one inside the other's `take`, would show one record twice.
        if rest.draining.compare_exchange(0, 1).is_err() {
            return Drained::Unfinished;
        }
        let drained = rest.drain(take);
        rest.draining.publish(0);
        drained
    }
}

impl Rest {
    fn drain(&self, take: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>) -> Drained {
        let mut addresses = [0; MAX_FRAMES];
        let mut show = |entry: Entry<'_>| {
            take(match entry {
                Entry::Free { slot, ticks } => Record::Free { ticks, slot },
                Entry::Alloc {
                    sample,
                    frames,
                    truncated,
                } => {
                    for (address, frame) in addresses.iter_mut().zip(frames) {
                        *address = self.machine.code.start + *frame as usize;
                    }
                    Record::Alloc {
                        ticks: sample.ticks,
                        slot: sample.slot,
                        words: sample.words,
                        hits: sample.hits,
                        stack: &addresses[..frames.len()],
                        truncated,
                    }
                }
            })
            .is_continue()
        };
        loop {
            match self.ring.next(&mut show) {
                Ok(true) => {}
                Ok(false) => return Drained::Broken,
                Err(Nothing::Unfinished) => return Drained::Unfinished,
                Err(Nothing::Empty) => break,
            }
        }
        let ticks = self.machine.ticks;
        let causes = [
            (LossCause::RingFull, &self.ring_full),
            (LossCause::LiveFull, &self.live_full),
        ];
        for (cause, losses) in causes {
            if !losses.show(cause, ticks, take) {
                return Drained::Broken;
            }
        }
        Drained::Empty
    }
}

/// Between a store and a load of another word: one core sees its own order anyway.
#[inline(always)]
fn several_cores_fence() {
    #[cfg(any(feature = "smp", not(target_arch = "x86_64"), miri))]
    core::sync::atomic::fence(Ordering::SeqCst);
    #[cfg(not(any(feature = "smp", not(target_arch = "x86_64"), miri)))]
    core::sync::atomic::compiler_fence(Ordering::SeqCst);
}

#[cfg(test)]
mod tests;
