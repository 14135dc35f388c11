//! An allocator that counts and that can be sampled.

use core::alloc::{GlobalAlloc, Layout};

use super::hook::{Hook, words};
use super::profile::{HeapProfile, Lost, Peek, PrepareError, Record, Settings, StartError};
use super::{Extent, Frames, HeapSource, HeapStats, Rate};

/// Counts the calls of an allocator exactly, passes all of them on, and samples them while a [profile](HeapProfile)
/// runs.
///
/// Every method of `GlobalAlloc` calls the same method of the inner allocator, which may grow in place or have zeroed
/// memory ready. The hooks never allocate, lock, block or panic. An interrupt or another task may enter them again at
/// any point; see the crate [`sync`] for several cores.
///
/// Cost of an allocation and its free together, with or without a profile: 22 instructions on x86-64 with one core.
/// Five of them change memory, all of it in one cache line. A sample costs some tens of nanoseconds more.
///
/// # A reading while the heap is in use
///
/// A high-priority task can read while a task of lower priority is anywhere inside a hook. Every total is a separate
/// counter that only grows, so no reading is below an earlier one. A block counts as allocated before any other task
/// knows its pointer and could free it, and as freed before its memory is given back. So the bytes alive are never
/// negative, and they were alive at one moment during the reading.
///
/// # The peak
///
/// The bytes alive grow until a free. So the peak is checked right before a free and at a reading, which saves the
/// comparison at each allocation. A block counts as freed from the moment its free begins: what another task allocates
/// in the next few instructions does not add to it.
///
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() {
/// use std::alloc::System;
/// use heap_profiler::{HeapSource, Profiled};
///
/// #[global_allocator]
/// static HEAP: Profiled<System> = Profiled::new(System);
///
/// let text = String::from("counted");
/// assert!(HEAP.stats().live_bytes >= text.len() as u64);
/// # }
/// ```
#[derive(Debug)]
pub struct Profiled<A> {
    hook: Hook,
    inner: A,
}

impl<A> Profiled<A> {
    /// Wraps an allocator. All counts are 0, and nothing is sampled.
    pub const fn new(inner: A) -> Self {
        Self {
            hook: Hook::new(),
            inner,
        }
    }

    /// Returns the inner allocator, for calls that are not counted, such as giving it its memory.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    #[cfg(test)]
    pub(super) const fn test_hook(&self) -> &Hook {
        &self.hook
    }

    /// Counts a new block, or a refusal, and returns `block` unchanged.
    #[inline(always)]
    fn allocated(&self, block: *mut u8, size: usize) -> *mut u8 {
        if self.hook.hot.allocate(block, size, words(size)) {
            return self.hook.sample(block, size);
        }
        block
    }
}

// The rare cases are one call at the end of each method, so that the common way saves no registers for them.
impl<A: GlobalAlloc> Profiled<A> {
    /// Frees a block in the slow path.
    ///
    /// # Safety
    /// As `GlobalAlloc::dealloc`.
    #[cold]
    #[inline(never)]
    #[expect(unsafe_code, reason = "calls the allocator")]
    unsafe fn dealloc_rarely(&self, block: *mut u8, layout: Layout) {
        self.hook.hot.counts.raise_peak();
        self.hook.hot.counts.free(layout.size());
        self.hook.free(block.addr());
        // SAFETY: the caller keeps the same contract.
        unsafe { self.inner.dealloc(block, layout) }
    }

    /// Reallocates a block in the slow path.
    ///
    /// # Safety
    /// As `GlobalAlloc::realloc`.
    #[cold]
    #[inline(never)]
    #[expect(unsafe_code, reason = "calls the allocator")]
    unsafe fn realloc_rarely(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.hook.hot.counts.raise_peak();
        let moving = self.hook.detach(block.addr());
        // SAFETY: the caller keeps the same contract.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if let Some(moving) = moving {
            moving.moved(!moved.is_null());
        }
        if !moved.is_null() {
            self.hook.hot.counts.free(layout.size());
        }
        self.allocated(moved, new_size)
    }
}

impl<A: Default> Default for Profiled<A> {
    fn default() -> Self {
        Self::new(A::default())
    }
}

// SAFETY: every method returns the result of the same method of the inner allocator for the same arguments, and the
// caller's contract is passed on unchanged. The counting in between changes only counters and does not unwind.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl<A: GlobalAlloc> GlobalAlloc for Profiled<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's contract is that of the inner allocator.
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
        // Counted first: as soon as the inner allocator has the block, another task may get the same address.
        if self.hook.hot.free(block, layout.size()) {
            // SAFETY: the caller keeps the same contract.
            return unsafe { self.dealloc_rarely(block, layout) };
        }
        // SAFETY: as in `alloc`; the block came from the inner allocator with this layout.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.hook.hot.is_rare(block.addr()) {
            // SAFETY: the caller keeps the same contract.
            return unsafe { self.realloc_rarely(block, layout, new_size) };
        }
        // SAFETY: as in `dealloc`.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if !moved.is_null() {
            // The free is counted first, so that a block that grows never counts with both sizes.
            self.hook.hot.counts.free(layout.size());
        }
        self.allocated(moved, new_size)
    }
}

impl<A: GlobalAlloc + Extent + Sync> HeapSource for Profiled<A> {
    fn stats(&self) -> HeapStats {
        HeapStats {
            size_bytes: self.inner.size_bytes(),
            free_bytes: self.inner.free_bytes(),
            largest_free_bytes: self.inner.largest_free_bytes(),
            failed: self.hook.failed.get(),
            ..self.hook.hot.counts.read()
        }
    }
}

impl<A: Sync> HeapProfile for Profiled<A> {
    fn prepare(&self, settings: Settings) -> Result<usize, PrepareError> {
        self.hook.prepare(settings)
    }

    fn start(&self, rate: Rate, seed: u64) -> Result<(), StartError> {
        self.hook.start(rate, seed)
    }

    fn stop(&self) {
        self.hook.stop();
    }

    fn is_sampling(&self) -> bool {
        self.hook.is_sampling()
    }

    fn peek<'f>(&self, frames: &'f mut Frames) -> Peek<'f> {
        self.hook.peek(frames)
    }

    fn take(&self, record: &Record<'_>) {
        self.hook.take(record);
    }

    fn slots(&self) -> usize {
        self.hook.slots()
    }

    fn lost(&self) -> Lost {
        self.hook.lost()
    }
}
