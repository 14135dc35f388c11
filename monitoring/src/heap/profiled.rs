//! An allocator that counts.

use core::alloc::{GlobalAlloc, Layout};

use super::{Extent, HeapSource, HeapStats};
use crate::counter::{Counter, Gauge};

/// Counts exactly what goes through an allocator, and hands all of it on.
///
/// Every method of `GlobalAlloc` is forwarded as itself, so that the inner allocator's way to grow in place
/// or to have zeroed memory ready is not lost. Cost: three unlocked additions in memory and a comparison per
/// allocation, three additions per free. The hooks never allocate, lock, block or panic, and may be entered
/// again at any point by an interrupt or another task; see [`crate::counter`] for several cores.
///
/// # A reading while the heap is in use
///
/// A high-priority task can take a reading while a lower one stands anywhere inside a hook. Every total is a
/// counter of its own that only grows, so no reading is ever below an earlier one. What is live is never
/// negative: a block is counted as allocated before its pointer is known to anyone who could free it, and a
/// reading looks at the frees first. Between the totals of one reading a single operation per preempted task
/// may be missing: `live_bytes` can differ from `allocated_bytes - freed_bytes` by the blocks that are just
/// being counted.
#[derive(Debug, Default)]
pub struct Profiled<A> {
    inner: A,
    allocations: Counter,
    frees: Counter,
    allocated_bytes: Counter,
    freed_bytes: Counter,
    live_bytes: Gauge,
    failed: Counter,
}

impl<A> Profiled<A> {
    /// Wraps an allocator; all counts are 0.
    pub const fn new(inner: A) -> Self {
        Self {
            inner,
            allocations: Counter::new(),
            frees: Counter::new(),
            allocated_bytes: Counter::new(),
            freed_bytes: Counter::new(),
            live_bytes: Gauge::new(),
            failed: Counter::new(),
        }
    }

    /// The allocator inside, for what is not counted, such as giving it its memory.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    /// What every new block passes, or a refusal. `block` is returned as it is.
    #[inline(always)]
    fn allocated(&self, block: *mut u8, size: usize) -> *mut u8 {
        if block.is_null() {
            self.failed.add(1);
            return block;
        }
        self.allocations.add(1);
        self.allocated_bytes.add(size as u64);
        self.live_bytes.add(size as u64);
        block
    }

    /// What every block passes before it is given back: before, because as soon as the inner allocator has
    /// it, another task may be given the same address.
    #[inline(always)]
    fn freed(&self, size: usize) {
        self.frees.add(1);
        self.freed_bytes.add(size as u64);
        self.live_bytes.sub(size as u64);
    }

    /// What every block of a new size passes, moved or not, or a refusal, which leaves the old block alive.
    #[inline(always)]
    fn reallocated(&self, block: *mut u8, old: usize, new: usize) -> *mut u8 {
        if block.is_null() {
            self.failed.add(1);
            return block;
        }
        self.allocations.add(1);
        self.allocated_bytes.add(new as u64);
        // By the difference, so that growing does not look like a peak of both sizes together.
        if new >= old {
            self.live_bytes.add((new - old) as u64);
        } else {
            self.live_bytes.sub((old - new) as u64);
        }
        self.frees.add(1);
        self.freed_bytes.add(old as u64);
        block
    }
}

// SAFETY: every method returns what the same method of the inner allocator has returned for the same
// arguments, and the caller's promises are handed on unchanged. The counting in between touches nothing but
// counters and does not unwind.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl<A: GlobalAlloc> GlobalAlloc for Profiled<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those of the inner allocator.
        let block = unsafe { self.inner.alloc(layout) };
        self.allocated(block, layout.size())
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as in `alloc`.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        self.allocated(block, layout.size())
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.freed(layout.size());
        // SAFETY: as in `alloc`; the block came from the inner allocator with this layout.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        // SAFETY: as in `dealloc`.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        self.reallocated(moved, layout.size(), new_size)
    }
}

impl<A: GlobalAlloc + Extent + Sync> HeapSource for Profiled<A> {
    fn stats(&self) -> HeapStats {
        // Frees before allocations: what is freed in between must not make the difference negative.
        let (frees, freed_bytes) = (self.frees.get(), self.freed_bytes.get());
        let (live_bytes, peak_bytes) = (self.live_bytes.get(), self.live_bytes.peak());
        let (allocations, allocated_bytes) = (self.allocations.get(), self.allocated_bytes.get());
        HeapStats {
            allocations,
            frees,
            allocated_bytes,
            freed_bytes,
            live_bytes,
            live_blocks: allocations.saturating_sub(frees),
            // A task that is just raising the peak may have been preempted before it could.
            peak_bytes: peak_bytes.max(live_bytes),
            failed: self.failed.get(),
            size_bytes: self.inner.size_bytes(),
            free_bytes: self.inner.free_bytes(),
            largest_free_bytes: self.inner.largest_free_bytes(),
        }
    }
}
