//! Sequence numbers and transaction numbers that nobody outside can predict.
//!
//! smoltcp 0.14 draws initial sequence numbers and DHCP's transaction numbers (`xid`) from one generator of 64 bits
//! (`src/rand.rs`). Four of its numbers are enough to compute all later ones. A host that knows the next sequence number
//! can open a connection from an address that is not its own, without seeing the answers.
//!
//! So the numbers are changed on their way through the device (RFC 6528):
//!
//! * Every TCP segment that leaves has `F(key, local address and port, remote address and port)` added to its sequence
//!   number. It is subtracted from the acknowledgment of every segment that arrives. F is SipHash-2-4. smoltcp's own
//!   number has the part of the RFC's clock M: it differs from connection to connection.
//! * DHCP messages leave with a transaction number that is drawn here, and answers to it get smoltcp's back.
//!
//! Blocks of selective acknowledgments that arrive stay as they are, because smoltcp does not use them.

use core::net::SocketAddrV4;

use smoltcp::wire::{TcpPacket, TcpSeqNumber, UdpPacket};

use crate::random::{Key, Random};

/// The place of the transaction number in a DHCP message (RFC 2131, section 2).
const XID: core::ops::Range<usize> = 4..8;

/// The purposes of random sequences.
const OFFSETS: u8 = 1;
const TRANSACTIONS: u8 = 2;

#[derive(Debug)]
pub(super) struct Numbers {
    key: Key,
    transactions: Random,
    /// smoltcp's last transaction number, and the one on the wire for it.
    transaction: Option<([u8; 4], [u8; 4])>,
}

impl Numbers {
    pub(super) const fn new(key: Key) -> Self {
        Self {
            key,
            transactions: Random::new(key, TRANSACTIONS),
            transaction: None,
        }
    }

    /// Returns F of the connection.
    fn offset(&self, local: SocketAddrV4, remote: SocketAddrV4) -> i32 {
        let mut input = [0; 13];
        input[0] = OFFSETS;
        input[1..5].copy_from_slice(&local.ip().octets());
        input[5..7].copy_from_slice(&local.port().to_be_bytes());
        input[7..11].copy_from_slice(&remote.ip().octets());
        input[11..].copy_from_slice(&remote.port().to_be_bytes());
        self.key.hash(&input) as i32
    }

    /// Changes a segment that leaves.
    pub(super) fn hide(
        &self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        segment: &mut TcpPacket<&mut [u8]>,
    ) {
        let raw = segment.seq_number();
        // The answer to a segment of no connection: there is no number of ours in it (RFC 9293, section 3.10.7.1).
        if segment.rst() && segment.ack() && raw == TcpSeqNumber(0) {
            return;
        }
        let hidden = TcpSeqNumber(raw.0.wrapping_add(self.offset(local, remote)));
        segment.set_seq_number(hidden);
        let checksum = adjusted(segment.checksum(), bytes(raw), bytes(hidden));
        segment.set_checksum(checksum);
    }

    /// Changes a segment that arrives back to smoltcp's numbers.
    pub(super) fn reveal(
        &self,
        local: SocketAddrV4,
        remote: SocketAddrV4,
        segment: &mut TcpPacket<&mut [u8]>,
    ) {
        if !segment.ack() {
            return;
        }
        let hidden = segment.ack_number();
        let raw = TcpSeqNumber(hidden.0.wrapping_sub(self.offset(local, remote)));
        segment.set_ack_number(raw);
        let checksum = adjusted(segment.checksum(), bytes(hidden), bytes(raw));
        segment.set_checksum(checksum);
    }

    /// Changes a DHCP message that leaves.
    pub(super) fn hide_transaction(&mut self, datagram: &mut UdpPacket<&mut [u8]>) {
        let Some(raw) = transaction(datagram) else {
            return;
        };
        let hidden = match self.transaction {
            Some((known, hidden)) if known == raw => hidden,
            _ => self.transactions.u32().to_be_bytes(),
        };
        self.transaction = Some((raw, hidden));
        set_transaction(datagram, raw, hidden);
    }

    /// Changes a DHCP message that arrives back to smoltcp's number. Returns `false` if it answers nothing.
    pub(super) fn reveal_transaction(&self, datagram: &mut UdpPacket<&mut [u8]>) -> bool {
        match (self.transaction, transaction(datagram)) {
            (Some((raw, hidden)), Some(arrived)) if arrived == hidden => {
                set_transaction(datagram, hidden, raw);
                true
            }
            _ => false,
        }
    }
}

fn transaction(datagram: &mut UdpPacket<&mut [u8]>) -> Option<[u8; 4]> {
    datagram.payload_mut().get(XID)?.try_into().ok()
}

fn set_transaction(datagram: &mut UdpPacket<&mut [u8]>, old: [u8; 4], new: [u8; 4]) {
    datagram.payload_mut()[XID].copy_from_slice(&new);
    let checksum = datagram.checksum();
    // 0 means that there is none (RFC 768).
    if checksum != 0 {
        let adjusted = adjusted(checksum, old, new);
        datagram.set_checksum(if adjusted == 0 { 0xffff } else { adjusted });
    }
}

fn bytes(number: TcpSeqNumber) -> [u8; 4] {
    number.0.to_be_bytes()
}

/// Returns the checksum after four bytes at an even place have changed (RFC 1624, equation 3).
pub(super) fn adjusted(checksum: u16, old: [u8; 4], new: [u8; 4]) -> u16 {
    let word =
        |bytes: [u8; 4], at: usize| u32::from(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
    let mut sum = u32::from(!checksum);
    for at in [0, 2] {
        sum += (!word(old, at) & 0xffff) + word(new, at);
    }
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::net::Ipv4Addr;
    use proptest::prelude::*;
    use smoltcp::phy::ChecksumCapabilities;
    use smoltcp::wire::{IpAddress, TcpControl, TcpRepr};

    const LOCAL: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 15), 2323);
    const REMOTE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 2), 40_000);

    fn segment(seq: i32, ack: Option<i32>, control: TcpControl, payload: &[u8]) -> Vec<u8> {
        let repr = TcpRepr {
            src_port: LOCAL.port(),
            dst_port: REMOTE.port(),
            control,
            seq_number: TcpSeqNumber(seq),
            ack_number: ack.map(TcpSeqNumber),
            window_len: 1_000,
            window_scale: None,
            max_seg_size: None,
            sack_permitted: false,
            sack_ranges: [None; 3],
            timestamp: None,
            payload,
        };
        let mut bytes = vec![0; repr.buffer_len()];
        repr.emit(
            &mut TcpPacket::new_unchecked(&mut bytes[..]),
            &IpAddress::Ipv4(*LOCAL.ip()),
            &IpAddress::Ipv4(*REMOTE.ip()),
            &ChecksumCapabilities::default(),
        );
        bytes
    }

    fn is_intact(bytes: &[u8]) -> bool {
        let (from, to) = (IpAddress::Ipv4(*LOCAL.ip()), IpAddress::Ipv4(*REMOTE.ip()));
        TcpPacket::new_checked(bytes).is_ok_and(|segment| segment.verify_checksum(&from, &to))
    }

    proptest! {
        #[test]
        fn what_is_hidden_is_revealed_and_checksums_stay_right(
            seq: i32, ack: Option<i32>, payload in prop::collection::vec(any::<u8>(), 0..9), key: [u8; 16],
        ) {
            let numbers = Numbers::new(Key::new(key));
            let mut bytes = segment(seq, ack, TcpControl::None, &payload);
            numbers.hide(LOCAL, REMOTE, &mut TcpPacket::new_unchecked(&mut bytes[..]));
            prop_assert!(is_intact(&bytes));
            let hidden = TcpPacket::new_unchecked(&bytes[..]).seq_number();

            let mut answer = segment(0, Some(hidden.0), TcpControl::None, &payload);
            numbers.reveal(LOCAL, REMOTE, &mut TcpPacket::new_unchecked(&mut answer[..]));
            prop_assert!(is_intact(&answer));
            prop_assert_eq!(TcpPacket::new_unchecked(&answer[..]).ack_number(), TcpSeqNumber(seq));
        }
    }

    #[test]
    fn each_key_and_each_connection_has_its_own_numbers() {
        let one = Numbers::new(Key::new([1; 16]));
        let two = Numbers::new(Key::new([2; 16]));
        let other = SocketAddrV4::new(*REMOTE.ip(), REMOTE.port() + 1);
        assert_ne!(one.offset(LOCAL, REMOTE), two.offset(LOCAL, REMOTE));
        assert_ne!(one.offset(LOCAL, REMOTE), one.offset(LOCAL, other));
        assert_eq!(one.offset(LOCAL, REMOTE), one.offset(LOCAL, REMOTE));
    }

    #[test]
    fn the_reset_of_no_connection_has_no_number_of_ours() {
        let numbers = Numbers::new(Key::new([1; 16]));
        let before = segment(0, Some(7), TcpControl::Rst, &[]);
        let mut after = before.clone();
        numbers.hide(LOCAL, REMOTE, &mut TcpPacket::new_unchecked(&mut after[..]));
        assert_eq!(after, before);
    }

    fn message(xid: [u8; 4]) -> Vec<u8> {
        let mut bytes = vec![0; 8 + 240];
        bytes[12..16].copy_from_slice(&xid);
        let mut datagram = UdpPacket::new_unchecked(&mut bytes[..]);
        datagram.set_len(248);
        datagram.fill_checksum(
            &IpAddress::Ipv4(*LOCAL.ip()),
            &IpAddress::Ipv4(*REMOTE.ip()),
        );
        bytes
    }

    #[test]
    fn transaction_numbers_are_drawn_here_and_only_their_answers_pass() {
        let mut numbers = Numbers::new(Key::new([3; 16]));
        let mut seen = Vec::new();
        for xid in [[0; 4], [0, 0, 0, 1]] {
            let mut sent = message(xid);
            numbers.hide_transaction(&mut UdpPacket::new_unchecked(&mut sent[..]));
            let (from, to) = (IpAddress::Ipv4(*LOCAL.ip()), IpAddress::Ipv4(*REMOTE.ip()));
            assert!(UdpPacket::new_unchecked(&sent[..]).verify_checksum(&from, &to));
            let hidden: [u8; 4] = sent[12..16].try_into().unwrap();
            // The same message again has the same number.
            let mut again = message(xid);
            numbers.hide_transaction(&mut UdpPacket::new_unchecked(&mut again[..]));
            assert_eq!(again, sent);
            assert!(
                !numbers.reveal_transaction(&mut UdpPacket::new_unchecked(&mut message(xid)[..]))
            );
            let mut answer = message(hidden);
            assert!(numbers.reveal_transaction(&mut UdpPacket::new_unchecked(&mut answer[..])));
            assert_eq!(answer, message(xid));
            seen.push(hidden);
        }
        assert_ne!(seen[0], seen[1]);
    }
}
