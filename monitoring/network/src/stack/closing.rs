//! The connections that wait for the acknowledgment of our FIN, and the window of their peers.
//!
//! smoltcp 0.14 probes a window of 0 with a timer (`src/socket/tcp.rs`, `dispatch`). When the peer acknowledges all data
//! and the FIN and its window stays 0, that timer goes on in FIN-WAIT-2, where nothing winds it up again. From then on every
//! call sends an empty segment and there is always another one due. So in FIN-WAIT-1 a window of 0 becomes 1: then the
//! retransmission timer does the probing, and it ends with the acknowledgment.

use core::net::SocketAddrV4;

use smoltcp::wire::TcpPacket;

use super::numbers::adjusted;
use super::ports::Ports;

/// The connections that the stack can have: one that carries metrics, and those of the ports.
const CONNECTIONS: usize = 1 + Ports::SOCKETS;

/// The local port and the other end of each connection in FIN-WAIT-1.
#[derive(Debug)]
pub(super) struct Closing([Option<(u16, SocketAddrV4)>; CONNECTIONS]);

impl Closing {
    pub(super) const NONE: Self = Self([None; CONNECTIONS]);

    /// Takes all connections in FIN-WAIT-1. None enters that state while frames are received.
    pub(super) fn follow(&mut self, mut connections: impl Iterator<Item = (u16, SocketAddrV4)>) {
        self.0.fill_with(|| connections.next());
    }

    /// Opens the window of an arriving segment by one byte if it is 0 and the connection is one of these.
    pub(super) fn open_window(
        &self,
        local: u16,
        remote: SocketAddrV4,
        segment: &mut TcpPacket<&mut [u8]>,
    ) {
        if segment.window_len() == 0 && self.0.contains(&Some((local, remote))) {
            segment.set_window_len(1);
            segment.set_checksum(adjusted(segment.checksum(), [0; 4], [0, 1, 0, 0]));
        }
    }
}
