//! What comes to the port.

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use super::foreign::Foreign;

/// The transport by which a line came.
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

/// Data that came from a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The transport.
    pub transport: Transport,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The data.
    pub what: What,
}

impl Arrival {
    /// Creates an arrival by this transport, from this peer.
    pub(crate) const fn by(transport: Transport, peer: SocketAddr, what: What) -> Self {
        Self {
            transport,
            peer,
            what,
        }
    }
}

/// The data of an arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A whole line, without its end.
    Line(Vec<u8>),
    /// A line of so many bytes was left out because it is longer than [`hermon_machine::split::MAX_LINE`].
    TooLong(u64),
    /// The connection ended within this line.
    Cut(Vec<u8>),
    /// The connection was closed at once: there are too many whose lines wait for the caller.
    Refused,
    /// The datagram, or all that the connection would have sent, is of another protocol. The connection was closed.
    Foreign(Foreign),
    /// The connection was closed here.
    Closed(Closing),
}

/// The reason why a connection was closed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closing {
    /// A newcomer needed the place of this one, which was silent for so long.
    Replaced(Duration),
    /// It was silent for so long.
    Silent(Duration),
    /// Its peer is gone without a word.
    Vanished,
    /// It sent only lines that are not line protocol.
    Garbage,
}

impl What {
    /// Returns the bytes that came.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Line(bytes) | Self::Cut(bytes) => bytes,
            Self::TooLong(_) | Self::Refused | Self::Foreign(_) | Self::Closed(_) => &[],
        }
    }
}
