//! The profile of a heap: sampled allocations and their frees, as they come.

use core::fmt;

use super::{Frames, Machine, Rate};

/// Something whose allocations can be sampled: what a monitor is given.
///
/// ```text
///             prepare (once)            start                    stop
///   nothing ────────────────▶ stopped ─────────▶ sampling ────────────────▶ stopped
///                                 ▲   no sampled block is known                │
///                                 └────────────────────────────────────────────┘
/// ```
/// All calls but [`is_sampling`](Self::is_sampling) and [`lost`](Self::lost) are for one task, the consumer. None may be made inside the
/// allocator.
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
    /// Takes the memory that sampling needs, for ever, from the global allocator. Returns its bytes, see [`memory_bytes`].
    ///
    /// # Errors
    /// If it was done before, if there is no memory, or if the settings make no sense; then nothing has changed.
    fn prepare(&self, settings: Settings) -> Result<usize, PrepareError>;

    /// From now on words are sampled, until [`stop`](Self::stop); nothing is known of blocks that are alive already. What was sampled before
    /// is forgotten, also what was not taken. The same seed, rate and allocations give the same samples.
    ///
    /// Cost: makes the memory zero, some 30 µs for 300 KiB.
    ///
    /// # Errors
    /// If sampling goes on, or if it is not prepared. [`StartError::Busy`] if a task was preempted while it recorded a sample of the
    /// last session: come again when it has run.
    fn start(&self, rate: Rate, seed: u64) -> Result<(), StartError>;

    /// From now on nothing is sampled: the frees of blocks that were are not recorded, and the memory is idle until the next
    /// start. What was recorded can still be taken. Makes the set of sampled blocks empty, some 5 µs for 4,096.
    fn stop(&self);

    /// Whether words are being sampled. One load; any task may ask.
    fn is_sampling(&self) -> bool;

    /// Shows the next record; its stack is in `frames`. It stays the next one until [`take`](Self::take). When all records are taken and
    /// allocations have been lost since the last [`Record::Lost`] of that cause, the next record is another one.
    ///
    /// Cost: some 20 ns.
    fn peek<'f>(&self, frames: &'f mut Frames) -> Peek<'f>;

    /// Takes the record that [`peek`](Self::peek) has shown.
    fn take(&self, record: &Record<'_>);

    /// How many slots there are: [`Record`]s have numbers below. 0 before it is prepared.
    fn slots(&self) -> usize;

    /// What could not be recorded, since the image's start.
    fn lost(&self) -> Lost;
}

/// How a profile is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Memory for records; see [`memory_bytes`] for what else is needed. A power of two from [`MIN_RING_BYTES`] to [`MAX_RING_BYTES`].
    pub ring_bytes: usize,
    /// Where stacks are, and the time.
    pub machine: Machine,
}

/// A ring that holds some 2,700 samples with 16 frames: at the default rate, of 200 MB that are allocated between two turns of the
/// consumer.
pub const DEFAULT_RING_BYTES: usize = 256 << 10;
/// Room for a few samples with the longest stacks.
pub const MIN_RING_BYTES: usize = 4 << 10;
/// More than a million blocks alive cannot be counted.
pub const MAX_RING_BYTES: usize = 64 << 20;
/// For each sampled block alive: a sixty-fourth of the ring can be taken by each free that is kept room for, 16 bytes, and
/// as much again and more is for what is new.
const RING_BYTES_PER_SLOT: usize = 64;

const _: () = {
    assert!(MIN_RING_BYTES >= super::ring::MIN_WORDS * 8);
    assert!(MAX_RING_BYTES / RING_BYTES_PER_SLOT <= super::ring::MAX_LIVE);
};

/// Sampled blocks that can be alive at once with a ring of so many bytes: one for each 64 of them. With the default ring 4,096,
/// which at the default rate are 330 MB alive.
#[must_use]
pub const fn slots(ring_bytes: usize) -> usize {
    ring_bytes / RING_BYTES_PER_SLOT
}

/// All memory that a profile with this ring takes: the ring, and 10 bytes for each block that can be sampled at once. 296 KiB with the
/// default ring.
#[must_use]
pub const fn memory_bytes(ring_bytes: usize) -> usize {
    ring_bytes + slots(ring_bytes) * 10
}

/// Something that was recorded. `ticks` are those of [`Machine::ticks`]; a task that was preempted while it recorded can have an older time
/// than the record before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A block with a hit was allocated.
    Alloc {
        /// When.
        ticks: u64,
        /// Its number until its free: no other block that is alive has it.
        slot: u32,
        /// Its size, rounded up to words of 8 bytes, at least one.
        words: u64,
        /// How many of its words were hit: at least one. Divided by the rate, an unbiased estimate of the words allocated.
        hits: u64,
        /// Return addresses, innermost first. Empty if the program has no frame pointers.
        stack: &'a [usize],
        /// There were more frames; the outermost are left out.
        truncated: bool,
    },
    /// A block of an earlier [`Record::Alloc`] was freed.
    Free {
        /// When.
        ticks: u64,
        /// Its number; from now on it can be another block's.
        slot: u32,
    },
    /// So much could not be recorded since the session began or since the last of these with the same cause. The blocks have no
    /// [`Record::Free`].
    Lost {
        /// Now.
        ticks: u64,
        /// For want of what.
        cause: LossCause,
        /// Blocks with a hit.
        blocks: u64,
        /// Their sizes together.
        words: u64,
        /// Their hits together.
        hits: u64,
    },
}

/// For want of what a sample was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossCause {
    /// The ring had no room: the consumer did not come in time.
    RingFull,
    /// The set of sampled blocks alive had no room: more blocks are alive than it has slots, or nearly so many. A lower rate helps.
    LiveFull,
}

/// What [`HeapProfile::peek`] shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peek<'a> {
    /// The next record.
    Record(Record<'a>),
    /// All records are taken.
    Empty,
    /// A task that was preempted is still writing the next record, and those behind it wait.
    Unfinished,
}

/// What could not be recorded. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    /// Samples for which the ring had no room.
    pub ring_full: u64,
    /// Samples for which the set of sampled blocks had no room.
    pub live_full: u64,
    /// The sizes of both.
    pub words: u64,
    /// The hits of both.
    pub hits: u64,
}

/// Sampling cannot be prepared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PrepareError {
    /// It was prepared before.
    Twice,
    /// The ring's size is not allowed.
    RingBytes(usize),
    /// The code is empty or larger than 4 GiB.
    Code(core::ops::Range<usize>),
    /// There is not so much memory.
    Memory {
        /// Bytes that were needed.
        bytes: usize,
    },
}

/// Sampling does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// [`HeapProfile::prepare`] was not called, or failed.
    NotPrepared,
    /// It has begun already.
    Running,
    /// A task is still recording something of the last session.
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
