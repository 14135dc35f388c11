//! The client of the image's control port. The page, `hermon ctl` and the rate of a trace use it.
//!
//! | module | content |
//! |---|---|
//! | `client` | a connection: sends a command, reads a line of reply |
//! | `complete` | the words that can be typed, from the image's own replies |
//! | here | which sources are on, which log levels are set, and changes of both |
//!
//! Commands and replies are those of the image's control port (docs/CONTROL.md). Only this folder knows them.
//!
//! ```text
//!  auth SECRET          ok                              only with a token, first
//!  m*                   ok: *:enabled,tag:http:enabled,memory:enabled,a:b:disabled
//!  l*                   ok: *:info,dns:debug
//!  Mmemory:off          ok | error: unknown source: memory          a name with a colon: Msrc:a:b:off
//!  Ldns:debug           ok | error: …                               the default: L*:debug
//! ```

pub(crate) mod client;
pub(crate) mod complete;

use core::net::SocketAddr;
use core::time::Duration;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use thiserror::Error;

use client::{Client, ClientError, ERROR, LEVELS, OTHER_LEVELS};

/// The time in which an image must accept and answer while a page waits. It answers within a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

/// The number of characters that are shown of a reply that is not understood.
const SHOWN: usize = 80;

/// The reason why there is no answer.
#[derive(Debug, Error)]
pub(crate) enum ControlError {
    /// The port cannot be reached, or the connection broke.
    #[error("the control port {address} does not answer: {source}")]
    Port {
        /// The control port.
        address: SocketAddr,
        /// The error of the connection.
        source: ClientError,
    },
    /// The image refused, with these words.
    #[error("{0}")]
    Refused(String),
    /// The reply is not understood.
    #[error("the control port answered \"{0}\"")]
    Reply(String),
    /// The name cannot be part of a command.
    #[error("\"{0}\" cannot be named in a command")]
    Name(String),
    /// The level does not exist.
    #[error("\"{0}\" is no log level")]
    Level(String),
}

/// A source and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Switch {
    /// The source; `*` is the default, `tag:NAME` a tag.
    pub name: String,
    /// `true` if it is on.
    pub on: bool,
}

/// A source of log lines and its level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Level {
    /// The source; `*` is the default.
    pub name: String,
    /// The level in the image's words: one of [`LEVELS`], unless the image is newer than this tool.
    pub level: String,
}

/// The states of sources and the levels of log sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct States {
    /// Sources of metrics.
    pub metrics: Vec<Switch>,
    /// Sources of log lines.
    pub logs: Vec<Level>,
    /// The levels that can be set.
    pub levels: [&'static str; 7],
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Order<'a> {
    /// Switches a source of metrics.
    Metric {
        /// The source; `*` is all.
        name: &'a str,
        /// `true` for on.
        on: bool,
    },
    /// Sets a log level.
    Log {
        /// The source; `*` is the default.
        name: &'a str,
        /// One of [`LEVELS`] or [`OTHER_LEVELS`].
        level: &'a str,
    },
}

impl Order<'_> {
    /// Returns the command, without its end.
    fn command(&self) -> Result<String, ControlError> {
        let (letter, name, value) = match *self {
            Self::Metric { name, on } => ('M', name, if on { "on" } else { "off" }),
            Self::Log { name, level } => {
                if !LEVELS.contains(&level) && !OTHER_LEVELS.contains(&level) {
                    return Err(ControlError::Level(level.to_owned()));
                }
                ('L', name, level)
            }
        };
        if name.is_empty() || name.chars().any(|c| c == ',' || c.is_control()) {
            return Err(ControlError::Name(name.to_owned()));
        }
        let form = if name.contains(':') { "src:" } else { "" };
        Ok(format!("{letter}{form}{name}:{value}"))
    }
}

/// The control port of one image, asked on behalf of pages. Each question has its own connection: the image has eight
/// places and closes idle ones.
#[derive(Debug)]
pub(crate) struct Control {
    address: SocketAddr,
    token: Option<String>,
    /// One question at a time, so that any number of open pages takes one place in the image.
    turn: Mutex<()>,
}

impl Control {
    /// Creates a client for the image with this control port. Connects to nothing yet.
    pub(crate) fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self {
            address,
            token,
            turn: Mutex::new(()),
        }
    }

    /// Asks for all states and levels.
    ///
    /// # Errors
    /// [`ControlError`]. Takes at most some seconds.
    pub(crate) fn states(&self) -> Result<States, ControlError> {
        let [metrics, logs] = self.ask(["m*", "l*"])?;
        let switches = items(&metrics).map(|(name, state)| {
            let on = match state {
                "enabled" => true,
                "disabled" => false,
                _ => return Err(ControlError::Reply(metrics.clone())),
            };
            let name = name.to_owned();
            Ok(Switch { name, on })
        });
        let logs = items(&logs).map(|(name, level)| Level {
            name: name.to_owned(),
            level: level.to_owned(),
        });
        Ok(States {
            metrics: switches.collect::<Result<_, _>>()?,
            logs: logs.collect(),
            levels: LEVELS,
        })
    }

    /// Makes a change.
    ///
    /// # Errors
    /// [`ControlError`]; [`ControlError::Refused`] means that nothing has changed.
    pub(crate) fn order(&self, order: &Order<'_>) -> Result<(), ControlError> {
        let command = order.command()?;
        self.ask([&command]).map(drop)
    }

    /// Returns the texts after `ok: `, one for each command.
    fn ask<const N: usize>(&self, commands: [&str; N]) -> Result<[String; N], ControlError> {
        // No code can leave the value under the lock half changed.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| match source {
            ClientError::Token { reply, .. } => refused(&reply),
            source => ControlError::Port {
                address: self.address,
                source,
            },
        };
        let address = self.address.into();
        let mut client =
            Client::connect(&address, self.token.as_deref(), PATIENCE).map_err(failed)?;
        let mut texts = core::array::from_fn(|_| String::new());
        for (command, text) in commands.iter().zip(&mut texts) {
            let reply = client.ask(command).map_err(failed)?.unwrap_or_default();
            *text = client::text(&reply)
                .ok_or_else(|| refused(&reply))?
                .to_owned();
        }
        Ok(texts)
    }
}

/// Returns the error for a reply that is not `ok`.
fn refused(reply: &str) -> ControlError {
    match reply.strip_prefix(ERROR) {
        Some(words) => ControlError::Refused(words.trim_start().to_owned()),
        None => ControlError::Reply(reply.chars().take(SHOWN).collect()),
    }
}

/// Splits `name:value,…`; a name may have colons.
fn items(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|item| item.rsplit_once(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    /// Answers each line with the next reply, a byte at a time, and returns the lines that it got.
    fn image(replies: &'static [&'static str]) -> (Control, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut asked = Vec::new();
            for reply in replies {
                asked.push(lines.next().unwrap().unwrap());
                for byte in format!("{reply}\n").bytes() {
                    (&stream).write_all(&[byte]).unwrap();
                }
            }
            asked
        });
        (Control::new(address, None), asked)
    }

    #[test]
    fn states_are_read_with_names_that_have_colons() {
        let (control, asked) = image(&[
            "ok: *:enabled,tag:http:enabled,memory:disabled,a:b:enabled",
            "ok: *:info,app::cache:debug,dns:trace,new:verbose",
        ]);
        let states = control.states().unwrap();
        let metrics: Vec<(&str, bool)> = states
            .metrics
            .iter()
            .map(|switch| (switch.name.as_str(), switch.on))
            .collect();
        assert_eq!(
            metrics,
            [
                ("*", true),
                ("tag:http", true),
                ("memory", false),
                ("a:b", true)
            ]
        );
        let logs: Vec<(&str, &str)> = states
            .logs
            .iter()
            .map(|log| (log.name.as_str(), log.level.as_str()))
            .collect();
        assert_eq!(
            logs,
            [
                ("*", "info"),
                ("app::cache", "debug"),
                ("dns", "trace"),
                ("new", "verbose")
            ]
        );
        assert!(
            ["app", "trace"]
                .iter()
                .all(|level| states.levels.contains(level))
        );
        assert_eq!(asked.join().unwrap(), ["m*", "l*"]);
    }

    #[test]
    fn orders_are_written_in_the_images_grammar() {
        for (order, command) in [
            (
                Order::Metric {
                    name: "memory",
                    on: false,
                },
                "Mmemory:off",
            ),
            (
                Order::Metric {
                    name: "*",
                    on: true,
                },
                "M*:on",
            ),
            (
                Order::Metric {
                    name: "a:b",
                    on: true,
                },
                "Msrc:a:b:on",
            ),
            (
                Order::Log {
                    name: "*",
                    level: "debug",
                },
                "L*:debug",
            ),
            (
                Order::Log {
                    name: "dns",
                    level: "quiet",
                },
                "Ldns:quiet",
            ),
            (
                Order::Log {
                    name: "dns",
                    level: "trace",
                },
                "Ldns:trace",
            ),
            (
                Order::Log {
                    name: "dns",
                    level: "off",
                },
                "Ldns:off",
            ),
        ] {
            let (control, asked) = image(&["ok"]);
            control.order(&order).unwrap();
            assert_eq!(asked.join().unwrap(), [command]);
        }
    }

    #[test]
    fn a_name_cannot_smuggle_a_second_command_or_item() {
        let control = Control::new("127.0.0.1:9".parse().unwrap(), None);
        for name in ["a,*", "a\nM*", "a\0b", ""] {
            let error = control
                .order(&Order::Metric { name, on: true })
                .unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("\"{name}\" cannot be named in a command")
            );
        }
        let error = control
            .order(&Order::Log {
                name: "a",
                level: "info\nM*:off",
            })
            .unwrap_err();
        assert!(error.to_string().ends_with("is no log level"), "{error}");
    }

    #[test]
    fn a_refusal_is_in_the_images_words_and_silence_is_named() {
        let (control, _asked) = image(&["error: unknown source: nobody"]);
        let order = Order::Metric {
            name: "nobody",
            on: true,
        };
        let error = control.order(&order).unwrap_err();
        assert_eq!(error.to_string(), "unknown source: nobody");
        let (control, _asked) = image(&["what"]);
        let error = control.order(&order).unwrap_err();
        assert_eq!(error.to_string(), "the control port answered \"what\"");
        let (control, _asked) = image(&[]);
        let error = control.order(&order).unwrap_err().to_string();
        assert!(error.contains(" does not answer: "), "{error}");
    }

    #[test]
    fn the_token_comes_first_and_its_answer_is_not_taken_for_another() {
        let (mut control, asked) = image(&["ok", "ok: *:enabled", "ok: *:info"]);
        control.token = Some("open sesame".to_owned());
        assert_eq!(control.states().unwrap().metrics.len(), 1);
        assert_eq!(asked.join().unwrap(), ["auth", "m*", "l*"]);
        let (mut control, _asked) = image(&["error: wrong token"]);
        control.token = Some("x".to_owned());
        assert_eq!(control.states().unwrap_err().to_string(), "wrong token");
    }
}
