//! The address of the image: how it is obtained, kept and lost, and that the image answers to it.

use core::cell::RefCell;
use core::net::Ipv4Addr;
use std::rc::Rc;

use agent::config::{Addressing, Config};
use agent::monitor::Event;
use network::push::Loss;
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, DhcpMessageType, DhcpPacket, DhcpRepr, EthernetAddress,
    EthernetFrame, EthernetProtocol, EthernetRepr, Icmpv4Packet, Icmpv4Repr, IpAddress, IpProtocol,
    Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};
use units::Micros;

use crate::lan::{GUEST, GUEST_MAC, Lan, METRICS, PEER, PEER_MAC, config, own, parse};

fn ethernet(dst: [u8; 6], ethertype: EthernetProtocol, len: usize) -> Vec<u8> {
    let repr = EthernetRepr {
        src_addr: EthernetAddress(PEER_MAC),
        dst_addr: EthernetAddress(dst),
        ethertype,
    };
    let mut frame = vec![0; repr.buffer_len() + len];
    repr.emit(&mut EthernetFrame::new_unchecked(&mut frame));
    frame
}

fn ipv4(src: Ipv4Addr, dst: Ipv4Addr, next_header: IpProtocol, payload: &[u8]) -> Vec<u8> {
    let repr = Ipv4Repr {
        src_addr: src,
        dst_addr: dst,
        next_header,
        payload_len: payload.len(),
        hop_limit: 64,
    };
    let mut frame = ethernet(
        GUEST_MAC,
        EthernetProtocol::Ipv4,
        repr.buffer_len() + payload.len(),
    );
    let mut packet = Ipv4Packet::new_unchecked(&mut frame[14..]);
    repr.emit(&mut packet, &ChecksumCapabilities::default());
    packet.payload_mut().copy_from_slice(payload);
    frame
}

fn arp_request() -> Vec<u8> {
    let repr = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr: EthernetAddress(PEER_MAC),
        source_protocol_addr: PEER,
        target_hardware_addr: EthernetAddress([0; 6]),
        target_protocol_addr: GUEST,
    };
    let mut frame = ethernet([0xff; 6], EthernetProtocol::Arp, repr.buffer_len());
    repr.emit(&mut ArpPacket::new_unchecked(&mut frame[14..]));
    frame
}

#[test]
fn a_static_address_is_ready_at_once_and_answers_arp_and_ping() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "10s"));
    lan.turn();
    assert_eq!(
        lan.log(),
        "monitoring: ready, address 10.0.2.15/24 static, control port 2323, memtrace port off, metrics to udp://10.0.2.2:8094\n"
    );
    lan.nic.sent.clear();
    lan.nic.arrived.push_back(arp_request());
    lan.turn();
    let reply = lan.nic.sent.pop_front().expect("an ARP reply");
    let reply = ArpRepr::parse(&ArpPacket::new_checked(&reply[14..]).expect("ARP")).expect("ARP");
    let ArpRepr::EthernetIpv4 {
        operation,
        source_hardware_addr,
        source_protocol_addr,
        ..
    } = reply
    else {
        panic!("{reply:?}");
    };
    assert_eq!(operation, ArpOperation::Reply);
    assert_eq!(
        (source_hardware_addr.0, source_protocol_addr),
        (GUEST_MAC, GUEST)
    );

    lan.nic.sent.clear();
    for seq_no in 0..20 {
        let data = vec![seq_no as u8; 56];
        let echo = Icmpv4Repr::EchoRequest {
            ident: 77,
            seq_no,
            data: &data,
        };
        let mut payload = vec![0; echo.buffer_len()];
        echo.emit(
            &mut Icmpv4Packet::new_unchecked(&mut payload[..]),
            &ChecksumCapabilities::default(),
        );
        lan.nic
            .arrived
            .push_back(ipv4(PEER, GUEST, IpProtocol::Icmp, &payload));
        lan.turn();
        let reply = lan.nic.sent.pop_front().expect("an echo reply");
        let packet = Ipv4Packet::new_checked(&reply[14..]).expect("IPv4");
        assert_eq!((packet.src_addr(), packet.dst_addr()), (GUEST, PEER));
        let packet = Icmpv4Packet::new_checked(packet.payload()).expect("ICMP");
        let reply = Icmpv4Repr::parse(&packet, &ChecksumCapabilities::default()).expect("ICMP");
        assert_eq!(
            reply,
            Icmpv4Repr::EchoReply {
                ident: 77,
                seq_no,
                data: &data
            }
        );
    }
}

#[test]
fn a_target_in_another_network_without_a_gateway_is_told() {
    let mut lan = Lan::new(&config("udp://192.0.2.1:8094", "10s"));
    lan.run(Micros::from_secs(30));
    assert!(
        lan.log()
            .contains("monitoring: no route to udp://192.0.2.1:8094: it is in another network, and there is no gateway\n"),
        "{}",
        lan.log()
    );
    assert!(
        lan.turns < 200,
        "{} turns: the loop must wait without spinning",
        lan.turns
    );
}

#[test]
fn everything_off_is_silent() {
    let mut lan = Lan::new(&Config {
        control_port: None,
        ..config("off", "10ms")
    });
    lan.run(Micros::from_secs(60));
    assert_eq!(
        lan.log(),
        "monitoring: ready, address 10.0.2.15/24 static, control port off, memtrace port off, metrics off\n"
    );
    assert_eq!(lan.turns, 2, "one turn at each end of the minute");
}

/// A DHCP server and what it offers.
#[derive(Clone, Debug)]
struct Server {
    /// `true` if it answers.
    alive: bool,
    source: Ipv4Addr,
    offered: Ipv4Addr,
    mask: Ipv4Addr,
    router: Option<Ipv4Addr>,
    lease_secs: u32,
    requests: usize,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            alive: true,
            source: PEER,
            offered: GUEST,
            mask: Ipv4Addr::new(255, 255, 255, 0),
            router: Some(PEER),
            lease_secs: 120,
            requests: 0,
        }
    }
}

impl Server {
    /// Returns the answer to a frame, if the frame asks this server.
    fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let ethernet = EthernetFrame::new_checked(frame).ok()?;
        let ip = Ipv4Packet::new_checked(ethernet.payload()).ok()?;
        if ethernet.ethertype() != EthernetProtocol::Ipv4 || ip.next_header() != IpProtocol::Udp {
            return None;
        }
        let udp = UdpPacket::new_checked(ip.payload()).ok()?;
        if udp.dst_port() != 67 {
            return None;
        }
        self.requests += 1;
        if !self.alive {
            return None;
        }
        let request = DhcpPacket::new_checked(udp.payload()).ok()?;
        let request = DhcpRepr::parse(&request).ok()?;
        let message_type = match request.message_type {
            DhcpMessageType::Discover => DhcpMessageType::Offer,
            DhcpMessageType::Request => DhcpMessageType::Ack,
            other => panic!("a client does not send {other:?}"),
        };
        let reply = DhcpRepr {
            message_type,
            your_ip: self.offered,
            server_identifier: Some(self.source),
            subnet_mask: Some(self.mask),
            router: self.router,
            lease_duration: Some(self.lease_secs),
            client_ip: Ipv4Addr::UNSPECIFIED,
            requested_ip: None,
            client_identifier: None,
            parameter_request_list: None,
            max_size: None,
            renew_duration: None,
            rebind_duration: None,
            dns_servers: None,
            ..request
        };
        let udp = UdpRepr {
            src_port: 67,
            dst_port: 68,
        };
        let mut payload = vec![0; udp.header_len() + reply.buffer_len()];
        let (src, dst) = (
            IpAddress::Ipv4(self.source),
            IpAddress::Ipv4(Ipv4Addr::BROADCAST),
        );
        udp.emit(
            &mut UdpPacket::new_unchecked(&mut payload[..]),
            &src,
            &dst,
            reply.buffer_len(),
            |bytes| {
                reply
                    .emit(&mut DhcpPacket::new_unchecked(bytes))
                    .expect("the frame has room");
            },
            &ChecksumCapabilities::default(),
        );
        Some(ipv4(
            self.source,
            Ipv4Addr::BROADCAST,
            IpProtocol::Udp,
            &payload,
        ))
    }
}

fn dhcp_lan(server: Server) -> (Lan, Rc<RefCell<Server>>) {
    let mut config = config("udp://10.0.2.2:8094", "10s");
    config.addressing = Addressing::Dhcp;
    with_server(&config, server)
}

fn with_server(config: &Config, server: Server) -> (Lan, Rc<RefCell<Server>>) {
    let mut lan = Lan::new(config);
    let server = Rc::new(RefCell::new(server));
    let at_tap = Rc::clone(&server);
    lan.tap = Some(Box::new(move |frame| {
        at_tap.borrow_mut().answer(frame).into_iter().collect()
    }));
    (lan, server)
}

/// The log after the server was gone for longer than the lease.
const LOST: &str = "monitoring: address 10.0.2.15/24 lost\nmonitoring: no address yet, no DHCP server has given one\n";

#[test]
fn an_address_from_dhcp_is_kept_renewed_lost_with_its_lease_and_gained_again() {
    let (mut lan, server) = dhcp_lan(Server::default());
    let receiver = lan.peer.udp(METRICS);
    lan.run_now();
    let ready = "monitoring: ready, address 10.0.2.15/24 by dhcp, control port 2323, memtrace port off, metrics to udp://10.0.2.2:8094\n";
    assert_eq!(lan.log(), ready);
    let first = parse(&lan.peer.datagrams(receiver).concat());
    assert_eq!(first.len(), 2, "the first emission comes with the address");

    lan.run(Micros::from_secs(600));
    assert_eq!(lan.log(), ready, "ten minutes of renewals change nothing");
    assert!(
        (8..=12).contains(&server.borrow().requests),
        "a renewal each minute: {}",
        server.borrow().requests
    );
    assert_eq!(lan.peer.datagrams(receiver).len(), 60);

    server.borrow_mut().alive = false;
    lan.run(Micros::from_secs(200));
    assert_eq!(lan.log(), format!("{ready}{LOST}"));
    let before_loss = lan.peer.datagrams(receiver).len();
    assert!((5..=12).contains(&before_loss), "{before_loss}");
    server.borrow_mut().alive = true;
    lan.run(Micros::from_secs(10));
    assert_eq!(lan.log(), format!("{ready}{LOST}{ready}"));
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    assert!(
        lines.len() > 2 * 8,
        "the lines of this time waited in the queue: {}",
        lines.len()
    );
    assert_eq!(
        (own(&lines, "addresses_lost"), own(&lines, "lines_lost")),
        (1, 0)
    );
    for pair in lines.chunks(4).filter(|chunk| chunk.len() == 4) {
        assert_eq!(
            pair[2].timestamp - pair[0].timestamp,
            10_000_000_000,
            "no line is missing"
        );
    }
}

#[test]
fn a_lost_address_ends_connections_and_the_next_one_brings_them_back() {
    let mut config = config("tcp://10.0.2.2:8094", "1s");
    config.addressing = Addressing::Dhcp;
    let (mut lan, server) = with_server(&config, Server::default());
    let receiver = lan.peer.tcp(1 << 20);
    lan.peer.listen(receiver);
    let client = lan.peer.tcp(4096);
    lan.run(Micros::from_secs(1));
    lan.peer.connect(client);
    lan.run_now();
    assert!(lan.monitor.is_active());
    server.borrow_mut().alive = false;
    lan.run(Micros::from_secs(130));
    let reason = lan.events.iter().find_map(|(_, event)| match event {
        Event::ConnectionLost { reason, .. } => Some(*reason),
        _ => None,
    });
    assert_eq!(reason, Some(Loss::AddressLost), "{}", lan.log());
    assert!(
        !lan.monitor.is_active(),
        "the client's connection is closed too"
    );

    let again = lan.peer.tcp(1 << 20);
    lan.peer.listen(again);
    server.borrow_mut().alive = true;
    lan.run(Micros::from_secs(5));
    let lines = parse(&lan.peer.receive(again));
    assert_eq!(
        (own(&lines, "connections"), own(&lines, "lines_lost")),
        (2, 0)
    );
    assert!(
        lines.len() >= 2 * 10,
        "the lines of this time: {}",
        lines.len()
    );
    let client = lan.peer.tcp(4096);
    lan.peer.connect(client);
    lan.run_now();
    lan.peer.send(client, b"?\n");
    lan.run_now();
    assert_eq!(lan.peer.receive(client), crate::lan::help());
}

#[test]
fn a_first_question_that_gets_lost_is_asked_again_after_two_seconds() {
    let (mut lan, server) = dhcp_lan(Server {
        alive: false,
        ..Server::default()
    });
    lan.run(Micros::from_millis(1_900));
    server.borrow_mut().alive = true;
    lan.run(Micros::from_millis(200));
    assert_eq!(lan.events.len(), 1, "{}", lan.log());
}

#[test]
fn a_new_address_from_the_server_replaces_the_old_one() {
    let (mut lan, server) = dhcp_lan(Server::default());
    lan.run_now();
    server.borrow_mut().offered = Ipv4Addr::new(10, 0, 2, 77);
    lan.run(Micros::from_secs(61));
    let target = "control port 2323, memtrace port off, metrics to udp://10.0.2.2:8094\n";
    assert_eq!(
        lan.log(),
        format!(
            "monitoring: ready, address 10.0.2.15/24 by dhcp, {target}monitoring: address 10.0.2.15/24 lost\n\
             monitoring: ready, address 10.0.2.77/24 by dhcp, {target}"
        )
    );
}

#[test]
fn a_new_address_ends_the_connections_of_the_old_one() {
    let mut config = config("tcp://10.0.2.2:8094", "1s");
    config.addressing = Addressing::Dhcp;
    let (mut lan, server) = with_server(&config, Server::default());
    let receiver = lan.peer.tcp(1 << 20);
    lan.peer.listen(receiver);
    lan.run(Micros::from_secs(10));
    let client = lan.peer.tcp(4096);
    lan.peer.connect(client);
    lan.run_now();
    assert!(lan.monitor.is_active());
    server.borrow_mut().offered = Ipv4Addr::new(10, 0, 2, 77);
    let again = lan.peer.tcp(1 << 20);
    lan.peer.listen(again);
    lan.run(Micros::from_secs(60));
    assert!(
        lan.log().contains("lost: the address was lost"),
        "{}",
        lan.log()
    );
    assert!(
        !lan.monitor.is_active(),
        "the client's connection is closed too"
    );
    let lines = parse(&lan.peer.receive(again));
    assert_eq!(
        (own(&lines, "connections"), own(&lines, "lines_lost")),
        (2, 0)
    );
}

#[test]
fn a_rogue_server_is_refused_and_ends_nothing() {
    let rogue = |change: fn(&mut Server)| {
        let mut server = Server {
            lease_secs: 4,
            ..Server::default()
        };
        change(&mut server);
        server
    };
    for server in [
        rogue(|server| server.source = Ipv4Addr::UNSPECIFIED),
        rogue(|server| server.offered = Ipv4Addr::LOCALHOST),
        rogue(|server| server.offered = Ipv4Addr::new(10, 0, 2, 255)),
        rogue(|server| server.offered = Ipv4Addr::new(10, 0, 2, 0)),
        rogue(|server| server.mask = Ipv4Addr::UNSPECIFIED),
    ] {
        let name = format!("{server:?}");
        let (mut lan, server) = dhcp_lan(server);
        // 20 s. The image requests again at once after each refused lease, but takes few answers.
        for _ in 0..2_000 {
            lan.turn();
            let frames: Vec<_> = lan.nic.sent.drain(..).collect();
            let mut tap = lan.tap.take().expect("a tap");
            lan.nic
                .arrived
                .extend(frames.iter().flat_map(|frame| tap(frame)));
            lan.tap = Some(tap);
            lan.now += Micros::from_millis(10);
        }
        let requests = server.borrow().requests;
        // Without the limit there would be 2,000 requests, one per turn.
        assert!(requests <= 60, "{requests} requests to {name}");
        let is_told = |line: &str| line.contains("is unusable") || line.contains("no address yet");
        let log = lan.log();
        assert!(log.lines().all(is_told), "{name}: {log}");
        assert!(log.lines().count() <= 6, "{name}: {log}");
        assert!(log.contains("no address yet"), "{name}: {log}");
    }
}

#[test]
fn a_router_that_cannot_be_one_is_left_out() {
    for router in [
        Ipv4Addr::UNSPECIFIED,
        Ipv4Addr::BROADCAST,
        Ipv4Addr::new(10, 0, 3, 1),
        Ipv4Addr::new(10, 0, 2, 0),
    ] {
        let server = Server {
            router: Some(router),
            ..Server::default()
        };
        let mut config = config("udp://192.0.2.1:8094", "10s");
        config.addressing = Addressing::Dhcp;
        let (mut lan, _) = with_server(&config, server);
        lan.run(Micros::from_secs(60));
        assert!(lan.log().contains("no route"), "{router}: {}", lan.log());
    }
}
