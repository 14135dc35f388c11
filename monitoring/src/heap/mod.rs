//! The heap and what is known about it.
//!
//! ```text
//!  Box, Vec, … ──▶ Profiled ──▶ Talc or LinkedList ──▶ one region of memory
//!                     ├── exact counters ──▶ HeapStats ──▶ source `memory`
//!                     └── hook ─▶ countdown ─▶ stack ─▶ ring ──▶ HeapProfile::drain ──▶ trace
//!                                    live: which blocks are sampled
//! ```
//!
//! [`Profiled`] wraps any allocator, counts, and samples while a [`HeapProfile`] runs. `Talc` (feature `talc`) and `LinkedList` (feature
//! `linked-list`) are the heaps an image is built with: one region of memory, given once with `claim`, behind
//! a lock that the image chooses.

#[cfg(not(loom))]
mod counts;
// Loom's atomics cannot be in a static.
#[cfg(not(loom))]
mod hook;
#[cfg(not(loom))]
mod hot;
#[cfg(any(test, feature = "linked-list"))]
mod linked_list;
#[cfg_attr(loom, expect(dead_code, reason = "the hook uses the rest"))]
mod live;
mod losses;
#[cfg(not(loom))]
mod odds;
mod profile;
#[cfg(not(loom))]
mod profiled;
mod rate;
#[cfg_attr(loom, expect(dead_code, reason = "the hook uses the rest"))]
mod ring;
#[cfg(not(loom))]
mod sampler;
#[cfg_attr(loom, expect(dead_code, reason = "only the hook walks"))]
mod stack;
#[cfg(any(test, feature = "talc"))]
mod talc;
#[cfg_attr(loom, expect(dead_code, reason = "the hook uses the rest"))]
mod word;

#[cfg(any(test, feature = "linked-list"))]
pub use self::linked_list::LinkedList;
pub use self::profile::{
    DEFAULT_RING_BYTES, Drained, HeapProfile, LossCause, Lost, MAX_RING_BYTES, MIN_RING_BYTES,
    PrepareError, Record, Settings, StartError, memory_bytes, slots,
};
#[cfg(not(loom))]
pub use self::profiled::Profiled;
pub use self::rate::{Rate, RateError};
pub use self::ring::MAX_FRAMES;
pub use self::stack::Machine;
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
    /// Bytes the heap manages, its own bookkeeping included; 0 if it has no memory yet, or cannot tell.
    pub size_bytes: u64,
    /// Bytes not in use, in however many pieces; means something only if `size_bytes` is not 0.
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
    /// Bytes managed, the allocator's bookkeeping included; 0 before there is any memory, and from an allocator that cannot tell:
    /// then nothing is said of the other two either.
    fn size_bytes(&self) -> u64;

    /// Bytes not in use, in however many pieces, before alignment and bookkeeping of new blocks.
    fn free_bytes(&self) -> u64;

    /// The size of the largest block that could be allocated now; `None` if that cannot be told cheaply.
    fn largest_free_bytes(&self) -> Option<u64>;
}

/// The system's allocator cannot tell what it has.
#[cfg(feature = "std")]
impl Extent for std::alloc::System {
    fn size_bytes(&self) -> u64 {
        0
    }

    fn free_bytes(&self) -> u64 {
        0
    }

    fn largest_free_bytes(&self) -> Option<u64> {
        None
    }
}

#[cfg(all(test, not(loom)))]
mod tests;
