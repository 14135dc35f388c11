//! A heap that fails when a target takes more than it may: memory must be bounded by the input's size or by a setting.

use core::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::alloc::{GlobalAlloc, Layout, System};

/// Bytes in use.
static LIVE: AtomicUsize = AtomicUsize::new(0);
/// The most bytes that may be in use.
static LIMIT: AtomicUsize = AtomicUsize::new(usize::MAX);

struct Counted;

// SAFETY: System does the work.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        if live > LIMIT.load(Relaxed) {
            LIMIT.store(usize::MAX, Relaxed);
            panic!("{live} bytes in use are too many: {layout:?}");
        }
        // SAFETY: the caller's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promises.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static HEAP: Counted = Counted;

/// Calls `f`, which may take `most` bytes more than are in use now.
pub fn within<R>(most: usize, f: impl FnOnce() -> R) -> R {
    LIMIT.store(LIVE.load(Relaxed) + most, Relaxed);
    let out = f();
    LIMIT.store(usize::MAX, Relaxed);
    out
}
