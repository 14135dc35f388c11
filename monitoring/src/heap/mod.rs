//! The heap and what is known about it.
//!
//! ```text
//!  Box, Vec, … ──▶ Profiled ──▶ Talc or LinkedList ──▶ one region of memory
//!                     └── exact counters ──▶ HeapStats ──▶ source `memory`
//! ```
//!
//! [`Profiled`] wraps any allocator and counts. `Talc` (feature `talc`) and `LinkedList` (feature
//! `linked-list`) are the heaps an image is built with: one region of memory, given once with `claim`, behind
//! a lock that the image chooses.

#[cfg(any(test, feature = "linked-list"))]
mod linked_list;
mod profiled;
#[cfg(any(test, feature = "talc"))]
mod talc;

#[cfg(any(test, feature = "linked-list"))]
pub use self::linked_list::LinkedList;
pub use self::profiled::Profiled;
#[cfg(any(test, feature = "talc"))]
pub use self::talc::Talc;

/// What is known about a heap at one moment. Sizes are what was asked for, in bytes, without the allocator's
/// overhead, but for the last three, which are the allocator's own figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HeapStats {
    /// Blocks ever allocated, a successful `realloc` counted as one.
    pub allocations: u64,
    /// Blocks ever freed, a successful `realloc` counted as one.
    pub frees: u64,
    /// Bytes ever allocated, all of the new size for a `realloc`.
    pub allocated_bytes: u64,
    /// Bytes ever freed, all of the old size for a `realloc`.
    pub freed_bytes: u64,
    /// Bytes allocated now.
    pub live_bytes: u64,
    /// Blocks allocated now.
    pub live_blocks: u64,
    /// The most bytes allocated at one time. A `realloc` counts for the difference.
    pub peak_bytes: u64,
    /// Allocations and reallocations that were refused.
    pub failed: u64,
    /// Bytes the heap manages, its own bookkeeping included.
    pub size_bytes: u64,
    /// Bytes not in use, in however many pieces.
    pub free_bytes: u64,
    /// The largest block that could be allocated now; `None` if the heap cannot tell cheaply.
    pub largest_free_bytes: Option<u64>,
}

/// Something that can tell about a heap: what a monitor is given.
pub trait HeapSource: Sync {
    /// A reading. Takes the heap's lock for a short time, see [`Extent`]; allocates nothing.
    fn stats(&self) -> HeapStats;
}

/// An allocator's own figures about the memory it manages.
///
/// Implementer's duty: bounded work under any lock, and no allocation. Caller's duty: not from inside the
/// allocator.
pub trait Extent {
    /// Bytes managed, the allocator's bookkeeping included; 0 before there is any memory.
    fn size_bytes(&self) -> u64;

    /// Bytes not in use, in however many pieces, before alignment and bookkeeping of new blocks.
    fn free_bytes(&self) -> u64;

    /// The size of the largest block that could be allocated now; `None` if that cannot be told cheaply.
    fn largest_free_bytes(&self) -> Option<u64>;
}

#[cfg(test)]
mod tests;
