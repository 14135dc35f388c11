//! A connection to a control port: sends a command and reads a line of reply.

use core::time::Duration;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Instant;

use clap::Args;
use hermon_machine::application::CONTROL_PORT;
use thiserror::Error;

use crate::address::{self, Address, ConnectError};
use crate::exit::{Exit, Failure};
use crate::proof;

/// The time limit of a reply. An image answers within a millisecond; an image that is paused or gone never answers.
pub(crate) const REPLY: Duration = Duration::from_secs(10);

/// The longest reply that is read, in bytes. The list of 128 sources with all their fields is some 100 KiB; a longer
/// reply is not from a control port.
const REPLY_MAX: usize = 1 << 20;

/// The beginning of a reply that says that the command did nothing.
pub(crate) const ERROR: &str = "error:";

/// The reply to a command that the image does not know.
const NOT_KNOWN: &str = "error: unknown command";

/// The levels that an image shows, quietest first.
pub(crate) const LEVELS: [&str; 7] = ["quiet", "app", "error", "warning", "info", "debug", "trace"];

/// Other names that an image takes for levels: for `quiet` and `warning`.
pub(crate) const OTHER_LEVELS: [&str; 2] = ["off", "warn"];

/// The reason why there is no reply.
#[derive(Debug, Error)]
pub(crate) enum ClientError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke.
    #[error("{address} did not answer {command:?}: {source}")]
    Broken {
        /// The control port.
        address: Address,
        /// The command.
        command: String,
        /// The system's error.
        source: io::Error,
    },
    /// The image closed the connection.
    #[error(
        "{address} closed the connection before it answered {command:?}: does it let this machine in (--allow, --token)?"
    )]
    Closed {
        /// The control port.
        address: Address,
        /// The command.
        command: String,
    },
    /// The token is wrong.
    #[error("{address} does not take the token: {reply}")]
    Token {
        /// The control port.
        address: Address,
        /// The reply.
        reply: String,
    },
    /// The command has more than one line, or is not text.
    #[error("{0:?} has a line break or a NUL in it: give one command at a time")]
    NotALine(String),
}

impl ClientError {
    /// Returns the exit code of a subcommand that cannot go on.
    pub(crate) const fn exit(&self) -> Exit {
        match self {
            Self::Token { .. } => Exit::Guest,
            Self::NotALine(_) => Exit::Arguments,
            _ => Exit::Machine,
        }
    }

    /// Returns the failure of a subcommand that cannot go on.
    pub(crate) fn failure(self) -> Failure {
        Failure::Line(self.exit(), self.to_string())
    }
}

/// The token, for subcommands that use one control port.
#[derive(Debug, Args)]
pub(crate) struct Secret {
    /// The token, if the control port requires one
    #[arg(
        long,
        value_name = "SECRET",
        env = "HERMON_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
}

impl Secret {
    /// Returns the token.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_deref()
    }
}

/// A connection to a control port.
#[derive(Debug)]
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    address: Address,
    token: Option<String>,
    patience: Duration,
}

/// Returns `true` if a command ends where its text does.
pub(crate) fn is_a_line(command: &str) -> bool {
    !command.contains(['\n', '\r', '\0'])
}

/// Returns `true` if a reply says that the command did nothing.
pub(crate) fn is_error(reply: &str) -> bool {
    reply.starts_with(ERROR)
}

/// Returns the text of a reply behind `ok: `, and an empty text for `ok`. Returns `None` if the reply is neither.
pub(crate) fn text(reply: &str) -> Option<&str> {
    match reply {
        "ok" => Some(""),
        reply => reply.strip_prefix("ok: "),
    }
}

impl Client {
    /// Connects, and proves to know the token if there is one. `patience` is the time limit of a reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn connect(
        address: &Address,
        token: Option<&str>,
        patience: Duration,
    ) -> Result<Self, ClientError> {
        let stream = address.connect_within(CONTROL_PORT, patience.min(address::CONNECT))?;
        let broken = |source| ClientError::Broken {
            address: address.clone(),
            command: String::new(),
            source,
        };
        stream.set_read_timeout(Some(patience)).map_err(broken)?;
        stream.set_write_timeout(Some(patience)).map_err(broken)?;
        let mut client = Self {
            stream: BufReader::new(stream),
            address: address.clone(),
            token: token.map(str::to_owned),
            patience,
        };
        if let Some(token) = token {
            let reply = client.exchange(proof::ASK, proof::ASK)?;
            let reply = match proof::answer(&reply, token) {
                Some(line) => client.exchange(&line, proof::ASK)?,
                // An image without a token.
                None if reply == NOT_KNOWN => return Ok(client),
                None => reply,
            };
            if is_error(&reply) {
                return Err(ClientError::Token {
                    address: address.clone(),
                    reply,
                });
            }
        }
        Ok(client)
    }

    /// Connects again: an image closes a connection that was idle for a minute.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn reconnect(&mut self) -> Result<(), ClientError> {
        *self = Self::connect(&self.address, self.token.as_deref(), self.patience)?;
        Ok(())
    }

    /// Sends a command and waits for its reply, which has no line break and no control character. An empty command has
    /// no reply.
    ///
    /// # Errors
    /// [`ClientError`].
    pub(crate) fn ask(&mut self, command: &str) -> Result<Option<String>, ClientError> {
        if !is_a_line(command) {
            return Err(ClientError::NotALine(command.to_owned()));
        }
        if command.is_empty() {
            return Ok(None);
        }
        self.exchange(command, command).map(Some)
    }

    fn exchange(&mut self, line: &str, shown: &str) -> Result<String, ClientError> {
        let address = self.address.clone();
        let broken = |source| ClientError::Broken {
            address: address.clone(),
            command: shown.to_owned(),
            source,
        };
        let sent = self
            .stream
            .get_mut()
            .write_all(format!("{line}\n").as_bytes());
        sent.map_err(broken)?;
        let reply = self.read_line();
        let reply = reply.map_err(|error| broken(self.in_words(error)))?;
        match reply.strip_suffix(b"\n") {
            Some(text) => Ok(printable(text)),
            None if reply.len() >= REPLY_MAX => Err(broken(io::Error::other(
                "a reply without an end, is that the control port?",
            ))),
            None => Err(ClientError::Closed {
                address: self.address.clone(),
                command: shown.to_owned(),
            }),
        }
    }

    /// Reads to the end of a line, within the time limit of a reply however many pieces it comes in. Stops at the longest
    /// reply and at the end of the connection.
    fn read_line(&mut self) -> io::Result<Vec<u8>> {
        let until = Instant::now() + self.patience;
        let mut line = Vec::new();
        while line.len() < REPLY_MAX && line.last() != Some(&b'\n') {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.get_ref().set_read_timeout(Some(left))?;
            let bytes = self.stream.fill_buf()?;
            if bytes.is_empty() {
                break;
            }
            let end = bytes.iter().position(|&byte| byte == b'\n');
            let count = end
                .map_or(bytes.len(), |end| end + 1)
                .min(REPLY_MAX - line.len());
            line.extend_from_slice(&bytes[..count]);
            self.stream.consume(count);
        }
        Ok(line)
    }

    /// Replaces the system's "resource temporarily unavailable" by clear words.
    fn in_words(&self, error: io::Error) -> io::Error {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let seconds = self.patience.as_secs();
                io::Error::other(format!("no whole reply within {seconds} s"))
            }
            _ => error,
        }
    }
}

/// Returns a reply in a form that is safe for a terminal.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    text.replace(char::is_control, "\u{fffd}")
}
