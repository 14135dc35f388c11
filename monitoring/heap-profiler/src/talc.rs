//! The default heap: the crate `talc` over one region.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use ::talc::{ErrOnOom, Span};
use lock_api::{Mutex, RawMutex};

use super::Extent;

/// A general-purpose heap with binned free blocks, which merges neighbours at once.
///
/// The lock is a parameter. In an image it masks interrupts: otherwise a task of higher priority that allocates while a
/// task of lower priority holds the lock would wait forever. One operation on the free lists holds the lock, never a
/// copy or a fill. The number of free blocks in one size class bounds that operation. For alignments above a word, the
/// number of all free blocks that are large enough bounds it.
///
/// Before [`claim`](Self::claim) every allocation fails.
///
/// ```
/// # #[cfg(not(feature = "talc"))] fn main() {}
/// # #[cfg(feature = "talc")] fn main() {
/// use core::mem::MaybeUninit;
/// use heap_profiler::{Talc, Profiled};
/// use spin::mutex::SpinMutex;
///
/// static HEAP: Profiled<Talc<SpinMutex<()>>> = Profiled::new(Talc::new());
///
/// let region: &'static mut [MaybeUninit<u8>] = Vec::leak(vec![MaybeUninit::uninit(); 1 << 20]);
/// assert!(HEAP.inner().claim(region));
/// # }
/// ```
pub struct Talc<R: RawMutex> {
    inner: Mutex<R, ::talc::Talc<ErrOnOom>>,
}

impl<R: RawMutex> Talc<R> {
    /// Creates a heap without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            inner: Mutex::new(::talc::Talc::new(ErrOnOom)),
        }
    }

    /// Gives the heap its memory. About 1 KiB of it goes to the free lists.
    ///
    /// Returns `false` and takes nothing if the heap already has a region, or if the region is too small.
    pub fn claim(&self, region: &'static mut [MaybeUninit<u8>]) -> bool {
        let mut heap = self.inner.lock();
        if heap.get_counters().heap_count != 0 {
            return false;
        }
        let span = Span::from_base_size(region.as_mut_ptr().cast(), region.len());
        // SAFETY: the caller gave the region away permanently, so no other code uses it.
        #[expect(unsafe_code, reason = "hands over raw memory")]
        unsafe { heap.claim(span) }.is_ok()
    }
}

impl<R: RawMutex> Default for Talc<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: RawMutex> fmt::Debug for Talc<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Talc").finish_non_exhaustive()
    }
}

// SAFETY: `talc` returns disjoint blocks of the claimed region with the requested layout, and the lock guards every
// access to it. Nothing here unwinds.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl<R: RawMutex> GlobalAlloc for Talc<R> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises that the size is not zero.
        let block = unsafe { self.inner.lock().malloc(layout) };
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller promises that the block came from this heap with this layout.
            unsafe { self.inner.lock().free(block, layout) }
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let Some(old) = NonNull::new(block) else {
            return ptr::null_mut();
        };
        if new_size <= layout.size() {
            // SAFETY: by the caller's contract, a block of this heap and a size that is not zero. Shrinking never
            // moves.
            unsafe { self.inner.lock().shrink(old, layout, new_size) };
            return block;
        }
        // SAFETY: as above, and the new size is larger.
        if unsafe { self.inner.lock().grow_in_place(old, layout, new_size) }.is_ok() {
            return block;
        }
        // SAFETY: the caller promises that the new size, rounded up to the alignment, fits an `isize`. A new block is
        // disjoint from the old one. The old one is valid for its smaller size and is freed only after the copy. The
        // lock is free while bytes are copied.
        unsafe {
            let new = self.alloc(Layout::from_size_align_unchecked(new_size, layout.align()));
            if !new.is_null() {
                ptr::copy_nonoverlapping(block, new, layout.size());
                self.dealloc(block, layout);
            }
            new
        }
    }
}

/// The precision of the largest free block: this fraction of the free bytes.
const PRECISION: usize = 64;

impl<R: RawMutex> Extent for Talc<R> {
    /// Loads a counter under the lock.
    fn size_bytes(&self) -> u64 {
        self.inner.lock().get_counters().claimed_bytes as u64
    }

    /// Loads a counter under the lock.
    fn free_bytes(&self) -> u64 {
        self.inner.lock().get_counters().available_bytes as u64
    }

    /// Finds the size by bisection: it allocates and frees a block of half the free bytes, and so on, until the size is
    /// known to 1/64 of the free bytes. That is 6 rounds of one allocation and one free. The lock is released between
    /// them, and the blocks get only the heap's own tags. A block of the result's size can be allocated; the true
    /// maximum is at most 1/64 of the free bytes larger.
    #[expect(unsafe_code, reason = "tries allocations")]
    fn largest_free_bytes(&self) -> Option<u64> {
        let free = self.inner.lock().get_counters().available_bytes;
        let (mut fits, mut fails) = (0, free + 1);
        while fails - fits > (free / PRECISION).max(align_of::<usize>()) {
            let middle = fits + (fails - fits) / 2;
            let layout = Layout::from_size_align(middle, align_of::<usize>()).ok()?;
            let mut heap = self.inner.lock();
            // SAFETY: the size is more than `fits`, hence not zero.
            if let Ok(block) = unsafe { heap.malloc(layout) } {
                // SAFETY: the block was just allocated with this layout.
                unsafe { heap.free(block, layout) };
                fits = middle;
            } else {
                fails = middle;
            }
        }
        Some(fits as u64)
    }
}
