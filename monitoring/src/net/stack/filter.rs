//! Keeps one kind of frame from the stack: a SYN that asks the connection which we open ourselves to open.
//!
//! TCP allows both ends to open at once (RFC 9293, section 3.5), and smoltcp 0.14 does that, but a SYN that
//! arrives before its own has left (it waits for an ARP reply, say) makes it subtract sequence numbers below
//! zero and panic: `src/socket/tcp.rs`, `last_scaled_window`, where the window that was sent last is still 0.
//! Found by the test `noise_and_mangled_frames_end_nothing`. No receiver of metrics opens connections, so
//! nothing is lost with such frames, and one of them would end the image.

use smoltcp::phy::{Device, DeviceCapabilities, PacketMeta, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket};

/// A device without frames that would open a connection to `port`.
pub(super) struct Filter<'d, D: ?Sized> {
    pub(super) device: &'d mut D,
    /// `None`: every frame passes.
    pub(super) port: Option<u16>,
}

impl<D: Device + ?Sized> Device for Filter<'_, D> {
    type RxToken<'a>
        = Filtered<D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (token, reply) = self.device.receive(now)?;
        let port = self.port;
        Some((Filtered { token, port }, reply))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

pub(super) struct Filtered<T> {
    token: T,
    port: Option<u16>,
}

impl<T: RxToken> RxToken for Filtered<T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let port = self.port;
        self.token.consume(|frame| match port {
            // The interface takes an empty frame for none.
            Some(port) if opens(frame, port) => f(&[]),
            _ => f(frame),
        })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}

/// Whether the frame holds a TCP segment to `port` with SYN and without ACK.
fn opens(frame: &[u8], port: u16) -> bool {
    let segment = || {
        let frame = EthernetFrame::new_checked(frame).ok()?;
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return None;
        }
        let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
        if packet.next_header() != IpProtocol::Tcp {
            return None;
        }
        TcpPacket::new_checked(packet.payload()).ok()
    };
    segment().is_some_and(|segment| segment.dst_port() == port && segment.syn() && !segment.ack())
}
