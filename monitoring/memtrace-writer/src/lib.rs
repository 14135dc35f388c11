//! Writes heap traces in [memtrace](https://github.com/janestreet/memtrace)'s format: events in, packets out.
//!
//! A profiler samples allocations. This crate turns the samples into a stream that memtrace's released tools (0.2.3),
//! its viewer and this project's `hermon` read unchanged. It needs an allocator once, when the [`Encoder`] is created.
//! It needs no clock, no socket and no `std`.
//!
//! # Example
//! ```
//! use core::num::NonZeroU64;
//! use memtrace_writer::{Alloc, Encoder, Info, Location, Resolve, UnixMicros};
//!
//! struct Names;
//!
//! impl Resolve for Names {
//!     fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
//!         let main = Location { function: "app::main", file: "app/src/main.rs", line: 7, ..Location::default() };
//!         ((code, index) == (0x20_1000, 0)).then_some(main)
//!     }
//! }
//!
//! let start = UnixMicros(1_700_000_000_000_000);
//! let mut trace = Encoder::new(&Info {
//!     start, rate: 1e-4, executable: "app.elf", host: "web-1", parameters: "", pid: 7, context: "version 0.1",
//! });
//! let mut stream = trace.flush().expect("the first packet").to_vec();
//!
//! let block = Alloc::new(3, NonZeroU64::MIN);
//! let id = trace.alloc(UnixMicros(start.0 + 10), block, [0x20_1000], &mut Names)?;
//! trace.collect(UnixMicros(start.0 + 25), id)?;
//! stream.extend_from_slice(trace.flush().expect("two events"));
//! # assert_eq!(memtrace_reader::whole(&stream).end, stream.len());
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```
//! An event that finds the packet full is refused: call [`Encoder::flush`], send the packet, and repeat the event.
//!
//! # By task
//! * Begin a trace: [`Info`], [`Encoder::new`] or [`Encoder::restart`].
//! * Write events: [`Encoder::alloc`], [`Encoder::collect`].
//! * Send packets: [`Encoder::flush`], and [`Encoder::flushed`] for a connection that takes them in pieces.
//! * Name functions and lines: [`Resolve`].
//! * Report losses: the codes of [`code`].
//!
//! # The format
//! Version 2 of memtrace's format, little-endian. The code follows the drawing from top to bottom: `encoder.rs`,
//! `cache.rs`, `locations.rs`, `packet.rs`.
//!
//! ```text
//! stream    = packet(trace_info) packet*                each packet ≤ 32,768 bytes, handed out whole
//! packet    = header (66 bytes) event*                  the header states size, times, ids, a check of the cache
//! event     = u32: low 25 bits of the time | code << 25      then
//!   location  1         code, positions                 defines a code, before the first alloc that uses it
//!   alloc     2, 101..  length, hits, source, backtrace the object's id is implicit: one more than the last
//!   collect   4         id, counted back from the newest
//! backtrace = common prefix with the backtrace before, codewords
//! codeword  = slot of the cache [, frames predicted from there] or slot and a new code
//! ```
//! These facts come from the sources of memtrace 0.2.3 and its development version of 2024, and were checked by
//! experiment against memtrace's own reader and writer.
//!
//! # Units
//! Times are microseconds since 1970 ([`UnixMicros`]). Sizes are words of 8 bytes. Hits are sampled words; hits divided by
//! [`Info::rate`] estimate the words that were allocated.
//!
//! # Promises
//! * A whole event is in the stream, or no part of it: then the error is [`Full`]. Definitions that an event needs may
//!   stay, and are not written again when it is repeated.
//! * Packets are whole. To repair a stream that was cut, cut it at the end of its last whole packet.
//! * Times never run backwards, even if the caller's clock does. Events that had to be moved are counted.
//! * Every code is defined before it is used, and a backtrace is never empty ([`code::UNKNOWN`]).
//! * Every name is that of [`Resolve`], unless the format cannot hold it: a NUL becomes `␀`, a name longer than
//!   [`NAME_MAX`] ends in `…`, and lines and columns beyond the range become its end. All of these changes are counted.
//! * The memory is [`MEMORY`] bytes, all of it taken by [`Encoder::new`]. No other call allocates.
//! * A trace takes no more bytes than a model of memtrace's own writer needs for it, in all traces of
//!   `tests/memtrace/size.rs`.
//!
//! # Inside an allocator
//! Nothing here may run there: an event with many new names may take milliseconds. Record samples elsewhere, and write
//! them from a task.
//!
//! # Not supported
//! * Promotions: there is one heap.
//! * Domains, which are version 3: one stream has one order of events.
//! * Packets with only definitions, as memtrace writes them. A definition stands before the event that needs it, so
//!   memtrace's limit of 128 definitions a packet does not apply.
//! * Codes of 2^32 and more. They become [`code::OUTSIDE`].
//! * Reading: the crate `memtrace-reader` does that, and shares no code with this one.
//!
//! There are no features. The minimum Rust version is 1.91.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod cache;
mod encoder;
mod locations;
mod packet;

pub use encoder::{Alloc, CollectError, Counts, Encoder, Full, ObjectId, Source};
pub use locations::{Location, Resolve};
pub use packet::Info;

/// The most bytes of a packet. The buffer of memtrace's readers has this size.
pub const PACKET_MAX: usize = 32_768;

/// The most frames of a backtrace. If there are more, the outermost are left out, and [`code::OUTER_DROPPED`] replaces
/// them.
pub const FRAMES_MAX: usize = 128;

/// The longest name in the stream, in bytes. A Rust name with its generic arguments can have thousands; four of
/// this size must fit a definition with room to spare.
pub const NAME_MAX: usize = 512;

/// The most positions of a code. The format counts them in a byte; one is kept for the mark that there were more.
pub const INLINED_MAX: usize = 254;

/// The longest span of a packet, in microseconds. The format distinguishes times over 2^25 µs, 33.5 s; memtrace's own
/// writer stops at 30 s as well.
pub const SPAN_MAX_MICROS: u64 = 30_000_000;

/// Bytes of memory that an [`Encoder`] holds, with its own size.
pub const MEMORY: usize = cache::Cache::MEMORY
    + packet::Packet::MEMORY
    + locations::Locations::MEMORY
    + size_of::<Encoder>();

// The format fixes 128 KiB of slots and the 32 KiB of the packet.
const _: () = assert!(MEMORY <= 172 << 10);

/// A time on the wall clock: microseconds since 1970-01-01T00:00:00 UTC. Times beyond 2^62 µs, 146,000 years, become
/// 2^62 µs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMicros(pub u64);

/// Codes that the encoder names.
///
/// A caller's own codes are addresses, or offsets, from [`FIRST_FREE`](code::FIRST_FREE) to 2^32 - 1: 32 bits halve the
/// cache.
pub mod code {
    /// Stands for an empty backtrace, and for an address of 0.
    pub const UNKNOWN: u64 = 1;
    /// Stands for an address of 2^32 or more.
    pub const OUTSIDE: u64 = 2;
    /// The outermost frame of a backtrace whose outermost frames were left out.
    pub const OUTER_DROPPED: u64 = 3;
    /// The only frame of allocations that were lost because the ring was full.
    pub const LOST_RING_FULL: u64 = 4;
    /// The only frame of allocations that were lost because too many sampled blocks were alive.
    pub const LOST_LIVE_FULL: u64 = 5;
    /// The smallest code that the caller may choose. Smaller codes that are not listed here become [`UNKNOWN`].
    pub const FIRST_FREE: u64 = 16;

    /// Returns the name of a code of this list.
    pub(crate) const fn name(code: u32) -> Option<&'static str> {
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
