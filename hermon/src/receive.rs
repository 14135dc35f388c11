//! Receives line protocol over UDP and TCP from one port, both at once, in bounded memory.
//!
//! One thread reads datagrams, one accepts connections, one more reads each connection. All hand single lines to one
//! channel of the caller's. When the caller is behind, a connection waits (TCP then slows its sender down), but a
//! datagram cannot wait: its lines are left out and counted.

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use core::time::Duration;
use std::io::{self, Read};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;

use hermon_machine::split::{Piece, Splitter};
use rustix::net::sockopt::set_socket_recv_buffer_size;
use thiserror::Error;

use crate::dropped;

/// Connections at a time. A network of unikernels has one each; the threads' memory is the bound's reason.
pub(crate) const MAX_CONNECTIONS: usize = 64;

/// Lines that wait to be shown: some bursts of an image with 1,000 series, while the view looks at its 10,000 fields. Usual
/// lines take 1 MiB; if all were as long as [`hermon_machine::split::MAX_LINE`], 256 MiB.
pub(crate) const MAX_WAITING: usize = 4_096;

/// The bytes of datagrams that the system is asked to keep until they are read. It gives less where its limit
/// (`net.core.rmem_max`) is lower.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The number of ports to try when the system chose one for TCP that is taken for UDP.
const TRIES: usize = 16;

/// The rest when the system has no more file descriptors: `accept` fails at once and would spin.
const REST: Duration = Duration::from_millis(100);

/// The transport a line came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// One datagram.
    Udp,
    /// A connection.
    Tcp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
        })
    }
}

/// Something that came from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// By which way.
    pub transport: Transport,
    /// From whom.
    pub peer: SocketAddr,
    /// The content.
    pub what: What,
}

impl Arrival {
    /// By this way, from this peer.
    pub(crate) const fn by(transport: Transport, peer: SocketAddr, what: What) -> Self {
        Self {
            transport,
            peer,
            what,
        }
    }
}

/// The content of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// A line of so many bytes was left out because it is longer than [`hermon_machine::split::MAX_LINE`].
    TooLong(u64),
    /// The connection ended within this line.
    Cut(Vec<u8>),
    /// The connection was closed at once: there are [`MAX_CONNECTIONS`] already.
    Refused,
}

impl What {
    /// The bytes that came.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Line(bytes) | Self::Cut(bytes) => bytes,
            Self::TooLong(_) | Self::Refused => &[],
        }
    }
}

/// The losses of a port, of what was sent to it by UDP.
#[derive(Debug, Clone)]
pub(crate) struct Losses {
    address: SocketAddr,
    lost: Arc<AtomicU64>,
}

impl Losses {
    /// Lines that arrived while the caller was behind.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Datagrams that the system dropped before they were read; 0 where it does not tell.
    pub(crate) fn dropped(&self) -> u64 {
        dropped::datagrams(self.address).unwrap_or(0)
    }
}

/// The reason why nothing can be received.
#[derive(Debug, Error)]
#[error("cannot listen on {transport} port {address}: {source}")]
pub(crate) struct BindError {
    /// For UDP or TCP.
    pub transport: Transport,
    /// The address asked for.
    pub address: SocketAddr,
    /// The system's word.
    pub source: io::Error,
}

/// A port that is open for both transports and not yet read from.
#[derive(Debug)]
pub(crate) struct Port {
    udp: UdpSocket,
    tcp: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Opens a port; port 0 is any that is free for both transports.
    ///
    /// # Errors
    /// [`BindError`] for the first transport that cannot be had.
    pub(crate) fn open(address: SocketAddr) -> Result<Self, BindError> {
        let failed = |transport, address| {
            move |source| BindError {
                transport,
                address,
                source,
            }
        };
        let mut tries = 1..=TRIES;
        loop {
            let tcp = TcpListener::bind(address).map_err(failed(Transport::Tcp, address))?;
            let bound = tcp.local_addr().map_err(failed(Transport::Tcp, address))?;
            tries.next();
            match UdpSocket::bind(bound) {
                Ok(udp) => {
                    // As much as there is; what finds no room is counted (see `dropped`).
                    set_socket_recv_buffer_size(&udp, RECEIVE_BUFFER).unwrap_or_default();
                    return Ok(Self {
                        udp,
                        tcp,
                        address: bound,
                    });
                }
                Err(_) if address.port() == 0 && !tries.is_empty() => {}
                Err(source) => return Err(failed(Transport::Udp, bound)(source)),
            }
        }
    }

    /// The address, with the port that it really has.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to receive, until `to` is closed or the process ends.
    pub(crate) fn start<E: From<Arrival> + Send + 'static>(self, to: SyncSender<E>) -> Losses {
        let losses = Losses {
            address: self.address,
            lost: Arc::default(),
        };
        let (udp, tcp) = (self.udp, self.tcp);
        thread::spawn({
            let (to, lost) = (to.clone(), Arc::clone(&losses.lost));
            move || read_datagrams(&udp, &to, &lost)
        });
        thread::spawn(move || accept(&tcp, &to));
        losses
    }
}

/// The caller no longer wants anything.
struct Closed;

fn read_datagrams<E: From<Arrival>>(udp: &UdpSocket, to: &SyncSender<E>, lost: &AtomicU64) {
    // No datagram is longer: the length in its header has 16 bits.
    let mut buffer = vec![0; 1 << 16];
    loop {
        let (length, peer) = match udp.recv_from(&mut buffer) {
            Ok(received) => received,
            // An ICMP error or a signal concerns one call only.
            Err(_) => continue,
        };
        for line in buffer[..length]
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let what = What::Line(line.strip_suffix(b"\r").unwrap_or(line).to_vec());
            match to.try_send(Arrival::by(Transport::Udp, peer, what).into()) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
                Err(TrySendError::Disconnected(_)) => return,
            }
        }
    }
}

fn accept<E: From<Arrival> + Send + 'static>(tcp: &TcpListener, to: &SyncSender<E>) {
    let open = Arc::new(AtomicUsize::new(0));
    loop {
        let (stream, peer) = match tcp.accept() {
            Ok(accepted) => accepted,
            Err(_) => {
                thread::sleep(REST);
                continue;
            }
        };
        // Only this thread adds, so the limit holds.
        if open.load(Ordering::Relaxed) >= MAX_CONNECTIONS {
            drop(stream);
            let refused = Arrival::by(Transport::Tcp, peer, What::Refused);
            if to.send(refused.into()).is_err() {
                return;
            }
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (to, open) = (to.clone(), Arc::clone(&open));
        thread::spawn(move || {
            // That nobody listens any more ends this connection, and the accepting thread at the next one.
            let _: Result<(), Closed> = read_connection(stream, peer, &to);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn read_connection<E: From<Arrival>>(
    mut stream: TcpStream,
    peer: SocketAddr,
    to: &SyncSender<E>,
) -> Result<(), Closed> {
    let give = |what| {
        let arrival = Arrival::by(Transport::Tcp, peer, what);
        to.send(arrival.into()).map_err(|_| Closed)
    };
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let length = match stream.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            // A reset ends the connection as a close does; what it cut is told below.
            Err(_) => break,
        };
        let mut given = Ok(());
        splitter.feed(&buffer[..length], |piece| {
            if given.is_ok() {
                given = give(match piece {
                    Piece::Line(line) => What::Line(line.to_vec()),
                    Piece::TooLong(bytes) => What::TooLong(bytes),
                });
            }
        });
        given?;
    }
    if splitter.is_cut() {
        give(What::Cut(splitter.rest().to_vec()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use std::io::Write;
    use std::sync::mpsc::{Receiver, sync_channel};

    const DEADLINE: Duration = Duration::from_secs(10);

    fn port() -> Port {
        Port::open((Ipv4Addr::LOCALHOST, 0).into()).expect("a free port")
    }

    fn lines(from: &Receiver<Arrival>, count: usize) -> Vec<What> {
        (0..count)
            .map(|_| from.recv_timeout(DEADLINE).expect("an arrival").what)
            .collect()
    }

    fn line(text: &str) -> What {
        What::Line(text.into())
    }

    #[test]
    fn both_transports_arrive_from_one_port() {
        let (port, (to, from)) = (port(), sync_channel::<Arrival>(8));
        let address = port.address();
        port.start(to);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.send_to(b"a v=1\nb v=2\r\n", address).unwrap();
        assert_eq!(lines(&from, 2), [line("a v=1"), line("b v=2")]);
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(b"c v=3\nd v").unwrap();
        let first = from.recv_timeout(DEADLINE).unwrap();
        assert_eq!(
            (first.transport, first.peer),
            (Transport::Tcp, tcp.local_addr().unwrap())
        );
        drop(tcp);
        assert_eq!(lines(&from, 1), [What::Cut(b"d v".to_vec())]);
    }

    #[test]
    fn datagrams_that_nobody_waits_for_are_counted_and_connections_wait() {
        let (port, (to, from)) = (port(), sync_channel::<Arrival>(1));
        let address = port.address();
        let lost = port.start(to);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        udp.send_to(b"a v=1\nb v=2\nc v=3\n", address).unwrap();
        while lost.lost() < 2 {
            thread::yield_now();
        }
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(b"d v=4\ne v=5\n").unwrap();
        drop(tcp);
        assert_eq!(
            lines(&from, 3),
            [line("a v=1"), line("d v=4"), line("e v=5")]
        );
        assert_eq!(lost.lost(), 2);
    }

    #[test]
    fn connections_over_the_limit_are_refused_and_room_is_made_when_one_ends() {
        let (port, (to, from)) = (port(), sync_channel::<Arrival>(8));
        let address = port.address();
        port.start(to);
        let mut open: Vec<TcpStream> = Vec::new();
        for n in 0..MAX_CONNECTIONS {
            let mut tcp = TcpStream::connect(address).unwrap();
            writeln!(tcp, "m v={n}").unwrap();
            assert_eq!(lines(&from, 1), [line(&format!("m v={n}"))]);
            open.push(tcp);
        }
        let over = TcpStream::connect(address).unwrap();
        assert_eq!(lines(&from, 1), [What::Refused]);
        drop(over);
        write!(open[0], "cut").unwrap();
        drop(open.remove(0));
        assert_eq!(lines(&from, 1), [What::Cut(b"cut".to_vec())]);
        // Its thread is about to leave; until it has, a connection may still be refused.
        loop {
            let mut tcp = TcpStream::connect(address).unwrap();
            drop(tcp.write_all(b"in\n"));
            match from.recv_timeout(DEADLINE).unwrap().what {
                What::Refused => continue,
                what => break assert_eq!(what, line("in")),
            }
        }
    }

    #[test]
    fn a_taken_port_is_an_error_that_names_it() {
        let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = Port::open(address).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with(&format!("cannot listen on udp port {address}: ")),
            "{error}"
        );
    }
}
