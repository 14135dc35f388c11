//! A heap whose blocks the test owns, with exact counts of what was done.
#![expect(unsafe_code, reason = "calls an allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::sync::atomic::{AtomicU64, Ordering};
use std::alloc::System;

use heap_profiler::{HeapProfile, Machine, Profiled, Settings};

thread_local! {
    static TICKS: AtomicU64 = const { AtomicU64::new(0) };
}

fn ticks() -> u64 {
    TICKS.with(|ticks| ticks.load(Ordering::Relaxed))
}

/// Moves the clock of this thread's tests.
pub fn set_ticks(micros: u64) {
    TICKS.with(|ticks| ticks.store(micros, Ordering::Relaxed));
}

/// A profiled heap and the blocks that are alive.
pub struct Heap {
    pub profiled: &'static Profiled<System>,
    blocks: Vec<(*mut u8, Layout)>,
    random: u64,
    /// Words ever allocated.
    pub words: u64,
    pub allocs: u64,
    pub frees: u64,
}

impl Heap {
    /// Creates a heap with a ring of this size.
    pub fn new(ring_bytes: usize) -> Self {
        let profiled = Box::leak(Box::new(Profiled::new(System)));
        let settings = Settings {
            ring_bytes,
            machine: Machine {
                // No address is code, so every stack is unknown, whatever frames this program has.
                code: 1..2,
                readable: |_| false,
                ticks,
            },
        };
        profiled.prepare(settings).expect("memory");
        Self {
            profiled,
            blocks: Vec::new(),
            random: 1,
            words: 0,
            allocs: 0,
            frees: 0,
        }
    }

    /// Returns the next number of `SplitMix64` (G. Steele and others, 2014): a fixed sequence.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.random ^ (self.random >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub fn alloc(&mut self, bytes: usize) {
        let layout = Layout::from_size_align(bytes, 8).expect("a layout");
        // SAFETY: the size is not 0.
        let block = unsafe { self.profiled.alloc(layout) };
        assert!(!block.is_null());
        self.blocks.push((block, layout));
        self.words += bytes.div_ceil(8) as u64;
        self.allocs += 1;
    }

    pub fn free_any(&mut self) {
        let index = self.below(self.blocks.len() as u64) as usize;
        let (block, layout) = self.blocks.swap_remove(index);
        // SAFETY: the block was allocated with this layout and is alive.
        unsafe { self.profiled.dealloc(block, layout) };
        self.frees += 1;
    }

    /// Allocates and frees, so that a few hundred blocks are alive.
    pub fn work(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.blocks.len() > 300 || (!self.blocks.is_empty() && self.below(2) == 0) {
                self.free_any();
            } else {
                let bytes = 1 + self.below(200) as usize;
                self.alloc(bytes);
            }
        }
    }

    pub fn alive(&self) -> usize {
        self.blocks.len()
    }

    pub fn live_words(&self) -> u64 {
        let words = self
            .blocks
            .iter()
            .map(|(_, layout)| layout.size().div_ceil(8) as u64);
        words.sum()
    }
}

impl Drop for Heap {
    fn drop(&mut self) {
        while !self.blocks.is_empty() {
            self.free_any();
        }
    }
}
