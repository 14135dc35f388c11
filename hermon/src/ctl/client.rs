//! A command there, a line of reply back.

use core::time::Duration;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;

use thiserror::Error;

use crate::trace::address::{Address, ConnectError};

/// How long a reply may take. An image answers within a millisecond; one that is paused or gone never does.
const REPLY: Duration = Duration::from_secs(10);

/// The longest reply that is read, in bytes. The list of 128 sources with all their fields is some 100 KiB; what goes on for
/// longer is no control port.
const REPLY_MAX: usize = 1 << 20;

/// How a reply begins that says that the command did nothing.
const ERROR: &str = "error:";

/// Why there is no reply.
#[derive(Debug, Error)]
pub enum ClientError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The connection broke.
    #[error("{address} did not answer {command:?}: {source}")]
    Broken {
        /// The control port.
        address: Address,
        /// What was asked.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// The image closed.
    #[error(
        "{address} closed the connection before it answered {command:?}: does it let this machine in (--allow, --token)?"
    )]
    Closed {
        /// The control port.
        address: Address,
        /// What was asked.
        command: String,
    },
    /// The token is wrong.
    #[error("{address} does not take the token: {reply}")]
    Token {
        /// The control port.
        address: Address,
        /// What it said.
        reply: String,
    },
    /// More than one line, or no text.
    #[error("{0:?} has a line break or a NUL in it: give one command at a time")]
    NotALine(String),
}

/// A connection to a control port.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<TcpStream>,
    address: Address,
    /// The port that an address without one means, for the way back.
    port: u16,
    token: Option<String>,
}

/// Whether a command ends where its text does.
pub fn is_a_line(command: &str) -> bool {
    !command.contains(['\n', '\r', '\0'])
}

/// Whether a reply says that the command did nothing.
pub fn is_error(reply: &str) -> bool {
    reply.starts_with(ERROR)
}

impl Client {
    /// Connects, and says the token if there is one.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn connect(address: &Address, port: u16, token: Option<&str>) -> Result<Self, ClientError> {
        let stream = address.connect(port)?;
        let broken = |source| ClientError::Broken {
            address: address.clone(),
            command: String::new(),
            source,
        };
        stream.set_read_timeout(Some(REPLY)).map_err(broken)?;
        stream.set_write_timeout(Some(REPLY)).map_err(broken)?;
        let mut client = Self {
            stream: BufReader::new(stream),
            address: address.clone(),
            port,
            token: token.map(str::to_owned),
        };
        if let Some(token) = token {
            // The token is not quoted in an error.
            let reply = client.exchange(&format!("auth {token}"), "auth")?;
            if is_error(&reply) {
                return Err(ClientError::Token {
                    address: address.clone(),
                    reply,
                });
            }
        }
        Ok(client)
    }

    /// The same again: an image closes a connection that was idle for a minute.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn reconnect(&mut self) -> Result<(), ClientError> {
        *self = Self::connect(&self.address, self.port, self.token.as_deref())?;
        Ok(())
    }

    /// Sends a command and waits for its reply, which has no line break and no control character. An empty command has none.
    ///
    /// # Errors
    /// [`ClientError`].
    pub fn ask(&mut self, command: &str) -> Result<Option<String>, ClientError> {
        if !is_a_line(command) {
            return Err(ClientError::NotALine(command.to_owned()));
        }
        if command.is_empty() {
            return Ok(None);
        }
        self.exchange(command, command).map(Some)
    }

    fn exchange(&mut self, line: &str, shown: &str) -> Result<String, ClientError> {
        let broken = |source| ClientError::Broken {
            address: self.address.clone(),
            command: shown.to_owned(),
            source,
        };
        let sent = self
            .stream
            .get_mut()
            .write_all(format!("{line}\n").as_bytes());
        sent.map_err(broken)?;
        let mut reply = Vec::new();
        io::Read::take(&mut self.stream, REPLY_MAX as u64)
            .read_until(b'\n', &mut reply)
            .map_err(|error| broken(in_words(error)))?;
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
}

/// What the system calls "resource temporarily unavailable".
fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
            io::Error::other(format!("nothing came within {} s", REPLY.as_secs()))
        }
        _ => error,
    }
}

/// A reply as a terminal may see it.
fn printable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.strip_suffix(b"\r").unwrap_or(bytes));
    text.chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}
