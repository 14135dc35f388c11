//! The rules for frames between the card and smoltcp: what passes, what is answered here, and what is changed.
//!
//! smoltcp sees only what its sockets can use:
//!
//! * **No ARP.** [`neighbours`](super::neighbours) asks and answers. smoltcp believes that it is in a network of two
//!   hosts (RFC 3021), whose other one is the router to everywhere, and is told that host's hardware address
//!   ([`Gate::introduction`]). The real one is set in every frame that leaves.
//! * **Numbers** are changed in both directions, see [`numbers`](super::numbers).
//! * **A host that may not connect** gets the reset of a closed port, which contains no number of ours (RFC 9293,
//!   section 3.10.7.1). It takes no socket.
//! * **Our outgoing connection** takes segments of its peer only, and only after its SYN has left; and no SYN without
//!   ACK, because no receiver of metrics opens connections. smoltcp computes the window that it last advertised, which
//!   is none before the SYN has left, and subtracts below zero: `src/socket/tcp.rs`, `last_scaled_window`. That panics.
//! * **A window of 0 for our FIN**, and **segments from the opposite end of the number space**: see
//!   [`connections`](super::connections).
//! * **DHCP** answers pass if they have the number of our question, at a bounded rate. smoltcp answers a refusal (NAK),
//!   a lease that ends at once and a reset with a new request at once (`src/socket/dhcpv4.rs`). So a server that always
//!   refuses got 5,000 requests per second.
//! * **Addresses** that no host can send from, fragments, and packets to others are dropped.

use core::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress,
    IpProtocol, Ipv4Packet, TcpPacket, TcpSeqNumber, UdpPacket,
};

use super::connections::Connections;
use super::dhcp_rate::DhcpRate;
use super::neighbours::{Neighbours, Question};
use super::numbers::Numbers;
use crate::address::Allow;
use crate::bounds::PARKED_MAX;
use crate::random::Key;
use units::Micros;

/// The port of DHCP clients (RFC 2131, section 4.1).
const DHCP_CLIENT: u16 = 68;

/// The hardware address of smoltcp's router, which is on no cable. It is locally administered.
const ROUTER: EthernetAddress = EthernetAddress([2, 0, 0, 0, 0, 1]);

/// Time after which smoltcp is told again: half of the minute after which it forgets (`src/iface/neighbor.rs`).
const INTRODUCED: Micros = Micros::from_secs(30);

/// The length of a frame with an ARP packet, and of one with a TCP segment without options and data.
const ARP_FRAME: usize = 42;
const RESET_FRAME: usize = 54;

/// What becomes of a frame that has arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Passes,
    /// It passes when a socket listens at this port, which none does now.
    Knocks(u16),
    Dropped,
    /// An answer of this length is in the buffer.
    Answered(usize),
}

/// What becomes of a frame that smoltcp sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    Sent,
    /// It is dropped, or waits for the hardware address of its next hop.
    Held,
}

/// The outgoing connection.
#[derive(Clone, Copy, Debug)]
struct Outgoing {
    remote: SocketAddrV4,
    port: u16,
    syn_has_left: bool,
}

/// The totals of all frames, with headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Traffic {
    pub frames_received: u64,
    pub bytes_received: u64,
    pub frames_sent: u64,
    pub bytes_sent: u64,
}

/// A port that listens, and the connections that were refused because of their address.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarded {
    pub port: u16,
    pub denied: u64,
    /// `true` while a socket listens.
    pub listens: bool,
}

/// The rules and what they remember.
#[derive(Debug)]
pub(super) struct Gate {
    pub neighbours: Neighbours,
    pub traffic: Traffic,
    pub dhcp: DhcpRate,
    pub connections: Connections,
    numbers: Numbers,
    allow: Allow,
    guarded: [Option<Guarded>; 2],
    outgoing: Option<Outgoing>,
    introduced: Option<Micros>,
    parked: Option<([u8; PARKED_MAX], usize)>,
}

impl Gate {
    /// Creates the rules: only addresses in `allow` may connect to `ports`.
    pub fn new(
        mac: EthernetAddress,
        key: Key,
        ports: [Option<u16>; 2],
        allow: Allow,
        now: Micros,
    ) -> Self {
        Self {
            neighbours: Neighbours::new(mac),
            traffic: Traffic::default(),
            dhcp: DhcpRate::new(now),
            connections: Connections::NONE,
            numbers: Numbers::new(key),
            allow,
            guarded: ports.map(|port| {
                port.map(|port| Guarded {
                    port,
                    denied: 0,
                    listens: true,
                })
            }),
            outgoing: None,
            introduced: None,
            parked: None,
        }
    }

    /// Returns the other host of smoltcp's network of two: the router to everywhere.
    pub fn router(own: Ipv4Addr) -> Ipv4Addr {
        Ipv4Addr::from_bits(own.to_bits() ^ 1)
    }

    /// Forgets the network that was left.
    pub fn forget(&mut self) {
        self.introduced = None;
        self.parked = None;
    }

    /// Follows the outgoing connection, whose port is new for each attempt.
    pub fn follow(&mut self, remote: SocketAddrV4, port: u16) {
        if self.outgoing.is_none_or(|it| it.port != port) {
            self.parked = None;
            self.outgoing = Some(Outgoing {
                remote,
                port,
                syn_has_left: false,
            });
        }
    }

    /// Notes whether a socket listens at this port.
    pub fn listens(&mut self, port: u16, listens: bool) {
        if let Some(guarded) = self.guarded.iter_mut().flatten().find(|it| it.port == port) {
            guarded.listens = listens;
        }
    }

    /// Returns the connections to this port that were refused because of their address.
    pub fn denied(&self, port: u16) -> u64 {
        let guarded = self.guarded.iter().flatten().find(|it| it.port == port);
        guarded.map_or(0, |it| it.denied)
    }

    /// Writes the frame that tells smoltcp the router's hardware address, if that is due. Returns its length.
    pub fn introduction(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        let own = self.neighbours.own()?;
        if self.introduced.is_some_and(|at| now < at + INTRODUCED) {
            return None;
        }
        self.introduced = Some(now);
        let mac = self.neighbours.mac();
        let arp = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: ROUTER,
            source_protocol_addr: Self::router(own),
            target_hardware_addr: mac,
            target_protocol_addr: own,
        };
        Some(emit_arp(&arp, mac, buffer))
    }

    /// Decides on a frame that has arrived. An answer is written to `answer`.
    pub fn arrived(&mut self, frame: &mut [u8], answer: &mut [u8], now: Micros) -> Arrived {
        self.traffic.frames_received += 1;
        self.traffic.bytes_received += frame.len() as u64;
        let verdict = self.judge(frame, answer, now);
        verdict.unwrap_or(Arrived::Dropped)
    }

    fn judge(&mut self, frame: &mut [u8], answer: &mut [u8], now: Micros) -> Option<Arrived> {
        let mut ethernet = EthernetFrame::new_checked(frame).ok()?;
        let (from, to) = (ethernet.src_addr(), ethernet.dst_addr());
        if !from.is_unicast() || (to != self.neighbours.mac() && !to.is_broadcast()) {
            return None;
        }
        match ethernet.ethertype() {
            EthernetProtocol::Arp => {
                let packet = ArpPacket::new_checked(ethernet.payload_mut()).ok()?;
                self.judge_arp(&ArpRepr::parse(&packet).ok()?, answer, now)
            }
            EthernetProtocol::Ipv4 => {
                let mut packet = Ipv4Packet::new_checked(ethernet.payload_mut()).ok()?;
                if packet.more_frags() || packet.frag_offset() != 0 {
                    return None;
                }
                let verdict = match packet.next_header() {
                    IpProtocol::Udp if self.is_for_dhcp(&packet) => {
                        let mut datagram = UdpPacket::new_checked(packet.payload_mut()).ok()?;
                        let answers = self.numbers.reveal_transaction(&mut datagram);
                        return (answers && self.dhcp.take()).then_some(Arrived::Passes);
                    }
                    _ if Some(packet.dst_addr()) != self.neighbours.own() => return None,
                    _ if !self.can_send(packet.src_addr()) => return None,
                    IpProtocol::Tcp => match self.judge_tcp(&mut packet, from, answer)? {
                        passes @ (Arrived::Passes | Arrived::Knocks(_)) => passes,
                        verdict => return Some(verdict),
                    },
                    _ => Arrived::Passes,
                };
                self.neighbours.meet(packet.src_addr(), from, now);
                Some(verdict)
            }
            _ => None,
        }
    }

    fn judge_arp(&mut self, arp: &ArpRepr, answer: &mut [u8], now: Micros) -> Option<Arrived> {
        let &ArpRepr::EthernetIpv4 {
            operation,
            source_hardware_addr,
            source_protocol_addr,
            target_protocol_addr,
            ..
        } = arp
        else {
            return None;
        };
        let own = self.neighbours.own()?;
        // A host that has no address yet asks from none (RFC 5227, section 2.1.1).
        if !source_protocol_addr.is_unspecified() {
            self.neighbours
                .hear(source_protocol_addr, source_hardware_addr, now);
        }
        let asks = operation == ArpOperation::Request && target_protocol_addr == own;
        if !asks || !source_hardware_addr.is_unicast() {
            return None;
        }
        let reply = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Reply,
            source_hardware_addr: self.neighbours.mac(),
            source_protocol_addr: own,
            target_hardware_addr: source_hardware_addr,
            target_protocol_addr: source_protocol_addr,
        };
        let length = emit_arp(&reply, source_hardware_addr, answer);
        Some(Arrived::Answered(length))
    }

    /// Returns `true` if a host can send from this address.
    fn can_send(&self, address: Ipv4Addr) -> bool {
        !(address.is_unspecified()
            || address.is_multicast()
            || address.is_loopback()
            || self.neighbours.is_broadcast(address)
            || Some(address) == self.neighbours.own())
    }

    fn is_for_dhcp(&self, packet: &Ipv4Packet<&mut [u8]>) -> bool {
        let bytes = packet_payload(packet);
        UdpPacket::new_checked(bytes).is_ok_and(|datagram| datagram.dst_port() == DHCP_CLIENT)
    }

    fn judge_tcp(
        &mut self,
        packet: &mut Ipv4Packet<&mut [u8]>,
        from: EthernetAddress,
        answer: &mut [u8],
    ) -> Option<Arrived> {
        let (remote, local) = (packet.src_addr(), packet.dst_addr());
        let mut segment = TcpPacket::new_checked(packet.payload_mut()).ok()?;
        let (to, by) = (segment.dst_port(), segment.src_port());
        let (remote, local) = (SocketAddrV4::new(remote, by), SocketAddrV4::new(local, to));
        let guarded = self.guarded.iter_mut().flatten().find(|it| it.port == to);
        if let Some(guarded) = guarded
            && !self.allow.contains(*remote.ip())
        {
            let addresses = (IpAddress::Ipv4(*remote.ip()), IpAddress::Ipv4(*local.ip()));
            if segment.rst() || !segment.verify_checksum(&addresses.0, &addresses.1) {
                return None;
            }
            guarded.denied += u64::from(segment.syn());
            let mac = self.neighbours.mac();
            let length = emit_reset(&segment, (mac, local), (from, remote), answer);
            return Some(Arrived::Answered(length));
        }
        if let Some(outgoing) = self.outgoing
            && to == outgoing.port
            && !(remote == outgoing.remote
                && outgoing.syn_has_left
                && (segment.ack() || !segment.syn()))
        {
            return None;
        }
        self.numbers.reveal(local, remote, &mut segment);
        self.connections.check((to, remote), &mut segment)?;
        let knocks = segment.syn() && !segment.ack() && !segment.rst();
        match self.guarded.iter().flatten().find(|it| it.port == to) {
            Some(guarded) if knocks && !guarded.listens => Some(Arrived::Knocks(to)),
            _ => Some(Arrived::Passes),
        }
    }

    /// Decides on a frame that smoltcp sends, and changes it to what others may see.
    pub fn leaving(&mut self, frame: &mut [u8]) -> Leaving {
        match self.address(frame) {
            Some(()) => {
                self.traffic.frames_sent += 1;
                self.traffic.bytes_sent += frame.len() as u64;
                Leaving::Sent
            }
            None => Leaving::Held,
        }
    }

    fn address(&mut self, frame: &mut [u8]) -> Option<()> {
        let mut opens = false;
        let mut ethernet = EthernetFrame::new_checked(&mut *frame).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv4 {
            // A question of smoltcp's own: it is told the answer without.
            return None;
        }
        let mut packet = Ipv4Packet::new_checked(ethernet.payload_mut()).ok()?;
        let (from, to) = (packet.src_addr(), packet.dst_addr());
        match packet.next_header() {
            IpProtocol::Tcp => {
                let mut segment = TcpPacket::new_checked(packet.payload_mut()).ok()?;
                let local = SocketAddrV4::new(from, segment.src_port());
                let remote = SocketAddrV4::new(to, segment.dst_port());
                if segment.ack() && !segment.rst() {
                    let ends = (local.port(), remote);
                    self.connections.acknowledge(ends, segment.ack_number());
                }
                self.numbers.hide(local, remote, &mut segment);
                let ours = self.outgoing.is_some_and(|it| it.port == local.port());
                opens = ours && segment.syn();
            }
            IpProtocol::Udp => {
                let mut datagram = UdpPacket::new_checked(packet.payload_mut()).ok()?;
                if datagram.src_port() == DHCP_CLIENT {
                    self.numbers.hide_transaction(&mut datagram);
                }
            }
            _ => {}
        }
        if to.is_broadcast() {
            return Some(());
        }
        let Some(hop) = self.neighbours.hop(to) else {
            if opens && frame.len() <= PARKED_MAX {
                let mut parked = [0; PARKED_MAX];
                parked[..frame.len()].copy_from_slice(frame);
                self.parked = Some((parked, frame.len()));
            }
            return None;
        };
        ethernet.set_dst_addr(hop);
        if opens {
            self.note_syn();
        }
        Some(())
    }

    /// Remembers that the SYN of the outgoing connection has left.
    fn note_syn(&mut self) {
        if let Some(outgoing) = &mut self.outgoing {
            outgoing.syn_has_left = true;
        }
    }

    /// Writes the next frame of our own that is due: a question, or a segment whose next hop is known now. Returns its
    /// length.
    pub fn due(&mut self, now: Micros, buffer: &mut [u8]) -> Option<usize> {
        let length = self.due_parked(buffer).or_else(|| {
            let question = self.neighbours.question(now)?;
            self.ask(question, buffer)
        })?;
        self.traffic.frames_sent += 1;
        self.traffic.bytes_sent += length as u64;
        Some(length)
    }

    fn due_parked(&mut self, buffer: &mut [u8]) -> Option<usize> {
        let (frame, length) = &mut self.parked?;
        let mut ethernet = EthernetFrame::new_unchecked(&mut frame[..*length]);
        let to = Ipv4Packet::new_checked(ethernet.payload_mut())
            .ok()?
            .dst_addr();
        ethernet.set_dst_addr(self.neighbours.hop(to)?);
        let length = *length;
        buffer[..length].copy_from_slice(&frame[..length]);
        self.parked = None;
        self.note_syn();
        Some(length)
    }

    fn ask(&self, question: Question, buffer: &mut [u8]) -> Option<usize> {
        let mac = self.neighbours.mac();
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: mac,
            source_protocol_addr: self.neighbours.own()?,
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: question.target,
        };
        Some(emit_arp(&request, question.to, buffer))
    }

    /// Returns the time at which [`Gate::due`] has something. A time in the past means now.
    pub fn next(&self) -> Option<Micros> {
        let is_ready = self.parked.is_some_and(|(frame, length)| {
            let packet = Ipv4Packet::new_checked(&frame[14..length]);
            packet.is_ok_and(|packet| self.neighbours.hop(packet.dst_addr()).is_some())
        });
        if is_ready {
            Some(Micros::ZERO)
        } else {
            self.neighbours.next()
        }
    }
}

/// Returns the data of a packet whose header was checked.
fn packet_payload<'p>(packet: &'p Ipv4Packet<&mut [u8]>) -> &'p [u8] {
    let bytes: &[u8] = packet.as_ref();
    &bytes[usize::from(packet.header_len())..usize::from(packet.total_len())]
}

fn emit_arp(arp: &ArpRepr, to: EthernetAddress, buffer: &mut [u8]) -> usize {
    let ArpRepr::EthernetIpv4 {
        source_hardware_addr,
        ..
    } = *arp
    else {
        return 0;
    };
    let mut frame = EthernetFrame::new_unchecked(&mut buffer[..ARP_FRAME]);
    frame.set_src_addr(source_hardware_addr);
    frame.set_dst_addr(to);
    frame.set_ethertype(EthernetProtocol::Arp);
    arp.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    ARP_FRAME
}

/// Writes the reset that answers a segment to a closed port (RFC 9293, section 3.10.7.1).
fn emit_reset(
    segment: &TcpPacket<&mut [u8]>,
    (mac, local): (EthernetAddress, SocketAddrV4),
    (to, remote): (EthernetAddress, SocketAddrV4),
    buffer: &mut [u8],
) -> usize {
    // What was in the buffer must not become flags and options.
    buffer[..RESET_FRAME].fill(0);
    let mut frame = EthernetFrame::new_unchecked(&mut buffer[..RESET_FRAME]);
    frame.set_src_addr(mac);
    frame.set_dst_addr(to);
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    packet.set_version(4);
    packet.set_header_len(20);
    packet.set_total_len(40);
    packet.set_dont_frag(true);
    packet.set_hop_limit(64);
    packet.set_next_header(IpProtocol::Tcp);
    packet.set_src_addr(*local.ip());
    packet.set_dst_addr(*remote.ip());
    packet.fill_checksum();
    let mut reset = TcpPacket::new_unchecked(packet.payload_mut());
    reset.set_src_port(local.port());
    reset.set_dst_port(remote.port());
    reset.set_header_len(20);
    reset.set_rst(true);
    if segment.ack() {
        reset.set_seq_number(segment.ack_number());
        reset.set_ack_number(TcpSeqNumber(0));
    } else {
        reset.set_seq_number(TcpSeqNumber(0));
        reset.set_ack(true);
        reset.set_ack_number(segment.seq_number() + segment.segment_len());
    }
    let (from, to) = (IpAddress::Ipv4(*local.ip()), IpAddress::Ipv4(*remote.ip()));
    reset.fill_checksum(&from, &to);
    RESET_FRAME
}
