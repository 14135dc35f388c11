//! Writes the packets of a connection into a file, each whole or not at all.
//!
//! ```text
//!              the first packet (1)          the duration is over (3), a signal (4)
//!   Beginning ───────────────────▶ Receiving ──────────────────────────────────────▶ Ending
//!       │                             │            our half is closed                  │
//!       │ nothing comes, nothing      │ the image closes or resets (5),                │ the image closes (7),
//!       │ useful comes (2)            │ a packet breaks the format (6),                │ a second signal, DRAIN over (8)
//!       │                             │ the file is full (9)                           │
//!       ▼                             ▼                                                ▼
//!     error                         over                                             over
//! ```
//! The image ends a trace when the client closes its half, and then still sends the rest. So nothing is lost at (3) and
//! (4). Whatever ends the capture, the file has only whole packets, so every memtrace tool can read it.

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use hermon_heap::events::events;
use hermon_heap::profile::{MEMORY, is_lost};
use hermon_heap::stream::{Front, Stream};
use hermon_machine::application::MEMTRACE_PORT;
use memtrace_reader::{Decoder, Error, Event, Kind};
use thiserror::Error;

use crate::address::{Address, ConnectError};
use crate::ending::{SAME, catch};
use crate::progress::{Counts, Line, Progress};
use crate::proof;

/// The time limit of the first packet. The image sends it at once.
const FIRST: Duration = Duration::from_secs(10);

/// The longest line before a trace, in bytes: a challenge, or an error.
const LINE_MAX: usize = 512;

/// The time in which the image must send the rest and close after it was asked to end. It does so within a quarter of a
/// second.
const DRAIN: Duration = Duration::from_secs(3);

/// The time limit of a read. After it, the progress line and the deadlines are looked after.
const TICK: Duration = Duration::from_millis(250);

/// The reason why nothing was captured.
#[derive(Debug, Error)]
pub(crate) enum CaptureError {
    /// There is no connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The first packet did not come in time.
    #[error("{address} sent no trace within {} s: is that the memtrace port?", FIRST.as_secs())]
    Silent {
        /// The memtrace port.
        address: Address,
    },
    /// The image closed the connection at once.
    #[error(
        "{0} closed the connection without a trace: it serves one client at a time, is there another?"
    )]
    Refused(Address),
    /// The port asks for a token, and none was given.
    #[error("{0} asks for a token: give it with --token, or in the variable HERMON_TOKEN")]
    NeedsToken(Address),
    /// The token is wrong.
    #[error("{address} does not take the token: {reply}")]
    Token {
        /// The memtrace port.
        address: Address,
        /// The reply.
        reply: String,
    },
    /// The connection failed before there was a trace.
    #[error("{address} sent no trace: {source}")]
    Read {
        /// The memtrace port.
        address: Address,
        /// The system's error.
        source: io::Error,
    },
    /// A signal ended the capture before there was a trace.
    #[error("ended before {0} sent a trace")]
    Ended(Address),
    /// The bytes that came are not a trace.
    #[error("{address} sends no trace: {fault}: is that the memtrace port?")]
    NotATrace {
        /// The memtrace port.
        address: Address,
        /// The fault in the bytes.
        fault: Error,
    },
    /// The file cannot be written. It was cut back to its last whole packet.
    #[error("cannot write {0}: {1}", path.display(), source)]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
}

/// The reason why a capture is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// The image ended the trace.
    Closed,
    /// The duration is over.
    Duration,
    /// A signal ended it.
    Signal,
    /// The tool ended it, and the image did not close in time.
    Unanswered,
    /// The next packet would make the file larger than its limit. That packet was not kept.
    Full,
    /// The connection failed.
    Failed(String),
    /// The image sent bytes that are not a trace. No part of that packet was kept.
    Bad(Error),
}

impl fmt::Display for Over {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the image ended the trace"),
            Self::Duration => f.write_str("the duration is over"),
            Self::Signal => f.write_str("ended by a signal"),
            Self::Unanswered => write!(
                f,
                "ended, and the image did not close within {} s: its last events may be missing",
                DRAIN.as_secs()
            ),
            Self::Full => f.write_str("it has reached its size limit"),
            Self::Failed(why) => write!(f, "the connection failed: {why}"),
            Self::Bad(error) => write!(
                f,
                "the image broke the format, nothing more was taken: {error}"
            ),
        }
    }
}

/// The result of a capture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The number of whole packets.
    pub packets: u64,
    /// The bytes of these packets.
    pub bytes: u64,
    /// The bytes of a packet that did not come whole. They were left out.
    pub left_out: usize,
    /// The reason why it is over.
    pub over: Over,
}

/// A connection to an image's memtrace port.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    address: Address,
}

/// The number of times that the user has asked for the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop(Arc<AtomicU8>);

impl Stop {
    fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

/// Connects to the address, or to the usual port if it has none.
///
/// # Errors
/// [`CaptureError::Connect`].
pub(crate) fn connect(address: &Address) -> Result<Connection, CaptureError> {
    let stream = address.connect(MEMTRACE_PORT)?;
    Ok(Connection {
        stream,
        address: address.clone(),
    })
}

/// Reads a line, and not a byte after it.
fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LINE_MAX && stream.read(&mut byte)? == 1 && byte != *b"\n" {
        line.extend(byte);
    }
    let text = String::from_utf8_lossy(&line);
    Ok(text.replace(char::is_control, "\u{fffd}"))
}

impl Connection {
    /// Proves to know the token, if the port asks for that: then the first bytes are a challenge and not a trace.
    ///
    /// # Errors
    /// [`CaptureError`], if there is no token or the port does not take it. What else may be wrong is found when the
    /// trace is read.
    pub(crate) fn prove(&mut self, token: Option<&str>, stop: &Stop) -> Result<(), CaptureError> {
        let address = self.address.clone();
        let failed = |source| CaptureError::Read {
            address: address.clone(),
            source,
        };
        self.stream.set_read_timeout(Some(TICK)).map_err(failed)?;
        if self.first_byte(stop).map_err(failed)? == Some(b'o') {
            let challenge = line(&mut self.stream).map_err(failed)?;
            let Some(token) = token else {
                return Err(CaptureError::NeedsToken(address));
            };
            let answer = proof::answer(&challenge, token).unwrap_or_default();
            let sent = self.stream.write_all(format!("{answer}\n").as_bytes());
            sent.map_err(failed)?;
            if self.first_byte(stop).map_err(failed)? == Some(b'e') {
                let reply = line(&mut self.stream).map_err(failed)?;
                return Err(CaptureError::Token { address, reply });
            }
        }
        Ok(())
    }

    /// Waits for the next byte and leaves it there.
    fn first_byte(&self, stop: &Stop) -> io::Result<Option<u8>> {
        let until = Instant::now() + FIRST;
        let mut first = [0];
        while Instant::now() < until && !stop.asked() {
            match self.stream.peek(&mut first) {
                Ok(1) => return Ok(Some(first[0])),
                Ok(_) => break,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::WouldBlock
                            | io::ErrorKind::TimedOut
                            | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Makes SIGINT, SIGTERM and SIGHUP end the trace: after the first the image is asked to end it, after the second
    /// nothing is waited for.
    ///
    /// # Errors
    /// The system's error.
    pub(crate) fn stop_on_signals(&self) -> io::Result<Stop> {
        let stop = Stop::default();
        let mut signals = catch()?;
        let stream = self.stream.try_clone()?;
        let asked = stop.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                let mut last: Option<Instant> = None;
                for _ in signals.forever() {
                    let now = Instant::now();
                    let how = match last {
                        None => Shutdown::Write,
                        Some(last) if now - last < SAME => continue,
                        Some(_) => Shutdown::Both,
                    };
                    last = Some(now);
                    asked.0.fetch_add(1, Ordering::Relaxed);
                    // A closed half needs no closing. The reader notices either way.
                    drop(stream.shutdown(how));
                }
            })?;
        Ok(stop)
    }
}

enum State {
    Beginning { until: Instant },
    Receiving { until: Option<Instant> },
    Ending { until: Instant, why: Over },
}

/// A capture that is going on.
pub(crate) struct Capture<'p> {
    stream: Stream<TcpStream>,
    address: Address,
    file: File,
    path: &'p Path,
    duration: Option<Duration>,
    stop: Stop,
    decoder: Option<Decoder>,
    counts: Counts,
    packets: u64,
    progress: Box<dyn Progress + 'p>,
    /// The most bytes that the file may have.
    limit: u64,
    /// The most bytes of memory for checking the trace.
    memory: usize,
}

impl<'p> Capture<'p> {
    /// Creates a capture into `file`, which is empty and has the name `path`.
    pub(crate) fn new(
        connection: Connection,
        file: File,
        path: &'p Path,
        duration: Option<Duration>,
        stop: Stop,
    ) -> Self {
        Self {
            stream: Stream::new(connection.stream),
            address: connection.address,
            file,
            path,
            duration,
            stop,
            decoder: None,
            counts: Counts::default(),
            packets: 0,
            progress: Box::new(Line::new(Instant::now())),
            limit: u64::MAX,
            memory: MEMORY,
        }
    }

    /// Reports the progress to `progress` instead of the terminal.
    pub(crate) fn told_to(self, progress: impl Progress + 'p) -> Self {
        let progress = Box::new(progress);
        Self { progress, ..self }
    }

    /// Ends the capture when checking it would take more bytes of memory than this.
    pub(crate) fn within(self, memory: usize) -> Self {
        Self { memory, ..self }
    }

    /// Ends the capture before the packet that would make the file larger than so many bytes.
    pub(crate) fn at_most(self, limit: u64) -> Self {
        Self { limit, ..self }
    }

    /// Captures until it is over.
    ///
    /// # Errors
    /// [`CaptureError`].
    pub(crate) fn run(mut self) -> Result<Taken, CaptureError> {
        let until = Instant::now() + FIRST;
        let mut state = State::Beginning { until };
        let over = loop {
            let now = Instant::now();
            state = match state {
                State::Beginning { until } if now >= until => {
                    return Err(CaptureError::Silent {
                        address: self.address,
                    });
                }
                State::Beginning { .. } if self.stop.asked() => {
                    return Err(CaptureError::Ended(self.address));
                }
                // (1)
                State::Beginning { .. } if self.decoder.is_some() => State::Receiving {
                    until: self.duration.map(|duration| now + duration),
                },
                // (4)
                State::Receiving { .. } if self.stop.asked() => self.end(now, Over::Signal),
                // (3)
                State::Receiving { until: Some(until) } if now >= until => {
                    self.end(now, Over::Duration)
                }
                // (8)
                State::Ending { until, .. } if now >= until => break (Over::Unanswered, 0),
                same => same,
            };
            self.progress.show(now, &self.counts);
            match self.step(now, &state)? {
                None => {}
                Some((Over::Closed, left)) => {
                    break match state {
                        // The signal has closed the connection.
                        State::Beginning { .. } if self.stop.asked() => {
                            return Err(CaptureError::Ended(self.address));
                        }
                        // (2)
                        State::Beginning { .. } => return Err(CaptureError::Refused(self.address)),
                        // (5)
                        State::Receiving { .. } => (Over::Closed, left),
                        // (7)
                        State::Ending { why, .. } => (why, left),
                    };
                }
                // (5), (6), (9)
                Some(over) => break over,
            }
        };
        self.progress.clear();
        let (over, left_out) = over;
        Ok(Taken {
            packets: self.packets,
            bytes: self.counts.bytes,
            left_out,
            over,
        })
    }

    /// Asks the image to end the trace.
    fn end(&self, now: Instant, why: Over) -> State {
        // If the connection is gone, the next read notices it.
        drop(self.stream.source().shutdown(Shutdown::Write));
        State::Ending {
            until: now + DRAIN,
            why,
        }
    }

    /// Waits for a packet, at most until the next deadline, and keeps it. Returns the reason if there will be no more
    /// packets, and the number of bytes that are left out.
    fn step(&mut self, now: Instant, state: &State) -> Result<Option<(Over, usize)>, CaptureError> {
        let deadline = match state {
            State::Beginning { until }
            | State::Receiving { until: Some(until) }
            | State::Ending { until, .. } => Some(*until),
            State::Receiving { until: None } => None,
        };
        // A time of 0 would mean no time limit.
        let wait = deadline.map_or(TICK, |until| {
            (until - now).clamp(Duration::from_millis(1), TICK)
        });
        let set = self.stream.source().set_read_timeout(Some(wait));
        match set.and_then(|()| self.stream.advance()) {
            Ok(Front::Packet) => self.packet(),
            Ok(Front::End { left }) => Ok(Some((Over::Closed, left))),
            Ok(Front::Bad(error)) => self.bad(error),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(None)
            }
            Err(source) if self.decoder.is_none() => Err(CaptureError::Read {
                address: self.address.clone(),
                source,
            }),
            Err(error) => Ok(Some((Over::Failed(error.to_string()), 0))),
        }
    }

    fn bad(&self, fault: Error) -> Result<Option<(Over, usize)>, CaptureError> {
        match &self.decoder {
            Some(_) => Ok(Some((Over::Bad(fault), 0))),
            None => Err(CaptureError::NotATrace {
                address: self.address.clone(),
                fault,
            }),
        }
    }

    /// Counts the content of a packet and writes it, if it has no fault.
    fn packet(&mut self) -> Result<Option<(Over, usize)>, CaptureError> {
        if self.stream.taken() > self.limit {
            return Ok(Some((Over::Full, self.stream.bytes().len())));
        }
        let packet = self.stream.packet();
        let read = match &mut self.decoder {
            Some(decoder) => {
                let counts = &mut self.counts;
                events(decoder, &packet, &mut |event| count(counts, event))
            }
            None => Decoder::new(&packet).map(|mut decoder| {
                decoder.limit(self.memory);
                let info = decoder.info();
                self.progress.scale(info.word_bytes as f64 / info.rate);
                self.decoder = Some(decoder);
            }),
        };
        if let Err(error) = read {
            return self.bad(error);
        }
        if let Err(source) = self.file.write_all(self.stream.bytes()) {
            // Cut back the part of the packet that the system took. If that fails, too, readers leave it out.
            drop(self.file.set_len(self.counts.bytes));
            return Err(CaptureError::Write {
                path: self.path.to_owned(),
                source,
            });
        }
        self.packets += 1;
        self.counts.bytes = self.stream.taken();
        Ok(None)
    }
}

fn count(counts: &mut Counts, event: &Event<'_>) {
    match &event.kind {
        Kind::Alloc(alloc) => {
            counts.events += 1;
            counts.allocs += 1;
            if is_lost(&alloc.stack) {
                counts.lost_hits = counts.lost_hits.saturating_add(alloc.samples);
            }
        }
        Kind::Collect(_) => counts.events += 1,
        Kind::Location(_) | Kind::Promote(_) => {}
    }
}

#[cfg(test)]
mod tests;
