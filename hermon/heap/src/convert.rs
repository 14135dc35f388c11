//! Writes a heap trace in the formats of other tools.
//!
//! | format | for | content |
//! |---|---|---|
//! | `pprof` | `go tool pprof`, Pyroscope, Polar Signals | blocks and bytes, allocated and alive at the end |
//! | `folded` | inferno, flamegraph.pl | one of the values |
//! | `flamegraph` | a browser | one of the values, as SVG |
//! | `dhat` | dh_view, of valgrind | allocated, the most, at the peak, at the end, lifetimes |
//! | `speedscope` | speedscope.app | each of the values |
//! | `heaptrack` | heaptrack_print, heaptrack_gui | every event, with its time |
//! | `memtrace` | memtrace's tools | the same trace, without a cut or broken end |
//!
//! All of these formats are made for exact counts. So they contain estimates without intervals; a report says how exact
//! the estimates are.

mod dhat;
mod folded;
mod heaptrack;
mod numbers;
mod pprof;
mod speedscope;
mod value;

use std::io::{self, Read, Write};

use crate::events::Span;
use crate::named::Named;
use crate::stream::{Front, Stream};

pub use value::Value;

/// A format that a trace can be written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Format {
    /// pprof's protocol buffer, compressed
    Pprof,
    /// One stack a line, with a number behind it
    Folded,
    /// A flame graph as SVG
    Flamegraph,
    /// JSON for valgrind's dh_view
    Dhat,
    /// JSON for speedscope
    Speedscope,
    /// The events, as heaptrack records them
    Heaptrack,
    /// The same trace, repaired
    Memtrace,
}

/// Writes a trace in a format. `value`: which bytes, for folded stacks and the flame graph. `again`: the same trace once more,
/// for formats that hold every event.
///
/// # Errors
/// The errors of the output and of reading `again`.
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

/// Writes the packets that were read without a fault.
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
