//! Keeps two kinds of frames from the stack.
//!
//! **DHCP messages above a rate.** smoltcp 0.14 answers a refusal (NAK), a lease that ends at once and a reset with a
//! new request at once (`src/socket/dhcpv4.rs`). So a server that always refuses got 5,000 requests per second.
//!
//! **A SYN to the port of our outgoing connection.** TCP allows both ends to open at the same time (RFC 9293, section
//! 3.5), and smoltcp 0.14 supports it. But its own SYN may not have left yet, for example because it waits for an ARP
//! reply. A SYN that arrives before that makes smoltcp subtract sequence numbers below zero and panic:
//! `src/socket/tcp.rs`, `last_scaled_window`, where the last window sent is still 0. The test
//! `noise_and_mangled_frames_end_nothing` found it. No receiver of metrics opens connections, so dropping such frames
//! loses nothing, and one of them would end the image.

use core::cell::Cell;

use smoltcp::phy::{Device, DeviceCapabilities, PacketMeta, RxToken};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, Ipv4Packet, TcpPacket, UdpPacket,
};

use crate::bounds::{DHCP_BURST, DHCP_EVERY};
use units::Micros;

/// The port of DHCP clients (RFC 2131, section 4.1).
const DHCP_CLIENT: u16 = 68;

/// The number of DHCP messages that may pass: [`DHCP_BURST`], and one more every [`DHCP_EVERY`].
#[derive(Debug)]
pub(super) struct DhcpRate {
    left: Cell<u32>,
    dropped: Cell<u64>,
    /// The time when the last one was added.
    since: Micros,
}

impl DhcpRate {
    pub(super) const fn new(now: Micros) -> Self {
        Self {
            left: Cell::new(DHCP_BURST),
            dropped: Cell::new(0),
            since: now,
        }
    }

    /// Adds the messages that may pass since the last call.
    pub(super) fn follow(&mut self, now: Micros) {
        let earned = (now - self.since).0 / DHCP_EVERY.0;
        let left = u64::from(self.left.get()) + earned;
        self.left
            .set(u32::try_from(left).map_or(DHCP_BURST, |left| left.min(DHCP_BURST)));
        self.since += Micros(earned * DHCP_EVERY.0);
    }

    /// Returns the number of messages that did not pass.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped.get()
    }

    fn take(&self) -> bool {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        self.dropped
            .set(self.dropped.get() + u64::from(left.is_none()));
        left.is_some()
    }
}

/// A device without the frames that the module's documentation describes.
pub(super) struct Filter<'d, D: ?Sized> {
    pub(super) device: &'d mut D,
    /// The local port of the outgoing connection.
    pub(super) port: Option<u16>,
    pub(super) dhcp: &'d DhcpRate,
}

impl<D: Device + ?Sized> Device for Filter<'_, D> {
    type RxToken<'a>
        = Filtered<'a, D::RxToken<'a>>
    where
        Self: 'a;
    type TxToken<'a>
        = D::TxToken<'a>
    where
        Self: 'a;

    fn receive(&mut self, now: Instant) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        let (token, reply) = self.device.receive(now)?;
        let (port, dhcp) = (self.port, self.dhcp);
        Some((Filtered { token, port, dhcp }, reply))
    }

    fn transmit(&mut self, now: Instant) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

pub(super) struct Filtered<'d, T> {
    token: T,
    port: Option<u16>,
    dhcp: &'d DhcpRate,
}

impl<T: RxToken> RxToken for Filtered<'_, T> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        let (port, dhcp) = (self.port, self.dhcp);
        self.token.consume(|frame| {
            let passes = match ipv4(frame) {
                Some(packet) => match packet.next_header() {
                    IpProtocol::Tcp => !port.is_some_and(|port| opens(&packet, port)),
                    IpProtocol::Udp => !is_for_dhcp(&packet) || dhcp.take(),
                    _ => true,
                },
                None => true,
            };
            // The interface ignores an empty frame.
            f(if passes { frame } else { &[] })
        })
    }

    fn meta(&self) -> PacketMeta {
        self.token.meta()
    }
}

fn ipv4(frame: &[u8]) -> Option<Ipv4Packet<&[u8]>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    Ipv4Packet::new_checked(frame.payload()).ok()
}

/// Returns `true` if the packet holds a TCP segment to `port` with SYN and without ACK.
fn opens(packet: &Ipv4Packet<&[u8]>, port: u16) -> bool {
    TcpPacket::new_checked(packet.payload())
        .is_ok_and(|segment| segment.dst_port() == port && segment.syn() && !segment.ack())
}

fn is_for_dhcp(packet: &Ipv4Packet<&[u8]>) -> bool {
    UdpPacket::new_checked(packet.payload())
        .is_ok_and(|datagram| datagram.dst_port() == DHCP_CLIENT)
}
