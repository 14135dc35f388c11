//! Clients that misbehave, each in a thread, until they are told to stop. What they get for it does not matter here.

use core::net::SocketAddr;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use socket2::SockRef;

use crate::machine::Machine;
use crate::watcher::Watcher;

/// A browser's request whose body would switch everything off.
const REQUEST: &[u8] = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 21\r\nOrigin: https://example.org\r\n\r\nM*:off\nL*:quiet\nT1e-3\n";

/// The beginning of a TLS handshake (RFC 8446, sections 4.1.2 and 5.1).
const HELLO: &[u8] = &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3];

/// Half of a request's header.
const HALF: &[u8] = b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: ";

/// The pause after each misdeed.
const PAUSE: Duration = Duration::from_millis(200);

/// The number of connections that a client opens at a time.
const MANY: usize = 12;

/// A client's name and the number of its misdeeds.
pub(crate) type Done = (&'static str, u64);

/// Starts all clients.
pub(crate) fn start(
    stop: &Arc<AtomicBool>,
    machines: &[Machine],
    watcher: &Watcher,
) -> Vec<JoinHandle<Done>> {
    let receiver = SocketAddr::from(([127, 0, 0, 1], watcher.port()));
    let page = watcher.page();
    let mut clients = vec![
        client("the receiver's", stop, move |turn| receive(receiver, turn)),
        client("the page's", stop, move |turn| browse(page, turn)),
    ];
    for machine in machines {
        let control = machine.ports().control.address().into();
        let memtrace = machine.ports().memtrace_address().into();
        clients.push(client("the control port's", stop, move |turn| {
            command(control, turn)
        }));
        clients.push(client("the memtrace port's", stop, move |turn| {
            trace(memtrace, turn)
        }));
    }
    clients
}

fn client(
    name: &'static str,
    stop: &Arc<AtomicBool>,
    mut misdeed: impl FnMut(u64) -> std::io::Result<()> + Send + 'static,
) -> JoinHandle<Done> {
    let stop = stop.clone();
    thread::spawn(move || {
        let mut done = 0;
        while !stop.load(Ordering::Relaxed) {
            drop(misdeed(done));
            done += 1;
            thread::sleep(PAUSE);
        }
        (name, done)
    })
}

fn connect(to: SocketAddr) -> std::io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

/// Sends bytes and reads what comes, if anything, until the other side closes or two seconds are over.
fn say(to: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = connect(to)?;
    stream.write_all(bytes)?;
    stream.read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Opens many connections, each with these bytes and nothing more, and holds them for a while.
fn hold(to: SocketAddr, bytes: &[u8], count: usize) -> std::io::Result<()> {
    let mut held = Vec::new();
    for _ in 0..count {
        let mut stream = connect(to)?;
        stream.write_all(bytes)?;
        held.push(stream);
    }
    thread::sleep(Duration::from_secs(3));
    Ok(())
}

/// Closes with a reset, without reading.
fn reset(to: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    let mut stream = connect(to)?;
    SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
    stream.write_all(bytes)
}

fn command(control: SocketAddr, turn: u64) -> std::io::Result<()> {
    match turn % 6 {
        0 => say(control, REQUEST),
        1 => say(control, HELLO),
        2 => hold(control, b"L", MANY),
        3 => reset(control, &b"S\n".repeat(200)),
        4 => say(control, &[0xff; 4_000]),
        _ => (0..MANY).try_for_each(|_| reset(control, b"m*\n")),
    }
}

fn trace(memtrace: SocketAddr, turn: u64) -> std::io::Result<()> {
    match turn % 4 {
        // An honest client that goes after a while.
        0 => {
            let mut stream = connect(memtrace)?;
            stream.read_exact(&mut vec![0; 100_000])
        }
        // One that does not read.
        1 => hold(memtrace, b"", 3),
        2 => say(memtrace, REQUEST),
        _ => reset(memtrace, b""),
    }
}

fn receive(receiver: SocketAddr, turn: u64) -> std::io::Result<()> {
    match turn % 5 {
        0 => say(receiver, REQUEST),
        1 => hold(receiver, b"m,vm=half v=1", MANY),
        2 => reset(receiver, b"m,vm=reset v=1i\nm,vm=reset v="),
        3 => {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.send_to(REQUEST, receiver)?;
            socket.send_to(&[0xff; 1_400], receiver)?;
            Ok(())
        }
        // Machines that nobody will see again.
        _ => say_and_go(receiver, format!("m,vm=gone-{turn} v={turn}i\n").as_bytes()),
    }
}

fn say_and_go(to: SocketAddr, bytes: &[u8]) -> std::io::Result<()> {
    connect(to)?.write_all(bytes)
}

fn browse(page: SocketAddr, turn: u64) -> std::io::Result<()> {
    match turn % 4 {
        0 => hold(page, HALF, MANY),
        1 => say(page, HELLO),
        // A page that is opened and not read.
        2 => hold(page, b"GET /events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 3),
        _ => reset(page, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    }
}
