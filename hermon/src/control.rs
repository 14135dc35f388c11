//! The image's control port, as far as the page needs it: which sources are on, which log levels are set, and changing
//! either.
//!
//! A connection per question: the image has eight places and closes idle ones. Commands and replies are those of the
//! image's control port; this is the only file that knows them.
//!
//! ```text
//!  auth SECRET          ok                              only with a token, first
//!  m*                   ok: *:enabled,tag:http:enabled,memory:enabled,a:b:disabled
//!  l*                   ok: *:info,dns:debug
//!  Mmemory:off          ok | error: unknown source: memory          a name with a colon: Msrc:a:b:off
//!  Ldns:debug           ok | error: …                               the default: L*:debug
//! ```

use core::net::SocketAddr;
use core::str::FromStr;
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use thiserror::Error;

/// How long the image may take to accept, and to answer each command: it answers within a millisecond.
const PATIENCE: Duration = Duration::from_secs(2);

/// The longest reply that is read, in bytes: 128 sources of 128 bytes, four times over.
const MAX_REPLY: usize = 64 * 1024;

/// The levels that there are, quietest first.
pub const LEVELS: &[&str] = &["quiet", "app", "error", "warning", "info", "debug"];

/// Where a port of images is, for control or for traces: `ADDRESS:PORT` of every machine, `VM=ADDRESS:PORT` of one, separated by commas.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of every machine that has none of its own.
    pub any: Option<SocketAddr>,
    /// By the tag `vm`.
    pub by_vm: Vec<(String, SocketAddr)>,
}

/// A part of a list of addresses is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is no address of a port: 127.0.0.1:2323 and web-1=10.0.0.7:2323 are")]
pub struct NoAddress(String);

impl Addresses {
    /// Of the machine with this tag `vm`.
    pub fn of(&self, vm: &str) -> Option<SocketAddr> {
        let own = self.by_vm.iter().rfind(|(name, _)| name == vm);
        own.map(|&(_, address)| address).or(self.any)
    }

    /// Whether there is none at all.
    pub fn is_empty(&self) -> bool {
        self.any.is_none() && self.by_vm.is_empty()
    }
}

impl FromStr for Addresses {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let mut addresses = Self::default();
        for part in text.split(',') {
            let (vm, address) = match part.rsplit_once('=') {
                Some((vm, address)) => (Some(vm), address),
                None => (None, part),
            };
            let address = address.parse().map_err(|_| NoAddress(part.to_owned()))?;
            match vm {
                Some(vm) => addresses.by_vm.push((vm.to_owned(), address)),
                None => addresses.any = Some(address),
            }
        }
        Ok(addresses)
    }
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum ControlError {
    /// The port cannot be reached, or the connection broke.
    #[error("the control port {address} does not answer: {source}")]
    Port {
        /// Where.
        address: SocketAddr,
        /// The system's word.
        source: io::Error,
    },
    /// The image refused; its words.
    #[error("{0}")]
    Refused(String),
    /// The reply is none.
    #[error("the control port answered \"{0}\"")]
    Reply(String),
    /// A name that no command can carry.
    #[error("\"{0}\" cannot be named in a command")]
    Name(String),
    /// No such level.
    #[error("\"{0}\" is no log level")]
    Level(String),
}

/// A source and its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// The source; `*` is the default, `tag:NAME` a tag.
    pub name: String,
    /// Whether it is on.
    pub on: bool,
}

/// A source of log lines and its level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    /// The source; `*` is the default.
    pub name: String,
    /// One of [`LEVELS`].
    pub level: String,
}

/// What is on and what is logged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct States {
    /// Sources of metrics.
    pub metrics: Vec<Switch>,
    /// Sources of log lines.
    pub logs: Vec<Level>,
}

/// A change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order<'a> {
    /// Switch a source of metrics.
    Metric {
        /// Which; `*` is all.
        name: &'a str,
        /// On or off.
        on: bool,
    },
    /// Set a log level.
    Log {
        /// Of which source; `*` is the default.
        name: &'a str,
        /// One of [`LEVELS`].
        level: &'a str,
    },
}

impl Order<'_> {
    /// The command, without its end.
    fn command(&self) -> Result<String, ControlError> {
        let (letter, name, value) = match *self {
            Self::Metric { name, on } => ('M', name, if on { "on" } else { "off" }),
            Self::Log { name, level } => {
                if !LEVELS.contains(&level) {
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

/// The control port of one image.
#[derive(Debug)]
pub struct Control {
    address: SocketAddr,
    token: Option<String>,
    /// One question at a time, so that however many pages are open take one place in the image.
    turn: Mutex<()>,
}

impl Control {
    /// Of the image whose control port is here. Connects to nothing yet.
    pub fn new(address: SocketAddr, token: Option<String>) -> Self {
        Self {
            address,
            token,
            turn: Mutex::new(()),
        }
    }

    /// Asks what is on and what is logged.
    ///
    /// # Errors
    /// [`ControlError`]. Takes at most some seconds.
    pub fn states(&self) -> Result<States, ControlError> {
        let replies = self.ask(&["m*", "l*"])?;
        let [metrics, logs] = replies.as_slice() else {
            return Err(ControlError::Reply(replies.join(" ")));
        };
        let metrics = items(metrics)
            .map(|(name, state)| match state {
                "enabled" => Some((name, true)),
                "disabled" => Some((name, false)),
                _ => None,
            })
            .map(|found| {
                found.map(|(name, on)| Switch {
                    name: name.to_owned(),
                    on,
                })
            })
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| ControlError::Reply(metrics.clone()))?;
        let logs = items(logs)
            .map(|(name, level)| Level {
                name: name.to_owned(),
                level: level.to_owned(),
            })
            .collect();
        Ok(States { metrics, logs })
    }

    /// Changes something.
    ///
    /// # Errors
    /// [`ControlError`]; [`ControlError::Refused`] means that nothing has changed.
    pub fn order(&self, order: &Order<'_>) -> Result<(), ControlError> {
        let command = order.command()?;
        self.ask(&[&command]).map(drop)
    }

    /// The texts after `ok: `, one for each command.
    fn ask(&self, commands: &[&str]) -> Result<Vec<String>, ControlError> {
        // Nothing under the lock can be left half done.
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let failed = |source| ControlError::Port {
            address: self.address,
            source,
        };
        let mut stream = TcpStream::connect_timeout(&self.address, PATIENCE).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(failed)?;
        let auth = self.token.as_ref().map(|token| format!("auth {token}"));
        let all: Vec<&str> = auth
            .as_deref()
            .into_iter()
            .chain(commands.iter().copied())
            .collect();
        let mut text = all.join("\n");
        text.push('\n');
        stream.write_all(text.as_bytes()).map_err(failed)?;
        let mut replies = Vec::new();
        for line in read_lines(&mut stream, all.len()).map_err(failed)? {
            replies.push(judge(line)?);
        }
        if replies.len() < all.len() {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(replies.split_off(all.len() - commands.len()))
    }
}

/// Reads so many lines, or fewer if the connection ends before.
fn read_lines(from: &mut impl Read, count: usize) -> io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    while bytes.iter().filter(|&&byte| byte == b'\n').count() < count {
        match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if bytes.len() > MAX_REPLY {
            return Err(io::Error::other("its reply does not end"));
        }
    }
    Ok(bytes
        .split_inclusive(|&byte| byte == b'\n')
        .filter_map(|line| line.strip_suffix(b"\n"))
        .map(|line| String::from_utf8_lossy(line).into_owned())
        .collect())
}

fn judge(line: String) -> Result<String, ControlError> {
    if line == "ok" {
        Ok(String::new())
    } else if let Some(text) = line.strip_prefix("ok: ") {
        Ok(text.to_owned())
    } else if let Some(error) = line.strip_prefix("error: ") {
        Err(ControlError::Refused(error.to_owned()))
    } else {
        Err(ControlError::Reply(line.chars().take(80).collect()))
    }
}

/// `name:value,…`; a name may have colons.
fn items(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.split(',').filter_map(|item| item.rsplit_once(':'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread::{self, JoinHandle};

    /// Answers each line with the next reply, a byte at a time, and gives what it was asked.
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
    fn control_ports_are_for_all_or_for_one() {
        let addresses: Addresses = "127.0.0.1:1,a=b=10.0.0.7:2".parse().unwrap();
        assert_eq!(addresses.any, Some("127.0.0.1:1".parse().unwrap()));
        assert_eq!(
            addresses.by_vm,
            [("a=b".to_owned(), "10.0.0.7:2".parse().unwrap())]
        );
        assert_eq!(addresses.of("a=b"), "10.0.0.7:2".parse().ok());
        assert_eq!(addresses.of("a"), "127.0.0.1:1".parse().ok());
        assert!(!addresses.is_empty() && Addresses::default().is_empty());
        let error = "127.0.0.1:1,x=y"
            .parse::<Addresses>()
            .unwrap_err()
            .to_string();
        assert!(
            error.starts_with("\"x=y\" is no address of a port: "),
            "{error}"
        );
    }

    #[test]
    fn states_are_read_with_names_that_have_colons() {
        let (control, asked) = image(&[
            "ok: *:enabled,tag:http:enabled,memory:disabled,a:b:enabled",
            "ok: *:info,app::cache:debug",
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
        let debug = Level {
            name: "app::cache".to_owned(),
            level: "debug".to_owned(),
        };
        assert_eq!(states.logs[1], debug);
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
        assert_eq!(asked.join().unwrap(), ["auth open sesame", "m*", "l*"]);
        let (mut control, _asked) = image(&["error: wrong token"]);
        control.token = Some("x".to_owned());
        assert_eq!(control.states().unwrap_err().to_string(), "wrong token");
    }
}
