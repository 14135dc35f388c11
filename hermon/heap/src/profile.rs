//! A trace, added up by stack.
//!
//! Events are counted as they come and not kept. Memory is what the trace has of distinct stacks (some 300 bytes each, and 40 a
//! frame that they do not share) and of sampled blocks that are alive at one time (some 80 bytes each, the reader's own share
//! included). The number of events does not matter.

use std::collections::HashMap;
use std::io::Read;

use memtrace_reader::{Event, Info, Kind, Position, Stack};

use crate::estimate::Scale;
use crate::events::{OpenError, Span, Trace};
use crate::histogram::{Lifetimes, Sizes};
use crate::temporary::Temporary;
use crate::tree::{StackId, Tree};
use crate::weight::Weight;

/// The beginning of the names of frames that stand for what the guest lost. The weight under them was allocated; nothing is known
/// of where, of sizes, and of when it was freed.
const LOST: &str = "[lost: ";

/// The choices that are made before a trace is added up.
#[derive(Debug, Clone, Copy, Default)]
pub struct Settings {
    /// Which blocks are temporary.
    pub temporary: Temporary,
    /// Growth is counted between these two times, in microseconds since the trace began. A time beyond the end is the end.
    pub window: Option<(u64, u64)>,
    /// After so many alloc and collect events what is alive is kept: [`Tally::snapshot`].
    pub(crate) snapshot: Option<u64>,
}

impl Settings {
    /// With this meaning of temporary, and growth counted in this window, if any.
    pub const fn new(temporary: Temporary, window: Option<(u64, u64)>) -> Self {
        Self {
            temporary,
            window,
            snapshot: None,
        }
    }
}

/// All that was allocated with one stack.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// All.
    pub(crate) allocated: Weight,
    /// The blocks that are alive at the end.
    pub(crate) live: Weight,
    /// The blocks that were temporary.
    pub(crate) temporary: Weight,
    /// The sum of the lifetimes of the blocks that were freed, in microseconds.
    pub(crate) lifetimes: u64,
    /// The sum of the ages at the end of those that are alive then, in microseconds.
    pub(crate) ages: u64,
    /// The most that was alive at one time, by hits.
    pub(crate) most: Weight,
    /// The blocks that were alive after as many events as [`Settings::snapshot`] says.
    pub(crate) snapshot: Weight,
    /// The blocks that were alive where the window begins.
    pub(crate) before: Weight,
    /// The blocks that were alive where it ends.
    pub(crate) after: Weight,
    /// Hits that were alive where it begins, and freed in it.
    pub(crate) gone: u64,
    /// Stands for what was lost: only [`Tally::allocated`] is counted.
    pub(crate) is_lost: bool,
}

impl Tally {
    /// Adds what another stack has, if both are to be shown as one.
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
        self.gone += other.gone;
        self.is_lost |= other.is_lost;
    }

    /// Hits allocated in the window and alive where it ends.
    pub(crate) fn come(&self) -> u64 {
        (self.after.hits + self.gone).saturating_sub(self.before.hits)
    }
}

/// When the most was alive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Peak {
    /// The amount.
    pub(crate) weight: Weight,
    /// Microseconds since the trace began.
    pub(crate) micros: u64,
    /// After how many alloc and collect events.
    pub(crate) event: u64,
}

/// A trace, added up.
#[derive(Debug)]
pub struct Profile {
    /// The content of its first packet.
    pub info: Info,
    /// The part of it that was read.
    pub span: Span,
    /// Alloc events.
    pub allocs: u64,
    /// Collect events.
    pub(crate) collects: u64,
    /// Stacks that something was allocated with.
    pub(crate) stacks: Vec<(StackId, Tally)>,
    /// Their codes.
    pub(crate) tree: Tree,
    /// The places that the trace gives for codes.
    pub(crate) positions: HashMap<u64, Box<[Position]>>,
    /// Sizes of all that was allocated and not lost.
    pub(crate) sizes: Sizes,
    /// Lifetimes of all that was freed.
    pub(crate) lifetimes: Lifetimes,
    /// When the most was alive.
    pub(crate) peak: Peak,
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
        let span = trace.each(&mut |event| sum.take(event))?;
        Ok(sum.finish(info, span))
    }

    /// The bytes that a hit stands for.
    pub fn scale(&self) -> Scale {
        Scale {
            rate: self.info.rate,
            word_bytes: self.info.word_bytes as f64,
        }
    }

    /// The sum over all stacks of what is not lost, and then of what is.
    pub(crate) fn totals(&self) -> (Tally, Tally) {
        let (mut all, mut lost) = (Tally::default(), Tally::default());
        for (_, tally) in &self.stacks {
            if tally.is_lost { &mut lost } else { &mut all }.add(tally);
        }
        (all, lost)
    }
}

/// A sampled block that is alive.
struct Live {
    row: u32,
    weight: Weight,
    born: u64,
    /// The number of blocks that had been sampled before it.
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
    live: HashMap<u64, Live>,
    alive: Weight,
    allocs: u64,
    collects: u64,
    sizes: Sizes,
    lifetimes: Lifetimes,
    peak: Peak,
    /// Which ends of the window were passed.
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

    fn take(&mut self, event: &Event<'_>) {
        let now = event.since_start;
        match &event.kind {
            Kind::Location(frame) => {
                let positions = || frame.positions.into();
                self.positions.entry(frame.code).or_insert_with(positions);
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
            tally.gone += live.weight.hits;
        }
        self.lifetimes.add(age, live.weight);
        self.alive -= live.weight;
    }

    /// Notes what is alive at an end of the window once an event is beyond it.
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

    /// An alloc or collect event is done.
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
        }
    }
}

/// Returns whether a stack stands for what the guest lost.
pub fn is_lost(stack: &Stack<'_>) -> bool {
    let innermost = stack.frames().next_back();
    innermost
        .and_then(|frame| frame.positions.last())
        .is_some_and(|position| position.function.as_bytes().starts_with(LOST.as_bytes()))
}
