//! Events into packets.
//!
//! ```text
//!               restart                    flush (1)
//!  any state ───────────▶ Info: trace_info ─────────▶ Events ◀──┐
//!                         alloc, collect: Full          │       │ flush: a packet, if there is an event
//!                                                       └───────┘
//! ```
//!
//! An alloc event is written in one pass. If a code on its way is not defined, everything the pass did is taken
//! back, the definition is written in front, and the pass is repeated; the definition itself stays even if the
//! event then does not fit, and is remembered for the caller's next attempt. So each attempt makes progress,
//! however much has to be defined.

use core::fmt;
use core::num::NonZeroU64;

use super::cache::{Cache, START, SlotNumber};
use super::info::Info;
use super::location::{DEFINITION_MAX, Resolve, define};
use super::names::Names;
use super::packet::{EVENT_HEADER, EventCode, HEADER, Packet, Sealed};
use super::stack::{CODES_MAX, Stacks};
use super::{PACKET_MAX, UnixMicros};

/// Bytes of an alloc event but for its codewords: length, hits, source, common prefix, number of codewords.
const ALLOC_FIXED_MAX: usize = EVENT_HEADER + 9 + 9 + 1 + 3 + 2;
/// Bytes of a codeword: slot and a new code.
const CODEWORD_MAX: usize = 2 + 8;
const COLLECT_MAX: usize = EVENT_HEADER + 9;

/// The latest time, and the largest number, that readers hold: OCaml's `int` has 63 bits with its sign.
const LARGEST: u64 = (1 << 62) - 1;

// Every event, and every definition, fits an empty packet: a caller that flushes and repeats comes to an end.
const _: () = assert!(HEADER + ALLOC_FIXED_MAX + CODES_MAX * CODEWORD_MAX <= PACKET_MAX);
const _: () = assert!(HEADER + DEFINITION_MAX <= PACKET_MAX);

/// The kinds of heap that the format knows. Rust has one; the viewer's filter by heap becomes one by size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Small blocks. With at most 16 words and one hit, their events are three bytes shorter.
    Minor,
    /// Larger blocks.
    Major,
    /// Blocks so large that other systems map them on their own.
    External,
}

impl Source {
    /// By size: up to 256 words (2 KiB, the largest block of OCaml's minor heap) minor, from 16,384 words on
    /// (128 KiB, what glibc's malloc maps on its own) external, major between.
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
    /// Its size in words of 8 bytes, rounded up.
    pub words: u64,
    /// How many of its words were sampled. Readers' estimates are this number divided by the rate.
    pub hits: NonZeroU64,
    /// Where it lies; [`Source::of`] says it by size.
    pub source: Source,
}

impl Alloc {
    /// With the source that its size gives it.
    #[must_use]
    pub const fn new(words: u64, hits: NonZeroU64) -> Self {
        Self {
            words,
            hits,
            source: Source::of(words),
        }
    }

    const fn is_short(&self) -> bool {
        matches!(self.source, Source::Minor)
            && self.hits.get() == 1
            && self.words >= 1
            && self.words <= 16
    }
}

/// An object of a trace: they count from 0, in the order of their alloc events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u64);

/// The packet has no room for the event, or its time is too far from the packet's first. The event is not in
/// the stream: flush and repeat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the packet is full")
    }
}

impl core::error::Error for Full {}

/// Why [`Encoder::collect`] wrote nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CollectError {
    /// As [`Full`]: flush and repeat.
    Full,
    /// No alloc event of this trace has this id: a free from before the trace began.
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

/// What was written since the trace began, and what could not be written as it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Packets handed out.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Alloc events.
    pub allocs: u64,
    /// Collect events.
    pub collects: u64,
    /// Definitions, those that were written again included.
    pub definitions: u64,
    /// Codes that made room in the cache for others.
    pub evictions: u64,
    /// Events whose time was moved because it was before the last one's.
    pub times_moved: u64,
    /// Texts that were cut, or had a NUL.
    pub texts_changed: u64,
    /// Lists of positions that were cut.
    pub lists_cut: u64,
    /// Lines and columns beyond the format's range.
    pub clamped: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Info,
    Events,
}

/// Writes one trace after the other, in memory that it takes when it is made: [`MEMORY`](super::MEMORY) bytes.
///
/// Not for use inside the allocator: a turn may take milliseconds if many names are new.
///
/// ```
/// # use memtrace_writer::{Alloc, Encoder, Info, Location, UnixMicros};
/// # use core::num::NonZeroU64;
/// let start = UnixMicros(1_700_000_000_000_000);
/// let mut trace = Encoder::new(&Info {
///     start, rate: 1e-4, executable: "app.elf", host: "web-1", parameters: "", pid: 7, context: "version 0.1",
/// });
/// let mut stream = trace.flush().expect("the first packet").to_vec();
///
/// let mut names = |code: u64, out: &mut dyn FnMut(Location<'_>)| match code {
///     0x20_1000 => out(Location { function: "app::main", file: "app/src/main.rs", line: 7, ..Location::default() }),
///     _ => {}
/// };
/// let block = Alloc::new(3, NonZeroU64::MIN);
/// let id = trace.alloc(UnixMicros(start.0 + 10), block, [0x20_1000], &mut names)?;
/// trace.collect(UnixMicros(start.0 + 25), id)?;
/// stream.extend_from_slice(trace.flush().expect("two events"));
/// # Ok::<(), Box<dyn core::error::Error>>(())
/// ```
pub struct Encoder {
    packet: Packet,
    cache: Cache,
    names: Names,
    stacks: Stacks,
    ahead: Ahead,
    state: State,
    pid: u64,
    /// Time of the last event, or of the trace's start.
    last: u64,
    /// What the caller's clock said at the first event of the packet.
    oldest: UnixMicros,
    /// The id of the packet's first alloc event, and of the next one.
    first_id: u64,
    next_id: u64,
    check: Option<super::cache::Check>,
    counts: Counts,
}

impl Encoder {
    /// Takes the memory and begins a trace.
    #[must_use]
    pub fn new(info: &Info<'_>) -> Self {
        let mut encoder = Self {
            packet: Packet::new(),
            cache: Cache::new(),
            names: Names::new(),
            stacks: Stacks::new(),
            ahead: Ahead::new(),
            state: State::Info,
            pid: 0,
            last: 0,
            oldest: UnixMicros(0),
            first_id: 0,
            next_id: 0,
            check: None,
            counts: Counts::default(),
        };
        encoder.restart(info);
        encoder
    }

    /// Ends a trace, without what was not flushed, and begins another. Its first packet is ready: until it is
    /// flushed, no event is taken. Cost: clears 128 KiB.
    pub fn restart(&mut self, info: &Info<'_>) {
        self.packet.clear();
        self.cache.clear();
        self.names.clear();
        self.stacks.clear();
        self.ahead.clear();
        self.state = State::Info;
        self.pid = info.pid;
        self.last = info.start.0.min(LARGEST);
        self.oldest = info.start;
        (self.first_id, self.next_id, self.check) = (0, 0, None);
        self.counts = Counts::default();
        self.packet.event(self.last, EventCode::TRACE_INFO);
        self.counts.texts_changed = info.write(&mut self.packet).into();
    }

    /// Writes that a block was allocated. `stack` is its backtrace, the innermost frame first: addresses or
    /// other codes from [`code::FIRST_FREE`](super::code::FIRST_FREE) to 2^32 - 1, or such as [`code`](super::code)
    /// lists; of more than 128 the outermost are left out, with a mark. `names` is asked for each code that the
    /// stream does not define. Cost: a pass over the stack, about 5 ns a frame on a server's core
    /// (`benches/memtrace.rs`). Allocates nothing.
    ///
    /// # Errors
    /// [`Full`]: the event is not in the stream. Flush and repeat: each attempt comes further.
    pub fn alloc(
        &mut self,
        at: UnixMicros,
        block: Alloc,
        stack: impl IntoIterator<Item = u64>,
        names: &mut (impl Resolve + ?Sized),
    ) -> Result<ObjectId, Full> {
        let most = ALLOC_FIXED_MAX + self.stacks.take(stack) * CODEWORD_MAX;
        let time = self.room(at, most)?;
        let mut first = self.packet.is_empty();
        while let Err(Undefined(code)) = self.write_alloc(time, &block) {
            self.room(at, DEFINITION_MAX)?;
            define(
                code,
                time,
                names,
                &mut self.names,
                &mut self.packet,
                &mut self.counts,
            );
            self.ahead.push(code);
            self.passed(at, time, first);
            first = false;
            self.room(at, most)?;
        }
        self.passed(at, time, first);
        self.counts.times_moved += u64::from(at.0 != time);
        self.cache.keep();
        self.stacks.accept();
        self.ahead.clear();
        let id = ObjectId(self.next_id);
        self.next_id += 1;
        self.counts.allocs += 1;
        Ok(id)
    }

    /// Writes that a block was freed: at most once for each, as readers rely on that. Cost: some nanoseconds.
    ///
    /// # Errors
    /// [`CollectError::Full`]: flush and repeat. [`CollectError::Unknown`] if no event of this trace gave the id.
    /// In both cases nothing changes.
    pub fn collect(&mut self, at: UnixMicros, id: ObjectId) -> Result<(), CollectError> {
        if id.0 >= self.next_id {
            return Err(CollectError::Unknown(id));
        }
        let time = self.room(at, COLLECT_MAX)?;
        self.passed(at, time, self.packet.is_empty());
        self.counts.times_moved += u64::from(at.0 != time);
        self.packet.event(time, EventCode::COLLECT);
        self.packet.number(self.next_id - 1 - id.0);
        self.counts.collects += 1;
        Ok(())
    }

    /// The packet, if there is anything in it. The caller sends the whole of it.
    pub fn flush(&mut self) -> Option<&[u8]> {
        if self.packet.is_empty() {
            return None;
        }
        let sealed = Sealed {
            pid: self.pid,
            first_id: self.first_id,
            next_id: self.next_id,
            check: self.check,
        };
        self.state = State::Events;
        self.first_id = self.next_id;
        self.check = self.cache.check();
        let packet = self.packet.seal(&sealed);
        self.counts.packets += 1;
        self.counts.bytes += packet.len() as u64;
        Some(packet)
    }

    /// The packet that was flushed last, its first `len` bytes: until the next event, which is written over it. For a connection that
    /// takes it in pieces.
    #[must_use]
    pub fn flushed(&self, len: usize) -> &[u8] {
        self.packet.sealed(len)
    }

    /// What the caller's clock said at the first event of what is not flushed, or at the start before the first
    /// packet. Nothing if there is nothing to flush.
    #[must_use]
    pub fn oldest(&self) -> Option<UnixMicros> {
        (!self.packet.is_empty()).then_some(self.oldest)
    }

    /// What was written, since the trace began.
    #[must_use]
    pub const fn counts(&self) -> Counts {
        Counts {
            evictions: self.cache.evictions,
            ..self.counts
        }
    }

    /// The event's time in the stream, if there is room for it.
    #[inline]
    fn room(&self, at: UnixMicros, bytes: usize) -> Result<u64, Full> {
        let time = at.0.clamp(self.last, LARGEST);
        if self.state == State::Events && self.packet.has_room(time, bytes) {
            Ok(time)
        } else {
            Err(Full)
        }
    }

    /// Notes the time of something that is in the stream; whether it is the packet's first.
    #[inline]
    const fn passed(&mut self, at: UnixMicros, time: u64, first: bool) {
        if first {
            self.oldest = at;
        }
        self.last = time;
    }

    /// The event, or nothing.
    fn write_alloc(&mut self, time: u64, block: &Alloc) -> Result<(), Undefined> {
        let (stack, common) = self.stacks.next();
        let (packet, cache) = (&mut self.packet, &mut self.cache);
        let mark = packet.mark();
        let short = block.is_short();
        if short {
            packet.event(time, EventCode::short_alloc(block.words));
        } else {
            packet.event(time, EventCode::ALLOC);
            packet.number(block.words.min(LARGEST));
            packet.number(block.hits.get().min(LARGEST));
            packet.bytes(&[block.source as u8]);
        }
        packet.number(common as u64);
        let count_place = packet.place();
        // At most 129 codewords: the high byte of the long form's two is always 0.
        packet.bytes(if short { &[0] } else { &[0, 0] });
        match write_stack(&stack[common..], cache, &self.ahead, packet) {
            Ok(count) => {
                packet.set(count_place, count);
                Ok(())
            }
            Err(undefined) => {
                cache.take_back();
                packet.take_back(&mark);
                Err(undefined)
            }
        }
    }
}

/// A code that has to be defined before the event.
struct Undefined(u32);

/// Writes the codewords for `codes` and returns how many.
#[inline]
fn write_stack(
    codes: &[u32],
    cache: &mut Cache,
    ahead: &Ahead,
    packet: &mut Packet,
) -> Result<u8, Undefined> {
    const HIT: SlotNumber = 0;
    const HIT_AND_ONE: SlotNumber = 1;
    const HIT_AND_MORE: SlotNumber = 2;
    const MISS: SlotNumber = 3;
    let (mut at, mut previous, mut count) = (0, START, 0);
    while let Some(code) = codes.get(at) {
        at += 1;
        count += 1;
        if let Some(slot) = cache.find(*code) {
            cache.link(previous, slot);
            let (predicted, last) = cache.predicted(slot, &codes[at..]);
            match predicted {
                0 => packet.bytes(&(slot << 2 | HIT).to_le_bytes()),
                1 => packet.bytes(&(slot << 2 | HIT_AND_ONE).to_le_bytes()),
                _ => {
                    let [low, high] = (slot << 2 | HIT_AND_MORE).to_le_bytes();
                    packet.bytes(&[low, high, predicted as u8]);
                }
            }
            at += predicted;
            previous = last;
        } else if ahead.contains(*code) {
            let slot = cache.put(*code);
            cache.link(previous, slot);
            packet.bytes(&(slot << 2 | MISS).to_le_bytes());
            packet.bytes(&u64::from(*code).to_le_bytes());
            previous = slot;
        } else {
            return Err(Undefined(*code));
        }
    }
    Ok(count)
}

/// Codes that are defined in the stream but not yet in the cache: those of the event that is being attempted.
struct Ahead {
    codes: [u32; CODES_MAX],
    /// How many were pushed since it was cleared. Those of the current attempt always have a place; of an
    /// attempt that the caller gave up they are overwritten, and defined again should they come back.
    pushed: usize,
}

impl Ahead {
    const fn new() -> Self {
        Self {
            codes: [0; CODES_MAX],
            pushed: 0,
        }
    }

    const fn clear(&mut self) {
        self.pushed = 0;
    }

    fn contains(&self, code: u32) -> bool {
        self.codes[..self.pushed.min(CODES_MAX)].contains(&code)
    }

    const fn push(&mut self, code: u32) {
        self.codes[self.pushed % CODES_MAX] = code;
        self.pushed += 1;
    }
}
