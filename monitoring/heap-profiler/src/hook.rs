//! The sampling half of the hook. Runs inside the allocator: it never allocates, locks, waits, panics, or makes a
//! system call.
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
//! * An alloc is recorded after the inner allocator has returned the block and before the application has it. A free is
//!   recorded before the inner allocator gets the block back. So between the two records the address belongs to one
//!   block, and no other task can look it up.
//! * A realloc frees and allocates. While the inner allocator works, the old block has no address in the set: it may be
//!   given back, and be another task's new block, before the inner allocator returns. Its free is recorded when the
//!   realloc succeeds.
//! * Each step is one instruction that leaves everything consistent. So an interrupt or another task may enter the hook
//!   at any point.
//!
//! # Sessions
//! `inside` counts the tasks in a slow path. A session begins only when it is 0: a task that comes later sees that
//! there is no session and leaves without a record, and all tasks of a former session have left. So no record, slot or
//! hit of one session is seen in another.

use spin::Once;
use sync::{Counter, store_load_fence};

use super::hot::Hot;
use super::live::Live;
use super::losses::Losses;
use super::ring::{Ring, Sample};
use super::sampler::Chances;
use super::stack::{Machine, Stack, frame_pointer};
use super::word::Word;

/// The hook: the line that every allocation and free reads, and the rest.
#[derive(Debug)]
#[repr(C)]
pub(super) struct Hook {
    /// First, so that it begins at a cache line.
    pub hot: Hot,
    /// Requests that the allocator refused.
    pub failed: Counter,
    pub rest: Once<Rest>,
}

/// The state that only samples use. `session.rs` begins and ends sessions and reads records.
#[derive(Debug)]
pub(super) struct Rest {
    /// Odd during a session.
    pub session: Word,
    /// Tasks that are in a slow path.
    pub inside: Word,
    pub chances: Chances,
    pub live: Live,
    pub ring: Ring,
    pub machine: Machine,
    pub ring_full: Losses,
    pub live_full: Losses,
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

    /// Handles the rare cases after an allocation: a refusal, or the end of the countdown. Returns the block, so that
    /// this call can be the hook's last. Not inlined: then the return address of its frame lies in the code that
    /// allocates, and the innermost frame is never missing.
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

    /// Records the free of a block whose byte of the filter is not 0; often the byte is another block's. The look-up
    /// follows `enter`: what was read before it may belong to a session that has ended.
    pub fn free(&self, address: usize) {
        let Some(rest) = self.rest.get() else { return };
        if rest.enter()
            && let Some(slot) = rest.live.find(address)
        {
            rest.freed(slot, address);
        }
        rest.exit();
    }

    /// Removes the address of a sampled block that is about to be reallocated. The result must be told how the realloc
    /// ended.
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
    /// Records the free if the block was reallocated; otherwise restores its address.
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

/// Returns bytes in words of 8, at least one.
#[inline(always)]
pub(super) fn words(size: usize) -> u64 {
    (size as u64 + 7 + u64::from(size == 0)) / 8
}

impl Rest {
    /// Enters the slow path. Returns `true` during a session; [`exit`](Self::exit) must follow in any case.
    #[inline]
    fn enter(&self) -> bool {
        self.inside.add(1);
        // A task that is about to begin a session must see this task inside before this task looks at the session.
        store_load_fence();
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

#[cfg(test)]
mod tests;
