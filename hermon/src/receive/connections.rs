//! The table of connections, and the conversation on each.
//!
//! ```text
//!            accepted (1)               a point (2)
//!  newcomer ─────────────▶ unknown ──────────────────▶ known, with its machine ──┐ a line (3)
//!                             │                          │         ▲─────────────┘
//!                             ▼                          ▼
//!         closed: its end, another protocol, too much that is not line protocol, silence, or a newcomer (4)
//! ```
//!
//! A newcomer always gets a place. If the table is full, [`Table::victim`] says who leaves it.

use core::net::{IpAddr, SocketAddr};
use core::sync::atomic::{AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use hermon_machine::split::{Piece, Splitter};

use super::arrival::{Arrival, Closing, Transport, What};
use super::foreign::{self, Foreign};
use crate::alive;
use crate::point::Point;

/// The most connections at a time. A network of unikernels has one connection each. The memory of the threads is the
/// reason for the bound.
pub(crate) const MAX_CONNECTIONS: usize = 64;

/// If the table is full and so many have not sent a point yet, one of these leaves it. So a flood of connections that
/// say nothing takes only so many places from others.
pub(crate) const MAX_UNKNOWN: usize = 16;

/// The most threads. A thread whose connection was replaced lives until the caller has taken its last lines.
const MAX_THREADS: usize = 2 * MAX_CONNECTIONS;

/// The time in which a connection must send its first point. An image sends when it has connected.
const FIRST: Duration = Duration::from_secs(60);

/// The longest silence of a connection that has sent points: three of an image's longest intervals, which are an hour.
const SILENCE: Duration = Duration::from_secs(3 * 3_600);

/// The number of lines that are not line protocol after which a connection that has sent no point is closed: enough
/// to see what is wrong with a sender.
pub(crate) const MAX_GARBAGE: u32 = 32;

/// The answer to an HTTP request.
const NO_HTTP: &str = "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 54\r\nConnection: close\r\n\r\n\
                       this port receives Influx line protocol, without HTTP\n";

/// The time in which a client that was answered must take the answer. Otherwise the unread rest of its request would
/// make the system throw the answer away.
const PARTING: Duration = Duration::from_secs(1);

/// The pause when the system has no more file descriptors: `accept` fails at once and would spin.
const REST: Duration = Duration::from_millis(100);

/// A machine, as far as a connection shows it: the peer's address and the tag `vm` of its first point.
type Machine = (IpAddr, String);

struct Place {
    number: u64,
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    /// The time of the last whole line; at first the time when it was accepted.
    heard: Instant,
    /// `None`: no point has come yet.
    machine: Option<Machine>,
}

/// The connections, in the order in which they were accepted.
#[derive(Default)]
struct Table(Vec<Place>);

impl Table {
    /// Returns the index of the connection that leaves a full table for a newcomer:
    /// 1. of too many that have sent no point, the oldest;
    /// 2. one whose machine has connected again since, the longest silent first;
    /// 3. then the longest silent of all.
    fn victim(&self) -> Option<usize> {
        let silent = |so: &dyn Fn(&Place) -> bool| {
            let those = self.0.iter().enumerate().filter(|(_, place)| so(place));
            those
                .min_by_key(|(_, place)| (place.heard, place.number))
                .map(|(at, _)| at)
        };
        if self.0.len() < MAX_CONNECTIONS {
            return None;
        }
        let is_unknown = |place: &Place| place.machine.is_none();
        if self.0.iter().filter(|place| is_unknown(place)).count() >= MAX_UNKNOWN {
            return silent(&is_unknown);
        }
        let is_superseded = |place: &Place| {
            !is_unknown(place)
                && self.0.iter().any(|other| {
                    other.number > place.number
                        && other.machine == place.machine
                        && other.heard > place.heard
                })
        };
        silent(&is_superseded).or_else(|| silent(&|_| true))
    }

    fn find(&mut self, number: u64) -> Option<&mut Place> {
        self.0.iter_mut().find(|place| place.number == number)
    }
}

/// The table, shared by the thread that accepts and those that read.
type Shared = Arc<Mutex<Table>>;

fn lock(table: &Mutex<Table>) -> MutexGuard<'_, Table> {
    // No code can leave the table half changed.
    table.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The caller has closed its channel.
pub(super) struct Closed;

/// Accepts connections and reads each in a thread, until `to` is closed.
pub(super) fn accept<E: From<Arrival> + Send + 'static>(tcp: &TcpListener, to: &SyncSender<E>) {
    let table = Shared::default();
    let threads = Arc::new(AtomicUsize::new(0));
    let give = |peer, what| {
        let arrival = Arrival::by(Transport::Tcp, peer, what);
        to.send(arrival.into()).map_err(|_| Closed)
    };
    for number in 0.. {
        let (stream, peer) = loop {
            match tcp.accept() {
                Ok(accepted) => break accepted,
                Err(_) => thread::sleep(REST),
            }
        };
        if threads.load(Ordering::Relaxed) >= MAX_THREADS {
            drop(stream);
            if give(peer, What::Refused).is_err() {
                return;
            }
            continue;
        }
        // Without the limits the connection is read all the same. The limit of silence remains.
        alive::watch(&stream).unwrap_or_default();
        let stream = Arc::new(stream);
        // (1)
        let replaced = {
            let mut table = lock(&table);
            let replaced = table.victim().map(|at| table.0.remove(at));
            table.0.push(Place {
                number,
                stream: Arc::clone(&stream),
                peer,
                heard: Instant::now(),
                machine: None,
            });
            replaced
        };
        // (4)
        if let Some(place) = replaced {
            // It fails if the peer has closed it meanwhile.
            place.stream.shutdown(Shutdown::Both).unwrap_or_default();
            let why = Closing::Replaced(place.heard.elapsed());
            if give(place.peer, What::Closed(why)).is_err() {
                return;
            }
        }
        threads.fetch_add(1, Ordering::Relaxed);
        let conversation = Conversation {
            number,
            stream,
            peer,
            table: Arc::clone(&table),
            to: to.clone(),
            heard: Instant::now(),
            is_known: false,
            is_first: true,
            garbage: 0,
        };
        let threads = Arc::clone(&threads);
        thread::spawn(move || {
            let (number, table) = (conversation.number, Arc::clone(&conversation.table));
            // If the caller is gone, this connection ends now, and the accepting thread at the next connection.
            let _: Result<(), Closed> = conversation.read();
            lock(&table).0.retain(|place| place.number != number);
            threads.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

/// What a connection's thread knows.
struct Conversation<E> {
    number: u64,
    stream: Arc<TcpStream>,
    peer: SocketAddr,
    table: Shared,
    to: SyncSender<E>,
    heard: Instant,
    /// `true` once a point has come.
    is_known: bool,
    /// `true` until a line has come.
    is_first: bool,
    /// Lines that are not line protocol, before the first point.
    garbage: u32,
}

impl<E: From<Arrival>> Conversation<E> {
    fn give(&self, what: What) -> Result<(), Closed> {
        let arrival = Arrival::by(Transport::Tcp, self.peer, what);
        self.to.send(arrival.into()).map_err(|_| Closed)
    }

    fn read(mut self) -> Result<(), Closed> {
        let mut splitter = Splitter::default();
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let length = match self.next(&mut buffer) {
                Ok(length) => length,
                Err(None) => break,
                // (4)
                Err(Some(why)) => return self.give(What::Closed(why)),
            };
            let mut end: Result<Option<What>, Closed> = Ok(None);
            let mut lines = false;
            splitter.feed(&buffer[..length], |piece| {
                lines = true;
                if matches!(end, Ok(None)) {
                    end = self.piece(piece);
                }
            });
            if self.is_first && matches!(end, Ok(None)) {
                end = Ok(foreign::by_beginning(splitter.rest()).map(What::Foreign));
            }
            // (4)
            if let Some(what) = end? {
                if what == What::Foreign(Foreign::Http) {
                    self.refuse_http(&mut buffer);
                }
                return self.give(what);
            }
            // (3)
            if lines && self.is_known {
                self.heard = Instant::now();
                let mut table = lock(&self.table);
                if let Some(place) = table.find(self.number) {
                    place.heard = self.heard;
                }
            }
        }
        if splitter.is_cut() {
            self.give(What::Cut(splitter.rest().to_vec()))?;
        }
        Ok(())
    }

    /// Reads what is there. The error is the reason for which the connection is closed here, or `None` at its end.
    fn next(&self, buffer: &mut [u8]) -> Result<usize, Option<Closing>> {
        let limit = if self.is_known { SILENCE } else { FIRST };
        loop {
            let silent = self.heard.elapsed();
            let left = limit.saturating_sub(silent);
            if left.is_zero() {
                return Err(Some(Closing::Silent(silent)));
            }
            // Fails only for a time of zero.
            self.stream.set_read_timeout(Some(left)).unwrap_or_default();
            match (&*self.stream).read(buffer) {
                Ok(0) => return Err(None),
                Ok(length) => return Ok(length),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock => {}
                    // Nobody has answered the system's questions.
                    io::ErrorKind::TimedOut | io::ErrorKind::HostUnreachable => {
                        return Err(Some(Closing::Vanished));
                    }
                    // A reset ends the connection as a close does. A line that it cut is reported.
                    _ => return Err(None),
                },
            }
        }
    }

    /// Passes on a piece. Returns the reason for the end, if this piece is one.
    fn piece(&mut self, piece: Piece<'_>) -> Result<Option<What>, Closed> {
        let line = match piece {
            Piece::Line(line) => line,
            Piece::TooLong(bytes) => {
                self.is_first = false;
                self.give(What::TooLong(bytes))?;
                return Ok(self.is_garbage());
            }
        };
        if core::mem::take(&mut self.is_first)
            && let Some(foreign) = foreign::by_first_line(line)
        {
            return Ok(Some(What::Foreign(foreign)));
        }
        let mut end = None;
        if !self.is_known {
            match Point::parse(line) {
                Ok(None) => {}
                Ok(Some(point)) => self.know(point.vm),
                Err(_) => end = self.is_garbage(),
            }
        }
        self.give(What::Line(line.to_vec()))?;
        Ok(end)
    }

    // (2)
    fn know(&mut self, vm: String) {
        self.is_known = true;
        let mut table = lock(&self.table);
        if let Some(place) = table.find(self.number) {
            place.machine = Some((self.peer.ip(), vm));
        }
    }

    fn is_garbage(&mut self) -> Option<What> {
        self.garbage += 1;
        let too_much = !self.is_known && self.garbage >= MAX_GARBAGE;
        too_much.then_some(What::Closed(Closing::Garbage))
    }

    fn refuse_http(&self, buffer: &mut [u8]) {
        let mut stream = &*self.stream;
        let until = Instant::now() + PARTING;
        // A client that takes no answer gets none.
        stream
            .set_write_timeout(Some(PARTING))
            .and_then(|()| stream.write_all(NO_HTTP.as_bytes()))
            .and_then(|()| stream.shutdown(Shutdown::Write))
            .unwrap_or_default();
        while let left = until.saturating_duration_since(Instant::now())
            && !left.is_zero()
            && stream.set_read_timeout(Some(left)).is_ok()
            && stream.read(buffer).is_ok_and(|length| length > 0)
        {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;

    /// A table of connections that were accepted in this order: machine (none if empty) and seconds of silence.
    fn table(places: &[(&str, u64)]) -> Table {
        let now = Instant::now() + Duration::from_secs(1_000_000);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let peer = listener.local_addr().unwrap();
        let stream = Arc::new(TcpStream::connect(peer).unwrap());
        let places = places.iter().zip(0..);
        let places = places.map(|(&(machine, silent), number)| Place {
            number,
            stream: Arc::clone(&stream),
            peer,
            heard: now - Duration::from_secs(silent),
            machine: (!machine.is_empty()).then(|| (peer.ip(), machine.to_owned())),
        });
        Table(places.collect())
    }

    #[test]
    fn the_longest_silent_leaves_and_only_when_the_table_is_full() {
        let names: Vec<String> = (0..MAX_CONNECTIONS).map(|n| format!("vm-{n}")).collect();
        let mut places: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 5)).collect();
        places[40].1 = 9;
        assert_eq!(table(&places[1..]).victim(), None);
        assert_eq!(table(&places).victim(), Some(40));
        // One that has said nothing yet may still do so.
        places[63] = ("", 8);
        assert_eq!(table(&places).victim(), Some(40));
    }

    #[test]
    fn a_machine_that_has_connected_again_loses_its_old_connection_first() {
        let names: Vec<String> = (0..MAX_CONNECTIONS).map(|n| format!("vm-{n}")).collect();
        let mut places: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 50)).collect();
        places[10] = ("again", 20);
        places[11] = ("again", 30);
        places[50] = ("again", 1);
        assert_eq!(table(&places).victim(), Some(11));
    }

    #[test]
    fn connections_that_say_nothing_replace_each_other() {
        let mut places = vec![("live", 9); MAX_CONNECTIONS - MAX_UNKNOWN];
        places.extend([("", 3); MAX_UNKNOWN - 1]);
        assert_eq!(table(&places).victim(), None);
        places.push(("", 4));
        assert_eq!(table(&places).victim(), Some(places.len() - 1));
        // Many may connect at once, for example after a restart of this tool.
        places.truncate(1);
        places.extend([("", 3); MAX_CONNECTIONS - 2]);
        assert_eq!(table(&places).victim(), None);
    }

    #[test]
    fn the_answer_says_how_long_it_is() {
        let (head, body) = NO_HTTP.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
    }
}
