//! The profile of a heap: sampled allocations and their frees, in order.

use core::fmt;

use super::{Frames, Machine, Rate};

/// A heap whose allocations can be sampled. A monitor takes this.
///
/// ```text
///             prepare (once)            start                    stop
///   nothing ────────────────▶ stopped ─────────▶ sampling ────────────────▶ stopped
///                                 ▲   no sampled block is known                │
///                                 └────────────────────────────────────────────┘
/// ```
/// Only one task, the consumer, may make these calls, except [`is_sampling`](Self::is_sampling) and
/// [`lost`](Self::lost). No call may be made inside the allocator.
///
/// ```
/// # #[cfg(not(feature = "std"))] fn main() {}
/// # #[cfg(feature = "std")] fn main() -> Result<(), Box<dyn core::error::Error>> {
/// use core::alloc::{GlobalAlloc, Layout};
/// use std::alloc::System;
/// use heap_profiler::{HeapProfile, MAX_FRAMES, Machine, MIN_RING_BYTES, Peek, Profiled, Rate, Record, Settings};
///
/// let heap = Profiled::new(System);
/// let machine = Machine { code: 0x20_0000..0x40_0000, readable: |_| false, ticks: || 0 };
/// heap.prepare(Settings { ring_bytes: MIN_RING_BYTES, machine })?;
/// heap.start(Rate::ALL, 1)?;
/// let layout = Layout::new::<[u64; 3]>();
/// // SAFETY: the layout has a size, and the block is freed with it.
/// unsafe {
///     let block = heap.alloc(layout);
///     heap.dealloc(block, layout);
/// }
/// let mut frames = [0; MAX_FRAMES];
/// let Peek::Record(record) = heap.peek(&mut frames) else { panic!("rate 1 samples all") };
/// assert!(matches!(record, Record::Alloc { words: 3, .. }));
/// heap.take(&record);
/// # Ok(())
/// # }
/// ```
pub trait HeapProfile: Sync {
    /// Takes the memory that sampling needs from the global allocator, permanently. Returns its bytes, see
    /// [`memory_bytes`].
    ///
    /// # Errors
    /// If it was called before, if there is not enough memory, or if the settings are invalid; then nothing has
    /// changed.
    fn prepare(&self, settings: Settings) -> Result<usize, PrepareError>;

    /// Starts sampling, until [`stop`](Self::stop). Blocks that are already alive are unknown. Earlier samples are
    /// discarded, even if they were not taken. The same seed, rate and allocations give the same samples.
    ///
    /// Cost: zeroes the memory, some 30 µs for 300 KiB.
    ///
    /// # Errors
    /// If sampling runs already, or if it is not prepared. [`StartError::Busy`] if a task was preempted while it
    /// recorded a sample of the last session: call again after it has run.
    fn start(&self, rate: Rate, seed: u64) -> Result<(), StartError>;

    /// Stops sampling. Frees of sampled blocks are no longer recorded, and the memory is unused until the next start.
    /// Records can still be taken. Empties the set of sampled blocks, some 5 µs for 4,096.
    fn stop(&self);

    /// Returns `true` while words are sampled. One load; any task may call it.
    fn is_sampling(&self) -> bool;

    /// Shows the next record; its stack is in `frames`. It remains the next one until [`take`](Self::take). When all
    /// records are taken and allocations have been lost since the last [`Record::Lost`] of that cause, the next record
    /// is another one.
    fn peek<'f>(&self, frames: &'f mut Frames) -> Peek<'f>;

    /// Takes the record that [`peek`](Self::peek) has shown.
    fn take(&self, record: &Record<'_>);

    /// Returns the number of slots; the slots of [`Record`]s are below it. 0 before `prepare`.
    fn slots(&self) -> usize;

    /// Returns the samples that could not be recorded, since boot.
    fn lost(&self) -> Lost;
}

/// The settings of a profile.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for records, a power of two from [`MIN_RING_BYTES`] to [`MAX_RING_BYTES`]. [`memory_bytes`] includes the
    /// rest.
    pub ring_bytes: usize,
    /// Finds stacks and reads the time.
    pub machine: Machine,
}

/// A ring for some 2,700 samples with 16 frames. At the default rate that is 200 MB of allocations between two turns of
/// the consumer.
pub const DEFAULT_RING_BYTES: usize = 256 << 10;
/// The smallest ring: it has room for a few samples with the longest stacks.
pub const MIN_RING_BYTES: usize = 4 << 10;
/// The largest ring: the ring cannot count more than a million live blocks.
pub const MAX_RING_BYTES: usize = 64 << 20;
/// Bytes of the ring per sampled live block. The space reserved for each free is 16 bytes; the other 48 are for new
/// records.
const RING_BYTES_PER_SLOT: usize = 64;

const _: () = {
    assert!(MIN_RING_BYTES >= super::ring::MIN_WORDS * 8);
    assert!(MAX_RING_BYTES / RING_BYTES_PER_SLOT <= super::ring::MAX_LIVE);
};

/// Returns the number of sampled blocks that can be alive at once with a ring of this size: one per 64 bytes. The
/// default ring has 4,096, which at the default rate stand for 330 MB alive.
#[must_use]
pub const fn slots(ring_bytes: usize) -> usize {
    ring_bytes / RING_BYTES_PER_SLOT
}

/// Returns the bytes of all memory of a profile with this ring: the ring, and 10 bytes for each block that can be
/// sampled at once. 296 KiB with the default ring.
#[must_use]
pub const fn memory_bytes(ring_bytes: usize) -> usize {
    ring_bytes + slots(ring_bytes) * 10
}

/// A record of the profile. `ticks` are those of [`Machine::ticks`]. The record of a task that was preempted while it
/// recorded can be older than the record before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A block with a hit was allocated.
    Alloc {
        /// The time.
        ticks: u64,
        /// The block's number until its free: no other live block has it.
        slot: u32,
        /// The block's size, rounded up to words of 8 bytes, at least one.
        words: u64,
        /// The number of its words that were hit, at least one. Divided by the rate, an unbiased estimate of the words
        /// allocated.
        hits: u64,
        /// Return addresses, innermost first. Empty if the program has no frame pointers.
        stack: &'a [usize],
        /// `true` if there were more frames; the outermost are left out.
        truncated: bool,
    },
    /// A block of an earlier [`Record::Alloc`] was freed.
    Free {
        /// The time.
        ticks: u64,
        /// The block's number; from now on another block can have it.
        slot: u32,
    },
    /// The blocks that could not be recorded since the session began, or since the last such record with the same
    /// cause. They have no [`Record::Free`].
    Lost {
        /// The present time.
        ticks: u64,
        /// The cause of the loss.
        cause: LossCause,
        /// Blocks with a hit.
        blocks: u64,
        /// The sum of their sizes.
        words: u64,
        /// The sum of their hits.
        hits: u64,
    },
}

/// The cause of a lost sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The ring had no room: the consumer was too slow.
    RingFull,
    /// The set of sampled live blocks had no room: there are more live blocks than slots, or nearly as many. A lower
    /// rate helps.
    LiveFull,
}

/// The result of [`HeapProfile::peek`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek<'a> {
    /// The next record.
    Record(Record<'a>),
    /// All records are taken.
    Empty,
    /// A preempted task is still writing the next record, and the records after it wait.
    Unfinished,
}

/// Counts of samples that could not be recorded. They only grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Samples for which the ring had no room.
    pub ring_full: u64,
    /// Samples for which the set of sampled blocks had no room.
    pub live_full: u64,
    /// The sum of the sizes of both.
    pub words: u64,
    /// The sum of the hits of both.
    pub hits: u64,
}

/// The reason why sampling cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareError {
    /// It was prepared before.
    Twice,
    /// The ring's size is not allowed.
    RingBytes(usize),
    /// The code is empty or larger than 4 GiB.
    Code(core::ops::Range<usize>),
    /// There is not enough memory.
    Memory {
        /// Bytes that were needed.
        bytes: usize,
    },
}

/// The reason why sampling does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// [`HeapProfile::prepare`] was not called, or failed.
    NotPrepared,
    /// It has begun already.
    Running,
    /// A task is still recording a sample of the last session.
    Busy,
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Twice => write!(f, "the heap profiler has its memory already"),
            Self::RingBytes(bytes) => write!(
                f,
                "a ring of {bytes} bytes: want a power of two from {MIN_RING_BYTES} to {MAX_RING_BYTES}"
            ),
            Self::Code(code) => write!(
                f,
                "code from {:#x} to {:#x}: want from 1 byte to 4 GiB",
                code.start, code.end
            ),
            Self::Memory { bytes } => write!(f, "no {bytes} bytes for the heap profiler"),
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotPrepared => "the heap profiler has no memory",
            Self::Running => "the heap is being sampled already",
            Self::Busy => "a task is recording a sample of the last session",
        })
    }
}

impl core::error::Error for PrepareError {}

impl core::error::Error for StartError {}
