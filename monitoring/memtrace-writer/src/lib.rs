//! The heap profiler's trace: memtrace's format, version 2, one packet at a time.
//!
//! ```text
//! stream    = packet(trace_info) packet*                     each packet ≤ 32,768 bytes, handed out whole
//! packet    = header (66 bytes) event*                       the header states size, times, ids, a check of the cache
//! event     = u32: low 25 bits of the time | code << 25      then
//!   location  1         code, positions                      defines a code, always before the first alloc that uses it
//!   alloc     2, 101..  length, hits, source, stack          the object's id is implicit: one more than the last
//!   collect   4         id, counted back from the newest
//! stack     = common prefix with the stack before, codewords
//! codeword  = slot of the cache [, frames predicted from there] or slot and a new code
//! ```
//!
//! memtrace's released tools (0.2.3) and its viewer read the stream as it is: `nc HOST 4242 > x.ctf`. Facts of
//! the format: memtrace 0.2.3 and its development version of 2024, read and checked by experiment against
//! memtrace's own reader and writer.
//!
//! # What a stream promises
//!
//! * Whole packets only. A stream that is cut is repaired by cutting it at the end of its last whole packet.
//! * Times never run backwards, whatever the caller's clock does; what had to be moved is counted.
//! * Every code is defined before it is used, and a stack is never empty ([`code::UNKNOWN`]).
//! * Every name in it is what [`Resolve`] said, but for what the format cannot hold: a NUL becomes `␀`, a name
//!   longer than [`NAME_MAX`] ends in `…`, and lines and columns beyond the format's range become its end. All
//!   of them are counted.
//!
//! # What is not written
//!
//! Promotions (there is one heap), version 3's domains, and memtrace's packets of locations alone: a definition
//! stands in front of the event that needs it. So its limit of 128 locations a packet is not needed either.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod cache;
mod encoder;
mod info;
mod location;
mod names;
mod packet;
mod stack;
mod text;

pub use encoder::{Alloc, CollectError, Counts, Encoder, Full, ObjectId, Source};
pub use info::Info;
pub use location::{Location, Resolve};

/// The most bytes of a packet. The readers' buffer has this size (memtrace 0.2.3).
pub const PACKET_MAX: usize = 32_768;

/// The most real frames of a stack: what the unwinder delivers. Of more, the outermost are left out and
/// [`code::OUTER_DROPPED`] stands in their place.
pub const FRAMES_MAX: usize = 128;

/// The longest name in the stream, in bytes. A Rust name with its generic arguments can have thousands; four of
/// this size must fit a definition with room to spare.
pub const NAME_MAX: usize = 512;

/// The most positions that one code stands for. The format counts them in a byte; one is kept for the mark that
/// there were more.
pub const INLINED_MAX: usize = 254;

/// A packet spans at most this many microseconds. The format tells times apart over 2^25 µs, 33.5 s; memtrace's
/// own writer stops at 30 s as well.
pub const SPAN_MAX_MICROS: u64 = 30_000_000;

/// Bytes of memory that an [`Encoder`] holds, all of it from its making on.
pub const MEMORY: usize = cache::MEMORY + packet::MEMORY + names::MEMORY + size_of::<Encoder>();

// Room that the heap profiler has for the encoder, in a mebibyte for all of monitoring.
const _: () = assert!(MEMORY <= 200 << 10);

/// A time on the wall clock: microseconds since 1970-01-01T00:00:00 UTC. What lies beyond 2^62 µs, 146,000
/// years, is taken as that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMicros(pub u64);

/// Codes that the encoder itself names. A caller's own codes are addresses or offsets from [`FIRST_FREE`](code::FIRST_FREE)
/// to 2^32 - 1: the image lies below 4 GiB (`kernel/image.ld`), and 32 bits halve the cache.
pub mod code {
    /// Stands for a stack of nothing, and for an address of 0.
    pub const UNKNOWN: u64 = 1;
    /// Stands for an address of 2^32 or more, where no code of the image is.
    pub const OUTSIDE: u64 = 2;
    /// The outermost frame of a stack that lost its own outermost frames.
    pub const OUTER_DROPPED: u64 = 3;
    /// The one frame of the allocations that were lost because the ring was full.
    pub const LOST_RING_FULL: u64 = 4;
    /// The one frame of the allocations that were lost because too many sampled blocks were alive.
    pub const LOST_LIVE_FULL: u64 = 5;
    /// The smallest code that is the caller's to choose. What is smaller and not listed here is taken as unknown.
    pub const FIRST_FREE: u64 = 16;

    /// What the stream calls a code of this list.
    pub(super) const fn name(code: u32) -> Option<&'static str> {
        match code as u64 {
            OUTSIDE => Some("[outside the image]"),
            OUTER_DROPPED => Some("[outer frames dropped]"),
            LOST_RING_FULL => Some("[lost: ring full]"),
            LOST_LIVE_FULL => Some("[lost: too many alive]"),
            0..FIRST_FREE => Some("[unknown]"),
            _ => None,
        }
    }
}
