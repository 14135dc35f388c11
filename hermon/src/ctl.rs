//! `hermon ctl`: commands to an image's control port.
//!
//! | module | what it is |
//! |---|---|
//! | `client` | a command there, a line of reply back |
//! | `complete` | what can be typed, from the image's own `?` and `S` |
//! | `interactive` | a prompt with history and completion |

mod client;
mod complete;
mod interactive;

use core::fmt;
use core::str::FromStr;
use std::io::{self, Write};

use clap::Args;
use thiserror::Error;

use crate::cli::Exit;
use crate::trace::address::{Address, CONTROL_PORT};

pub use client::{Client, ClientError};

/// Options of `hermon ctl`.
#[derive(Debug, Args)]
pub struct Options {
    /// The image, as HOST or HOST:PORT; the port is 2323 if none is given
    #[arg(value_name = "ADDRESS")]
    pub address: Address,
    /// Commands, one after the other, such as ? or 'Lapp:debug'; without one, commands are asked for on the terminal or read
    /// line by line from standard input
    #[arg(value_name = "COMMAND", allow_hyphen_values = true)]
    pub commands: Vec<String>,
    /// The token of the control port, if it asks for one
    #[arg(
        long,
        value_name = "SECRET",
        env = "HERMON_TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
}

/// Why a command was not answered.
#[derive(Debug, Error)]
pub enum CtlError {
    /// The connection.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The terminal, or standard input or output.
    #[error("cannot talk to you: {0}")]
    Terminal(String),
}

impl From<io::Error> for CtlError {
    fn from(error: io::Error) -> Self {
        Self::Terminal(error.to_string())
    }
}

impl CtlError {
    /// How the tool ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Token { .. }) => Exit::Guest,
            Self::Client(ClientError::NotALine(_)) => Exit::Arguments,
            _ => Exit::Machine,
        }
    }
}

/// `hermon ctl`.
///
/// # Errors
/// [`CtlError`]. A reply that is an error is none of these: it is printed like any other, and the exit code tells.
pub fn ctl(options: &Options) -> Result<Exit, CtlError> {
    if let Some(command) = options
        .commands
        .iter()
        .find(|command| !client::is_a_line(command))
    {
        return Err(ClientError::NotALine(command.clone()).into());
    }
    let mut client = Client::connect(&options.address, CONTROL_PORT, options.token.as_deref())?;
    if options.commands.is_empty() {
        return interactive::run(&mut client);
    }
    let mut exit = Exit::Success;
    for command in &options.commands {
        if let Some(reply) = client.ask(command)? {
            writeln!(io::stdout(), "{reply}")?;
            if client::is_error(&reply) {
                exit = Exit::Guest;
            }
        }
    }
    Ok(exit)
}

/// A probability with which words are sampled: more than 0, at most 1. Shown as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rate(String);

/// Not a rate.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a probability: more than 0 and at most 1, such as 1e-4")]
pub struct NotARate(String);

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

/// Why the rate is not what was asked for.
#[derive(Debug, Error)]
pub enum RateError {
    /// The connection.
    #[error("the rate was not set: {0}")]
    Client(#[from] ClientError),
    /// The image said no.
    #[error("the rate was not set: {address} said {reply:?}")]
    Refused {
        /// The control port.
        address: Address,
        /// What it said.
        reply: String,
    },
}

impl RateError {
    /// How the tool ends.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Client(ClientError::Token { .. }) | Self::Refused { .. } => Exit::Guest,
            Self::Client(_) => Exit::Machine,
        }
    }
}

/// Sets the rate of the next trace, by the command `T`. Gives the reply.
///
/// # Errors
/// [`RateError`].
pub fn set_rate(address: &Address, rate: &Rate, token: Option<&str>) -> Result<String, RateError> {
    let mut client = Client::connect(address, CONTROL_PORT, token)?;
    let reply = client.ask(&format!("T{rate}"))?.unwrap_or_default();
    if client::is_error(&reply) {
        return Err(RateError::Refused {
            address: address.clone(),
            reply,
        });
    }
    Ok(reply)
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
