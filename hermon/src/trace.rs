//! `hermon trace`: takes a heap trace from an image's memtrace port, keeps it and reports on it.
//!
//! | module | what it is |
//! |---|---|
//! | `address` | where an image is |
//! | `stream` | whole packets out of bytes that arrive in pieces |
//! | `events` | the events of a whole trace |
//! | `capture` | a connection's packets into a file |
//! | `progress` | how far that is, on a terminal or for somebody else |

pub mod address;
pub mod capture;
pub mod events;
pub mod progress;
pub mod stream;

use core::time::Duration;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::cli::Exit;
use crate::ctl::{self, Rate, RateError};
use crate::report::{self, ReportError, ShowOptions, human, micros};
use address::{Address, CONTROL_PORT, MEMTRACE_PORT};
use capture::{Capture, CaptureError, Over, Taken};

/// Options of `hermon trace`.
#[derive(Debug, Args)]
pub struct Options {
    /// The image, as HOST or HOST:PORT; the port is 4242 if none is given
    #[arg(value_name = "ADDRESS")]
    pub address: Address,
    /// Keep the trace in this file; without one it is only reported on
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// End after this time, such as 30s; without one at Ctrl-C or when the image ends the trace
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub duration: Option<Duration>,
    /// Before, set the probability with which a word is sampled, such as 1e-3, by way of the control port
    #[arg(long, value_name = "RATE")]
    pub rate: Option<Rate>,
    /// The control port for --rate; port 2323 of the same host if none is given
    #[arg(long, value_name = "ADDRESS", requires = "rate")]
    pub control: Option<Address>,
    /// The token of the control port, if it asks for one
    #[arg(
        long,
        value_name = "SECRET",
        env = "HERMON_TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// What the report shows.
    #[command(flatten)]
    pub show: ShowOptions,
}

fn duration(text: &str) -> Result<Duration, String> {
    micros(text)
        .filter(|&micros| micros > 0)
        .map(Duration::from_micros)
        .ok_or_else(|| format!("{text:?} is not a time such as 30s or 1m 30s"))
}

/// Why there is no trace.
#[derive(Debug, Error)]
pub enum TraceError {
    /// The rate could not be set.
    #[error(transparent)]
    Rate(#[from] RateError),
    /// The file cannot be written to.
    #[error("cannot write {0}: {1}", path.display(), source)]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    /// Nothing came, or could not be kept.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The report failed. The trace is kept all the same.
    #[error(transparent)]
    Report(#[from] ReportError),
}

impl TraceError {
    /// How the tool ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Rate(error) => error.exit(),
            Self::Report(error) => error.exit(),
            _ => Exit::Machine,
        }
    }
}

/// `hermon trace`.
///
/// # Errors
/// [`TraceError`].
pub fn trace(options: &Options) -> Result<Exit, TraceError> {
    if let Some(rate) = &options.rate {
        let control = match &options.control {
            Some(control) => control.clone(),
            None => options.address.with_port(CONTROL_PORT),
        };
        let reply = ctl::set_rate(&control, rate, options.token.as_deref())?;
        eprintln!("hermon: {control}: {reply}");
    }
    // Both live to the end of this function: the second is removed then.
    let (kept, passing);
    let path: &Path = match &options.output {
        Some(path) => {
            kept = path;
            kept
        }
        None => {
            passing = NamedTempFile::new().map_err(|source| TraceError::File {
                path: std::env::temp_dir(),
                source,
            })?;
            passing.path()
        }
    };
    let connection = capture::connect(&options.address, MEMTRACE_PORT)?;
    // Only now: a file that was there is kept if there is no image.
    let file = File::create(path).map_err(|source| TraceError::File {
        path: path.to_owned(),
        source,
    })?;
    let stop = connection.stop_on_signals().map_err(TraceError::Signals)?;
    let taken = Capture::new(connection, file, path, options.duration, stop).run()?;
    eprintln!("hermon: {}", summary(&taken, options.output.as_deref()));
    let exit = report::print_report(path, &options.show)?;
    Ok(match taken.over {
        Over::Bad(_) => Exit::Guest,
        _ => exit,
    })
}

fn summary(taken: &Taken, kept: Option<&Path>) -> String {
    let kept = kept.map_or_else(
        || "not kept (-o FILE keeps it)".to_owned(),
        |path| format!("in {}", path.display()),
    );
    let Taken {
        packets,
        bytes,
        left_out,
        over,
    } = taken;
    let cut = match left_out {
        0 => String::new(),
        left => format!(", and {left} bytes of a packet that did not come whole are left out"),
    };
    let packets = human::count(*packets);
    format!(
        "{} in {packets} packets, {kept}; {over}{cut}",
        human::bytes(*bytes as f64)
    )
}
