//! Frames, byte by byte: no network stack makes or reads them.

use core::net::Ipv4Addr;

use crate::world::{GUEST, GUEST_MAC, PEER, PEER_MAC};

pub const FIN: u16 = 0x01;
pub const SYN: u16 = 0x02;
pub const RST: u16 = 0x04;
pub const PSH: u16 = 0x08;
pub const ACK: u16 = 0x10;
/// The number of combinations of all nine flags.
pub const FLAGS: u16 = 0x200;

const UDP: u8 = 17;
const TCP: u8 = 6;

/// Returns the ones' complement sum of these bytes (RFC 1071).
fn sum(bytes: &[u8]) -> u32 {
    let words = bytes.chunks(2);
    words
        .map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0)))
        .sum()
}

fn checksum(mut sum: u32) -> [u8; 2] {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (!(sum as u16)).to_be_bytes()
}

/// Corrects the checksums of a frame that may be damaged.
pub fn mend(frame: &mut [u8]) {
    let length = frame.len();
    if length < 34 || frame[12..14] != [8, 0] {
        return;
    }
    let header = 14 + usize::from(frame[14] & 15) * 4;
    let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
    if header < 34 || end > length || header > end {
        return;
    }
    frame[24..26].fill(0);
    let header_sum = checksum(sum(&frame[14..header]));
    frame[24..26].copy_from_slice(&header_sum);
    let place = match frame[23] {
        TCP => header + 16,
        UDP => header + 6,
        _ => return,
    };
    if place + 2 > end {
        return;
    }
    frame[place..place + 2].fill(0);
    let pseudo = sum(&frame[26..34]) + u32::from(frame[23]) + (end - header) as u32;
    let payload_sum = checksum(pseudo + sum(&frame[header..end]));
    frame[place..place + 2].copy_from_slice(&payload_sum);
}

/// An IPv4 packet to the stack, with checksums that are right.
pub fn packet(protocol: u8, from: Ipv4Addr, to: Ipv4Addr, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(34 + payload.len());
    frame.extend(GUEST_MAC);
    frame.extend(PEER_MAC);
    frame.extend([8, 0, 0x45, 0]);
    frame.extend((20 + payload.len() as u16).to_be_bytes());
    frame.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
    frame.extend(from.octets());
    frame.extend(to.octets());
    frame.extend(payload);
    mend(&mut frame);
    frame
}

/// A datagram to the stack.
pub fn datagram(from: (Ipv4Addr, u16), to: (Ipv4Addr, u16), payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(from.1.to_be_bytes());
    bytes.extend(to.1.to_be_bytes());
    bytes.extend((8 + payload.len() as u16).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(payload);
    packet(UDP, from.0, to.0, &bytes)
}

/// A TCP segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Segment {
    pub from: u16,
    pub to: u16,
    pub seq: u32,
    pub ack: u32,
    pub flags: u16,
    pub window: u16,
    /// Options as they are; filled up to a multiple of four bytes.
    pub options: Vec<u8>,
    pub payload: Vec<u8>,
}

impl Segment {
    /// Reads a segment that the stack sends.
    pub fn of(frame: &[u8]) -> Option<Self> {
        if frame[12..14] != [8, 0] || frame[23] != TCP {
            return None;
        }
        let end = 14 + usize::from(u16::from_be_bytes([frame[16], frame[17]]));
        let tcp = &frame[34..end];
        let header = usize::from(tcp[12] >> 4) * 4;
        let number = |at: usize| u32::from_be_bytes(tcp[at..at + 4].try_into().expect("four"));
        let short = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
        Some(Self {
            from: short(0),
            to: short(2),
            seq: number(4),
            ack: number(8),
            flags: short(12) & 0x1ff,
            window: short(14),
            options: tcp[20..header].to_vec(),
            payload: tcp[header..].to_vec(),
        })
    }

    pub fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }

    /// Returns the sequence numbers that it takes.
    pub fn length(&self) -> u32 {
        let flags = u32::from(self.has(SYN)) + u32::from(self.has(FIN));
        self.payload.len() as u32 + flags
    }

    /// Returns the frame that carries it to the stack.
    pub fn frame(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4).min(40), 0);
        let mut bytes = Vec::new();
        bytes.extend(self.from.to_be_bytes());
        bytes.extend(self.to.to_be_bytes());
        bytes.extend(self.seq.to_be_bytes());
        bytes.extend(self.ack.to_be_bytes());
        let header = (20 + options.len() as u16) / 4;
        bytes.extend((header << 12 | self.flags & 0x1ff).to_be_bytes());
        bytes.extend(self.window.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend(&options);
        bytes.extend(&self.payload);
        packet(TCP, PEER, GUEST, &bytes)
    }
}

/// Returns the answer of the host by hand to a question for its hardware address.
pub fn answer(frame: &[u8]) -> Option<Vec<u8>> {
    let is_request = frame[12..14] == [8, 6] && frame[20..22] == [0, 1];
    if !is_request || frame[38..42] != PEER.octets() {
        return None;
    }
    let mut reply = Vec::new();
    reply.extend(&frame[6..12]);
    reply.extend(PEER_MAC);
    reply.extend(&frame[12..20]);
    reply.extend([0, 2]);
    reply.extend(PEER_MAC);
    reply.extend(PEER.octets());
    reply.extend(&frame[22..32]);
    Some(reply)
}

/// A DHCP message (RFC 2131).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dhcp {
    pub kind: u8,
    pub xid: u32,
    pub address: Ipv4Addr,
    /// The sender of an answer.
    pub server: Ipv4Addr,
    /// Options after the first one, which is the kind of the message.
    pub options: Vec<u8>,
}

const MAGIC: [u8; 4] = [99, 130, 83, 99];

impl Dhcp {
    /// Reads a message that the stack sends.
    pub fn of(frame: &[u8]) -> Option<Self> {
        let is_dhcp = frame[12..14] == [8, 0] && frame[23] == UDP && frame[34..36] == [0, 68];
        if !is_dhcp {
            return None;
        }
        let message = &frame[42..];
        assert_eq!(message[236..240], MAGIC);
        assert_eq!(message[240..242], [53, 1]);
        Some(Self {
            kind: message[242],
            xid: u32::from_be_bytes(message[4..8].try_into().expect("four")),
            address: Ipv4Addr::UNSPECIFIED,
            server: Ipv4Addr::UNSPECIFIED,
            options: message[243..].to_vec(),
        })
    }

    /// Returns the frame of an answer.
    pub fn frame(&self) -> Vec<u8> {
        let mut message = vec![0; 236];
        message[..4].copy_from_slice(&[2, 1, 6, 0]);
        message[4..8].copy_from_slice(&self.xid.to_be_bytes());
        message[16..20].copy_from_slice(&self.address.octets());
        message[28..34].copy_from_slice(&GUEST_MAC);
        message.extend(MAGIC);
        message.extend([53, 1, self.kind]);
        message.extend(&self.options);
        message.push(255);
        datagram((self.server, 67), (Ipv4Addr::BROADCAST, 68), &message)
    }
}
