//! Checks that the hostile cable is one: its host reaches the guest by hand, sees the others' frames, and disturbs nobody.

use core::net::{Ipv4Addr, SocketAddrV4};

use hermon_machine::qemu::{GUEST_BY_DHCP, HOST_SEEN_BY_GUEST, Machine, Nic};
use tests::boot::Boot;
use tests::cable::{Cable, Packet, Segment};
use tests::control::Port;
use tests::metrics::{Receive, Udp};

const STRANGER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 77);
const STRANGER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 77];

#[test]
fn a_host_by_hand_and_an_operator_reach_the_same_guest() {
    let (cable, port, mut udp) = (Cable::open(), Port::free(), Udp::open());
    cable.lives_at(STRANGER, STRANGER_MAC);
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(
            cable.beside(vec![port.forward_to(GUEST_BY_DHCP)]),
        ))
        .argument(udp.target())
        .start();
    guest.ready();

    let (from, to) = (
        SocketAddrV4::new(STRANGER, 40_000),
        SocketAddrV4::new(GUEST_BY_DHCP, 2323),
    );
    // A frame may be lost on the way to the guest, so each is sent until it is answered.
    let syn = Segment::syn(from, to, 1_000).frame(STRANGER_MAC);
    let sequence = cable.until_answered(&syn, |packet| match packet {
        Packet::Tcp(segment) if segment.to == from && segment.syn => {
            assert_eq!(segment.acknowledgment, Some(1_001));
            Some(segment.sequence)
        }
        _ => None,
    });
    let open = Segment::new(from, to, 1_001).ack(sequence.wrapping_add(1));
    let command = open.data(b"?\n").frame(STRANGER_MAC);
    let reply = cable.until_answered(&command, |packet| match packet {
        Packet::Tcp(segment) if segment.to == from && !segment.payload.is_empty() => {
            Some(segment.payload.to_vec())
        }
        _ => None,
    });
    assert!(!reply.is_empty());

    assert!(port.connect().ask("s").contains(" protocol="));
    udp.until(|point| point.measurement == "memory");
    cable.await_packet("the metrics of the others", |packet| match packet {
        Packet::Udp(datagram) => (*datagram.to.ip() == HOST_SEEN_BY_GUEST).then_some(()),
        _ => None,
    });
}
