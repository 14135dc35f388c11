//! Events into packets: the order in the stream, times, and the ids of objects.
//!
//! ```text
//!               restart                    flush (1)
//!  any state ───────────▶ Info: trace_info ─────────▶ Events ◀──┐
//!                         alloc, collect: Full          │       │ flush: a packet, if there is an event
//!                                                       └───────┘
//! ```
//!
//! An alloc event is written in three steps. The cache takes the stack and finds the codes that are new to the stream.
//! Then their definitions are written, and last the event. Each step has a packet with room for all of it, or ends with
//! [`Full`]. Definitions stay, so each attempt gets further, even if many definitions are needed.

use core::fmt;
use core::num::NonZeroU64;

use crate::UnixMicros;
use crate::cache::{Cache, Check};
use crate::locations::{DEFINITION_MAX, Locations, Resolve};
use crate::packet::{EVENT_HEADER, EventCode, HEADER, Info, Packet};

/// The most bytes of an alloc event, but for its backtrace: length, hits, source.
const ALLOC_MAX: usize = EVENT_HEADER + 9 + 9 + 1;
const COLLECT_MAX: usize = EVENT_HEADER + 9;

/// The latest time, and the largest number, that readers hold: OCaml's `int` has 63 bits with its sign.
const LARGEST: u64 = (1 << 62) - 1;

// Every event and every definition fits an empty packet, so a caller that flushes and repeats always finishes.
const _: () = assert!(HEADER + ALLOC_MAX + Cache::BYTES_MAX <= crate::PACKET_MAX);
const _: () = assert!(HEADER + DEFINITION_MAX <= crate::PACKET_MAX);

/// The kinds of heap that the format knows. Rust has one heap; here they distinguish blocks by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Small blocks. With at most 16 words and one hit, their events are three bytes shorter.
    Minor,
    /// Larger blocks.
    Major,
    /// Blocks so large that other systems map each of them separately.
    External,
}

impl Source {
    /// Returns the source for a size. Up to 256 words (2 KiB, the largest block of OCaml's minor heap) are minor,
    /// 16,384 words (128 KiB, what glibc's malloc maps separately) and more are external.
    #[must_use]
    pub const fn of(words: u64) -> Self {
        match words {
            0..=256 => Self::Minor,
            257..16_384 => Self::Major,
            16_384.. => Self::External,
        }
    }
}

/// A sampled block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alloc {
    /// The block's size in words of 8 bytes, rounded up.
    pub words: u64,
    /// The number of words that were sampled. Readers estimate with this number divided by the rate.
    pub hits: NonZeroU64,
    /// The heap of the block; [`Source::of`] derives it from the size.
    pub source: Source,
}

impl Alloc {
    /// Creates a block with the source for its size.
    #[must_use]
    pub const fn new(words: u64, hits: NonZeroU64) -> Self {
        Self {
            words,
            hits,
            source: Source::of(words),
        }
    }
}

/// An object of a trace. Objects count from 0, in the order of their alloc events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u64);

/// The packet has no room for the event, or the event is too late for it. The event is not in the stream: flush
/// and repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packet is full")
    }
}

impl core::error::Error for Full {}

/// The reason why [`Encoder::collect`] wrote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectError {
    /// As [`Full`]: flush and repeat.
    Full,
    /// No alloc event of this trace has this id: the block is older than the trace.
    Unknown(ObjectId),
}

impl fmt::Display for CollectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => Full.fmt(f),
            Self::Unknown(ObjectId(id)) => write!(f, "no object of this trace has the id {id}"),
        }
    }
}

impl core::error::Error for CollectError {}

impl From<Full> for CollectError {
    fn from(Full: Full) -> Self {
        Self::Full
    }
}

/// Counts of one trace: what was written, and what could not be written unchanged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets handed out.
    pub packets: u64,
    /// Bytes of these packets.
    pub bytes: u64,
    /// Alloc events.
    pub allocs: u64,
    /// Collect events.
    pub collects: u64,
    /// Definitions, including those that were written again.
    pub definitions: u64,
    /// Codes that made room in the cache for others.
    pub evictions: u64,
    /// Events whose time was moved because it was before that of the last one.
    pub times_moved: u64,
    /// Texts that were cut or had a NUL.
    pub texts_changed: u64,
    /// Lists of positions that were cut.
    pub lists_cut: u64,
    /// Lines and columns beyond the range of the format.
    pub clamped: u64,
}

/// Writes one trace after the other.
///
/// It takes its memory when it is created, [`MEMORY`](crate::MEMORY) bytes, and allocates nothing afterwards. Do not
/// use it inside an allocator: an event with many new names may take milliseconds. The [crate] has an example.
pub struct Encoder {
    packet: Packet,
    cache: Cache,
    locations: Locations,
    pid: u64,
    /// The time of the last event, or the start of the trace.
    last: u64,
    /// The time that the caller gave for the first event of the packet.
    oldest: UnixMicros,
    /// The id of the packet's first alloc event. The id of the next event is the number of alloc events so far.
    first_id: u64,
    /// A slot of the cache when the packet was begun.
    check: Option<Check>,
    counts: Counts,
}

impl Encoder {
    /// Takes the memory and begins a trace, like [`restart`](Self::restart).
    #[must_use]
    pub fn new(info: &Info<'_>) -> Self {
        let mut encoder = Self {
            packet: Packet::new(),
            cache: Cache::new(),
            locations: Locations::new(),
            pid: 0,
            last: 0,
            oldest: UnixMicros(0),
            first_id: 0,
            check: None,
            counts: Counts::default(),
        };
        encoder.restart(info);
        encoder
    }

    /// Drops everything that was not flushed and begins another trace. Its first packet is ready; the encoder takes no
    /// event before that is flushed. Cost: clears 128 KiB.
    pub fn restart(&mut self, info: &Info<'_>) {
        self.packet.clear();
        self.cache.clear();
        self.locations.clear();
        self.pid = info.pid;
        self.last = info.start.0.min(LARGEST);
        self.oldest = info.start;
        self.first_id = 0;
        self.check = None;
        self.counts = Counts::default();
        self.counts.texts_changed = self.packet.info(self.last, info);
    }

    /// Writes that a block was allocated, and returns its id.
    ///
    /// `stack` is the backtrace, the innermost frame first: addresses or other codes from
    /// [`code::FIRST_FREE`](crate::code::FIRST_FREE) to 2^32 - 1, or codes that [`code`](crate::code) lists. If there
    /// are more than 128 frames, the outermost are left out, with a mark. The encoder asks `names` about each code that
    /// is new to the stream. Cost: two passes over the stack, about 4 ns a frame on a server's core
    /// (`benches/memtrace.rs`), and the time of `names` for each new code.
    ///
    /// # Errors
    /// [`Full`]: the event is not in the stream. Flush and repeat; each attempt comes further.
    pub fn alloc(
        &mut self,
        at: UnixMicros,
        block: Alloc,
        stack: impl IntoIterator<Item = u64>,
        names: &mut dyn Resolve,
    ) -> Result<ObjectId, Full> {
        self.cache.take(stack);
        while let Some(code) = self.cache.undefined() {
            let time = self.admit(at, DEFINITION_MAX)?;
            self.locations
                .define(code, time, names, &mut self.packet, &mut self.counts);
            self.cache.defined(code);
        }
        let time = self.admit(at, ALLOC_MAX + self.cache.bytes_max())?;
        let Alloc {
            words,
            hits,
            source,
        } = block;
        let packet = &mut self.packet;
        if source == Source::Minor && hits == NonZeroU64::MIN && (1..=16).contains(&words) {
            packet.event(time, EventCode::short_alloc(words));
            self.cache.write(1, packet);
        } else {
            packet.event(time, EventCode::ALLOC);
            packet.number(words.min(LARGEST));
            packet.number(hits.get().min(LARGEST));
            packet.bytes(&[source as u8]);
            self.cache.write(2, packet);
        }
        self.counts.times_moved += u64::from(at.0 != time);
        let id = ObjectId(self.counts.allocs);
        self.counts.allocs += 1;
        Ok(id)
    }

    /// Writes that a block was freed. The caller must do so at most once for each block, because readers rely on that.
    /// Cost: some nanoseconds.
    ///
    /// # Errors
    /// [`CollectError::Full`]: flush and repeat. [`CollectError::Unknown`] if no event of this trace gave the id.
    /// In both cases nothing changes.
    pub fn collect(&mut self, at: UnixMicros, id: ObjectId) -> Result<(), CollectError> {
        if id.0 >= self.counts.allocs {
            return Err(CollectError::Unknown(id));
        }
        let time = self.admit(at, COLLECT_MAX)?;
        self.packet.event(time, EventCode::COLLECT);
        self.packet.number(self.counts.allocs - 1 - id.0);
        self.counts.times_moved += u64::from(at.0 != time);
        self.counts.collects += 1;
        Ok(())
    }

    /// Returns the packet, if it is not empty. The caller sends all of it, at once or in pieces
    /// ([`flushed`](Self::flushed)). The next event overwrites it.
    pub fn flush(&mut self) -> Option<&[u8]> {
        if self.packet.is_empty() {
            return None;
        }
        let ids = self.first_id..self.counts.allocs;
        self.first_id = ids.end;
        let check = core::mem::replace(&mut self.check, self.cache.check());
        let packet = self.packet.seal(self.pid, ids, check);
        self.counts.packets += 1; // 1
        self.counts.bytes += packet.len() as u64;
        Some(packet)
    }

    /// Returns the first `len` bytes of the packet that was flushed last. The next event overwrites them.
    #[must_use]
    pub fn flushed(&self, len: usize) -> &[u8] {
        self.packet.sealed(len)
    }

    /// Returns the time that the caller gave for the oldest event that is not flushed; before the first packet, the
    /// start of the trace. `None` if there is nothing to flush.
    #[must_use]
    pub fn oldest(&self) -> Option<UnixMicros> {
        (!self.packet.is_empty()).then_some(self.oldest)
    }

    /// Returns the counts of this trace.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        Counts {
            evictions: self.cache.evictions,
            ..self.counts
        }
    }

    /// Returns the time of the next write in the stream, once the packet has room for all of it.
    #[inline]
    fn admit(&mut self, at: UnixMicros, bytes: usize) -> Result<u64, Full> {
        let time = at.0.clamp(self.last, LARGEST);
        // The first packet holds only its own event.
        if self.counts.packets == 0 || !self.packet.has_room(time, bytes) {
            return Err(Full);
        }
        if self.packet.is_empty() {
            self.oldest = at;
        }
        self.last = time;
        Ok(time)
    }
}
