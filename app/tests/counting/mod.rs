//! A global allocator that counts what the current thread does, independently of the code under test.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use std::alloc::System;

/// A thread's actions on the heap. A `realloc` is one free and one allocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub allocs: u64,
    pub frees: u64,
    pub bytes: u64,
    pub words: u64,
    pub live_bytes: i64,
    /// The highest `live_bytes` since [`reset`].
    pub peak_bytes: i64,
    pub largest: usize,
    /// Allocations of 8 to 1,024 bytes.
    pub small: u64,
    pub reallocs: u64,
    pub zeroed: u64,
    /// FNV-1a over the sizes and alignments in their order.
    pub sequence: u64,
}

thread_local! {
    // Constant and without a destructor, so that access never allocates.
    static SEEN: Cell<Seen> = const { Cell::new(NOTHING) };
}

const NOTHING: Seen = Seen {
    allocs: 0,
    frees: 0,
    bytes: 0,
    words: 0,
    live_bytes: 0,
    peak_bytes: 0,
    largest: 0,
    small: 0,
    reallocs: 0,
    zeroed: 0,
    sequence: 0xcbf2_9ce4_8422_2325,
};

/// Returns this thread's actions since [`reset`].
pub fn seen() -> Seen {
    SEEN.get()
}

/// Resets this thread's counts.
pub fn reset() {
    SEEN.set(NOTHING);
}

fn alloc(size: usize, align: usize) {
    let mut seen = SEEN.get();
    seen.allocs += 1;
    seen.bytes += size as u64;
    seen.words += size.next_multiple_of(8).max(8) as u64 / 8;
    seen.live_bytes += size as i64;
    seen.peak_bytes = seen.peak_bytes.max(seen.live_bytes);
    seen.largest = seen.largest.max(size);
    seen.small += u64::from((8..=1024).contains(&size));
    for number in [size as u64, align as u64] {
        seen.sequence = (seen.sequence ^ number).wrapping_mul(0x100_0000_01b3);
    }
    SEEN.set(seen);
}

fn free(size: usize) {
    let mut seen = SEEN.get();
    seen.frees += 1;
    seen.live_bytes -= size as i64;
    SEEN.set(seen);
}

/// The system's heap, counted.
pub struct Counting;

// SAFETY: every call goes unchanged to `System`, which upholds the contract; counting touches only a thread-local value.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        alloc(layout.size(), layout.align());
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        alloc(layout.size(), layout.align());
        SEEN.set(Seen {
            zeroed: SEEN.get().zeroed + 1,
            ..SEEN.get()
        });
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        free(layout.size());
        // SAFETY: the caller promises that `block` came from this allocator with this layout, and all methods forward to `System`.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        free(layout.size());
        alloc(new_size, layout.align());
        SEEN.set(Seen {
            reallocs: SEEN.get().reallocs + 1,
            ..SEEN.get()
        });
        // SAFETY: as above, for `new_size` too.
        unsafe { System.realloc(block, layout, new_size) }
    }
}
