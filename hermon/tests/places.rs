//! Places are given back: to machines that connect again, to new series, to pages. Everything with the real tool.

mod common;

use core::net::SocketAddr;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream, UdpSocket};

use common::{DEADLINE, Tool, http};
use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
use tempfile::TempDir;

fn watch(options: &[&str]) -> (Tool, SocketAddr) {
    let fixed = ["watch", "--plain", "--listen=127.0.0.1:0"];
    let tool = Tool::start(fixed.iter().chain(options));
    let line = tool.line_with("listening on");
    let address = line.split_whitespace().nth(3).unwrap().parse().unwrap();
    (tool, address)
}

fn page(tool: &Tool) -> String {
    let line = tool.line_with("the page is at ");
    line.rsplit_once(' ').unwrap().1.to_owned()
}

/// A connection from another address of the loopback network.
fn from(host: u8, to: SocketAddr) -> TcpStream {
    let SocketAddr::V4(to) = to else {
        panic!("{to}")
    };
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    let own = core::net::SocketAddrV4::new([127, 0, 1, host].into(), 0);
    bind(&socket, &own).unwrap();
    connect(&socket, &to).unwrap();
    socket.into()
}

#[test]
fn after_a_hundred_crashes_a_machine_that_boots_again_is_still_heard() {
    let (mut tool, address) = watch(&[]);
    // Each of them stays open, as after a crash.
    let mut boots = Vec::new();
    for boot in 0..100 {
        let mut tcp = TcpStream::connect(address).unwrap();
        writeln!(tcp, "m,vm=a boot={boot}i").unwrap();
        tool.line_with(&format!("m,vm=a boot={boot}i"));
        boots.push(tcp);
    }
    drop(boots);
    tool.interrupt();
    assert_eq!(
        tool.line_with(" points"),
        "hermon  100 points, 36 connections closed here"
    );
    assert_eq!(tool.wait().code(), Some(0));
}

#[test]
fn connections_that_say_nothing_take_no_place_from_those_that_do() {
    let (tool, address) = watch(&[]);
    let mut live = from(2, address);
    writeln!(live, "m,vm=live v=1").unwrap();
    tool.line_with("m,vm=live v=1");
    let silent: Vec<TcpStream> = (0..200)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    // There are 64 places, one of them for the machine that is live.
    for _ in 63..200 {
        let line = tool.line_with("to make room for a new connection");
        assert!(line.contains("127.0.0.1:"), "{line}");
    }
    writeln!(live, "m,vm=live v=2").unwrap();
    tool.line_with("m,vm=live v=2");
    let mut new = TcpStream::connect(address).unwrap();
    writeln!(new, "m,vm=new v=1").unwrap();
    tool.line_with("m,vm=new v=1");
    drop(silent);
}

#[test]
fn sixty_four_machines_that_connect_at_once_all_keep_their_places() {
    let (mut tool, address) = watch(&[]);
    let machines: Vec<TcpStream> = (0..64)
        .map(|n| {
            let mut tcp = TcpStream::connect(address).unwrap();
            writeln!(tcp, "m,vm=v{n} v=1").unwrap();
            tcp
        })
        .collect();
    for mut tcp in &machines {
        writeln!(tcp, "m v=2").unwrap();
    }
    for _ in 0..64 {
        tool.line_with("m v=2");
    }
    tool.interrupt();
    assert_eq!(tool.line_with(" points"), "hermon  128 points");
    tool.wait();
}

#[test]
fn http_and_tls_are_one_answer_or_none_and_one_fault_each() {
    let (mut tool, address) = watch(&["--points", "1"]);
    let request =
        "POST /write HTTP/1.1\r\nHost: a\r\nContent-Length: 18\r\n\r\nm,vm=evil v=1\nm v=2";
    let mut http = TcpStream::connect(address).unwrap();
    http.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    http.read_to_string(&mut answer).unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("without HTTP\n"),
        "{answer}"
    );
    tool.line_with("an HTTP message, not line protocol: left out");
    let mut tls = TcpStream::connect(address).unwrap();
    tls.write_all(b"\x16\x03\x01\x02\x00\x01\x00\nm v=1\n")
        .unwrap();
    // Closed, or reset.
    assert!(!matches!(tls.read(&mut [0; 8]), Ok(1..)));
    tool.line_with("a TLS hello, not line protocol: left out");
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(request.as_bytes(), address).unwrap();
    tool.line_with("an HTTP message, not line protocol: left out");
    udp.send_to(b"\x16\xfe\xfd\0\0\0\nm v=1\n", address)
        .unwrap();
    tool.line_with("a TLS hello, not line protocol: left out");
    udp.send_to(b"m v=3", address).unwrap();
    assert_eq!(
        tool.line_with(" points"),
        "hermon  1 points, 4 messages of another protocol"
    );
    assert_eq!(tool.wait().code(), Some(0));
}

/// Sends lines by a connection and waits until the tool has read them all.
fn feed(tool: &Tool, address: SocketAddr, lines: &str, last: &str) {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.write_all(lines.as_bytes()).unwrap();
    writeln!(tcp, "{last}").unwrap();
    tcp.shutdown(Shutdown::Write).unwrap();
    tool.line_with(last);
}

#[test]
fn a_new_machine_is_shown_though_old_ones_have_filled_the_table_also_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("db").display().to_string();
    let options = ["--web=127.0.0.1:0", "--db", &db];
    let old: String = (0..5_000).map(|n| format!("m,vm=old-{n} v=1i\n")).collect();
    let is_shown = |page: &str, vm: &str| {
        http::status(page, vm, |status| {
            let machines = status["machines"].as_array().unwrap();
            machines.iter().any(|machine| machine["name"] == vm)
        })
    };
    let (mut tool, address) = watch(&options);
    let address_of_page = page(&tool);
    feed(&tool, address, &old, "m,vm=first v=1");
    let status = is_shown(&address_of_page, "first");
    assert!(status["machines"].as_array().unwrap().len() <= 4_096);
    tool.interrupt();
    let sum = tool.line_with(" points");
    assert!(
        sum.contains(" silent series forgotten for new ones"),
        "{sum}"
    );
    assert!(!sum.contains("too many series"), "{sum}");
    tool.wait();

    let (tool, address) = watch(&options);
    let address_of_page = page(&tool);
    feed(&tool, address, "", "m,vm=second v=1");
    is_shown(&address_of_page, "second");
}

#[test]
fn half_headers_do_not_shut_the_page() {
    let (tool, _) = watch(&["--web=127.0.0.1:0"]);
    let page = page(&tool);
    let host = page.strip_prefix("http://").unwrap();
    let mut half: Vec<TcpStream> = Vec::new();
    for _ in 0..900 {
        let mut tcp = TcpStream::connect(host).unwrap();
        write!(tcp, "GET / HTTP/1.1\r\nHost: ").unwrap();
        half.push(tcp);
    }
    let answer = http::get(&page, "/");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    http::status(&page, "closed connections", |status| {
        status["losses"]
            .to_string()
            .contains("connections of the page closed")
    });
    // The first of them lost its place, without an answer.
    half[0].set_read_timeout(Some(DEADLINE)).unwrap();
    let mut rest = String::new();
    assert!(
        matches!(half[0].read_to_string(&mut rest), Ok(0) | Err(_)),
        "{rest}"
    );
}

#[test]
fn a_header_that_is_never_whole_and_a_body_that_never_comes_end_by_themselves() {
    let (tool, _) = watch(&["--web=127.0.0.1:0"]);
    let page = page(&tool);
    let host = page.strip_prefix("http://").unwrap();
    for beginning in [
        "GET / HTTP/1.1\r\nHost: ".to_owned(),
        format!(
            "POST /trace HTTP/1.1\r\nHost: {host}\r\nX-Hermon: 1\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{{"
        ),
        // Answered, and then no other request.
        format!("GET /page.css HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    ] {
        let mut tcp = TcpStream::connect(host).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.write_all(beginning.as_bytes()).unwrap();
        let mut answer = Vec::new();
        tcp.read_to_end(&mut answer).unwrap();
    }
}

#[test]
fn pages_that_follow_are_bounded_and_the_newest_is_served() {
    let (tool, _) = watch(&["--web=127.0.0.1:0"]);
    let page = page(&tool);
    let host = page.strip_prefix("http://").unwrap();
    let mut pages = Vec::new();
    for _ in 0..33 {
        let mut tcp = TcpStream::connect(host).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(tcp, "GET /events HTTP/1.1\r\nHost: {host}\r\n\r\n").unwrap();
        let mut first = [0; 12];
        tcp.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"HTTP/1.1 200");
        pages.push(tcp);
    }
    // The first one's stream ends.
    let mut rest = Vec::new();
    drop(pages[0].read_to_end(&mut rest));
    http::status(&page, "two closed", |status| {
        status["losses"]
            .to_string()
            .contains("connections of the page closed")
    });
}
