//! `hermon convert`: a heap trace as other tools read it.
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
//! All of these are made for exact counts, so they hold estimates and no intervals: `hermon report` tells how sure they are.

mod dhat;
mod folded;
pub(crate) mod frames;
mod heaptrack;
mod pprof;
mod speedscope;

use core::fmt;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use thiserror::Error;

use crate::cli::Exit;
use crate::report::{self, Named, ReportError, Settings, Tally, Temporary};
use crate::trace::events::{End, Span};
use crate::trace::stream::{Front, Stream};
use frames::Sheet;

/// What a trace can become.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
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

    /// The hits that are shown of a stack.
    pub const fn hits(self, tally: &Tally) -> u64 {
        match self {
            Self::Allocated => tally.allocated.hits,
            Self::Live => tally.live.hits,
            Self::Peak => tally.snapshot.hits,
            Self::Temporary => tally.temporary.hits,
        }
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

/// Options of `hermon convert`.
#[derive(Debug, Args)]
pub struct Options {
    /// The trace
    pub file: PathBuf,
    /// What it becomes
    #[arg(long, value_enum)]
    pub to: Format,
    /// Where to; standard output if it is not given
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Which bytes, for folded and flamegraph
    #[arg(long, value_enum, default_value = "allocated")]
    pub value: Value,
    /// Names and lines from this image where the trace has none; it must be the one that was traced
    #[arg(long, value_name = "IMAGE")]
    pub elf: Option<PathBuf>,
    /// Which blocks are temporary: freed within this time, or, without a unit, before so many further sampled blocks
    #[arg(long, value_name = "TIME|N", default_value = "1ms")]
    pub temporary: Temporary,
}

/// Why there is no file.
#[derive(Debug, Error)]
pub enum ConvertError {
    /// The trace.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// A terminal shows no bytes.
    #[error("that is no text for a terminal: give -o FILE, or a pipe")]
    Terminal,
    /// The output cannot be written.
    #[error("cannot write {0}: {1}", path.display(), source)]
    Output {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A graph of nothing.
    #[error("{0} has no {value}: there is nothing to draw", path.display())]
    Nothing {
        /// The trace.
        path: PathBuf,
        /// What was to be drawn.
        value: Value,
    },
}

impl ConvertError {
    /// How the tool ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Report(error) => error.exit(),
            Self::Terminal => Exit::Arguments,
            Self::Output { .. } | Self::Nothing { .. } => Exit::Machine,
        }
    }
}

/// `hermon convert`.
///
/// # Errors
/// [`ConvertError`].
pub fn convert(options: &Options) -> Result<Exit, ConvertError> {
    let is_binary = matches!(options.to, Format::Pprof | Format::Memtrace);
    if is_binary && options.output.is_none() && io::stdout().is_terminal() {
        return Err(ConvertError::Terminal);
    }
    let named = read(options)?;
    let sheet = Sheet::new(&named);
    let path = &options.file;
    let value = options.value;
    if options.to == Format::Flamegraph && !sheet.has(value) {
        let path = path.clone();
        return Err(ConvertError::Nothing { path, value });
    }
    // What cannot be read a second time is found before the output is made.
    let again = report::open(path)?;
    let name = options
        .output
        .as_deref()
        .unwrap_or_else(|| Path::new("standard output"));
    write(options, |out| match options.to {
        Format::Pprof => pprof::write(&sheet, out),
        Format::Folded => folded::write(&sheet, value, out),
        Format::Flamegraph => folded::draw(&sheet, value, out),
        Format::Dhat => dhat::write(&sheet, out),
        Format::Speedscope => speedscope::write(&sheet, out),
        Format::Heaptrack => heaptrack::write(&sheet, again, out),
        Format::Memtrace => repair(again, &named.profile.span, out),
    })
    .map_err(|source| ConvertError::Output {
        path: name.to_owned(),
        source,
    })?;
    Ok(match &named.profile.span.end {
        End::Whole => Exit::Success,
        End::Cut(bytes) => {
            eprintln!(
                "hermon: {}: the end is cut, {bytes} bytes are left out",
                path.display()
            );
            Exit::Success
        }
        End::Bad(error) => {
            eprintln!(
                "hermon: {}: {error}: nothing from there on is in the output",
                path.display()
            );
            Exit::Guest
        }
    })
}

/// Reads the trace twice: the second time it is known when the most was alive.
fn read(options: &Options) -> Result<Named, ReportError> {
    let mut settings = Settings {
        temporary: options.temporary,
        ..Settings::default()
    };
    let elf = options.elf.as_deref();
    let named = report::read(&options.file, elf, &settings)?;
    settings.snapshot = Some(named.profile.peak.event);
    let profile = report::profile(&options.file, &settings)?;
    Ok(Named { profile, ..named })
}

fn write(
    options: &Options,
    content: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match &options.output {
        Some(path) => {
            let mut out = BufWriter::new(File::create(path)?);
            content(&mut out)?;
            out.flush()
        }
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            content(&mut out)?;
            out.flush()
        }
    }
}

/// The packets that were read without a fault.
fn repair(from: File, span: &Span, out: &mut dyn Write) -> io::Result<()> {
    let mut stream = Stream::new(from);
    for _ in 0..span.packets {
        match stream.advance()? {
            Front::Packet => out.write_all(stream.bytes())?,
            Front::End { .. } | Front::Bad(_) => break,
        }
    }
    Ok(())
}
