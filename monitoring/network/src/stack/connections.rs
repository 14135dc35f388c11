//! The connections, as far as the gate must know them: smoltcp 0.14 errs with two kinds of segments.
//!
//! * It probes a window of 0 with a timer (`src/socket/tcp.rs`, `dispatch`). When the peer acknowledges all data and our
//!   FIN and its window stays 0, that timer goes on in FIN-WAIT-2, where nothing winds it up again. From then on every call
//!   sends an empty segment and there is always another one due. So in FIN-WAIT-1 a window of 0 becomes 1: then the
//!   retransmission timer does the probing, and it ends with the acknowledgment.
//! * A FIN at the end of a full window moves the beginning of the receive window behind its end, until the next
//!   acknowledgment leaves. Then a segment that begins 2^31 - 1 later is after the beginning and before the end, because
//!   numbers are compared modulo 2^32, and a subtraction panics (`process`, `overlap_end - segment_start`). So segments
//!   from the opposite end of the number space are dropped.

use core::net::SocketAddrV4;

use smoltcp::wire::{TcpPacket, TcpSeqNumber};

use super::numbers::adjusted;
use super::ports::Ports;
use crate::bounds::FRAMES_PER_ROUND;

/// The connections that the stack can have: one that carries metrics, and those of the ports. In one round a place may go
/// from connection to connection with each frame.
const CONNECTIONS: usize = 1 + Ports::SOCKETS + FRAMES_PER_ROUND;

/// Half of the number space, and the largest window with room to spare.
const OPPOSITE: u32 = i32::MAX as u32;
const WINDOW_MAX: u32 = 1 << 17;

/// The local port and the other end.
type Ends = (u16, SocketAddrV4);

#[derive(Clone, Copy, Debug)]
struct Connection {
    ends: Ends,
    /// `true` in FIN-WAIT-1.
    closes: bool,
    /// The last acknowledgment that has left.
    acknowledged: Option<TcpSeqNumber>,
}

/// The connections of all sockets.
#[derive(Debug)]
pub(super) struct Connections([Option<Connection>; CONNECTIONS]);

impl Connections {
    pub(super) const NONE: Self = Self([None; CONNECTIONS]);

    /// Takes all connections: their ends, and `true` for those in FIN-WAIT-1. None enters that state while frames are
    /// received.
    pub(super) fn follow(&mut self, sockets: impl Iterator<Item = (Ends, bool)>) {
        let mut all = Self::NONE;
        for (place, (ends, closes)) in all.0.iter_mut().zip(sockets) {
            *place = Some(Connection {
                ends,
                closes,
                acknowledged: self.get(ends).and_then(|it| it.acknowledged),
            });
        }
        *self = all;
    }

    fn get(&self, ends: Ends) -> Option<&Connection> {
        self.0.iter().flatten().find(|it| it.ends == ends)
    }

    /// Notes the acknowledgment of a segment that leaves.
    pub(super) fn acknowledge(&mut self, ends: Ends, number: TcpSeqNumber) {
        let known = |it: &Option<Connection>| it.is_some_and(|it| it.ends == ends);
        let place = self.0.iter().position(known);
        let place = place.or_else(|| self.0.iter().position(Option::is_none));
        // There is always a free one, see above.
        let place = &mut self.0[place.unwrap_or_default()];
        let closes = place.is_some_and(|it| it.ends == ends && it.closes);
        *place = Some(Connection {
            ends,
            closes,
            acknowledged: Some(number),
        });
    }

    /// Changes a segment that arrives. Returns `None` if smoltcp must not see it.
    pub(super) fn check(&self, ends: Ends, segment: &mut TcpPacket<&mut [u8]>) -> Option<()> {
        let Some(connection) = self.get(ends) else {
            return Some(());
        };
        if let Some(TcpSeqNumber(acknowledged)) = connection.acknowledged {
            let distance = segment.seq_number().0.wrapping_sub(acknowledged) as u32;
            if (OPPOSITE..OPPOSITE + WINDOW_MAX).contains(&distance) {
                return None;
            }
        }
        if segment.window_len() == 0 && connection.closes {
            segment.set_window_len(1);
            segment.set_checksum(adjusted(segment.checksum(), [0; 4], [0, 1, 0, 0]));
        }
        Some(())
    }
}
