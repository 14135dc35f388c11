//! A trace, added up by stack.
//!
//! Events are counted as they come and not kept. Memory is needed for distinct stacks (some 300 bytes each, and 40 a
//! frame that they do not share) and for sampled blocks that are alive at one time (some 80 bytes each, with the
//! reader's share). The number of events does not matter.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Read;

use memtrace_reader::{Event, Info, Kind, Position, Stack};

use crate::estimate::Scale;
use crate::events::{OpenError, Span, Trace};
use crate::histogram::{Lifetimes, Sizes};
use crate::temporary::Temporary;
use crate::tree::{StackId, Tree};
use crate::weight::Weight;

/// The beginning of the names of frames that stand for what the guest lost. The weight under them was allocated.
/// Nothing is known of its place and its sizes, or of when it was freed.
const LOST: &str = "[lost: ";

/// The settings of a profile.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// The meaning of temporary.
    pub temporary: Temporary,
    /// Growth is counted between these two times, in microseconds since the trace began. A time beyond the end is the end.
    pub window: Option<(u64, u64)>,
    /// The most bytes of memory that reading may take.
    pub(crate) memory: usize,
    /// If set, the blocks that are alive after so many alloc and collect events are kept in [`Tally::snapshot`].
    pub(crate) snapshot: Option<u64>,
}

/// The memory for reading a trace, unless the user gives another amount: a trace of 5 million events of a usual program
/// needs 14 MiB.
pub const MEMORY: usize = 512 << 20;

impl Settings {
    /// Creates settings with this meaning of temporary, and with growth counted in this window, if any.
    pub const fn new(temporary: Temporary, window: Option<(u64, u64)>) -> Self {
        Self {
            temporary,
            window,
            memory: MEMORY,
            snapshot: None,
        }
    }

    /// Sets the most bytes of memory that reading may take.
    #[must_use]
    pub const fn within(self, memory: usize) -> Self {
        Self { memory, ..self }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self::new(Temporary::default(), None)
    }
}

/// The bytes of a stack's row, of a live block, and of a code with positions, each with room to grow.
const ROW_BYTES: usize = 2 * size_of::<(StackId, Tally)>() + 32;
const LIVE_BYTES: usize = 2 * size_of::<(u64, Live)>();
const CODE_BYTES: usize = 64;

/// All that was allocated with one stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All allocations.
    pub(crate) allocated: Weight,
    /// The blocks alive at the end.
    pub(crate) live: Weight,
    /// The temporary blocks.
    pub(crate) temporary: Weight,
    /// The sum of the lifetimes of the blocks that were freed, in microseconds.
    pub(crate) lifetimes: u64,
    /// The sum of the ages of the blocks that are alive at the end, in microseconds.
    pub(crate) ages: u64,
    /// The most that was alive at one time, counted in hits.
    pub(crate) most: Weight,
    /// The blocks alive after as many events as [`Settings::snapshot`] says.
    pub(crate) snapshot: Weight,
    /// The blocks alive at the beginning of the window.
    pub(crate) before: Weight,
    /// The blocks alive at the end of the window.
    pub(crate) after: Weight,
    /// Hits that were alive at the beginning of the window, and freed in it.
    pub(crate) gone: u64,
    /// `true` if the stack stands for what was lost: then only [`Tally::allocated`] is counted.
    pub(crate) is_lost: bool,
}

impl Tally {
    /// Adds another stack, if both are to be shown as one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.allocated += other.allocated;
        self.live += other.live;
        self.temporary += other.temporary;
        self.lifetimes = self.lifetimes.saturating_add(other.lifetimes);
        self.ages = self.ages.saturating_add(other.ages);
        self.most += other.most;
        self.snapshot += other.snapshot;
        self.before += other.before;
        self.after += other.after;
        self.gone = self.gone.saturating_add(other.gone);
        self.is_lost |= other.is_lost;
    }

    /// Returns the hits that were allocated in the window and are alive at its end.
    pub(crate) fn come(&self) -> u64 {
        let come = self.after.hits.saturating_add(self.gone);
        come.saturating_sub(self.before.hits)
    }
}

/// The time when most was alive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// The weight that was alive.
    pub(crate) weight: Weight,
    /// Microseconds since the trace began.
    pub(crate) micros: u64,
    /// The number of alloc and collect events before it.
    pub(crate) event: u64,
}

/// A trace, added up.
#[derive(Debug)]
pub struct Profile {
    /// The content of the first packet.
    pub info: Info,
    /// The part that was read.
    pub span: Span,
    /// The number of alloc events.
    pub allocs: u64,
    /// The number of collect events.
    pub(crate) collects: u64,
    /// Stacks with allocations.
    pub(crate) stacks: Vec<(StackId, Tally)>,
    /// Their codes.
    pub(crate) tree: Tree,
    /// The names that the trace gives to codes.
    pub(crate) positions: HashMap<u64, Box<[Position]>>,
    /// Sizes of all blocks that were allocated and not lost.
    pub(crate) sizes: Sizes,
    /// Lifetimes of all blocks that were freed.
    pub(crate) lifetimes: Lifetimes,
    /// The time when most was alive.
    pub(crate) peak: Peak,
    /// The most bytes of memory that reading might take.
    pub(crate) memory: usize,
}

impl Profile {
    /// Reads a trace to its end and adds it up.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn read(from: impl Read, settings: &Settings) -> Result<Self, OpenError> {
        let trace = Trace::open(from)?;
        let info = trace.info().clone();
        let mut sum = Sum::new(settings, info.rate);
        let span = trace.each(settings.memory, &mut |event| {
            sum.take(event);
            sum.memory()
        })?;
        Ok(sum.finish(info, span))
    }

    /// Returns the scale from hits to bytes.
    pub fn scale(&self) -> Scale {
        Scale {
            rate: self.info.rate,
            word_bytes: self.info.word_bytes as f64,
        }
    }

    /// Returns two sums over all stacks: of what is not lost, and of what is lost.
    pub(crate) fn totals(&self) -> (Tally, Tally) {
        let (mut all, mut lost) = (Tally::default(), Tally::default());
        for (_, tally) in &self.stacks {
            if tally.is_lost { &mut lost } else { &mut all }.add(tally);
        }
        (all, lost)
    }
}

/// A live sampled block.
struct Live {
    row: u32,
    weight: Weight,
    born: u64,
    /// The number of blocks that were sampled before it.
    number: u64,
}

/// A profile while it is added up.
struct Sum<'s> {
    settings: &'s Settings,
    rate: f64,
    tree: Tree,
    rows: HashMap<StackId, u32>,
    stacks: Vec<(StackId, Tally)>,
    positions: HashMap<u64, Box<[Position]>>,
    position_bytes: usize,
    live: HashMap<u64, Live>,
    alive: Weight,
    allocs: u64,
    collects: u64,
    sizes: Sizes,
    lifetimes: Lifetimes,
    peak: Peak,
    /// `true` when the beginning of the window was passed; likewise its end.
    began: bool,
    ended: bool,
}

impl<'s> Sum<'s> {
    fn new(settings: &'s Settings, rate: f64) -> Self {
        Self {
            settings,
            rate,
            tree: Tree::default(),
            rows: HashMap::new(),
            stacks: Vec::new(),
            positions: HashMap::new(),
            position_bytes: 0,
            live: HashMap::new(),
            alive: Weight::default(),
            allocs: 0,
            collects: 0,
            sizes: Sizes::default(),
            lifetimes: Lifetimes::default(),
            peak: Peak::default(),
            began: false,
            ended: false,
        }
    }

    /// Returns the bytes that the profile holds.
    fn memory(&self) -> usize {
        self.tree.memory()
            + self.stacks.len() * ROW_BYTES
            + self.live.len() * LIVE_BYTES
            + self.position_bytes
    }

    fn take(&mut self, event: &Event<'_>) {
        let now = event.since_start;
        match &event.kind {
            Kind::Location(frame) => {
                if let Entry::Vacant(place) = self.positions.entry(frame.code) {
                    place.insert(frame.positions.into());
                    self.position_bytes += CODE_BYTES + size_of_val(frame.positions);
                }
            }
            Kind::Promote(_) => {}
            Kind::Alloc(alloc) => {
                self.pass(now);
                let row = self.row(&alloc.stack);
                let weight = Weight::of(alloc.length, alloc.samples, self.rate);
                self.allocs += 1;
                let tally = &mut self.stacks[row as usize].1;
                tally.allocated += weight;
                if !tally.is_lost {
                    tally.live += weight;
                    if tally.live.hits > tally.most.hits {
                        tally.most = tally.live;
                    }
                    self.sizes.add(alloc.length, weight);
                    self.alive += weight;
                    let live = Live {
                        row,
                        weight,
                        born: now,
                        number: self.allocs,
                    };
                    self.live.insert(alloc.id, live);
                }
                self.counted(now);
            }
            Kind::Collect(id) => {
                self.pass(now);
                self.collects += 1;
                if let Some(live) = self.live.remove(id) {
                    self.free(&live, now);
                }
                self.counted(now);
            }
        }
    }

    fn free(&mut self, live: &Live, now: u64) {
        let tally = &mut self.stacks[live.row as usize].1;
        let age = now - live.born;
        tally.live -= live.weight;
        tally.lifetimes = tally.lifetimes.saturating_add(age);
        if self
            .settings
            .temporary
            .holds(age, self.allocs - live.number)
        {
            tally.temporary += live.weight;
        }
        if let Some((from, _)) = self.settings.window
            && self.began
            && !self.ended
            && live.born <= from
        {
            tally.gone = tally.gone.saturating_add(live.weight.hits);
        }
        self.lifetimes.add(age, live.weight);
        self.alive -= live.weight;
    }

    /// Notes the live blocks at an end of the window, once an event is beyond it.
    fn pass(&mut self, now: u64) {
        let Some((from, to)) = self.settings.window else {
            return;
        };
        if !self.began && now > from {
            self.began = true;
            self.each_tally(|tally| tally.before = tally.live);
        }
        if !self.ended && now > to {
            self.ended = true;
            self.each_tally(|tally| tally.after = tally.live);
        }
    }

    /// Notes that an alloc or collect event is done.
    fn counted(&mut self, now: u64) {
        let event = self.allocs + self.collects;
        if self.alive.hits > self.peak.weight.hits {
            self.peak = Peak {
                weight: self.alive,
                micros: now,
                event,
            };
        }
        if self.settings.snapshot == Some(event) {
            self.each_tally(|tally| tally.snapshot = tally.live);
        }
    }

    fn each_tally(&mut self, change: impl FnMut(&mut Tally)) {
        self.stacks
            .iter_mut()
            .map(|(_, tally)| tally)
            .for_each(change);
    }

    fn row(&mut self, stack: &Stack<'_>) -> u32 {
        let id = self.tree.intern(stack.codes());
        let next = self.stacks.len() as u32;
        let row = *self.rows.entry(id).or_insert(next);
        if row == next {
            let tally = Tally {
                is_lost: is_lost(stack),
                ..Tally::default()
            };
            self.stacks.push((id, tally));
        }
        row
    }

    fn finish(mut self, info: Info, span: Span) -> Profile {
        for live in self.live.values() {
            let tally = &mut self.stacks[live.row as usize].1;
            let age = span.micros.saturating_sub(live.born);
            tally.ages = tally.ages.saturating_add(age);
        }
        let (began, ended) = (self.began, self.ended);
        self.each_tally(|tally| {
            if !began {
                tally.before = tally.live;
            }
            if !ended {
                tally.after = tally.live;
            }
        });
        Profile {
            info,
            span,
            allocs: self.allocs,
            collects: self.collects,
            stacks: self.stacks,
            tree: self.tree,
            positions: self.positions,
            sizes: self.sizes,
            lifetimes: self.lifetimes,
            peak: self.peak,
            memory: self.settings.memory,
        }
    }
}

/// Returns `true` if a stack stands for what the guest lost.
pub fn is_lost(stack: &Stack<'_>) -> bool {
    let innermost = stack.frames().next_back();
    innermost
        .and_then(|frame| frame.positions.last())
        .is_some_and(|position| position.function.as_bytes().starts_with(LOST.as_bytes()))
}
