//! A hostile cable: a host on the guest's network that sends any frame, from any address, and sees every frame.
//!
//! The honest side may be on the same cable: QEMU's own network with real sockets of this host, by a hub ([`Cable::beside`]).
//! Frames are made and read by the crate `etherparse`, so no network stack is involved, in particular not the guest's.
//!
//! A thread takes the frames from the socket at once. It answers ARP requests for the addresses that were given with
//! [`Cable::lives_at`], and keeps every frame until the test looks at it.

use core::net::{Ipv4Addr, SocketAddrV4};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use etherparse::{
    ArpOperation, ArpPacket, NetSlice, PacketBuilder, SlicedPacket, TcpHeader, TransportSlice,
};
use hermon_machine::qemu::{Forward, GUEST_MAC, Net};
use socket2::SockRef;

use crate::DEADLINE;

/// A hardware address.
pub type Mac = [u8; 6];

/// The hardware address of all Ethernet hosts.
pub const BROADCAST: Mac = [0xff; 6];

/// The room for frames that the thread has not taken yet. The system may give less.
const BUFFER_BYTES: usize = 4 << 20;

/// The time after which the thread looks whether the cable was dropped.
const LOOK: Duration = Duration::from_millis(100);

type Hosts = Arc<Mutex<BTreeMap<Ipv4Addr, Mac>>>;

/// The cable, seen from the hostile host.
#[derive(Debug)]
pub struct Cable {
    socket: Arc<UdpSocket>,
    qemu: u16,
    hosts: Hosts,
    frames: Receiver<Vec<u8>>,
    dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Cable {
    /// Opens a cable on free ports of loopback.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn open() -> Self {
        let free = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let socket = Arc::new(free());
        let qemu = free().local_addr().expect("bound").port();
        socket.set_read_timeout(Some(LOOK)).expect("not zero");
        drop(SockRef::from(&*socket).set_recv_buffer_size(BUFFER_BYTES));
        let (hosts, dropped) = (Hosts::default(), Arc::new(AtomicBool::new(false)));
        let (to, frames) = channel();
        let thread = thread::spawn({
            let (socket, hosts, dropped) = (socket.clone(), hosts.clone(), dropped.clone());
            move || {
                let mut buffer = [0; 65_536];
                while !dropped.load(Ordering::Relaxed) {
                    let frame = match socket.recv(&mut buffer) {
                        Ok(length) => &buffer[..length],
                        // A refusal is QEMU's end.
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                        Err(error)
                            if matches!(
                                error.kind(),
                                ErrorKind::WouldBlock | ErrorKind::TimedOut
                            ) =>
                        {
                            continue;
                        }
                        Err(error) => panic!("{error}"),
                    };
                    if let Some(reply) = answer(frame, &hosts) {
                        drop(socket.send_to(&reply, (Ipv4Addr::LOCALHOST, qemu)));
                    }
                    if to.send(frame.to_vec()).is_err() {
                        return;
                    }
                }
            }
        });
        Self {
            socket,
            qemu,
            hosts,
            frames,
            dropped,
            thread: Some(thread),
        }
    }

    /// Returns the network in which this cable is all there is.
    ///
    /// # Panics
    /// Never panics: the socket is bound.
    pub fn network(&self) -> Net {
        Net::Wire {
            qemu: self.qemu,
            peer: self.socket.local_addr().expect("bound").port(),
        }
    }

    /// Returns the network in which the guest is also on QEMU's own network, with these ports of this host leading to it. So an
    /// operator with real sockets and the receiver of metrics are at 10.0.2.2, and DHCP works.
    ///
    /// # Panics
    /// Never panics: the socket is bound.
    pub fn beside(&self, forwards: Vec<Forward>) -> Net {
        Net::Hub {
            forwards,
            qemu: self.qemu,
            peer: self.socket.local_addr().expect("bound").port(),
        }
    }

    /// Makes the cable answer ARP requests for this address with this hardware address.
    ///
    /// # Panics
    /// Panics if the thread has panicked.
    pub fn lives_at(&self, address: Ipv4Addr, mac: Mac) {
        let mut hosts = self.hosts.lock().expect("the thread runs");
        hosts.insert(address, mac);
    }

    /// Makes the cable answer ARP requests for this address no more.
    ///
    /// # Panics
    /// Panics if the thread has panicked.
    pub fn leaves(&self, address: Ipv4Addr) {
        let mut hosts = self.hosts.lock().expect("the thread runs");
        hosts.remove(&address);
    }

    /// Puts a frame on the cable. A frame that the system has no room for is lost, as on a real cable.
    pub fn send(&self, frame: &[u8]) {
        drop(self.socket.send_to(frame, (Ipv4Addr::LOCALHOST, self.qemu)));
    }

    /// Returns a function that puts frames on the cable, for another thread.
    pub fn sender(&self) -> impl Fn(&[u8]) + Send + use<> {
        let (socket, qemu) = (self.socket.clone(), self.qemu);
        move |frame| drop(socket.send_to(frame, (Ipv4Addr::LOCALHOST, qemu)))
    }

    /// Returns the next frame from which `wanted` returns a value. Frames before it are gone. Returns `None` when `patience` is
    /// over.
    ///
    /// # Panics
    /// Panics if the thread has panicked.
    pub fn see<T>(
        &self,
        patience: Duration,
        mut wanted: impl FnMut(&Packet<'_>) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.frames.recv_timeout(left) {
                Ok(frame) => {
                    if let Some(found) = Packet::of(&frame).and_then(|packet| wanted(&packet)) {
                        return Some(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => return None,
                Err(RecvTimeoutError::Disconnected) => panic!("the cable's thread has ended"),
            }
        }
    }

    /// Sends a frame each second until another one comes from which `wanted` returns a value.
    ///
    /// # Panics
    /// Panics if none comes before the deadline.
    pub fn until_answered<T>(
        &self,
        frame: &[u8],
        mut wanted: impl FnMut(&Packet<'_>) -> Option<T>,
    ) -> T {
        let until = Instant::now() + DEADLINE;
        while Instant::now() < until {
            self.send(frame);
            if let Some(found) = self.see(Duration::from_secs(1), &mut wanted) {
                return found;
            }
        }
        panic!("no answer");
    }

    /// Does the same as [`Cable::see`], until the deadline of the tests.
    ///
    /// # Panics
    /// Panics if no such frame comes.
    pub fn await_packet<T>(&self, what: &str, wanted: impl FnMut(&Packet<'_>) -> Option<T>) -> T {
        let seen = self.see(DEADLINE, wanted);
        seen.unwrap_or_else(|| panic!("{what} did not come"))
    }

    /// Forgets the frames that have come.
    pub fn forget(&self) {
        while self.frames.try_recv().is_ok() {}
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(frame: &[u8], hosts: &Hosts) -> Option<Vec<u8>> {
    let Some(Packet::Arp(arp)) = Packet::of(frame) else {
        return None;
    };
    let hosts = hosts.lock().ok()?;
    let &mac = hosts.get(&arp.to).filter(|_| arp.is_request)?;
    Some(
        Arp {
            is_request: false,
            mac,
            from: arp.to,
            target: arp.mac,
            to: arp.from,
        }
        .frame(arp.mac),
    )
}

/// A frame that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'f> {
    /// ARP for IPv4 over Ethernet.
    Arp(Arp),
    /// UDP over IPv4.
    Udp(Datagram<'f>),
    /// TCP over IPv4.
    Tcp(Segment<'f>),
}

impl<'f> Packet<'f> {
    /// Reads a frame. Returns `None` for other protocols and for what is damaged; checksums are not looked at.
    pub fn of(frame: &'f [u8]) -> Option<Self> {
        let packet = SlicedPacket::from_ethernet(frame).ok()?;
        let ip = match packet.net? {
            NetSlice::Arp(arp) => return Arp::of(&arp.to_packet()).map(Self::Arp),
            NetSlice::Ipv4(ip) => ip,
            NetSlice::Ipv6(_) => return None,
        };
        let from = ip.header().source_addr();
        let to = ip.header().destination_addr();
        match packet.transport? {
            TransportSlice::Udp(udp) => Some(Self::Udp(Datagram {
                from: SocketAddrV4::new(from, udp.source_port()),
                to: SocketAddrV4::new(to, udp.destination_port()),
                payload: udp.payload(),
            })),
            TransportSlice::Tcp(tcp) => Some(Self::Tcp(Segment {
                from: SocketAddrV4::new(from, tcp.source_port()),
                to: SocketAddrV4::new(to, tcp.destination_port()),
                sequence: tcp.sequence_number(),
                acknowledgment: tcp.ack().then(|| tcp.acknowledgment_number()),
                syn: tcp.syn(),
                fin: tcp.fin(),
                rst: tcp.rst(),
                window: tcp.window_size(),
                payload: tcp.payload(),
            })),
            _ => None,
        }
    }
}

/// An ARP packet (RFC 826).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arp {
    /// A request, or a reply.
    pub is_request: bool,
    /// The sender's hardware address.
    pub mac: Mac,
    /// The sender's address.
    pub from: Ipv4Addr,
    /// The target's hardware address; zeros in a request.
    pub target: Mac,
    /// The target's address.
    pub to: Ipv4Addr,
}

impl Arp {
    /// Returns the request of a host for the hardware address of `to`.
    pub const fn request(mac: Mac, from: Ipv4Addr, to: Ipv4Addr) -> Self {
        Self {
            is_request: true,
            mac,
            from,
            target: [0; 6],
            to,
        }
    }

    fn of(arp: &ArpPacket) -> Option<Self> {
        let is_request = match arp.operation {
            ArpOperation::REQUEST => true,
            ArpOperation::REPLY => false,
            _ => return None,
        };
        let address = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).ok().map(Ipv4Addr::from);
        Some(Self {
            is_request,
            mac: arp.sender_hw_addr().try_into().ok()?,
            from: address(arp.sender_protocol_addr())?,
            target: arp.target_hw_addr().try_into().ok()?,
            to: address(arp.target_protocol_addr())?,
        })
    }

    /// Returns the frame that carries the packet to `destination`.
    ///
    /// # Panics
    /// Never panics: the sizes are those of Ethernet and IPv4.
    pub fn frame(&self, destination: Mac) -> Vec<u8> {
        let operation = if self.is_request {
            ArpOperation::REQUEST
        } else {
            ArpOperation::REPLY
        };
        let (from, to) = (self.from.octets(), self.to.octets());
        let packet = ArpPacket::new(
            etherparse::ArpHardwareId::ETHERNET,
            etherparse::EtherType::IPV4,
            operation,
            &self.mac,
            &from,
            &self.target,
            &to,
        )
        .expect("addresses of the right sizes");
        let builder = PacketBuilder::ethernet2(self.mac, destination).arp(packet);
        let mut frame = Vec::with_capacity(builder.size());
        builder.write(&mut frame).expect("memory takes it");
        frame
    }
}

/// A UDP datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagram<'f> {
    /// The sender.
    pub from: SocketAddrV4,
    /// The receiver.
    pub to: SocketAddrV4,
    /// The data.
    pub payload: &'f [u8],
}

impl Datagram<'_> {
    /// Returns the frame that carries the datagram from this hardware address to the guest.
    ///
    /// # Panics
    /// Panics if the data is too long for IPv4.
    pub fn frame(&self, mac: Mac) -> Vec<u8> {
        let builder = PacketBuilder::ethernet2(mac, GUEST_MAC)
            .ipv4(self.from.ip().octets(), self.to.ip().octets(), 64)
            .udp(self.from.port(), self.to.port());
        let mut frame = Vec::with_capacity(builder.size(self.payload.len()));
        let written = builder.write(&mut frame, self.payload);
        written.expect("a short datagram");
        frame
    }
}

/// A TCP segment, without options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment<'f> {
    /// The sender.
    pub from: SocketAddrV4,
    /// The receiver.
    pub to: SocketAddrV4,
    /// The number of the first byte.
    pub sequence: u32,
    /// The number of the next byte that is expected, if the flag ACK is set.
    pub acknowledgment: Option<u32>,
    /// The flag SYN.
    pub syn: bool,
    /// The flag FIN.
    pub fin: bool,
    /// The flag RST.
    pub rst: bool,
    /// The receive window.
    pub window: u16,
    /// The data.
    pub payload: &'f [u8],
}

impl<'f> Segment<'f> {
    /// Returns a segment without flags and data.
    pub const fn new(from: SocketAddrV4, to: SocketAddrV4, sequence: u32) -> Self {
        Self {
            from,
            to,
            sequence,
            acknowledgment: None,
            syn: false,
            fin: false,
            rst: false,
            window: 64_240,
            payload: &[],
        }
    }

    /// Returns the first segment of a connection.
    pub const fn syn(from: SocketAddrV4, to: SocketAddrV4, sequence: u32) -> Self {
        Self {
            syn: true,
            ..Self::new(from, to, sequence)
        }
    }

    /// Sets the acknowledgment.
    #[must_use]
    pub const fn ack(self, acknowledgment: u32) -> Self {
        Self {
            acknowledgment: Some(acknowledgment),
            ..self
        }
    }

    /// Sets the data.
    #[must_use]
    pub const fn data(self, payload: &'f [u8]) -> Self {
        Self { payload, ..self }
    }

    /// Returns the frame that carries the segment from this hardware address to the guest.
    ///
    /// # Panics
    /// Panics if the data is too long for IPv4.
    pub fn frame(&self, mac: Mac) -> Vec<u8> {
        let mut header =
            TcpHeader::new(self.from.port(), self.to.port(), self.sequence, self.window);
        header.ack = self.acknowledgment.is_some();
        header.acknowledgment_number = self.acknowledgment.unwrap_or(0);
        (header.syn, header.fin, header.rst) = (self.syn, self.fin, self.rst);
        header.psh = !self.payload.is_empty();
        let builder = PacketBuilder::ethernet2(mac, GUEST_MAC)
            .ipv4(self.from.ip().octets(), self.to.ip().octets(), 64)
            .tcp_header(header);
        let mut frame = Vec::with_capacity(builder.size(self.payload.len()));
        let written = builder.write(&mut frame, self.payload);
        written.expect("a short segment");
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = [2, 0, 0, 0, 0, 9];
    const A: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 77), 1_000);
    const B: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 15), 2_323);

    #[test]
    fn frames_are_read_back() {
        let segment = Segment::syn(A, B, 7).ack(9).data(b"M\n");
        assert_eq!(Packet::of(&segment.frame(MAC)), Some(Packet::Tcp(segment)));
        let datagram = Datagram {
            from: A,
            to: B,
            payload: b"abc",
        };
        assert_eq!(
            Packet::of(&datagram.frame(MAC)),
            Some(Packet::Udp(datagram))
        );
        let arp = Arp::request(MAC, *A.ip(), *B.ip());
        assert_eq!(Packet::of(&arp.frame(BROADCAST)), Some(Packet::Arp(arp)));
        assert_eq!(Packet::of(&[0; 13]), None);
    }
}
