//! The minimum that every profiler with exact counts has to do.

use core::alloc::{GlobalAlloc, Layout};

use sync::Counter;

/// Exact counts, and nothing else.
pub struct Counting<A> {
    inner: A,
    allocations: Counter,
    allocated_bytes: Counter,
    frees: Counter,
    freed_bytes: Counter,
}

impl<A> Counting<A> {
    pub const fn new(inner: A) -> Self {
        Self {
            inner,
            allocations: Counter::new(),
            allocated_bytes: Counter::new(),
            frees: Counter::new(),
            freed_bytes: Counter::new(),
        }
    }
}

// SAFETY: both methods pass their arguments on to the inner allocator.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Counting<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.allocations.add(1);
        self.allocated_bytes.add(layout.size() as u64);
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.alloc(layout) }
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.frees.add(1);
        self.freed_bytes.add(layout.size() as u64);
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.dealloc(block, layout) }
    }
}
