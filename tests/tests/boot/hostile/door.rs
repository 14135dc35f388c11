//! Clients that hold the door of the control port, guess the token, or speak another protocol.

use core::net::{Ipv4Addr, SocketAddrV4};
use std::io::Write;
use std::net::TcpStream;

use hermon_machine::application::CONTROL_PORT;
use hermon_machine::qemu::{GUEST_BY_DHCP, Machine, Nic};
use tests::boot::{Boot, Running};
use tests::cable::{Arp, BROADCAST, Cable, Packet, Segment};
use tests::control::Port;
use tests::metrics::{Receive, Udp};
use tests::trace::Ports;

const STRANGER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 77];

fn boot(cable: &Cable, port: Port, arguments: &str) -> (Running, Udp) {
    let udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(
            cable.beside(vec![port.forward_to(GUEST_BY_DHCP)]),
        ))
        .arguments("--interval 500ms")
        .arguments(arguments)
        .argument(udp.target())
        .start();
    guest.ready();
    (guest, udp)
}

#[test]
fn clients_that_know_no_token_keep_the_operator_out_in_none_of_thirty_tries() {
    let (cable, port) = (Cable::open(), Port::free());
    let (_guest, _udp) = boot(&cable, port, "--token sesame");
    let mut held = Vec::new();
    for _ in 0..30 {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(port.address()).expect("QEMU listens");
            // A byte that ends no line. The guest may have given the place away already.
            drop(stream.write_all(b"a"));
            held.push(stream);
        }
        assert_eq!(port.connect().prove("sesame"), "ok");
    }
}

#[test]
fn wrong_tokens_do_not_shut_out_who_knows_it_and_guesses_have_a_rate() {
    let (cable, port) = (Cable::open(), Port::free());
    let (_guest, mut udp) = boot(&cable, port, "--token sesame");
    for _ in 0..20 {
        assert_eq!(port.connect().prove("guess"), "error: wrong token");
        assert_eq!(port.connect().prove("sesame"), "ok");
    }
    let point = udp.until(|point| {
        point.measurement == "monitoring" && point.integer("control_auth_failures") == 20
    });
    assert_eq!(point.integer("control_denied"), 0);
}

#[test]
fn spoofed_syns_keep_the_operator_out_in_none_of_fifteen_tries() {
    let (cable, port) = (Cable::open(), Port::free());
    let (_guest, _udp) = boot(&cable, port, "");
    let to = SocketAddrV4::new(GUEST_BY_DHCP, CONTROL_PORT);
    let mut held: Vec<_> = (0..5).map(|_| port.connect()).collect();
    for (number, client) in held.iter_mut().enumerate() {
        assert!(client.ask("l").starts_with("ok"), "{number}");
    }
    let mut source = 1_024;
    for _ in 0..15 {
        // Nobody answers for them, so each keeps its socket for five seconds.
        for _ in 0..3 {
            source += 1;
            let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 200), source);
            cable.send(&Segment::syn(from, to, 7).frame(STRANGER_MAC));
        }
        assert!(port.connect().ask("l").starts_with("ok"));
    }
}

#[test]
fn a_browsers_request_and_a_tls_handshake_are_answered_once_and_not_obeyed() {
    let (cable, port) = (Cable::open(), Port::free());
    let (_guest, mut udp) = boot(&cable, port, "");
    let request = b"POST / HTTP/1.1\r\nHost: 127.0.0.1:2323\r\nContent-Length: 21\r\nOrigin: https://example.org\r\n\r\nM*:off\nL*:quiet\nT1e-3\n";
    let reply = String::from_utf8(port.send_and_read_all(request)).expect("text");
    assert!(reply.starts_with("HTTP/1.1 400 "), "{reply}");
    assert_eq!(reply.matches("error:").count(), 1, "{reply}");
    let reply = port.send_and_read_all(b"\x16\x03\x01\x00\x05M*:off\n");
    assert!(reply.starts_with(b"error: "), "{reply:?}");
    assert_eq!(port.connect().ask("m"), "ok: *:enabled");
    assert_eq!(port.connect().ask("l"), "ok: *:info,hermit:warning");
    udp.until(|point| point.measurement == "monitoring" && point.integer("control_foreign") == 2);
}

#[test]
fn a_denied_host_gets_a_reset_without_a_number_of_ours() {
    let (cable, port) = (Cable::open(), Port::free());
    let (_guest, mut udp) = boot(&cable, port, "--allow 10.0.2.2");
    let from = SocketAddrV4::new(Ipv4Addr::new(10, 0, 2, 66), 40_000);
    let to = SocketAddrV4::new(GUEST_BY_DHCP, CONTROL_PORT);
    // A stranger that asks for the address first, as an honest host does.
    cable.send(&Arp::request(STRANGER_MAC, *from.ip(), GUEST_BY_DHCP).frame(BROADCAST));
    for number in 0..5 {
        let syn = Segment::syn(from, to, number).frame(STRANGER_MAC);
        cable.until_answered(&syn, |packet| match packet {
            Packet::Tcp(segment) if segment.to == from => {
                assert!(segment.rst);
                assert_eq!(
                    (segment.sequence, segment.acknowledgment),
                    (0, Some(number + 1))
                );
                Some(())
            }
            _ => None,
        });
    }
    assert!(port.connect().ask("l").starts_with("ok"));
    udp.until(|point| point.measurement == "monitoring" && point.integer("control_denied") >= 5);
}

#[test]
fn with_a_token_a_trace_needs_a_proof() {
    let ports = Ports::free();
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(ports.network()))
        .arguments("--influx off --sampling-rate 1e-2 --token sesame")
        .start();
    guest.ready();
    let mut thief = ports.trace();
    thief.prove("guess");
    assert!(!thief.reads_to(100), "it got one line, and was closed");
    let mut client = ports.trace();
    client.prove("sesame");
    client.read_to(4 << 10);
    assert!(!client.finish().blocks.is_empty());
}
