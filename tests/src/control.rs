//! A client of the control port.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use hermon_machine::application::CONTROL_PORT;
use hermon_machine::qemu::{Forward, GUEST_BY_DHCP, Net};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::DEADLINE;

/// A port of this host that is forwarded to the guest's control port.
#[derive(Debug, Clone, Copy)]
pub struct Port(u16);

impl Port {
    /// Returns a port that is free now.
    ///
    /// # Panics
    /// Panics if there is none.
    pub fn free() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        Self(listener.local_addr().expect("bound").port())
    }

    /// Returns the address on this host.
    pub const fn address(self) -> SocketAddrV4 {
        SocketAddrV4::new(Ipv4Addr::LOCALHOST, self.0)
    }

    /// Returns a user network that forwards the port to the guest at `address`.
    pub fn network_to(self, address: Ipv4Addr) -> Net {
        Net::User(vec![self.forward_to(address)])
    }

    /// Returns the forwarding of the port to the guest at `address`.
    pub fn forward_to(self, address: Ipv4Addr) -> Forward {
        Forward {
            host: self.0,
            address,
            guest: CONTROL_PORT,
        }
    }

    /// Returns a user network that forwards the port to a guest with an address by DHCP.
    pub fn network(self) -> Net {
        self.network_to(GUEST_BY_DHCP)
    }

    /// Connects to the control port.
    ///
    /// # Panics
    /// Panics if that is not possible.
    pub fn connect(self) -> Client {
        self.try_to_connect().expect("a connection")
    }

    fn try_to_connect(self) -> std::io::Result<Client> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.0))?;
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_nodelay(true)?;
        Ok(Client(BufReader::new(stream)))
    }

    /// Connects, sends, closes its half, and returns all bytes that come until the guest closes. If the guest refuses, there are no
    /// bytes.
    ///
    /// # Panics
    /// Panics if the guest does not close before the deadline.
    pub fn send_and_read_all(self, bytes: &[u8]) -> Vec<u8> {
        let mut client = match self.try_to_connect() {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return Vec::new(),
            client => client.expect("a connection"),
        };
        let stream = client.0.get_mut();
        // QEMU accepts before the guest does, so a refusal may come at any of these steps.
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

/// Returns whether the other side has ended the connection.
fn is_reset(kind: ErrorKind) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected};
    matches!(
        kind,
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected
    )
}

/// Returns the answer to a challenge: the hexadecimal HMAC-SHA-256 of its text, with the token as the key.
///
/// # Panics
/// Never panics: a key may have any length.
pub fn proof(token: &str, challenge: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("any length");
    mac.update(challenge.as_bytes());
    let proof = mac.finalize().into_bytes();
    proof.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A connection to the control port.
#[derive(Debug)]
pub struct Client(BufReader<TcpStream>);

impl Client {
    /// Sends a command, waits for its reply and returns it without the line's end.
    ///
    /// # Panics
    /// Panics if no reply comes before the deadline.
    pub fn ask(&mut self, command: &str) -> String {
        self.send(format!("{command}\n").as_bytes());
        self.line()
    }

    /// Proves to know the token, and returns the last answer.
    ///
    /// # Panics
    /// Panics like [`Client::ask`], and if there is no challenge.
    pub fn prove(&mut self, token: &str) -> String {
        let reply = self.ask("auth");
        let challenge = reply.strip_prefix("ok: ");
        let challenge = challenge.unwrap_or_else(|| panic!("no challenge: {reply}"));
        self.ask(&format!("auth {}", proof(token, challenge)))
    }

    /// Asks for the guest's uptime, in microseconds.
    ///
    /// # Panics
    /// Panics like [`Client::ask`], and if the status does not tell it.
    pub fn uptime_us(&mut self) -> i64 {
        let status = self.ask("s");
        let uptime = status
            .split(' ')
            .find_map(|field| field.strip_prefix("uptime_s="));
        let (seconds, micros) = uptime
            .and_then(|uptime| uptime.split_once('.'))
            .expect("the time");
        assert_eq!(micros.len(), 6, "{status}");
        format!("{seconds}{micros}").parse().expect("a number")
    }

    /// Sends bytes and reads nothing.
    ///
    /// # Panics
    /// Panics if the connection has ended.
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("a connection");
    }

    /// Waits for a line, and returns it without its end.
    ///
    /// # Panics
    /// Panics if no line comes before the deadline.
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

    /// Returns all bytes that come until the guest closes or resets.
    ///
    /// # Panics
    /// Panics if it does neither before the deadline.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Err(error) if is_reset(error.kind()) => {}
            other => drop(other.expect("the guest closes before the deadline")),
        }
        all
    }

    /// Waits until bytes have come and closes without reading them, which resets the connection.
    ///
    /// # Panics
    /// Panics if nothing comes before the deadline.
    pub fn reset(self) {
        let came = self.0.get_ref().peek(&mut [0]);
        assert!(came.expect("a reply before the deadline") > 0);
    }
}
