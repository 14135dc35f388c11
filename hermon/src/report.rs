//! `hermon report`: what a heap trace says, and how sure that is.
//!
//! | module | what it is |
//! |---|---|
//! | `tree`, `weight`, `histogram` | what is added up |
//! | `profile` | a trace, added up by stack in one pass |
//! | `estimate` | from hits to bytes with a confidence interval |
//! | `names`, `sites` | what codes stand for; stacks put together by site and by function |
//! | `model`, `text` | the report as a value, and as text |
//! | `compare` | two reports beside each other |

mod compare;
mod estimate;
mod histogram;
pub(crate) mod human;
mod model;
mod names;
mod profile;
mod sites;
mod temporary;
mod text;
mod tree;
mod weight;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use thiserror::Error;

use crate::cli::Exit;
use crate::trace::events::{End, OpenError};

pub use compare::{Change, Comparison};
pub use estimate::{Estimate, Scale, Z};
pub use histogram::{Lifetimes, Sizes};
pub use model::{
    Amount, FunctionRow, Growth, Header, LifetimeRow, Report, SCHEMA, SiteRow, SizeRow, Totals,
};
pub use names::{Image, ImageError, Names, Place};
pub(crate) use profile::is_lost;
pub use profile::{Peak, Profile, Settings, Tally};
pub use temporary::{Temporary, TemporaryError, micros};
pub use tree::{StackId, Tree};
pub use weight::Weight;

/// What a report is to show: the same for `hermon report` and `hermon trace`.
#[derive(Debug, Clone, Args)]
pub struct ShowOptions {
    /// Names and lines from this image where the trace has none; it must be the one that was traced
    #[arg(long, value_name = "IMAGE")]
    pub elf: Option<PathBuf>,
    /// How many lines each table has
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Count growth from this time of the trace on, such as 10s; the beginning if only --to is given
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub from: Option<u64>,
    /// Count growth up to this time; the end if only --from is given
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub to: Option<u64>,
    /// Which blocks are temporary: freed within this time, or, without a unit, before so many further sampled blocks
    #[arg(long, value_name = "TIME|N", default_value = "1ms")]
    pub temporary: Temporary,
    /// The site is the innermost frame, also when that is in Rust's library or the profiler
    #[arg(long)]
    pub all_frames: bool,
    /// JSON for scripts instead of text
    #[arg(long)]
    pub json: bool,
}

fn time(text: &str) -> Result<u64, String> {
    micros(text).ok_or_else(|| format!("{text:?} is not a time such as 10s or 1m 30s"))
}

/// Options of `hermon report`.
#[derive(Debug, Args)]
pub struct Options {
    /// The trace
    #[arg(required_unless_present = "diff", conflicts_with = "diff")]
    pub file: Option<PathBuf>,
    /// Compare two traces: what the second has more of than the first
    #[arg(long, num_args = 2, value_names = ["BEFORE", "AFTER"])]
    pub diff: Option<Vec<PathBuf>>,
    /// What to show.
    #[command(flatten)]
    pub show: ShowOptions,
}

/// Why there is no report.
#[derive(Debug, Error)]
pub enum ReportError {
    /// The file cannot be opened.
    #[error("cannot open {0}: {1}", path.display(), source)]
    File {
        /// The trace.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no trace.
    #[error("{0} {1}", path.display(), source)]
    Trace {
        /// The trace.
        path: PathBuf,
        /// Why.
        source: OpenError,
    },
    /// The image gives no names.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The window has no length.
    #[error("--from {0} is not before --to {1}", human::time(*from), human::time(*to))]
    Window {
        /// From here.
        from: u64,
        /// To here.
        to: u64,
    },
    /// The output cannot be written.
    #[error("cannot write the report: {0}")]
    Output(#[from] io::Error),
}

impl ReportError {
    /// How the tool ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Window { .. } => Exit::Arguments,
            _ => Exit::Machine,
        }
    }
}

/// A profile with its names.
#[derive(Debug)]
pub struct Named {
    /// The profile.
    pub profile: Profile,
    /// Its names.
    pub names: Names,
}

impl ShowOptions {
    fn settings(&self) -> Result<Settings, ReportError> {
        let window = match (self.from, self.to) {
            (None, None) => None,
            (from, to) => Some((from.unwrap_or(0), to.unwrap_or(u64::MAX))),
        };
        if let Some((from, to)) = window
            && from >= to
        {
            return Err(ReportError::Window { from, to });
        }
        Ok(Settings {
            temporary: self.temporary,
            window,
            snapshot: None,
        })
    }
}

/// Reads a trace and its names.
///
/// # Errors
/// [`ReportError`].
pub fn read(path: &Path, elf: Option<&Path>, settings: &Settings) -> Result<Named, ReportError> {
    let profile = profile(path, settings)?;
    let image = elf.map(|elf| Image::read(elf, &profile.info)).transpose()?;
    if let Some(elf) = elf
        && image.as_ref().is_some_and(|image| !image.is_checked)
    {
        eprintln!(
            "hermon: {} is taken for the image that was traced: {} has no build id to compare",
            elf.display(),
            path.display()
        );
    }
    let names = Names::of(&profile, image.as_ref());
    Ok(Named { profile, names })
}

/// Reads a trace, without names.
///
/// # Errors
/// [`ReportError`].
pub fn profile(path: &Path, settings: &Settings) -> Result<Profile, ReportError> {
    Profile::read(open(path)?, settings).map_err(|source| ReportError::Trace {
        path: path.to_owned(),
        source,
    })
}

/// Opens a trace.
///
/// # Errors
/// [`ReportError::File`].
pub fn open(path: &Path) -> Result<File, ReportError> {
    File::open(path).map_err(|source| ReportError::File {
        path: path.to_owned(),
        source,
    })
}

/// `hermon report`.
///
/// # Errors
/// [`ReportError`].
pub fn report(options: &Options) -> Result<Exit, ReportError> {
    if let Some([before, after]) = options.diff.as_deref() {
        return compare(before, after, &options.show);
    }
    // Clap asks for one of the two.
    let file = options.file.as_deref().unwrap_or_else(|| Path::new(""));
    print_report(file, &options.show)
}

/// Prints the report on a trace.
///
/// # Errors
/// [`ReportError`].
pub fn print_report(file: &Path, show: &ShowOptions) -> Result<Exit, ReportError> {
    let settings = show.settings()?;
    let Named { profile, names } = read(file, show.elf.as_deref(), &settings)?;
    let report = Report::new(&profile, &names, &settings, show.all_frames, show.top);
    print(&report, show.json)?;
    Ok(judge(&profile.span.end))
}

fn compare(before: &Path, after: &Path, show: &ShowOptions) -> Result<Exit, ReportError> {
    let settings = show.settings()?;
    let elf = show.elf.as_deref();
    let [a, b] = [read(before, elf, &settings)?, read(after, elf, &settings)?];
    let comparison = Comparison::new(&a, &b, show.all_frames, show.top);
    print(&comparison, show.json)?;
    let is_bad = |named: &Named| judge(&named.profile.span.end) != Exit::Success;
    Ok(if is_bad(&a) || is_bad(&b) {
        Exit::Guest
    } else {
        Exit::Success
    })
}

/// A cut end is what a cut connection leaves; what breaks the format's rules is a fault of whoever wrote it.
const fn judge(end: &End) -> Exit {
    match end {
        End::Whole | End::Cut(_) => Exit::Success,
        End::Bad(_) => Exit::Guest,
    }
}

fn print(value: &(impl Serialize + core::fmt::Display), json: bool) -> io::Result<()> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    if json {
        serde_json::to_writer_pretty(&mut out, value)?;
        writeln!(out)?;
    } else {
        write!(out, "{value}")?;
    }
    out.flush()
}
