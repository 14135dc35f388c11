//! The small heap: the crate `linked_list_allocator` over one region.

use core::alloc::{GlobalAlloc, Layout};
use core::fmt;
use core::mem::MaybeUninit;
use core::ptr::{self, NonNull};

use linked_list_allocator::Heap;
use lock_api::{Mutex, RawMutex};

use super::Extent;

/// Bytes that a region needs for its first hole, at any address; the inner heap panics on fewer.
const LEAST_REGION: usize = 4 * size_of::<usize>();

/// A first-fit heap: one list of holes, sorted by address. It is the smallest in code, not the fastest.
///
/// The lock is a parameter, as for the default heap. One operation holds it while it walks the list of holes. On a
/// fragmented heap that takes microseconds, during which an image takes no interrupt. The heap cannot grow a block in
/// place: a `realloc` always allocates, copies and frees.
///
/// Before [`claim`](Self::claim) every allocation fails.
///
/// ```
/// # #[cfg(not(feature = "linked-list"))] fn main() {}
/// # #[cfg(feature = "linked-list")] fn main() {
/// use core::mem::MaybeUninit;
/// use heap_profiler::{LinkedList, Profiled};
/// use spin::mutex::SpinMutex;
///
/// static HEAP: Profiled<LinkedList<SpinMutex<()>>> = Profiled::new(LinkedList::new());
///
/// let region: &'static mut [MaybeUninit<u8>] = Vec::leak(vec![MaybeUninit::uninit(); 1 << 20]);
/// assert!(HEAP.inner().claim(region));
/// # }
/// ```
pub struct LinkedList<R: RawMutex> {
    inner: Mutex<R, Heap>,
}

impl<R: RawMutex> LinkedList<R> {
    /// Creates a heap without memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            inner: Mutex::new(Heap::empty()),
        }
    }

    /// Gives the heap its memory.
    ///
    /// Returns `false` and takes nothing if the heap already has a region, or if the region is too small.
    pub fn claim(&self, region: &'static mut [MaybeUninit<u8>]) -> bool {
        let mut heap = self.inner.lock();
        if region.len() < LEAST_REGION || !heap.bottom().is_null() {
            return false;
        }
        heap.init_from_slice(region);
        true
    }
}

impl<R: RawMutex> Default for LinkedList<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R: RawMutex> fmt::Debug for LinkedList<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkedList").finish_non_exhaustive()
    }
}

// SAFETY: the inner heap returns disjoint blocks of the claimed region with the requested layout, and the lock guards
// every access to it. `realloc` and `alloc_zeroed` are the trait's defaults, which copy and fill without the lock.
// Nothing here unwinds.
#[expect(unsafe_code, reason = "GlobalAlloc is an unsafe trait")]
unsafe impl<R: RawMutex> GlobalAlloc for LinkedList<R> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let block = self.inner.lock().allocate_first_fit(layout);
        block.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if let Some(block) = NonNull::new(block) {
            // SAFETY: the caller promises that the block came from this heap with this layout.
            unsafe { self.inner.lock().deallocate(block, layout) }
        }
    }
}

impl<R: RawMutex> Extent for LinkedList<R> {
    /// Computes a difference under the lock.
    fn size_bytes(&self) -> u64 {
        self.inner.lock().size() as u64
    }

    /// Computes a difference under the lock.
    fn free_bytes(&self) -> u64 {
        self.inner.lock().free() as u64
    }

    /// Returns `None`: the list of holes is private to its crate, and each trial allocation would walk all of it with
    /// interrupts masked.
    fn largest_free_bytes(&self) -> Option<u64> {
        None
    }
}
