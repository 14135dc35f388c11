//! Checks how many bytes of a trace are in flight: a client by hand that acknowledges nothing.

use core::net::{Ipv4Addr, SocketAddrV4};

use hermon_machine::qemu::{Machine, Nic};
use tests::boot::Boot;
use tests::cable::{Cable, Packet, Segment};

const CLIENT: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 77), 40_000);
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 77];
const TRACE: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 15), 4242);

/// Connects, and waits until `buffer` bytes are in flight and the first of them comes again. More never are.
fn fills_its_buffer(buffer: u32, arguments: &str) {
    let cable = Cable::open();
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(cable.network()))
        .arguments("--ipv4 10.0.2.15/24 --influx off --workload churn --sampling-rate 1")
        .arguments(arguments)
        .start();
    guest.ready();
    cable.send(&Segment::syn(CLIENT, TRACE, 1_000).frame(CLIENT_MAC));
    let first = cable.await_packet("the guest's SYN", |packet| match packet {
        Packet::Tcp(segment) if segment.to == CLIENT && segment.syn => {
            Some(segment.sequence.wrapping_add(1))
        }
        _ => None,
    });
    let open = Segment::new(CLIENT, TRACE, 1_001).ack(first);
    cable.send(&open.frame(CLIENT_MAC));
    let mut in_flight = 0;
    cable.await_packet("the first byte again, after a whole buffer", |packet| {
        let Packet::Tcp(segment) = packet else {
            return None;
        };
        let length = u32::try_from(segment.payload.len()).expect("short");
        if segment.to != CLIENT || length == 0 {
            return None;
        }
        let is_again = segment.sequence == first && in_flight == buffer;
        let end = segment.sequence.wrapping_add(length).wrapping_sub(first);
        in_flight = in_flight.max(end);
        assert!(in_flight <= buffer, "{in_flight} bytes in flight");
        is_again.then_some(())
    });
}

#[test]
fn the_bytes_in_flight_of_a_trace_are_those_of_its_buffer() {
    fills_its_buffer(24 * 1024, "");
}

#[test]
fn its_buffer_can_be_set() {
    fills_its_buffer(48 * 1024, "--trace-buffer 48K");
}
