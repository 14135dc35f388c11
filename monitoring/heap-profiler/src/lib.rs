//! Counts and samples the allocations of a global allocator, on any target: wrap the allocator, then read.
//!
//! ```text
//!  Box, Vec, … ──▶ Profiled ──▶ the allocator
//!                     ├── exact counters ──▶ HeapStats
//!                     └── countdown ─▶ sample ─▶ stack ─▶ ring ──▶ HeapProfile::peek ──▶ a trace, a profile
//!                                                live: which blocks are sampled
//! ```
//!
//! | to | use |
//! |---|---|
//! | count the calls of an allocator | [`Profiled`], [`HeapSource::stats`] |
//! | sample it | [`HeapProfile`]: prepare, start, peek and take, stop |
//! | have a heap over one region of memory | `Talc` (feature `talc`), `LinkedList` (feature `linked-list`) |
//!
//! ```
//! # #[cfg(not(feature = "std"))] fn main() {}
//! # #[cfg(feature = "std")] fn main() {
//! use std::alloc::System;
//! use heap_profiler::{HeapSource, Profiled};
//!
//! #[global_allocator]
//! static HEAP: Profiled<System> = Profiled::new(System);
//!
//! let before = HEAP.stats().allocations;
//! let block = Box::new(1);
//! assert!(HEAP.stats().allocations > before);
//! # drop(block);
//! # }
//! ```
//!
//! # What runs where
//! The files `profiled.rs`, `hot.rs`, `hook.rs`, `sampler.rs`, `odds.rs`, `stack.rs`, `live.rs`, `ring.rs`, `losses.rs`
//! and `word.rs` run inside the allocator: they never allocate, lock, wait, panic, or make a system call. `session.rs`
//! runs in the task that reads. Stacks need frame pointers (`-C force-frame-pointers=yes`).
//!
//! # Features
//! `talc`, `linked-list`: the two heaps. `std`: `std::alloc::System` can be profiled. `one-core`: counts without bus
//! locks, see the crate [`sync`]; without it counts are exact on any number of cores. Needs Rust 1.91.
#![cfg_attr(not(any(test, feature = "std")), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

mod counts;
mod hook;
mod hot;
#[cfg(any(test, feature = "linked-list"))]
mod linked_list;
mod live;
#[cfg(test)]
mod live_tests;
mod losses;
mod odds;
mod profile;
mod profiled;
mod rate;
mod ring;
#[cfg(test)]
mod ring_tests;
mod sampler;
mod session;
mod stack;
#[cfg(any(test, feature = "talc"))]
mod talc;
mod word;

#[cfg(any(test, feature = "linked-list"))]
pub use self::linked_list::LinkedList;
pub use self::profile::{
    DEFAULT_RING_BYTES, HeapProfile, LossCause, Lost, MAX_RING_BYTES, MIN_RING_BYTES, Peek,
    PrepareError, Record, Settings, StartError, memory_bytes, slots,
};
pub use self::profiled::Profiled;
pub use self::rate::{Rate, RateError};
pub use self::ring::{Frames, MAX_FRAMES};
pub use self::stack::Machine;
#[cfg(any(test, feature = "talc"))]
pub use self::talc::Talc;

/// The counts of a heap at one moment. Sizes are the requested sizes in bytes, without the allocator's overhead. The
/// last three are the allocator's own figures.
///
/// ```
/// use heap_profiler::HeapStats;
/// let stats = HeapStats { allocations: 3, frees: 1, live_blocks: 2, ..HeapStats::default() };
/// assert_eq!(stats.live_blocks, stats.allocations - stats.frees);
/// ```
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
    /// The largest number of bytes allocated at one time. A `realloc` counts with the difference.
    pub peak_bytes: u64,
    /// Allocations and reallocations that were refused.
    pub failed: u64,
    /// Bytes that the heap manages, with its bookkeeping; 0 if it has no memory yet, or cannot report it.
    pub size_bytes: u64,
    /// Bytes not in use, in any number of pieces. Valid only if `size_bytes` is not 0.
    pub free_bytes: u64,
    /// The largest block that could be allocated now; `None` if the heap cannot find it cheaply.
    pub largest_free_bytes: Option<u64>,
}

/// A heap whose counts can be read. A monitor takes this.
///
/// ```
/// use heap_profiler::{HeapSource, HeapStats};
///
/// /// A heap without counts.
/// struct Unknown;
///
/// impl HeapSource for Unknown {
///     fn stats(&self) -> HeapStats {
///         HeapStats::default()
///     }
/// }
/// assert_eq!(Unknown.stats().size_bytes, 0);
/// ```
pub trait HeapSource: Sync {
    /// Returns the counts. Takes the heap's lock for a short time, see [`Extent`]; allocates nothing.
    fn stats(&self) -> HeapStats;
}

/// An allocator's figures about the memory that it manages.
///
/// Implementer's duty: bounded work under any lock, and no allocation. Caller's duty: no call from inside the
/// allocator.
///
/// ```
/// use heap_profiler::Extent;
///
/// /// A heap that knows nothing of its memory.
/// struct Opaque;
///
/// impl Extent for Opaque {
///     fn size_bytes(&self) -> u64 {
///         0
///     }
///     fn free_bytes(&self) -> u64 {
///         0
///     }
///     fn largest_free_bytes(&self) -> Option<u64> {
///         None
///     }
/// }
/// assert_eq!(Opaque.size_bytes(), 0);
/// ```
pub trait Extent {
    /// Returns the bytes managed, with the allocator's bookkeeping. 0 means that there is no memory yet or that the
    /// allocator cannot report it; then the other two are not valid either.
    fn size_bytes(&self) -> u64;

    /// Returns the bytes not in use, in any number of pieces, before alignment and bookkeeping of new blocks.
    fn free_bytes(&self) -> u64;

    /// Returns the size of the largest block that could be allocated now; `None` if it cannot be found cheaply.
    fn largest_free_bytes(&self) -> Option<u64>;
}

/// Reports nothing: the system's allocator does not know its size.
#[cfg(any(test, feature = "std"))]
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

#[cfg(test)]
mod tests;
