//! A connection's packets into a file, each whole or not at all.
//!
//! ```text
//!              the first packet (1)          the duration is over (3), a signal (4)
//!   Beginning ───────────────────▶ Receiving ──────────────────────────────────────▶ Ending
//!       │                             │            our half is closed                  │
//!       │ nothing comes, nothing      │ the image closes or resets (5),                │ the image closes (7),
//!       │ useful comes (2)            │ something breaks the format (6), it is full (9)                │ a second signal, DRAIN over (8)
//!       ▼                             ▼                                                ▼
//!     error                         over                                             over
//! ```
//! The image ends a trace when the client closes its half, and then still sends what it has: so at (3) and (4) nothing is
//! lost. Whatever ends it, the file holds whole packets: every memtrace tool reads it.

use core::fmt;
use core::sync::atomic::{AtomicU8, Ordering};
use core::time::Duration;
use std::fs::File;
use std::io::{self, Write};
use std::net::{Shutdown, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use hermon_heap::events::events;
use hermon_heap::profile::is_lost;
use hermon_heap::stream::{Front, Stream};
use hermon_machine::application::MEMTRACE_PORT;
use memtrace_reader::{Decoder, Error, Event, Kind};
use thiserror::Error;

use crate::address::{Address, ConnectError};
use crate::ending::{SAME, catch};
use crate::progress::{Counts, Line, Progress};

/// The longest time that the first packet may take. The image sends it at once.
const FIRST: Duration = Duration::from_secs(10);

/// The longest time that the image may take to send the rest and to close, once it was asked to end. It needs a quarter of a second.
const DRAIN: Duration = Duration::from_secs(3);

/// The longest time that a read may take before the progress line and the deadlines are looked after.
const TICK: Duration = Duration::from_millis(250);

/// The reason why nothing was captured.
#[derive(Debug, Error)]
pub(crate) enum CaptureError {
    /// No connection.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// No first packet in time.
    #[error("{address} sent no trace within {} s: is that the memtrace port?", FIRST.as_secs())]
    Silent {
        /// The address.
        address: Address,
    },
    /// Closed at once.
    #[error(
        "{0} closed the connection without a trace: it serves one client at a time, is there another?"
    )]
    Refused(Address),
    /// The connection failed before there was a trace.
    #[error("{address} sent no trace: {source}")]
    Read {
        /// The address.
        address: Address,
        /// The reason.
        source: io::Error,
    },
    /// Ended by a signal before there was a trace.
    #[error("ended before {0} sent a trace")]
    Ended(Address),
    /// The bytes are something else.
    #[error("{address} sends no trace: {fault}: is that the memtrace port?")]
    NotATrace {
        /// The address.
        address: Address,
        /// The first fault.
        fault: Error,
    },
    /// The file cannot be written. It was cut back to its last whole packet.
    #[error("cannot write {0}: {1}", path.display(), source)]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
}

/// The reason why a capture is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Over {
    /// The image ended the trace.
    Closed,
    /// It was long enough.
    Duration,
    /// A signal.
    Signal,
    /// We ended it, and the image did not close in time.
    Unanswered,
    /// The next packet would make it larger than it may be; that packet was not kept.
    Full,
    /// The connection failed.
    Failed(String),
    /// The image sent something that is not a trace; nothing of that packet was kept.
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
            Self::Full => f.write_str("it is as large as it may be"),
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
    /// Whole packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes that came of a packet that did not come whole: left out.
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

impl Connection {
    /// From now on SIGINT, SIGTERM and SIGHUP end the trace: the first asks the image to, the second waits for nothing.
    ///
    /// # Errors
    /// The system's.
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
                    // What is closed already needs no closing; whoever reads notices either way.
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

/// A capture.
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
    /// Bytes that it may have.
    limit: u64,
}

impl<'p> Capture<'p> {
    /// Into this file, which is empty and has this name.
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
        }
    }

    /// Tells somebody else how far it is, and not the terminal.
    pub(crate) fn told_to(self, progress: impl Progress + 'p) -> Self {
        let progress = Box::new(progress);
        Self { progress, ..self }
    }

    /// Ends it before the packet that would make it larger than so many bytes.
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
        // A connection that is gone is noticed by the next read.
        drop(self.stream.source().shutdown(Shutdown::Write));
        State::Ending {
            until: now + DRAIN,
            why,
        }
    }

    /// Waits for a packet, not beyond the next thing to look after, and keeps it. Tells when there will be none, and how many
    /// bytes are left out.
    fn step(&mut self, now: Instant, state: &State) -> Result<Option<(Over, usize)>, CaptureError> {
        let deadline = match state {
            State::Beginning { until }
            | State::Receiving { until: Some(until) }
            | State::Ending { until, .. } => Some(*until),
            State::Receiving { until: None } => None,
        };
        // Zero would mean no limit.
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

    /// Counts what is in a packet and writes it, if it is a good one.
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
            None => Decoder::new(&packet).map(|decoder| {
                let info = decoder.info();
                self.progress.scale(info.word_bytes as f64 / info.rate);
                self.decoder = Some(decoder);
            }),
        };
        if let Err(error) = read {
            return self.bad(error);
        }
        if let Err(source) = self.file.write_all(self.stream.bytes()) {
            // What the system took of the packet is taken back; if that fails, too, readers leave it out.
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
