//! Writes one trace after another: takes records and hands over packets.

use alloc::boxed::Box;
use alloc::collections::TryReserveError;
use alloc::vec::Vec;
use core::iter;
use core::num::NonZeroU64;

use super::live::LiveSites;
use heap_profiler::{HeapProfile, LossCause, MAX_FRAMES, Peek, Record};
use memtrace_writer::{
    Alloc, CollectError, Encoder, Full, Info, ObjectId, Resolve, UnixMicros, code,
};
use network::Stream;
use units::Micros;

/// The longest time between an event and its packet's way to the client, if the client takes packets.
const FLUSH_AFTER: Micros = Micros::from_millis(250);
/// Work of one turn, in records of a known stack: some 0.1 µs each on a host and ten times that under TCG.
const WORK_PER_TURN: u32 = 1_024;
/// The cost of one name, in records: it is looked up in the image's symbol table.
const WORK_PER_NAME: u32 = 16;
/// Packets handed over in one turn. They are more than a connection's buffer holds.
const PACKETS_PER_TURN: u32 = 4;

/// Marks a slot whose block is not in the trace.
const NONE: ObjectId = ObjectId(u64::MAX);

/// The time when a trace began, on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Began {
    /// The time since boot, the clock of the records' ticks.
    pub mono: Micros,
    /// The wall clock at that moment. From then on the trace follows the monotonic clock.
    pub unix: UnixMicros,
}

impl Began {
    fn unix(self, mono: Micros) -> UnixMicros {
        UnixMicros(self.unix.0 + (mono - self.mono).0)
    }
}

/// Counts of traces, since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TraceCounts {
    /// Traces that were begun.
    pub traces: u64,
    /// Sampled blocks that were allocated.
    pub allocs: u64,
    /// Sampled blocks that were freed.
    pub frees: u64,
    /// Bytes handed over.
    pub bytes: u64,
    /// Sampled blocks that are missing in a trace. Its totals include them, under a special frame.
    pub lost: u64,
}

/// The result of a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// All is handed over; call again at the next interval, or when there is more.
    Idle,
    /// There is more to do, and the client takes it.
    More,
    /// The client takes no more now.
    Waiting,
}

/// The writer of traces. It takes its memory when it is created.
pub struct Tracer {
    encoder: Box<Encoder>,
    /// The object in each slot of the profile.
    ids: Vec<ObjectId>,
    began: Began,
    /// Bytes of the packet that is being sent, and how many of them are handed over.
    packet: usize,
    handed: usize,
    /// The first slot whose block is still to be written, if the trace began in the middle of a session.
    snapshot: Option<u32>,
    /// The object that stands for lost allocations and is still to be freed, and the time of its allocation.
    lost: Option<(ObjectId, Micros)>,
    counts: TraceCounts,
}

impl Tracer {
    /// Returns the bytes of memory that a tracer holds for a profile with `slots` slots.
    #[must_use]
    pub const fn bytes(slots: usize) -> usize {
        memtrace_writer::MEMORY + size_of::<Self>() + slots * size_of::<ObjectId>()
    }

    /// Takes the memory for a profile with `slots` slots.
    ///
    /// # Errors
    /// If there is not enough memory for the slots.
    pub fn new(slots: usize) -> Result<Self, TryReserveError> {
        let mut ids = Vec::new();
        ids.try_reserve_exact(slots)?;
        ids.resize(slots, NONE);
        Ok(Self {
            encoder: Box::new(Encoder::new(&NOTHING)),
            ids,
            began: Began {
                mono: Micros::ZERO,
                unix: UnixMicros(0),
            },
            packet: 0,
            handed: 0,
            snapshot: None,
            lost: None,
            counts: TraceCounts::default(),
        })
    }

    /// Begins a trace at the time of `info`. With `alive` the session has begun before, and its live blocks are written
    /// first.
    pub fn begin(&mut self, info: &Info<'_>, mono: Micros, alive: bool) {
        self.encoder.restart(info);
        self.ids.fill(NONE);
        self.began = Began {
            mono,
            unix: info.start,
        };
        (self.packet, self.handed) = (0, 0);
        self.snapshot = alive.then_some(0);
        self.lost = None;
        self.counts.traces += 1;
    }

    /// Returns the counts of traces, since boot.
    #[must_use]
    pub const fn counts(&self) -> &TraceCounts {
        &self.counts
    }

    /// Returns the number of packets of this trace, including the one that is being handed over.
    pub(super) const fn packets(&self) -> u64 {
        self.encoder.counts().packets
    }

    /// Takes records, writes them, and hands packets to the client's stream. `live` follows the records if the profile
    /// is always on. With `last` the tracer flushes everything, until the progress is [`Progress::Idle`].
    ///
    /// Work: at most 1,024 records of known stacks, as long as the client takes packets.
    pub fn turn(
        &mut self,
        now: Micros,
        last: bool,
        profile: &dyn HeapProfile,
        live: Option<&mut LiveSites>,
        names: &mut dyn Resolve,
        stream: &mut dyn Stream,
    ) -> Progress {
        let mut live = live;
        let mut work = WORK_PER_TURN;
        for _ in 0..PACKETS_PER_TURN {
            if !self.send(stream) {
                return Progress::Waiting;
            }
            // The encoder takes events only after its first packet was flushed.
            let full = self.encoder.counts().packets == 0
                || self.snapshot(live.as_deref(), names, &mut work).is_err()
                || self
                    .drain(profile, live.as_deref_mut(), names, &mut work)
                    .is_err();
            if work == 0 {
                return Progress::More;
            }
            let due = self.encoder.oldest().is_some_and(|oldest| {
                self.began.unix(now).0.saturating_sub(oldest.0) >= FLUSH_AFTER.0
            });
            if !(full || due || last) {
                return Progress::Idle;
            }
            match self.encoder.flush() {
                Some(packet) => (self.packet, self.handed) = (packet.len(), 0),
                None => return Progress::Idle,
            }
        }
        Progress::More
    }

    /// Hands over the rest of the packet. Returns `true` if that was all.
    fn send(&mut self, stream: &mut dyn Stream) -> bool {
        let rest = &self.encoder.flushed(self.packet)[self.handed..];
        if !rest.is_empty() {
            let taken = stream.write(rest);
            self.handed += taken;
            self.counts.bytes += taken as u64;
        }
        self.handed == self.packet
    }

    /// Writes the blocks that were alive when the trace began.
    fn snapshot(
        &mut self,
        live: Option<&LiveSites>,
        names: &mut dyn Resolve,
        work: &mut u32,
    ) -> Result<(), Full> {
        while let Some(from) = self.snapshot {
            if *work == 0 {
                return Ok(());
            }
            let Some(block) = live.and_then(|live| live.block_from(from)) else {
                self.snapshot = None;
                break;
            };
            let stack = block.stack.iter().map(|&code| code.into());
            let (words, hits) = (block.words, block.hits);
            let id = self.write(self.began.mono, words, hits, stack, names, work)?;
            self.ids[block.slot as usize] = id;
            self.snapshot = Some(block.slot + 1);
        }
        Ok(())
    }

    /// Writes the records of the profile.
    fn drain(
        &mut self,
        profile: &dyn HeapProfile,
        mut live: Option<&mut LiveSites>,
        names: &mut dyn Resolve,
        work: &mut u32,
    ) -> Result<(), Full> {
        if self.snapshot.is_some() {
            return Ok(());
        }
        self.free_lost(work)?;
        let mut frames = [0; MAX_FRAMES];
        while *work > 0
            && let Peek::Record(record) = profile.peek(&mut frames)
        {
            self.follow(&record, names, work)?;
            if let Some(live) = &mut live {
                live.follow(&record);
            }
            profile.take(&record);
        }
        Ok(())
    }

    fn follow(
        &mut self,
        record: &Record<'_>,
        names: &mut dyn Resolve,
        work: &mut u32,
    ) -> Result<(), Full> {
        match *record {
            Record::Alloc {
                ticks,
                slot,
                words,
                hits,
                stack,
                truncated,
            } => {
                let outer = truncated.then_some(code::OUTER_DROPPED);
                let stack = stack.iter().map(|&address| address as u64).chain(outer);
                let id = self.write(Micros(ticks), words, hits, stack, names, work)?;
                self.ids[slot as usize] = id;
            }
            Record::Free { ticks, slot } => {
                let id = self.ids[slot as usize];
                // Blocks from before the trace are not in it.
                if id != NONE {
                    self.collect(Micros(ticks), id, work)?;
                    self.ids[slot as usize] = NONE;
                }
            }
            Record::Lost {
                ticks,
                cause,
                blocks,
                words,
                hits,
            } => {
                self.free_lost(work)?;
                let frame = match cause {
                    LossCause::RingFull => code::LOST_RING_FULL,
                    LossCause::LiveFull => code::LOST_LIVE_FULL,
                };
                let (at, frame) = (Micros(ticks), iter::once(frame));
                let id = self.write(at, words, hits, frame, names, work)?;
                // The record counts as written from here on, even if there is no room for the free.
                self.lost = Some((id, at));
                self.counts.lost += blocks;
                let _ = self.free_lost(work);
            }
        }
        Ok(())
    }

    /// Frees the object for lost allocations at once. The time of their real frees is unknown, and blocks that stay
    /// alive would look like a leak.
    fn free_lost(&mut self, work: &mut u32) -> Result<(), Full> {
        if let Some((id, at)) = self.lost {
            self.collect(at, id, work)?;
            self.lost = None;
        }
        Ok(())
    }

    fn write(
        &mut self,
        at: Micros,
        words: u64,
        hits: u64,
        stack: impl Iterator<Item = u64>,
        names: &mut dyn Resolve,
        work: &mut u32,
    ) -> Result<ObjectId, Full> {
        let hits = NonZeroU64::new(hits).unwrap_or(NonZeroU64::MIN);
        let block = Alloc::new(words, hits);
        let before = self.encoder.counts().definitions;
        let id = self.encoder.alloc(self.began.unix(at), block, stack, names);
        let new_names = self.encoder.counts().definitions - before;
        *work = work.saturating_sub(1 + new_names as u32 * WORK_PER_NAME);
        self.counts.allocs += u64::from(id.is_ok());
        id
    }

    fn collect(&mut self, at: Micros, id: ObjectId, work: &mut u32) -> Result<(), Full> {
        let written = self.encoder.collect(self.began.unix(at), id);
        *work = work.saturating_sub(1);
        self.counts.frees += u64::from(written.is_ok());
        match written {
            Err(CollectError::Full) => Err(Full),
            // The encoder made this id, so it is known.
            Ok(()) | Err(CollectError::Unknown(_)) => Ok(()),
        }
    }
}

/// The facts for an encoder that has nothing to write yet.
const NOTHING: Info<'static> = Info {
    start: UnixMicros(0),
    rate: 1.0,
    executable: "",
    host: "",
    parameters: "",
    pid: 0,
    context: "",
};
