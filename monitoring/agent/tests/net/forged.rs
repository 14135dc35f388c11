//! Segments that an attacker on the link forges, in every state of every socket, and hosts that are not what they claim.

use core::net::Ipv4Addr;
use std::collections::BTreeMap;

use agent::config::{Allow, Config};
use agent::monitor::Event;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::socket::tcp::State;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress,
    IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use units::Micros;

use crate::lan::{CONTROL, GUEST, GUEST_MAC, Lan, METRICS, PEER, PEER_MAC, config, own, parse};

const STRANGER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 66];

/// A TCP connection as its frames show it, seen from the image: its port, the peer's port.
type Flow = (u16, u16);

/// The last sequence number and acknowledgment of the image on a connection.
type Numbers = (TcpSeqNumber, TcpSeqNumber);

/// Returns the connection and the numbers of a segment that the image sends.
fn segment_of(frame: &[u8]) -> Option<(Flow, Numbers, TcpPacket<&[u8]>)> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Ipv4 {
        return None;
    }
    let packet = Ipv4Packet::new_checked(frame.payload()).ok()?;
    if packet.next_header() != IpProtocol::Tcp {
        return None;
    }
    let segment = TcpPacket::new_checked(packet.payload()).ok()?;
    let flow = (segment.src_port(), segment.dst_port());
    let next = segment.seq_number() + segment.segment_len();
    Some((flow, (next, segment.ack_number()), segment))
}

/// A segment to the image. Its checksums are right.
fn forge(from: (EthernetAddress, Ipv4Addr), repr: &TcpRepr<'_>) -> Vec<u8> {
    let (mac, address) = from;
    let ip = Ipv4Repr {
        src_addr: address,
        dst_addr: GUEST,
        next_header: IpProtocol::Tcp,
        payload_len: repr.buffer_len(),
        hop_limit: 64,
    };
    let mut bytes = vec![0; 14 + 20 + repr.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_src_addr(mac);
    frame.set_dst_addr(EthernetAddress(GUEST_MAC));
    frame.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
    ip.emit(&mut packet, &ChecksumCapabilities::default());
    repr.emit(
        &mut TcpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(address),
        &IpAddress::Ipv4(GUEST),
        &ChecksumCapabilities::default(),
    );
    bytes
}

fn empty(from: u16, to: u16, control: TcpControl) -> TcpRepr<'static> {
    TcpRepr {
        src_port: from,
        dst_port: to,
        control,
        seq_number: TcpSeqNumber(1_000),
        ack_number: None,
        window_len: 64_000,
        window_scale: None,
        max_seg_size: None,
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    }
}

/// The SYN of a stranger to the control port.
pub fn syn(from: Ipv4Addr, port: u16) -> Vec<u8> {
    let syn = empty(port, CONTROL, TcpControl::Syn);
    forge((EthernetAddress(STRANGER_MAC), from), &syn)
}

fn arp(operation: ArpOperation, mac: [u8; 6], from: Ipv4Addr, to: Ipv4Addr) -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: from,
        target_hardware_addr: EthernetAddress(GUEST_MAC),
        target_protocol_addr: to,
    };
    let mut bytes = vec![0; 14 + repr.buffer_len()];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    frame.set_src_addr(EthernetAddress(mac));
    frame.set_dst_addr(EthernetAddress::BROADCAST);
    frame.set_ethertype(EthernetProtocol::Arp);
    repr.emit(&mut ArpPacket::new_unchecked(frame.payload_mut()));
    bytes
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % bound
    }

    fn of<T: Copy>(&mut self, values: &[T]) -> T {
        values[self.below(values.len() as u64) as usize]
    }
}

/// An attacker on the link, who sees every frame of the image, beside a peer that is honest.
struct Attack {
    lan: Lan,
    seen: BTreeMap<Flow, Numbers>,
    random: Random,
    receiver: smoltcp::iface::SocketHandle,
    client: smoltcp::iface::SocketHandle,
    /// The number of segments forged in each state of the client's connection.
    states: BTreeMap<String, u64>,
}

impl Attack {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let target = random.of(&["tcp://10.0.2.2:8094", "udp://10.0.2.2:8094"]);
        let mut lan = Lan::new(&config(target, "250ms"));
        let receiver = lan.peer.tcp(4096);
        let client = lan.peer.tcp(4096);
        Self {
            lan,
            seen: BTreeMap::new(),
            random,
            receiver,
            client,
            states: BTreeMap::new(),
        }
    }

    /// Lets both ends work once, and looks at the frames.
    fn turn(&mut self) {
        self.lan.turn();
        let lost = self.random.below(6) == 0;
        while let Some(frame) = self.lan.nic.sent.pop_front() {
            if let Some((flow, numbers, _)) = segment_of(&frame) {
                self.seen.insert(flow, numbers);
            }
            if !lost {
                self.lan.peer.nic.arrived.push_back(frame);
            }
        }
        let now = smoltcp::time::Instant::from_micros(self.lan.now.0 as i64);
        let peer = &mut self.lan.peer;
        peer.interface.poll(now, &mut peer.nic, &mut peer.sockets);
        if self.random.below(6) != 0 {
            self.lan.nic.arrived.append(&mut peer.nic.sent);
        }
        peer.nic.sent.clear();
    }

    /// Takes a step of the honest peer, or lets time pass.
    fn live(&mut self) {
        let (client, receiver) = (self.client, self.receiver);
        let peer = &mut self.lan.peer;
        match self.random.below(9) {
            0 if peer.state(client) == State::Closed => peer.connect(client),
            1 if peer.get(client).can_send() => drop(peer.get(client).send_slice(b"S\nm*\ns\n")),
            2 => peer.get(client).close(),
            3 => peer.get(client).abort(),
            4 if peer.state(receiver) == State::Closed => peer.listen(receiver),
            5 => drop(peer.receive(receiver)),
            6 => peer.get(receiver).close(),
            7 => peer.get(receiver).abort(),
            _ => {
                let pause = self.random.of(&[1, 10, 40, 250, 1_000, 12_000]);
                self.lan.now += Micros::from_millis(pause);
            }
        }
    }

    /// Sends a segment that looks like one of a connection, with numbers in and around its window.
    fn forge(&mut self) {
        let flows: Vec<_> = self
            .seen
            .iter()
            .map(|(flow, numbers)| (*flow, *numbers))
            .collect();
        let random = &mut self.random;
        let (flow, (next, expected)) = if flows.is_empty() || random.below(8) == 0 {
            let flow = (
                random.of(&[CONTROL, METRICS, 4242]),
                random.below(1 << 16) as u16 | 1,
            );
            (flow, (TcpSeqNumber(0), TcpSeqNumber(0)))
        } else {
            random.of(&flows)
        };
        let control = random.of(&[
            TcpControl::None,
            TcpControl::Psh,
            TcpControl::Syn,
            TcpControl::Fin,
            TcpControl::Rst,
        ]);
        let around = |random: &mut Random, number: TcpSeqNumber| {
            let steps = [
                0,
                1,
                -1,
                2,
                255,
                256,
                257,
                1_023,
                1_024,
                8_191,
                8_192,
                8_193,
                65_535,
                i32::MAX,
                i32::MIN,
            ];
            TcpSeqNumber(number.0.wrapping_add(random.of(&steps)))
        };
        let payload = vec![b'?'; random.of(&[0, 0, 1, 2, 255, 256, 1_024, 1_400])];
        let repr = TcpRepr {
            seq_number: around(random, expected),
            ack_number: (random.below(5) != 0).then(|| around(random, next)),
            window_len: random.of(&[0, 0, 1, 100, 8_192, u16::MAX]),
            window_scale: (control == TcpControl::Syn && random.below(2) == 0)
                .then(|| random.of(&[0, 7, 14])),
            max_seg_size: (control == TcpControl::Syn && random.below(2) == 0)
                .then(|| random.of(&[0, 1, 536, 1_460, u16::MAX])),
            payload: &payload,
            ..empty(flow.1, flow.0, control)
        };
        let frame = forge((EthernetAddress(PEER_MAC), PEER), &repr);
        let state = format!("{:?}", self.lan.peer.state(self.client));
        *self.states.entry(state).or_default() += 1;
        self.lan.nic.arrived.push_back(frame);
    }
}

/// The number of attacks, each with its own seed: a few seconds' worth, or as many as `ATTACKS` says.
fn attacks() -> u64 {
    std::env::var("ATTACKS").map_or(40, |count| count.parse().expect("a number"))
}

#[test]
fn segments_forged_in_any_state_end_nothing() {
    let mut states = BTreeMap::<String, u64>::new();
    for seed in 0..attacks() {
        println!("seed {seed}");
        let mut attack = Attack::new(seed);
        for _ in 0..150 {
            attack.live();
            for _ in 0..attack.random.below(4) {
                attack.forge();
            }
            attack.turn();
        }
        // What was forged may have ended connections, but the image serves the next ones.
        let lan = &mut attack.lan;
        lan.peer.get(attack.receiver).abort();
        lan.peer.get(attack.client).abort();
        lan.run(Micros::from_secs(120));
        let client = lan.peer.tcp(4096);
        lan.peer.connect(client);
        lan.run(Micros::from_secs(5));
        lan.peer.send(client, b"?\n");
        lan.run(Micros::from_secs(5));
        assert_eq!(lan.peer.receive(client), crate::lan::help(), "seed {seed}");
        for (state, count) in attack.states {
            *states.entry(state).or_default() += count;
        }
    }
    println!("forged segments by the state of the client: {states:?}");
    assert!(states.len() >= 6, "{states:?}");
}

/// The SYN of the image's connection to the receiver, which is the same for the same configuration.
fn syn_of_the_image() -> (Flow, TcpSeqNumber) {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    for _ in 0..20 {
        lan.turn();
        for frame in &lan.nic.sent {
            if let Some((flow, _, segment)) = segment_of(frame)
                && segment.syn()
            {
                return (flow, segment.seq_number());
            }
        }
        lan.peer.nic.arrived.append(&mut lan.nic.sent);
        let now = smoltcp::time::Instant::from_micros(lan.now.0 as i64);
        let peer = &mut lan.peer;
        peer.interface.poll(now, &mut peer.nic, &mut peer.sockets);
        lan.nic.arrived.append(&mut peer.nic.sent);
        lan.now += Micros::from_millis(100);
    }
    panic!("it does not connect");
}

#[test]
fn an_answer_to_a_syn_that_has_not_left_opens_and_ends_nothing() {
    let ((port, receiver), sequence) = syn_of_the_image();
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    // The receiver is down: nobody answers the question for its hardware address, so the SYN has not left.
    for step in 0..30 {
        lan.turn();
        let answer = TcpRepr {
            ack_number: Some(sequence + 1),
            window_len: [0, 0, 1][step % 3],
            ..empty(receiver, port, TcpControl::Syn)
        };
        let frame = forge((EthernetAddress(STRANGER_MAC), PEER), &answer);
        lan.nic.arrived.push_back(frame);
        lan.turn();
        lan.nic.sent.clear();
        lan.now += Micros::from_millis(50);
    }
    let opened = lan.count(|event| matches!(event, Event::Connected { .. }));
    assert_eq!(opened, 0, "{}", lan.log());
    let receiver = lan.peer.tcp(1 << 16);
    lan.peer.listen(receiver);
    lan.run(Micros::from_secs(20));
    assert!(lan.peer.get(receiver).can_recv(), "{}", lan.log());
}

/// Runs the image for 15 s beside strangers that ask for its address and send SYNs, and answer nothing. Returns the lines that
/// came, and the intervals.
fn beside_strangers(target: &str, allow: Allow, arps: u64, syns: u64) -> (usize, usize) {
    const SECONDS: u64 = 15;
    let base = config(target, "1s");
    let mut lan = Lan::new(&Config { allow, ..base });
    let udp = lan.peer.udp(METRICS);
    let tcp = lan.peer.tcp(1 << 16);
    lan.peer.listen(tcp);
    lan.run_now();
    let mut text = String::new();
    let mut random = Random(1);
    let step = Micros(1_000_000 / (arps + syns));
    for _ in 0..SECONDS * (arps + syns) {
        let asks = random.below(arps + syns) < arps;
        // Nobody knows the hardware addresses of those that send SYNs: they ask for nothing.
        let first = if asks { 20 } else { 140 };
        let stranger = Ipv4Addr::new(10, 0, 2, first + random.below(110) as u8);
        let mac = [2, 0, 0, 0, 1, stranger.octets()[3]];
        let frame = if asks {
            arp(ArpOperation::Request, mac, stranger, GUEST)
        } else {
            let syn = empty(1 + random.below(60_000) as u16, CONTROL, TcpControl::Syn);
            forge((EthernetAddress(mac), stranger), &syn)
        };
        lan.nic.arrived.push_back(frame);
        lan.run(step);
        text.push_str(&lan.peer.datagrams(udp).concat());
        text.push_str(&lan.peer.receive(tcp));
    }
    let lines = parse(&text[..=text.rfind('\n').expect("lines")]);
    let stamps: std::collections::BTreeSet<_> = lines.iter().map(|line| line.timestamp).collect();
    (lines.len(), stamps.len())
}

#[test]
fn strangers_that_answer_nothing_cost_no_line() {
    let only_the_peer = Allow::parse("10.0.2.2/32").expect("a network");
    for target in ["udp://10.0.2.2:8094", "tcp://10.0.2.2:8094"] {
        for allow in [Allow::ALL, only_the_peer] {
            for (arps, syns) in [(20, 4), (200, 20)] {
                let (lines, intervals) = beside_strangers(target, allow, arps, syns);
                println!("{target}, {allow}, {arps} ARP and {syns} SYN a second: {lines} lines");
                assert!(intervals >= 15, "{target} {allow}: {intervals} intervals");
                assert!(lines >= 2 * 15, "{target} {allow}: {lines} lines");
            }
        }
    }
}

#[test]
fn a_denied_peer_gets_the_reset_of_a_closed_port_and_none_of_our_numbers() {
    let base = config("off", "10s");
    let allow = Allow::parse("10.0.2.2/32").expect("a network");
    let mut lan = Lan::new(&Config { allow, ..base });
    let client = lan.peer.tcp(4096);
    lan.peer.connect(client);
    lan.run_now();
    lan.peer.send(client, b"S\n");
    lan.run_now();
    let denied = Ipv4Addr::new(10, 0, 2, 66);
    let from = (EthernetAddress(STRANGER_MAC), denied);
    for port in [CONTROL, CONTROL, 9] {
        let syn = empty(40_000, port, TcpControl::Syn);
        lan.nic.arrived.push_back(forge(from, &syn));
        lan.turn();
        let frame = lan.nic.sent.pop_front().expect("an answer");
        assert_eq!(frame[..6], STRANGER_MAC);
        // No options, no fragment: an earlier frame in the same buffer has left nothing.
        assert_eq!(frame[14..22], [0x45, 0, 0, 40, 0, 0, 0x40, 0]);
        assert_eq!(frame.len(), 54);
        let (flow, _, segment) = segment_of(&frame).expect("a segment");
        assert_eq!(flow, (port, 40_000));
        assert!(segment.rst() && segment.ack());
        assert_eq!(segment.seq_number(), TcpSeqNumber(0));
        assert_eq!(segment.ack_number(), TcpSeqNumber(1_001));
    }
    // A segment with an acknowledgment is answered with that number, and a reset with nothing.
    let ack = TcpRepr {
        ack_number: Some(TcpSeqNumber(77)),
        ..empty(40_000, CONTROL, TcpControl::None)
    };
    lan.nic.arrived.push_back(forge(from, &ack));
    lan.turn();
    let frame = lan.nic.sent.pop_front().expect("an answer");
    let (_, _, segment) = segment_of(&frame).expect("a segment");
    assert!(segment.rst() && !segment.ack() && segment.seq_number() == TcpSeqNumber(77));
    lan.nic
        .arrived
        .push_back(forge(from, &empty(40_000, CONTROL, TcpControl::Rst)));
    lan.turn();
    assert_eq!(lan.nic.sent.len(), 0);
}

#[test]
fn a_host_that_claims_the_receivers_address_gets_no_line_while_the_receiver_answers() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(3));
    let before = parse(&lan.peer.datagrams(receiver).concat()).len();
    for _ in 0..100 {
        lan.nic
            .arrived
            .push_back(arp(ArpOperation::Reply, STRANGER_MAC, PEER, GUEST));
        lan.run(Micros::from_millis(100));
    }
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    assert!(lines.len() >= 2 * 10 && before > 0, "{} lines", lines.len());
    assert_eq!(own(&lines, "arp_conflicts"), 100);
    assert!(
        lan.log().contains("claims the address 10.0.2.2 of another"),
        "{}",
        lan.log()
    );
}
