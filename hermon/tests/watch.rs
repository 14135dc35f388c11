//! Runs `hermon watch` with real sockets on loopback.

mod common;

use core::net::SocketAddr;
use std::io::Write;
use std::net::{TcpStream, UdpSocket};

use common::Tool;

fn watch(options: &[&str]) -> (Tool, SocketAddr) {
    let tool = Tool::start(
        ["watch", "--plain", "--listen", "127.0.0.1:0"]
            .iter()
            .chain(options),
    );
    let line = tool.line();
    let address = line
        .strip_prefix("hermon  listening on ")
        .and_then(|rest| rest.strip_suffix(" for udp and tcp"))
        .unwrap_or_else(|| panic!("{line}"));
    let address = address.parse().expect("an address");
    (tool, address)
}

#[test]
fn lines_of_both_transports_are_shown_with_their_peer() {
    let (tool, address) = watch(&[]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let peer = udp.local_addr().unwrap();
    udp.send_to(b"memory,vm=hermit live_bytes=1i\n", address)
        .unwrap();
    assert_eq!(
        tool.line(),
        format!("udp     {peer} memory,vm=hermit live_bytes=1i")
    );

    let mut tcp = TcpStream::connect(address).unwrap();
    let peer = tcp.local_addr().unwrap();
    tcp.write_all(b"memory live_by").unwrap();
    tcp.write_all(b"tes=2i\r\n\n").unwrap();
    assert_eq!(tool.line(), format!("tcp     {peer} memory live_bytes=2i"));
}

#[test]
fn losses_are_shown_as_they_happen_and_counted_at_the_end() {
    let (mut tool, address) = watch(&[]);
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.write_all(b"m v=1\nm v=\nm v").unwrap();
    drop(tcp);
    assert!(tool.line().ends_with(" m v=1"));
    let unparsable = tool.line();
    assert!(
        unparsable.contains(" unparsable, ") && unparsable.ends_with(": m v="),
        "{unparsable}"
    );
    assert!(tool.line().ends_with(" cut by the connection's end: m v"));
    tool.interrupt();
    assert_eq!(
        tool.line(),
        "hermon  1 points, 1 lines unparsable, 1 lines cut by their connection's end"
    );
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn it_ends_by_itself_after_as_many_points_as_asked_for() {
    let (mut tool, address) = watch(&["--points", "2"]);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(b"# no point\na v=1\nb v=2\n", address).unwrap();
    tool.line_with(" b v=2");
    assert_eq!(tool.line(), "hermon  2 points");
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn a_taken_port_is_one_line_that_names_it_and_the_option() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut tool = Tool::start(["watch", "--listen", &address]);
    let line = tool.line();
    assert!(
        line.starts_with(&format!("hermon: cannot listen on udp port {address}: ")),
        "{line}"
    );
    assert!(
        line.ends_with("choose another with --listen ADDRESS:PORT"),
        "{line}"
    );
    assert_eq!(tool.wait().code(), Some(3));
}

#[test]
fn a_bad_argument_ends_with_its_own_status() {
    let mut tool = Tool::start(["watch", "--listen", "nowhere"]);
    assert!(tool.line().contains("'nowhere'"));
    assert_eq!(tool.wait().code(), Some(2));
}
