//! The other end of the guest's network cable: a peer that makes and reads Ethernet frames by hand.
//!
//! QEMU's user network does not let a host ping its guest. Here each frame is the payload of one UDP datagram on loopback, and the
//! test controls all of it. No network stack is involved, in particular not the guest's.
//!
//! ```text
//! Ethernet   0 destination 6 | 6 source 6 | 12 type 2 | 14 …                                  IEEE 802.3
//! ARP       14 1 | 16 0x0800 | 18 6 4 | 20 operation | 22 sender MAC, IP | 32 target MAC, IP  RFC 826
//! IPv4      14 0x45 … | 23 protocol | 24 checksum | 26 source 4 | 30 destination 4            RFC 791
//! ICMP      34 type, code | 36 checksum | 38 identifier | 40 sequence | 42 data               RFC 792
//! ```

use core::net::Ipv4Addr;
use core::time::Duration;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::Instant;

use hermon_machine::qemu::Net;

use crate::DEADLINE;

/// The peer's hardware address, which is locally administered.
pub const PEER_MAC: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];

const BROADCAST: [u8; 6] = [0xff; 6];
const TYPE_IPV4: [u8; 2] = [0x08, 0x00];
const TYPE_ARP: [u8; 2] = [0x08, 0x06];
const ARP_REQUEST: u8 = 1;
const ARP_REPLY: u8 = 2;
const PROTOCOL_ICMP: u8 = 1;
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;

/// The peer, with its address.
#[derive(Debug)]
pub struct Wire {
    socket: UdpSocket,
    qemu: u16,
    address: Ipv4Addr,
}

impl Wire {
    /// Opens a peer with this address, on free ports of loopback.
    ///
    /// # Panics
    /// Panics if there are none.
    pub fn open(address: Ipv4Addr) -> Self {
        let free = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let socket = free();
        let qemu = free().local_addr().expect("bound").port();
        Self {
            socket,
            qemu,
            address,
        }
    }

    /// Returns the network in which this is the guest's peer.
    ///
    /// # Panics
    /// Never panics: the socket is bound.
    pub fn network(&self) -> Net {
        Net::Wire {
            qemu: self.qemu,
            peer: self.socket.local_addr().expect("bound").port(),
        }
    }

    /// Puts a frame on the wire.
    ///
    /// # Panics
    /// Panics if QEMU has ended.
    pub fn send(&self, frame: &[u8]) {
        self.socket
            .send_to(frame, (Ipv4Addr::LOCALHOST, self.qemu))
            .expect("QEMU runs");
    }

    /// Waits for a frame from which `wanted` returns a value, and answers ARP requests for the peer's address meanwhile. Returns
    /// `None` when `patience` is over.
    ///
    /// # Panics
    /// Panics if the socket fails.
    pub fn receive<T>(
        &self,
        patience: Duration,
        mut wanted: impl FnMut(&[u8]) -> Option<T>,
    ) -> Option<T> {
        let deadline = Instant::now() + patience;
        let mut buffer = [0; 2048];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.socket.set_read_timeout(Some(left)).expect("not zero");
            let frame = match self.socket.recv(&mut buffer) {
                Ok(length) => &buffer[..length],
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    return None;
                }
                Err(error) => panic!("{error}"),
            };
            if let Some((ARP_REQUEST, mac, from, to)) = parse_arp(frame)
                && to == self.address
            {
                self.send(&arp(ARP_REPLY, mac, mac, self.address, from));
            }
            if let Some(found) = wanted(frame) {
                return Some(found);
            }
        }
    }

    /// Resolves an address by ARP and returns the hardware address.
    ///
    /// # Panics
    /// Panics if no answer comes before the deadline.
    pub fn resolve(&self, address: Ipv4Addr) -> [u8; 6] {
        let deadline = Instant::now() + DEADLINE;
        while Instant::now() < deadline {
            self.send(&arp(ARP_REQUEST, BROADCAST, [0; 6], self.address, address));
            let answer = self.receive(Duration::from_secs(1), |frame| match parse_arp(frame)? {
                (ARP_REPLY, mac, from, to) if from == address && to == self.address => Some(mac),
                _ => None,
            });
            if let Some(mac) = answer {
                return mac;
            }
        }
        panic!("no ARP reply for {address}");
    }

    /// Sends an echo request, waits for exactly its reply, and returns the time between.
    ///
    /// # Panics
    /// Panics if the reply does not come within the deadline.
    pub fn ping(&self, mac: [u8; 6], to: Ipv4Addr, sequence: u16, data: &[u8]) -> Duration {
        let request = echo(ECHO_REQUEST, mac, self.address, to, sequence, data);
        let start = Instant::now();
        self.send(&request);
        let came = self.receive(DEADLINE, |frame| {
            let reply = parse_echo_reply(frame)?;
            (reply == (to, self.address, sequence, data)).then(|| start.elapsed())
        });
        came.unwrap_or_else(|| panic!("no reply to echo request {sequence}"))
    }

    /// Sends an echo request each second until a reply to one of them comes. The wire may lose frames when more are sent at once
    /// than its buffers hold.
    ///
    /// # Panics
    /// Panics if no reply comes within the deadline.
    pub fn ping_until_answered(&self, mac: [u8; 6], to: Ipv4Addr, data: &[u8]) {
        let deadline = Instant::now() + DEADLINE;
        for sequence in 0.. {
            assert!(Instant::now() < deadline, "no more echo replies");
            self.send(&echo(ECHO_REQUEST, mac, self.address, to, sequence, data));
            let reply = self.receive(Duration::from_secs(1), |frame| {
                let (from, peer, answered, same) = parse_echo_reply(frame)?;
                ((from, peer, same) == (to, self.address, data) && answered <= sequence)
                    .then_some(())
            });
            if reply.is_some() {
                return;
            }
        }
    }
}

/// Returns an ARP request from the peer for the guest's address, and an echo request that the guest answers once it knows the peer:
/// for cables that are not a [`Wire`].
pub fn greeting_and_echo(peer: Ipv4Addr, mac: [u8; 6], guest: Ipv4Addr) -> [Vec<u8>; 2] {
    let data = [0x5a; 1400];
    [
        arp(ARP_REQUEST, BROADCAST, [0; 6], peer, guest),
        echo(ECHO_REQUEST, mac, peer, guest, 1, &data),
    ]
}

fn arp(
    operation: u8,
    destination: [u8; 6],
    target: [u8; 6],
    from: Ipv4Addr,
    to: Ipv4Addr,
) -> Vec<u8> {
    let mut frame = Vec::with_capacity(60);
    frame.extend(destination);
    frame.extend(PEER_MAC);
    frame.extend(TYPE_ARP);
    frame.extend([0, 1, 0x08, 0x00, 6, 4, 0, operation]);
    frame.extend(PEER_MAC);
    frame.extend(from.octets());
    frame.extend(target);
    frame.extend(to.octets());
    frame
}

/// Returns the operation, the sender's hardware address and address, and the target's address.
fn parse_arp(frame: &[u8]) -> Option<(u8, [u8; 6], Ipv4Addr, Ipv4Addr)> {
    if frame.get(12..14)? != TYPE_ARP || frame.get(14..21)? != [0, 1, 0x08, 0x00, 6, 4, 0] {
        return None;
    }
    Some((
        *frame.get(21)?,
        array(frame, 22)?,
        address(frame, 28)?,
        address(frame, 38)?,
    ))
}

fn echo(
    kind: u8,
    mac: [u8; 6],
    from: Ipv4Addr,
    to: Ipv4Addr,
    sequence: u16,
    data: &[u8],
) -> Vec<u8> {
    let mut icmp = vec![kind, 0, 0, 0, 0x4d, 0x4f];
    icmp.extend(sequence.to_be_bytes());
    icmp.extend(data);
    let sum = checksum(&icmp);
    icmp[2..4].copy_from_slice(&sum);

    let length = u16::try_from(20 + icmp.len())
        .expect("fits a frame")
        .to_be_bytes();
    let mut ip = vec![
        0x45,
        0,
        length[0],
        length[1],
        0,
        0,
        0,
        0,
        64,
        PROTOCOL_ICMP,
        0,
        0,
    ];
    ip.extend(from.octets());
    ip.extend(to.octets());
    let sum = checksum(&ip);
    ip[10..12].copy_from_slice(&sum);

    let mut frame = Vec::with_capacity(14 + ip.len() + icmp.len());
    frame.extend(mac);
    frame.extend(PEER_MAC);
    frame.extend(TYPE_IPV4);
    frame.extend(ip);
    frame.extend(icmp);
    frame
}

/// Returns source, destination, sequence and data of a whole echo reply whose checksums are right.
fn parse_echo_reply(frame: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, u16, &[u8])> {
    let ip = frame.get(14..34)?;
    if frame[12..14] != TYPE_IPV4
        || ip[0] != 0x45
        || ip[9] != PROTOCOL_ICMP
        || checksum(ip) != [0, 0]
    {
        return None;
    }
    let length = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    let icmp = frame.get(34..14 + length)?;
    if icmp.len() < 8 || icmp[..2] != [ECHO_REPLY, 0] || checksum(icmp) != [0, 0] {
        return None;
    }
    let sequence = u16::from_be_bytes([icmp[6], icmp[7]]);
    Some((
        address(frame, 26)?,
        address(frame, 30)?,
        sequence,
        &icmp[8..],
    ))
}

/// Returns the Internet checksum (RFC 1071), most significant byte first. It is 0 over data that contains its own checksum.
fn checksum(data: &[u8]) -> [u8; 2] {
    let sum: u32 = data
        .chunks(2)
        .map(|pair| {
            u32::from(u16::from_be_bytes([
                pair[0],
                pair.get(1).copied().unwrap_or(0),
            ]))
        })
        .sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    (!(folded as u16)).to_be_bytes()
}

fn array<const N: usize>(frame: &[u8], at: usize) -> Option<[u8; N]> {
    frame.get(at..at + N)?.try_into().ok()
}

fn address(frame: &[u8], at: usize) -> Option<Ipv4Addr> {
    array::<4>(frame, at).map(Ipv4Addr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
    const B: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);

    #[test]
    fn the_checksum_is_that_of_the_rfcs_example() {
        // RFC 1071, section 3: the sum of these is 0xddf2, and the checksum is its complement.
        assert_eq!(
            checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]),
            [0x22, 0x0d]
        );
        assert_eq!(checksum(&[0x01]), [0xfe, 0xff]);
    }

    #[test]
    fn an_echo_reply_is_read_back_and_a_damaged_one_is_not() {
        let frame = echo(ECHO_REPLY, PEER_MAC, A, B, 7, b"data");
        assert_eq!(parse_echo_reply(&frame), Some((A, B, 7, &b"data"[..])));
        for at in 12..frame.len() {
            let mut damaged = frame.clone();
            damaged[at] ^= 0x10;
            assert_eq!(parse_echo_reply(&damaged), None, "byte {at}");
        }
        for length in 0..frame.len() {
            assert_eq!(parse_echo_reply(&frame[..length]), None);
        }
    }

    #[test]
    fn an_arp_packet_is_read_back() {
        let frame = arp(ARP_REQUEST, BROADCAST, [0; 6], A, B);
        assert_eq!(frame.len(), 42);
        assert_eq!(parse_arp(&frame), Some((ARP_REQUEST, PEER_MAC, A, B)));
        assert_eq!(parse_arp(&frame[..41]), None);
    }
}
