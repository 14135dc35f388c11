//! A heap trace as other tools read it.
//!
//! | format | for | what it holds |
//! |---|---|---|
//! | `pprof` | `go tool pprof`, Pyroscope, Polar Signals | blocks and bytes, allocated and alive at the end |
//! | `folded` | inferno, flamegraph.pl | one of the values |
//! | `flamegraph` | a browser | one of the values, as SVG |
//! | `dhat` | dh_view, of valgrind | allocated, the most, at the peak, at the end, lifetimes |
//! | `speedscope` | speedscope.app | each of the values |
//! | `heaptrack` | heaptrack_print, heaptrack_gui | every event, with its time |
//! | `memtrace` | memtrace's tools | the same trace, without what is cut or broken at its end |
//!
//! All of these are made for exact counts, so they hold estimates and no intervals: a report tells how sure they are.

mod dhat;
mod folded;
mod heaptrack;
mod pprof;
mod speedscope;

use core::fmt;
use core::hash::Hash;
use std::collections::HashMap;
use std::io::{self, Read, Write};

use crate::events::Span;
use crate::named::Named;
use crate::profile::Tally;
use crate::stream::{Front, Stream};

/// A format that a trace can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Format {
    /// pprof's protocol buffer, compressed
    Pprof,
    /// Stacks on one line each, with a number behind them
    Folded,
    /// A flame graph as SVG
    Flamegraph,
    /// JSON for valgrind's dh_view
    Dhat,
    /// JSON for speedscope
    Speedscope,
    /// What heaptrack records
    Heaptrack,
    /// The same trace, repaired
    Memtrace,
}

/// Which bytes are shown, where a format holds one number for a stack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Value {
    /// All that was allocated
    Allocated,
    /// What is alive at the end
    Live,
    /// What was alive when the most was
    Peak,
    /// What was temporary
    Temporary,
}

impl Value {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Allocated, Self::Live, Self::Peak, Self::Temporary];

    /// The hits that are shown of a stack. Those at the peak are known only of a profile that was told to keep them
    /// ([`Settings::snapshot`](crate::profile::Settings::snapshot)).
    pub(crate) const fn hits(self, tally: &Tally) -> u64 {
        match self {
            Self::Allocated => tally.allocated.hits,
            Self::Live => tally.live.hits,
            Self::Peak => tally.snapshot.hits,
            Self::Temporary => tally.temporary.hits,
        }
    }

    /// The hits of all stacks.
    pub fn sum(self, named: &Named) -> u64 {
        named.stacks().map(|(_, tally)| self.hits(tally)).sum()
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Allocated => "bytes allocated",
            Self::Live => "bytes alive at the end",
            Self::Peak => "bytes alive at the peak",
            Self::Temporary => "temporary bytes",
        })
    }
}

/// Writes a trace in a format. `value`: which bytes, for folded stacks and the flame graph. `again`: the same trace once more,
/// for formats that hold every event.
///
/// # Errors
/// The output's, and those of reading `again`.
pub fn write(
    format: Format,
    value: Value,
    named: &Named,
    again: impl Read,
    out: &mut dyn Write,
) -> io::Result<()> {
    match format {
        Format::Pprof => pprof::write(named, out),
        Format::Folded => folded::write(named, value, out),
        Format::Flamegraph => folded::draw(named, value, out),
        Format::Dhat => dhat::write(named, out),
        Format::Speedscope => speedscope::write(named, out),
        Format::Heaptrack => heaptrack::write(named, again, out),
        Format::Memtrace => repair(again, &named.profile.span, out),
    }
}

/// The packets that were read without a fault.
fn repair(from: impl Read, span: &Span, out: &mut dyn Write) -> io::Result<()> {
    let mut stream = Stream::new(from);
    for _ in 0..span.packets {
        match stream.advance()? {
            Front::Packet => out.write_all(stream.bytes())?,
            Front::End { .. } | Front::Bad(_) => break,
        }
    }
    Ok(())
}

/// Numbers things in the order in which they first come.
struct Numbers<K>(HashMap<K, u64>);

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Numbers<K> {
    /// The number of a thing, from 0, and whether it is new.
    fn of(&mut self, thing: K) -> (u64, bool) {
        let next = self.0.len() as u64;
        let number = *self.0.entry(thing).or_insert(next);
        (number, number == next)
    }
}
