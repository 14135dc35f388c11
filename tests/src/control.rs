//! A client of the control port.

use core::net::Ipv4Addr;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};

use hermon::application::CONTROL_PORT;
use hermon::qemu::{Forward, GUEST_BY_DHCP, Net};

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
        Net::User(vec![Forward {
            host: self.0,
            address,
            guest: CONTROL_PORT,
        }])
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
        self.0
            .get_mut()
            .write_all(format!("{command}\n").as_bytes())
            .expect("a connection");
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
}
