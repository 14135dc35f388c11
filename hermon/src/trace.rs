//! `hermon trace`: takes a heap trace from an image's memtrace port, keeps it and reports on it.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use hermon_amounts as amounts;
use hermon_machine::application::CONTROL_PORT;
use tempfile::NamedTempFile;
use thiserror::Error;

use crate::address::Address;
use crate::capture::{self, Capture, Over, Taken};
use crate::control::client::{self, Client, REPLY};
use crate::exit::{self, Exit, Failure};
use crate::report::{self, ShowOptions};

/// Options of `hermon trace`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The image, as HOST or HOST:PORT; the port is 4242 if none is given
    #[arg(value_name = "ADDRESS")]
    address: Address,
    /// Keep the trace in this file; without one, only report on it
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// End after this time, such as 30s; without one, at Ctrl-C or when the image ends the trace
    #[arg(long, value_name = "TIME", value_parser = amounts::some_duration)]
    duration: Option<Duration>,
    /// First set the probability with which a word is sampled, such as 1e-3, through the control port
    #[arg(long, value_name = "RATE")]
    rate: Option<Rate>,
    /// The control port for --rate; port 2323 of the same host if none is given
    #[arg(long, value_name = "ADDRESS", requires = "rate")]
    control: Option<Address>,
    #[command(flatten)]
    secret: client::Secret,
    #[command(flatten)]
    show: ShowOptions,
}

/// A probability with which words are sampled: more than 0, at most 1. It is shown as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rate(String);

/// The error for a text that is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a probability: more than 0 and at most 1, such as 1e-4")]
struct NotARate(String);

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        match text.parse::<f64>() {
            Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(Self(text.to_owned())),
            _ => Err(NotARate(text.to_owned())),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Runs `hermon trace`.
pub(crate) fn trace(options: &Options) -> Result<Exit, Failure> {
    if let Some(rate) = &options.rate {
        let same_host = || options.address.with_port(CONTROL_PORT);
        let control = options.control.clone().unwrap_or_else(same_host);
        let reply = set_rate(&control, rate, options.secret.token())?;
        exit::say(format_args!("{control}: {reply}"));
    }
    // Both live to the end of this function; then the second is removed.
    let (kept, passing);
    let path: &Path = match &options.output {
        Some(path) => {
            kept = path;
            kept
        }
        None => {
            let folder = std::env::temp_dir();
            passing = NamedTempFile::new().map_err(cannot_write(&folder))?;
            passing.path()
        }
    };
    let mut connection = capture::connect(&options.address)?;
    let stop = connection.stop_on_signals();
    let stop = stop.map_err(Failure::system("cannot catch signals"))?;
    connection.prove(options.secret.token(), &stop)?;
    // Only now, so that an existing file is kept if there is no image, or it does not let this machine in.
    let file = File::create(path).map_err(cannot_write(path))?;
    let taken = Capture::new(connection, file, path, options.duration, stop).run()?;
    exit::say(summary(&taken, options.output.as_deref()));
    let exit = report::print_report(path, &options.show)?;
    Ok(match taken.over {
        Over::Bad(_) => Exit::Guest,
        _ => exit,
    })
}

fn cannot_write(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    Failure::system(format!("cannot write {}", path.display()))
}

/// Sets the rate of the next trace, by the command `T`. Returns the reply.
fn set_rate(address: &Address, rate: &Rate, token: Option<&str>) -> Result<String, Failure> {
    const NOT_SET: &str = "the rate was not set: ";
    let reply = Client::connect(address, token, REPLY)
        .and_then(|mut client| client.ask(&format!("T{rate}")))
        .map_err(|error| Failure::Line(error.exit(), format!("{NOT_SET}{error}")))?
        .unwrap_or_default();
    if client::is_error(&reply) {
        let line = format!("{NOT_SET}{address} said {reply:?}");
        return Err(Failure::Line(Exit::Guest, line));
    }
    Ok(reply)
}

fn summary(taken: &Taken, kept: Option<&Path>) -> String {
    let kept = kept.map_or_else(
        || "not kept (-o FILE keeps it)".to_owned(),
        |path| format!("in {}", path.display()),
    );
    let cut = match taken.left_out {
        0 => String::new(),
        left => format!(", and {left} bytes of a packet that did not come whole are left out"),
    };
    let bytes = amounts::bytes(taken.bytes as f64);
    let (packets, over) = (amounts::count(taken.packets), &taken.over);
    format!("{bytes} in {packets} packets, {kept}; {over}{cut}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_probability_but_not_none() {
        for text in ["1e-4", "1", "0.5", ".5", "1E-6"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        for text in ["", "0", "-1", "1.1", "nan", "inf", "1e-4 ", "x", "1e-400"] {
            let error = text.parse::<Rate>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{text:?} is not a probability")),
                "{error}"
            );
        }
    }
}
