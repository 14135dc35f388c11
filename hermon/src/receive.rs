//! Receives line protocol over UDP and TCP from one port, both at once, in bounded memory.
//!
//! One thread reads datagrams, one accepts connections, and one more reads each connection. All pass single lines to
//! one channel of the caller. When the caller is behind, a connection waits, and TCP then slows its sender down. A
//! datagram cannot wait: its lines are left out and counted.

mod arrival;
mod connections;
mod foreign;

use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, TrySendError};
use std::thread;

use rustix::net::sockopt::set_socket_recv_buffer_size;
use thiserror::Error;

use crate::dropped;

pub(crate) use arrival::{Arrival, Closing, Transport, What};

/// The number of lines that wait to be shown: some bursts of an image with 1,000 series, while the view looks at its
/// 10,000 fields. Usual lines take 1 MiB. If all were as long as [`hermon_machine::split::MAX_LINE`], they would take
/// 256 MiB.
pub(crate) const MAX_WAITING: usize = 4_096;

/// The size of the system's buffer for unread datagrams, in bytes. The system gives less where its limit
/// (`net.core.rmem_max`) is lower.
const RECEIVE_BUFFER: usize = 4 << 20;

/// The number of ports to try when the system chose one for TCP that is taken for UDP.
const TRIES: usize = 16;

/// The losses of a port, of data sent to it by UDP.
#[derive(Debug, Clone)]
pub(crate) struct Losses {
    address: SocketAddr,
    lost: Arc<AtomicU64>,
}

impl Losses {
    /// Returns the number of lines that arrived while the caller was behind.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns the number of datagrams that the system dropped before they were read; 0 where the system does not say.
    pub(crate) fn dropped(&self) -> u64 {
        dropped::datagrams(self.address).unwrap_or(0)
    }
}

/// The reason why nothing can be received.
#[derive(Debug, Error)]
#[error("cannot listen on {transport} port {address}: {source}")]
pub(crate) struct BindError {
    /// The transport: UDP or TCP.
    pub transport: Transport,
    /// The address asked for.
    pub address: SocketAddr,
    /// The system's error.
    pub source: io::Error,
}

/// A port that is open for both transports and not read yet.
#[derive(Debug)]
pub(crate) struct Port {
    udp: UdpSocket,
    tcp: TcpListener,
    address: SocketAddr,
}

impl Port {
    /// Opens a port. Port 0 is any port that is free for both transports.
    ///
    /// # Errors
    /// [`BindError`] for the first transport whose port cannot be opened.
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
                    // The system gives as much as it has. Datagrams that find no room are counted (see `dropped`).
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

    /// Returns the address, with the real port.
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
        thread::spawn(move || connections::accept(&tcp, &to));
        losses
    }
}

fn read_datagrams<E: From<Arrival>>(udp: &UdpSocket, to: &SyncSender<E>, lost: &AtomicU64) {
    // A datagram cannot be longer: the length in its header has 16 bits.
    let mut buffer = vec![0; 1 << 16];
    loop {
        let (length, peer) = match udp.recv_from(&mut buffer) {
            Ok(received) => received,
            // An ICMP error or a signal concerns one call only.
            Err(_) => continue,
        };
        let lines = buffer[..length]
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty());
        let foreign = lines.clone().next().and_then(foreign::by_first_line);
        let what = foreign.map(What::Foreign);
        let lines = lines
            .map(|line| What::Line(line.strip_suffix(b"\r").unwrap_or(line).to_vec()))
            .take(if foreign.is_some() { 0 } else { usize::MAX });
        for what in what.into_iter().chain(lines) {
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

#[cfg(test)]
mod tests {
    use super::connections::{MAX_CONNECTIONS, MAX_GARBAGE};
    use super::foreign::Foreign;
    use super::*;
    use core::net::Ipv4Addr;
    use core::time::Duration;
    use std::io::{Read, Write};
    use std::net::TcpStream;
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
    fn a_full_table_gives_the_place_of_the_longest_silent_to_a_newcomer() {
        let (port, (to, from)) = (port(), sync_channel::<Arrival>(8));
        let address = port.address();
        port.start(to);
        let mut open: Vec<TcpStream> = Vec::new();
        for n in 0..MAX_CONNECTIONS {
            let mut tcp = TcpStream::connect(address).unwrap();
            writeln!(tcp, "m,vm=v{n} v={n}").unwrap();
            assert_eq!(lines(&from, 1), [line(&format!("m,vm=v{n} v={n}"))]);
            open.push(tcp);
        }
        // The first two are silent for longest; the first says something.
        writeln!(open[0], "m,vm=v0 v=1").unwrap();
        assert_eq!(lines(&from, 1), [line("m,vm=v0 v=1")]);
        // Its thread notes the time after the line; the others are silent for longer in any case.
        for victim in [1, 2] {
            let mut over = TcpStream::connect(address).unwrap();
            let arrival = from.recv_timeout(DEADLINE).unwrap();
            assert!(
                matches!(arrival.what, What::Closed(Closing::Replaced(_))),
                "{arrival:?}"
            );
            if victim == 1 && arrival.peer == open[0].local_addr().unwrap() {
                // The note was not made yet.
                continue;
            }
            writeln!(over, "m,vm=new v=1").unwrap();
            assert_eq!(lines(&from, 1), [line("m,vm=new v=1")]);
            open.push(over);
        }
    }

    #[test]
    fn a_connection_that_sends_only_garbage_is_closed_after_a_stated_number() {
        let (port, (to, from)) = (port(), sync_channel::<Arrival>(128));
        let address = port.address();
        port.start(to);
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all("no point\n".repeat(100).as_bytes()).unwrap();
        let most = MAX_GARBAGE as usize;
        assert_eq!(lines(&from, most), vec![line("no point"); most]);
        assert_eq!(lines(&from, 1), [What::Closed(Closing::Garbage)]);
        // It is closed or reset.
        assert!(!matches!(tcp.read(&mut [0; 8]), Ok(1..)));
        // One that has sent a point may have a fault in any number of lines.
        let mut tcp = TcpStream::connect(address).unwrap();
        let text = format!("m v=1\n{}", "no point\n".repeat(99));
        tcp.write_all(text.as_bytes()).unwrap();
        assert_eq!(lines(&from, 100)[99], line("no point"));
    }

    #[test]
    fn another_protocol_is_one_fault_and_an_http_request_gets_one_answer() {
        let (port, (to, from)) = (port(), sync_channel::<Arrival>(8));
        let address = port.address();
        port.start(to);
        let request = "POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\nm v=1\nm v=2\n";
        let mut hello = vec![0x16, 3, 1, 0, 200, b'\n'];
        hello.extend_from_slice(b"m v=1\n");
        let mut tcp = TcpStream::connect(address).unwrap();
        tcp.write_all(request.as_bytes()).unwrap();
        tcp.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1);
        assert_eq!(lines(&from, 1), [What::Foreign(Foreign::Http)]);
        let mut tcp = TcpStream::connect(address).unwrap();
        for byte in &hello {
            // It is closed after the second byte.
            drop(tcp.write_all(&[*byte]));
        }
        assert!(!matches!(tcp.read(&mut [0; 8]), Ok(1..)));
        assert_eq!(lines(&from, 1), [What::Foreign(Foreign::Tls)]);
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        for (datagram, foreign) in [(request.as_bytes(), Foreign::Http), (&hello, Foreign::Tls)] {
            udp.send_to(datagram, address).unwrap();
            udp.send_to(b"after v=1", address).unwrap();
            assert_eq!(lines(&from, 2), [What::Foreign(foreign), line("after v=1")]);
        }
    }

    #[test]
    fn a_connection_has_limits_that_notice_a_peer_that_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        crate::alive::watch(&stream).unwrap();
        assert!(rustix::net::sockopt::socket_keepalive(&stream).unwrap());
        let idle = rustix::net::sockopt::tcp_keepidle(&stream).unwrap();
        assert_eq!(idle, Duration::from_secs(30));
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
