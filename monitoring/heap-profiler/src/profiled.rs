//! An allocator that counts, and that can be sampled.

use core::alloc::{GlobalAlloc, Layout};

use super::hook::{Hook, words};
use super::profile::{HeapProfile, Lost, Peek, PrepareError, Record, Settings, StartError};
use super::{Extent, Frames, HeapSource, HeapStats, Rate};

/// Counts exactly what goes through an allocator, samples it while a [profile](HeapProfile) is wanted, and hands all of it on.
///
/// Every method of `GlobalAlloc` is forwarded as itself, so that the inner allocator's way to grow in place
/// or to have zeroed memory ready is not lost. The hooks never allocate, lock, block or panic, and may be entered
/// again at any point by an interrupt or another task; see the crate [`sync`] for several cores.
///
/// Cost of an allocation and its free together, whether a profile runs or not: 22 instructions on x86-64 with one core, of which five
/// change memory, all of it in one line of the cache. A sample costs some tens of nanoseconds more.
///
/// # A reading while the heap is in use
///
/// A high-priority task can take a reading while a lower one stands anywhere inside a hook. Every total is a
/// counter of its own that only grows, so no reading is ever below an earlier one. A block is counted as allocated before its pointer
/// is known to anyone who could free it, and as freed before its memory is given back: what is live is never
/// negative, and was live at one moment during the reading.
///
/// # The peak
///
/// What is live grows until something is freed. So the peak is looked for right before a free and at a reading, which saves the
/// allocation the comparison. A block counts as freed from the moment its free begins: what another task allocates in the few
/// instructions of that is not on top of it.
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
    /// Wraps an allocator; all counts are 0, and nothing is sampled.
    pub const fn new(inner: A) -> Self {
        Self {
            hook: Hook::new(),
            inner,
        }
    }

    /// The allocator inside, for what is not counted, such as giving it its memory.
    pub const fn inner(&self) -> &A {
        &self.inner
    }

    #[cfg(test)]
    pub(super) const fn test_hook(&self) -> &Hook {
        &self.hook
    }

    /// What every new block passes, or a refusal. `block` is returned as it is.
    #[inline(always)]
    fn allocated(&self, block: *mut u8, size: usize) -> *mut u8 {
        if self.hook.hot.allocate(block, size, words(size)) {
            return self.hook.sample(block, size);
        }
        block
    }
}

// What is rare is one call at the end of each method, so that the common way saves no registers for it.
impl<A: GlobalAlloc> Profiled<A> {
    /// # Safety
    /// As `GlobalAlloc::dealloc`.
    #[cold]
    #[inline(never)]
    #[expect(unsafe_code, reason = "calls the allocator")]
    unsafe fn dealloc_rarely(&self, block: *mut u8, layout: Layout) {
        self.hook.hot.counts.raise_peak();
        self.hook.hot.counts.free(layout.size());
        self.hook.free(block.addr());
        // SAFETY: the caller's promises.
        unsafe { self.inner.dealloc(block, layout) }
    }

    /// # Safety
    /// As `GlobalAlloc::realloc`.
    #[cold]
    #[inline(never)]
    #[expect(unsafe_code, reason = "calls the allocator")]
    unsafe fn realloc_rarely(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.hook.hot.counts.raise_peak();
        let moving = self.hook.detach(block.addr());
        // SAFETY: the caller's promises.
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
        // Before: as soon as the inner allocator has it, another task may be given the same address.
        if self.hook.hot.free(block, layout.size()) {
            // SAFETY: the caller's promises.
            return unsafe { self.dealloc_rarely(block, layout) };
        }
        // SAFETY: as in `alloc`; the block came from the inner allocator with this layout.
        unsafe { self.inner.dealloc(block, layout) }
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.hook.hot.is_rare(block.addr()) {
            // SAFETY: the caller's promises.
            return unsafe { self.realloc_rarely(block, layout, new_size) };
        }
        // SAFETY: as in `dealloc`.
        let moved = unsafe { self.inner.realloc(block, layout, new_size) };
        if !moved.is_null() {
            // First: growing must not look like both sizes together.
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
