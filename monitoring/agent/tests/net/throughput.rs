//! The throughput of a trace over a cable with a delay: as many bytes in flight as the buffer has, in each round trip.

use std::collections::VecDeque;

use network::bounds::{TRACE_SEND_BYTES, TRACE_SEND_MIN};
use network::stack::{NO_SOCKET, SOCKETS, Settings, Stack, StackMemory};
use network::{Addressing, Allow, Key, Service, Step, Stream, Target};
use smoltcp::time::Instant;
use smoltcp::wire::{EthernetFrame, IpProtocol, Ipv4Packet, TcpPacket};
use units::Micros;

use crate::lan::{CONTROL, GUEST_MAC, Nic, Peer};

/// The time that a frame takes, in each direction.
const DELAY: Micros = Micros::from_millis(20);
const ROUND_TRIP: Micros = Micros(2 * DELAY.0);
/// Bytes of the transfer.
const TOTAL: usize = 2_000_000;

/// Has always more to send.
struct Endless;

impl Service for Endless {
    fn opened(&mut self, _: usize, _: Micros) {}

    fn turn(&mut self, _: usize, _: Micros, stream: &mut dyn Stream) -> Step {
        while stream.write(&[0x5a; 4096]) > 0 {}
        Step::Stay(Micros::MAX)
    }
}

/// Frames on their way, each with the time at which it arrives.
type Cable = VecDeque<(Micros, Vec<u8>)>;

fn arrived(cable: &mut Cable, now: Micros, nic: &mut Nic) {
    while cable.front().is_some_and(|front| front.0 <= now) {
        nic.arrived.extend(cable.pop_front().map(|front| front.1));
    }
}

fn left(nic: &mut Nic, now: Micros, cable: &mut Cable) {
    cable.extend(nic.sent.drain(..).map(|frame| (now + DELAY, frame)));
}

/// Returns the number after a segment's last byte, and its acknowledgment.
fn numbers(frame: &[u8]) -> Option<(u32, u32)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let end = segment.seq_number() + segment.payload().len();
    Some((end.0 as u32, segment.ack_number().0 as u32))
}

/// The result of a transfer.
struct Measured {
    took: Micros,
    /// The most bytes that were sent and not yet acknowledged.
    in_flight: u32,
}

/// Transfers [`TOTAL`] bytes with a send buffer of this size to a peer with such a receive buffer.
fn transfer(buffer: usize, receive: usize) -> Measured {
    let settings = Settings {
        addressing: Addressing::parse("10.0.2.15/24", None).expect("an address"),
        target: Target::Off,
        allow: Allow::ALL,
        control_port: None,
        memtrace_port: Some(CONTROL),
    };
    let memory = StackMemory {
        sockets: core::iter::repeat_with(|| NO_SOCKET)
            .take(SOCKETS)
            .collect::<Vec<_>>()
            .leak(),
        buffers: vec![0; StackMemory::bytes(buffer)].leak(),
        datagram: vec![StackMemory::NO_DATAGRAM].leak(),
    };
    let (mut nic, mut peer, mut now) = (Nic::default(), Peer::new(), Micros::ZERO);
    let mut stack = Stack::new(
        &settings,
        memory,
        &mut nic,
        GUEST_MAC,
        Key::new([7; 16]),
        now,
    );
    let (mut to_peer, mut to_image) = (Cable::new(), Cable::new());
    let client = peer.tcp(receive);
    let (mut began, mut received) = (None, 0);
    let (mut acknowledged, mut in_flight) = (None, 0);
    loop {
        arrived(&mut to_image, now, &mut nic);
        for frame in &nic.arrived {
            acknowledged = numbers(frame).map(|it| it.1).or(acknowledged);
        }
        let mut next = None;
        for _ in 0..1_000 {
            let frames = stack.ingress(now, &mut nic, 8);
            while stack.address_event(now).is_some() {}
            next = stack.serve_trace(now, &mut Endless);
            if !stack.egress(now, &mut nic) && frames == 0 {
                break;
            }
        }
        for (sent, _) in nic.sent.iter().filter_map(|frame| numbers(frame)) {
            if let Some(acknowledged) = acknowledged.filter(|&it| it != 0) {
                in_flight = in_flight.max(sent.wrapping_sub(acknowledged));
            }
        }
        left(&mut nic, now, &mut to_peer);

        if now == Micros::ZERO {
            peer.connect(client);
        }
        arrived(&mut to_peer, now, &mut peer.nic);
        let at = Instant::from_micros(now.0 as i64);
        peer.interface.poll(at, &mut peer.nic, &mut peer.sockets);
        let taken = peer.receive(client).len();
        if taken > 0 {
            began.get_or_insert(now);
            received += taken;
            // The window is open again.
            peer.interface.poll(at, &mut peer.nic, &mut peer.sockets);
        }
        left(&mut peer.nic, now, &mut to_image);
        if received >= TOTAL {
            let took = now - began.expect("it began");
            return Measured { took, in_flight };
        }
        let peer_at = peer.interface.poll_at(at, &peer.sockets);
        let times = [
            to_image.front().map(|front| front.0),
            to_peer.front().map(|front| front.0),
            peer_at.map(|at| Micros(at.total_micros().max(0) as u64)),
            stack.poll_at(now),
            next,
        ];
        let at = times.into_iter().flatten().min().expect("something comes");
        now = at.max(now + Micros(1));
        assert!(
            now < Micros::from_secs(3_600),
            "{received} bytes in an hour"
        );
    }
}

/// The buffer leaves once a round trip, whatever the bandwidth. Five per cent are for segments that are not full.
fn fills_the_cable(buffer: usize, receive: usize) {
    let Measured { took, in_flight } = transfer(buffer, receive);
    let trips = TOTAL.div_ceil(buffer) as u64 + 1;
    assert!(
        took.0 <= trips * ROUND_TRIP.0 * 105 / 100,
        "{took} for {trips} round trips of {ROUND_TRIP} with {buffer} bytes"
    );
    assert_eq!(in_flight as usize, buffer, "bytes in flight");
}

#[test]
fn the_default_buffer_leaves_once_a_round_trip() {
    fills_the_cable(TRACE_SEND_BYTES, 60_000);
}

#[test]
fn the_smallest_buffer_does_too() {
    fills_the_cable(TRACE_SEND_MIN, 60_000);
}

#[test]
fn a_buffer_beyond_64_kib_is_used_because_windows_are_scaled() {
    fills_the_cable(256 * 1024, 512 * 1024);
}

#[test]
fn the_windows_of_a_client_are_respected() {
    let Measured { in_flight, .. } = transfer(256 * 1024, 30_000);
    assert!(in_flight <= 30_000, "{in_flight}");
}
