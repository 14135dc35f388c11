//! `hermon report`: reports on a heap trace, with confidence intervals.

use core::fmt::Display;
use core::time::Duration;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use hermon_amounts as amounts;
use hermon_heap::events::End;
use hermon_heap::named::{Named, ReadError};
use hermon_heap::profile::Settings;
use hermon_heap::report::{Comparison, Report};
use hermon_heap::temporary::Temporary;
use serde::Serialize;

use crate::database;
use crate::exit::{self, Exit, Failure};

/// The options for the content of a report: the same for `hermon report` and `hermon trace`.
#[derive(Debug, Args)]
pub(crate) struct ShowOptions {
    #[command(flatten)]
    names: NameOptions,
    /// The number of lines in each table
    #[arg(long, value_name = "N", default_value_t = 10)]
    top: usize,
    /// Count growth from this time of the trace on, such as 10s; the beginning if only --to is given
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    from: Option<Duration>,
    /// Count growth up to this time; the end if only --from is given
    #[arg(long, value_name = "TIME", value_parser = amounts::duration)]
    to: Option<Duration>,
    /// Take the innermost frame as the site, even if it is in Rust's library or the profiler
    #[arg(long)]
    all_frames: bool,
    /// Write JSON for scripts instead of text
    #[arg(long)]
    json: bool,
}

/// The options for reading a trace: the same for all subcommands that read one.
#[derive(Debug, Args)]
pub(crate) struct NameOptions {
    /// Take names and lines from this image where the trace has none; it must be the image that was traced
    #[arg(long, value_name = "IMAGE")]
    pub elf: Option<PathBuf>,
    /// The limit for temporary blocks: freed within this time, or, without a unit, before so many further sampled
    /// blocks
    #[arg(long, value_name = "TIME|N", default_value = "1ms")]
    pub temporary: Temporary,
    /// The most memory for reading the trace; what needs more is left out
    #[arg(long, value_name = "SIZE", default_value = "512M", value_parser = database::size)]
    pub memory: u64,
}

impl NameOptions {
    /// Returns the most bytes of memory.
    pub(crate) fn memory(&self) -> usize {
        usize::try_from(self.memory).unwrap_or(usize::MAX)
    }
}

/// Options of `hermon report`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The trace
    #[arg(required_unless_present = "diff", conflicts_with = "diff")]
    file: Option<PathBuf>,
    /// Compare two traces: what the second has more of than the first
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    diff: Option<Vec<PathBuf>>,
    #[command(flatten)]
    show: ShowOptions,
}

impl ShowOptions {
    fn settings(&self) -> Result<Settings, Failure> {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let (from, to) = (self.from.map(micros), self.to.map(micros));
        let window = (from.unwrap_or(0), to.unwrap_or(u64::MAX));
        if from.or(to).is_some() && window.0 >= window.1 {
            let [from, to] = [window.0, window.1].map(amounts::micros);
            let line = format!("--from {from} is not before --to {to}");
            return Err(Failure::Line(Exit::Arguments, line));
        }
        let window = from.or(to).map(|_| window);
        Ok(Settings::new(self.names.temporary, window).within(self.names.memory()))
    }
}

/// Runs `hermon report`.
pub(crate) fn report(options: &Options) -> Result<Exit, Failure> {
    if let Some([before, after]) = options.diff.as_deref() {
        return compare(before, after, &options.show);
    }
    // Clap requires one of the two.
    let file = options.file.as_deref().unwrap_or_else(|| Path::new(""));
    print_report(file, &options.show)
}

/// Prints the report on a trace.
pub(crate) fn print_report(file: &Path, show: &ShowOptions) -> Result<Exit, Failure> {
    let settings = show.settings()?;
    let named = read(file, show, &settings)?;
    let report = Report::new(&named, &settings, show.all_frames, show.top);
    print(&report, show.json)?;
    Ok(judge(&named.profile.span.end))
}

fn compare(before: &Path, after: &Path, show: &ShowOptions) -> Result<Exit, Failure> {
    let settings = show.settings()?;
    let [a, b] = [
        read(before, show, &settings)?,
        read(after, show, &settings)?,
    ];
    let comparison = Comparison::new(&a, &b, show.all_frames, show.top);
    print(&comparison, show.json)?;
    Ok(match judge(&a.profile.span.end) {
        Exit::Success => judge(&b.profile.span.end),
        exit => exit,
    })
}

fn read(file: &Path, show: &ShowOptions, settings: &Settings) -> Result<Named, ReadError> {
    let elf = show.names.elf.as_deref();
    Named::read(file, elf, settings).inspect(|named| remark(file, elf, named))
}

/// Prints a remark if names come from an image that may not be the one that was traced.
pub(crate) fn remark(file: &Path, elf: Option<&Path>, named: &Named) {
    if let Some(elf) = elf
        && named.is_unchecked
    {
        exit::say(format_args!(
            "{} is taken for the image that was traced: {} has no build id to compare",
            elf.display(),
            file.display()
        ));
    }
}

/// A cut connection leaves a cut end. A fault in the format is the fault of the trace's writer.
const fn judge(end: &End) -> Exit {
    match end {
        End::Whole | End::Cut(_) => Exit::Success,
        End::Bad(_) => Exit::Guest,
    }
}

fn print(value: &(impl Serialize + Display), json: bool) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let written = if json {
        let written = serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from);
        written.and_then(|()| writeln!(out))
    } else {
        write!(out, "{value}")
    };
    let flushed = written.and_then(|()| out.flush());
    flushed.map_err(Failure::system("cannot write the report"))
}
