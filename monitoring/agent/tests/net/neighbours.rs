//! Machines on the link that ask, claim and connect: they keep no line from leaving.

use core::cell::{Cell, RefCell};
use core::net::Ipv4Addr;
use std::rc::Rc;

use agent::config::{Addressing, Allow, Config, parse_cidr};
use agent::monitor::Event;
use network::bounds::{ARP_EVERY, ARP_FRESH, ARP_PROBES, CLIENTS};
use network::stack::Conflict;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, IpAddress,
    IpProtocol, Ipv4Packet, Ipv4Repr, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber,
};
use units::Micros;

use crate::lan::{CONTROL, GUEST, GUEST_MAC, Lan, METRICS, PEER, PEER_MAC, config, own, parse};

const BROADCAST: [u8; 6] = [0xff; 6];
const RIVAL_MAC: [u8; 6] = [2, 0, 0, 0, 0, 66];

/// The network is so large that the flood's addresses do not come again.
const NETWORK: &str = "10.0.2.15/8";

/// A machine that asks for the image's address and is never asked for its own.
fn stranger(number: u32) -> (Ipv4Addr, [u8; 6]) {
    machine([10, 1], number)
}

/// A machine that connects and never answers ARP.
fn caller(number: u32) -> (Ipv4Addr, [u8; 6]) {
    machine([10, 2], number)
}

fn machine([a, b]: [u8; 2], number: u32) -> (Ipv4Addr, [u8; 6]) {
    let [.., c, d] = (number + 1).to_be_bytes();
    (Ipv4Addr::new(a, b, c, d), [2, 0, a, b, c, d])
}

/// Returns a configuration with a static address in the large network, from which this network may connect.
fn open_to(allow: &str, target: &str, interval: &str) -> Config {
    Config {
        addressing: Addressing::Static {
            cidr: parse_cidr(NETWORK).expect("an address"),
            gateway: None,
        },
        allow: Allow::parse(allow).expect("a network"),
        ..config(target, interval)
    }
}

fn arp(
    operation: ArpOperation,
    to: [u8; 6],
    mac: [u8; 6],
    from: Ipv4Addr,
    target: Ipv4Addr,
) -> Vec<u8> {
    let mut frame = vec![0; 42];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_dst_addr(EthernetAddress(to));
    ethernet.set_src_addr(EthernetAddress(mac));
    ethernet.set_ethertype(EthernetProtocol::Arp);
    ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr: EthernetAddress(mac),
        source_protocol_addr: from,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: target,
    }
    .emit(&mut ArpPacket::new_unchecked(ethernet.payload_mut()));
    frame
}

fn request(mac: [u8; 6], from: Ipv4Addr) -> Vec<u8> {
    arp(ArpOperation::Request, BROADCAST, mac, from, GUEST)
}

/// A gratuitous ARP packet: this machine has this address.
fn claim(mac: [u8; 6], address: Ipv4Addr) -> Vec<u8> {
    arp(ArpOperation::Request, BROADCAST, mac, address, address)
}

fn syn(mac: [u8; 6], from: Ipv4Addr, port: u16, to: u16) -> Vec<u8> {
    let tcp = TcpRepr {
        src_port: port,
        dst_port: to,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(i32::from(port)),
        ack_number: None,
        window_len: 1024,
        window_scale: None,
        max_seg_size: Some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let ip = Ipv4Repr {
        src_addr: from,
        dst_addr: GUEST,
        next_header: IpProtocol::Tcp,
        payload_len: tcp.buffer_len(),
        hop_limit: 64,
    };
    let mut frame = vec![0; 14 + ip.buffer_len() + tcp.buffer_len()];
    let mut ethernet = EthernetFrame::new_unchecked(&mut frame);
    ethernet.set_dst_addr(EthernetAddress(GUEST_MAC));
    ethernet.set_src_addr(EthernetAddress(mac));
    ethernet.set_ethertype(EthernetProtocol::Ipv4);
    let mut packet = Ipv4Packet::new_unchecked(ethernet.payload_mut());
    ip.emit(&mut packet, &Default::default());
    tcp.emit(
        &mut TcpPacket::new_unchecked(packet.payload_mut()),
        &IpAddress::Ipv4(from),
        &IpAddress::Ipv4(GUEST),
        &Default::default(),
    );
    frame
}

/// An ARP packet of the image: the frame's destination, the operation, and the address that it is about.
type Seen = ([u8; 6], ArpOperation, Ipv4Addr);

fn parse_arp(frame: &[u8]) -> Option<Seen> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    if frame.ethertype() != EthernetProtocol::Arp {
        return None;
    }
    let packet = ArpPacket::new_checked(frame.payload()).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation,
        target_protocol_addr,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    Some((frame.dst_addr().0, operation, target_protocol_addr))
}

/// Keeps the ARP packets that the image sends. The peer answers as always.
fn log_arp(lan: &mut Lan) -> Rc<RefCell<Vec<Seen>>> {
    let log = Rc::new(RefCell::new(Vec::new()));
    let kept = log.clone();
    lan.tap = Some(Box::new(move |frame| {
        kept.borrow_mut().extend(parse_arp(frame));
        Vec::new()
    }));
    log
}

/// Each interval's lines arrive, for 42 s, beside 200 ARP requests and 20 SYNs a second from addresses that answer no
/// ARP. The lines are counted, so time decides nothing.
fn nothing_is_lost(target: &str, allow: &str) {
    const INTERVALS: u32 = 60;
    // Not a second, which is smoltcp's pause between two questions: in step with it the receiver always came first.
    let mut lan = Lan::new(&open_to(allow, target, "700ms"));
    let udp = target.starts_with("udp");
    let receiver = if udp {
        lan.peer.udp(METRICS)
    } else {
        let receiver = lan.peer.tcp(1 << 20);
        lan.peer.listen(receiver);
        receiver
    };
    // The peer never speaks by itself, and the flood begins before the image has found it.
    let mut text = String::new();
    for step in 0..140 * (INTERVALS + 1) {
        let (address, mac) = stranger(step);
        lan.nic.arrived.push_back(request(mac, address));
        if step % 10 == 0 {
            let (address, mac) = caller(step);
            lan.nic.arrived.push_back(syn(mac, address, 5_000, CONTROL));
        }
        lan.run(Micros::from_millis(5));
        text += &if udp {
            lan.peer.datagrams(receiver).concat()
        } else {
            lan.peer.receive(receiver)
        };
    }
    let lines = parse(&text);
    let mut times: Vec<i64> = lines
        .iter()
        .filter(|line| line.measurement == "memory")
        .map(|line| line.timestamp)
        .collect();
    times.dedup();
    assert!(
        times.len() as u32 >= INTERVALS,
        "{} of {INTERVALS} intervals arrived\n{}",
        times.len(),
        lan.log()
    );
    assert!(
        times
            .windows(2)
            .all(|pair| pair[1] - pair[0] == 700_000_000)
    );
    assert_eq!(own(&lines, "lines_lost"), 0);
    assert_eq!(own(&lines, "intervals_missed"), 0);
}

#[test]
fn strangers_on_the_link_keep_no_datagram_from_leaving() {
    nothing_is_lost("udp://10.0.2.2:8094", "0.0.0.0/0");
    nothing_is_lost("udp://10.0.2.2:8094", "10.0.2.2");
}

#[test]
fn strangers_on_the_link_keep_no_line_from_leaving_by_tcp() {
    nothing_is_lost("tcp://10.0.2.2:8094", "0.0.0.0/0");
    nothing_is_lost("tcp://10.0.2.2:8094", "10.0.2.2");
}

#[test]
fn a_request_for_our_address_is_answered_and_takes_no_place() {
    let mut lan = Lan::new(&open_to("10.0.0.0/8", "udp://10.0.2.2:8094", "10s"));
    let log = log_arp(&mut lan);
    lan.run_now();
    for number in 0..100 {
        let (address, mac) = stranger(number);
        log.borrow_mut().clear();
        lan.nic.arrived.push_back(request(mac, address));
        lan.run_now();
        assert_eq!(*log.borrow(), [(mac, ArpOperation::Reply, address)]);
    }
}

#[test]
fn a_client_is_served_without_being_asked_for() {
    let mut lan = Lan::new(&config("off", "10s"));
    let log = log_arp(&mut lan);
    let client = lan.peer.tcp(4096);
    lan.peer.connect(client);
    lan.run(Micros::from_secs(1));
    assert_eq!(
        lan.peer.state(client),
        smoltcp::socket::tcp::State::Established
    );
    let requests = |it: &&Seen| it.1 == ArpOperation::Request;
    assert_eq!(log.borrow().iter().filter(requests).count(), 0);
}

#[test]
fn a_client_keeps_its_place_beside_more_strangers_than_places() {
    let mut lan = Lan::new(&open_to("10.0.0.0/8", "off", "10s"));
    let client = lan.peer.tcp(4096);
    lan.peer.connect(client);
    lan.run(Micros::from_secs(1));
    for number in 0..20 * CLIENTS as u32 {
        let (address, mac) = caller(number);
        lan.nic.arrived.push_back(syn(mac, address, 5_000, CONTROL));
        lan.run(Micros::from_millis(50));
    }
    lan.peer.send(client, b"?\n");
    lan.run(Micros::from_secs(1));
    assert_eq!(lan.peer.receive(client), crate::lan::help());
}

#[test]
fn a_receiver_that_is_silent_is_asked_for_alone_and_by_unicast_first() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "10s"));
    lan.peer.udp(METRICS);
    let log = log_arp(&mut lan);
    lan.run(Micros::from_secs(1));
    assert_eq!(*log.borrow(), [(BROADCAST, ArpOperation::Request, PEER)]);
    lan.run(Micros(10 * ARP_FRESH.0));
    let log = log.borrow();
    assert!((9..=11).contains(&log.len()), "{log:?}");
    assert!(
        log[1..]
            .iter()
            .all(|it| *it == (PEER_MAC, ArpOperation::Request, PEER))
    );
}

#[test]
fn a_receiver_that_is_gone_is_asked_for_once_a_second_and_its_lines_wait() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "10s"));
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(5));
    lan.connected = false;
    // Nobody knows that it is gone before it has not answered.
    lan.run(Micros(
        ARP_FRESH.0 + u64::from(ARP_PROBES + 1) * ARP_EVERY.0,
    ));
    lan.peer.datagrams(receiver);
    let log = log_arp(&mut lan);
    lan.run(Micros::from_secs(60));
    assert!(
        (59..=61).contains(&log.borrow().len()),
        "{}",
        log.borrow().len()
    );
    assert!(log.borrow().iter().all(|it| it.0 == BROADCAST));
    lan.connected = true;
    lan.run(Micros::from_secs(2));
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let intervals = lines.iter().filter(|it| it.measurement == "memory").count();
    assert!((6..=7).contains(&intervals), "{intervals} of the last 60 s");
}

fn conflicts(lan: &Lan) -> Vec<Conflict> {
    let conflict = |event: &(Micros, Event)| match event.1 {
        Event::Contradicted(conflict) => Some(conflict),
        _ => None,
    };
    lan.events.iter().filter_map(conflict).collect()
}

#[test]
fn a_claim_to_the_receivers_address_is_told_rarely_and_ignored_while_it_answers() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(2));
    for _ in 0..100 {
        lan.nic.arrived.push_back(claim(RIVAL_MAC, PEER));
        lan.run(Micros::from_millis(100));
    }
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let intervals = lines.iter().filter(|it| it.measurement == "memory").count();
    assert!((12..=13).contains(&intervals), "{intervals}");
    assert_eq!(own(&lines, "lines_lost"), 0);
    assert!(own(&lines, "arp_conflicts") > 0);
    let told = conflicts(&lan);
    assert!((1..=7).contains(&told.len()), "{}", lan.log());
    assert!(
        told.iter()
            .all(|it| it.address == PEER && it.mac == RIVAL_MAC)
    );
}

#[test]
fn a_machine_that_has_taken_over_the_receivers_address_gets_the_lines() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(2));
    lan.connected = false;
    lan.nic.arrived.push_back(claim(RIVAL_MAC, PEER));
    let to = Rc::new(Cell::new(0));
    let seen = to.clone();
    lan.tap = Some(Box::new(move |frame| {
        seen.set(seen.get() + usize::from(frame[..6] == RIVAL_MAC));
        let is_question = parse_arp(frame) == Some((BROADCAST, ArpOperation::Request, PEER));
        let answer = || arp(ArpOperation::Reply, GUEST_MAC, RIVAL_MAC, PEER, GUEST);
        is_question.then(answer).into_iter().collect()
    }));
    lan.run(Micros(u64::from(ARP_PROBES + 2) * ARP_EVERY.0));
    let before = to.get();
    lan.run(Micros::from_secs(5));
    assert!(to.get() - before >= 5, "{}", to.get() - before);
}

#[test]
fn a_machine_with_the_images_address_is_told_and_answered_rarely() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(2));
    let log = log_arp(&mut lan);
    for _ in 0..200 {
        lan.nic.arrived.push_back(claim(RIVAL_MAC, GUEST));
        lan.run(Micros::from_millis(100));
    }
    let announced = |it: &&Seen| **it == (BROADCAST, ArpOperation::Request, GUEST);
    let announced = log.borrow().iter().filter(announced).count();
    assert!(
        (2..=3).contains(&announced),
        "{announced} announcements in 20 s"
    );
    let told = conflicts(&lan);
    assert!((1..=8).contains(&told.len()), "{}", lan.log());
    assert!(
        told.iter()
            .all(|it| it.address == GUEST && it.mac == RIVAL_MAC)
    );
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    assert!(own(&lines, "arp_conflicts") > 0);
    assert_eq!(own(&lines, "lines_lost"), 0);
}

#[test]
fn a_client_beyond_the_gateway_is_answered_by_it() {
    let gateway = Ipv4Addr::new(10, 0, 2, 2);
    let mut lan = Lan::new(&Config {
        addressing: Addressing::Static {
            cidr: parse_cidr("10.0.2.15/24").expect("an address"),
            gateway: Some(gateway),
        },
        allow: Allow::ALL,
        ..config("off", "10s")
    });
    lan.run(Micros::from_secs(1));
    let to = Rc::new(RefCell::new(Vec::new()));
    let seen = to.clone();
    lan.tap = Some(Box::new(move |frame| {
        if frame[12..14] == [8, 0] {
            seen.borrow_mut().push(frame[..6].to_vec());
        }
        Vec::new()
    }));
    let far = Ipv4Addr::new(192, 0, 2, 9);
    lan.nic
        .arrived
        .push_back(syn(RIVAL_MAC, far, 5_000, CONTROL));
    lan.run_now();
    assert_eq!(
        *to.borrow(),
        [PEER_MAC.to_vec()],
        "not to whom the packet came by"
    );
}
