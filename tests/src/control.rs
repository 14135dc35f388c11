//! A client of the control port.

use core::net::Ipv4Addr;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use hermon_machine::application::CONTROL_PORT;
use hermon_machine::qemu::{Forward, GUEST_BY_DHCP, Net};

use crate::DEADLINE;

/// A port of this host that leads to the guest's control port.
#[derive(Debug, Clone, Copy)]
pub struct Port(u16);

impl Port {
    /// A port that is free now.
    ///
    /// # Panics
    /// If there is none.
    pub fn free() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self(listener.local_addr().expect("bound").port())
    }

    /// The user network in which it leads to the guest, whose address is `address`.
    pub fn network_to(self, address: Ipv4Addr) -> Net {
        Net::User(vec![self.forward_to(address)])
    }

    /// What leads it to the guest, whose address is `address`.
    pub fn forward_to(self, address: Ipv4Addr) -> Forward {
        Forward {
            host: self.0,
            address,
            guest: CONTROL_PORT,
        }
    }

    /// The user network in which it leads to a guest that asks for its address.
    pub fn network(self) -> Net {
        self.network_to(GUEST_BY_DHCP)
    }

    /// Connects.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn connect(self) -> Client {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0)).expect("a connection");
        stream.set_read_timeout(Some(DEADLINE)).expect("not zero");
        stream.set_nodelay(true).expect("a socket");
        Client(BufReader::new(stream))
    }

    /// Connects, sends, closes its half, and gives all that comes until the guest closes: nothing if it refuses.
    ///
    /// # Panics
    /// If the guest does not close before the deadline.
    pub fn send_and_read_all(self, bytes: &[u8]) -> Vec<u8> {
        let mut client = self.connect();
        let stream = client.0.get_mut();
        // QEMU accepts before the guest does, so a refusal may come at any of these.
        let sent = stream
            .write_all(bytes)
            .and_then(|()| stream.shutdown(Shutdown::Write));
        match sent {
            Err(error) if is_reset(error.kind()) => Vec::new(),
            other => {
                other.expect("a connection");
                client.rest()
            }
        }
    }
}

/// Whether the other side has ended the connection.
fn is_reset(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
    )
}

/// A connection to the control port.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Sends a command and waits for its reply, without the line's end.
    ///
    /// # Panics
    /// If there is none before the deadline.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\n").as_bytes());
        self.line()
    }

    /// Sends, and reads nothing.
    ///
    /// # Panics
    /// If the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("a connection");
    }

    /// Waits for a line, without its end.
    ///
    /// # Panics
    /// If there is none before the deadline.
    pub fn line(&mut self) -> String {
        let mut reply = String::new();
        self.0
            .read_line(&mut reply)
            .expect("a reply before the deadline");
        assert!(
            reply.ends_with('\n'),
            "the connection ended within {reply:?}"
        );
        reply.truncate(reply.trim_end().len());
        reply
    }

    /// All that comes until the guest closes or resets.
    ///
    /// # Panics
    /// If it does neither before the deadline.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Err(error) if is_reset(error.kind()) => {}
            other => drop(other.expect("the guest closes before the deadline")),
        }
        all
    }

    /// Waits until something has come and goes away without reading it, which ends the connection with a reset.
    ///
    /// # Panics
    /// If nothing comes before the deadline.
    pub fn reset(self) {
        let came = self.0.get_ref().peek(&mut [0]);
        assert!(came.expect("a reply before the deadline") > 0);
    }
}
