//! Runs `hermon trace` against servers on loopback that behave like networks and images.

use core::net::SocketAddr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;

use super::common::{DEADLINE, Tool};
use super::made::{packets, service};

/// A server for one client.
fn server<T: Send + 'static>(
    serve: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (SocketAddr, JoinHandle<T>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (client, _) = listener.accept().unwrap();
        // So that a tool that does nothing fails its test and does not stop it.
        client.set_read_timeout(Some(DEADLINE)).unwrap();
        serve(client)
    });
    (address, thread)
}

/// Waits until the client closes its half.
fn wait_for_the_end(client: &mut TcpStream) {
    let mut said = Vec::new();
    client.read_to_end(&mut said).unwrap();
    assert!(
        said.is_empty(),
        "a client of the memtrace port says nothing"
    );
}

/// Closes in such a way that the client sees a reset: data from the client was never read.
fn reset(client: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&client, Some(core::time::Duration::ZERO)).unwrap();
    drop(client);
}

struct Run {
    tool: Tool,
    path: PathBuf,
    _folder: TempDir,
}

fn run(address: SocketAddr, options: &[&str]) -> Run {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.ctf");
    let address = address.to_string();
    let fixed = ["trace", &address, "-o", path.to_str().unwrap()];
    Run {
        tool: Tool::start([&fixed, options].concat()),
        path,
        _folder: folder,
    }
}

impl Run {
    /// Returns its exit code, all its output, and the file that it left.
    fn end(mut self) -> (Option<i32>, String, Option<Vec<u8>>) {
        let code = self.tool.wait().code();
        let lines: Vec<String> = self.tool.lines.iter().collect();
        (code, lines.join("\n"), fs::read(&self.path).ok())
    }

    /// Expects it to end with this code and to leave these packets. Returns all its output.
    fn leaves(self, code: i32, packets: &[Vec<u8>]) -> String {
        let (ended, said, file) = self.end();
        assert_eq!(
            (ended, file),
            (Some(code), Some(packets.concat())),
            "{said}"
        );
        said
    }
}

/// Returns the packets of the small service.
fn whole() -> Vec<Vec<u8>> {
    packets(1e-4, &service())
}

#[test]
fn a_trace_that_the_image_ends_is_kept_whole_and_reported_on() {
    let (address, server) = server(|mut client| client.write_all(&whole().concat()));
    let said = run(address, &[]).leaves(0, &whole());
    server.join().unwrap().unwrap();
    assert!(said.contains("; the image ended the trace"), "{said}");
    assert!(said.contains("app::cache::insert"), "{said}");
}

#[test]
fn a_trace_that_comes_byte_by_byte_is_the_same() {
    let (address, server) = server(|mut client| {
        client.set_nodelay(true).unwrap();
        let bytes = whole().concat();
        bytes
            .iter()
            .for_each(|byte| client.write_all(&[*byte]).unwrap());
    });
    run(address, &[]).leaves(0, &whole());
    server.join().unwrap();
}

#[test]
fn after_the_duration_the_image_is_asked_to_end_and_its_last_packets_are_taken() {
    let (address, server) = server(|mut client| {
        let packets = whole();
        let (first, last) = packets.split_at(2);
        client.write_all(&first.concat()).unwrap();
        wait_for_the_end(&mut client);
        client.write_all(&last.concat()).unwrap();
    });
    let said = run(address, &["--duration", "50ms"]).leaves(0, &whole());
    server.join().unwrap();
    assert!(said.contains("; the duration is over"), "{said}");
}

#[test]
fn ctrl_c_ends_it_cleanly_with_a_report() {
    for signal in ["-INT", "-TERM"] {
        let (to, first_is_sent) = std::sync::mpsc::channel();
        let (address, server) = server(move |mut client| {
            let packets = whole();
            let (last, first) = packets.split_last().unwrap();
            client.write_all(&first.concat()).unwrap();
            to.send(first.concat().len() as u64).unwrap();
            wait_for_the_end(&mut client);
            client.write_all(last).unwrap();
        });
        let run = run(address, &[]);
        let size = first_is_sent.recv_timeout(DEADLINE).unwrap();
        // When it has written that much, it catches signals.
        while fs::metadata(&run.path).map_or(0, |file| file.len()) < size {
            thread::yield_now();
        }
        match signal {
            "-INT" => run.tool.interrupt(),
            signal => run.tool.signal(signal),
        }
        let said = run.leaves(0, &whole());
        server.join().unwrap();
        assert!(
            said.contains("; ended by a signal") && said.contains("app::cache::insert"),
            "{said}"
        );
    }
}

#[test]
fn an_image_that_stalls_after_the_end_is_not_waited_for() {
    let (to, is_over) = std::sync::mpsc::channel::<()>();
    let (address, server) = server(move |mut client| {
        client.write_all(&whole().concat()).unwrap();
        // Neither a byte nor a close, until the tool is gone.
        let _ = is_over.recv();
    });
    let said = run(address, &["--duration", "20ms"]).leaves(0, &whole());
    drop(to);
    server.join().unwrap();
    assert!(
        said.contains("did not close within 3 s: its last events may be missing"),
        "{said}"
    );
}

#[test]
fn a_reset_keeps_every_whole_packet() {
    let (to, is_written) = std::sync::mpsc::channel::<()>();
    let (address, server) = server(move |mut client| {
        client.write_all(&whole()[..3].concat()).unwrap();
        // A reset discards what the other side has not read.
        is_written.recv_timeout(DEADLINE).unwrap();
        reset(client);
    });
    let run = run(address, &[]);
    let want = whole()[..3].concat();
    while fs::metadata(&run.path).map_or(0, |file| file.len()) < want.len() as u64 {
        thread::yield_now();
    }
    to.send(()).unwrap();
    let said = run.leaves(0, &whole()[..3]);
    server.join().unwrap();
    assert!(
        said.contains("; the connection failed: Connection reset by peer"),
        "{said}"
    );
}

#[test]
fn a_cut_packet_is_left_out_of_the_file_and_told() {
    let (address, server) = server(|mut client| {
        let packets = whole();
        client.write_all(&packets[..2].concat()).unwrap();
        client.write_all(&packets[2][..70]).unwrap();
    });
    let said = run(address, &[]).leaves(0, &whole()[..2]);
    server.join().unwrap();
    assert!(
        said.contains("and 70 bytes of a packet that did not come whole are left out"),
        "{said}"
    );
}

#[test]
fn a_packet_that_breaks_the_format_ends_the_trace_and_is_not_kept() {
    let (address, server) = server(|mut client| {
        let mut packets = whole();
        // The first id of the packet, which then is not the one that follows.
        packets[2][50] ^= 1;
        // The tool closes when it has seen enough.
        let _ = client.write_all(&packets.concat());
    });
    let said = run(address, &[]).leaves(1, &whole()[..2]);
    server.join().unwrap();
    assert!(
        said.contains("the image broke the format, nothing more was taken: offset "),
        "{said}"
    );
}

#[test]
fn what_is_no_memtrace_port_is_told_and_leaves_no_trace() {
    type Serve = fn(TcpStream);
    let cases: [(Serve, &str); 3] = [
        (
            drop,
            "closed the connection without a trace: it serves one client at a time, is there another?",
        ),
        (
            |mut client| client.write_all(b"error: unknown command\n").unwrap(),
            "sends no trace: offset 0: not a packet: it begins with 0x6f727265: is that the memtrace port?",
        ),
        (
            |mut client| client.write_all(&packets(1e-4, &[])[0][..40]).unwrap(),
            "closed the connection without a trace: it serves one client at a time, is there another?",
        ),
    ];
    for (serve, want) in cases {
        let (address, server) = server(serve);
        let (code, said, _) = run(address, &[]).end();
        server.join().unwrap();
        assert_eq!((code, said), (Some(3), format!("hermon: {address} {want}")));
    }
}

#[test]
fn a_reset_before_the_first_packet_is_told() {
    let (address, server) = server(reset);
    let (code, said, _) = run(address, &[]).end();
    server.join().unwrap();
    // It may arrive while the tool is still connecting.
    let early = format!(
        "hermon: cannot connect to {address}: Connection reset by peer (os error 104): is the image running, and does it listen there?"
    );
    let late = format!("hermon: {address} sent no trace: Connection reset by peer (os error 104)");
    assert!(code == Some(3) && (said == early || said == late), "{said}");
}

#[test]
fn nobody_there_is_one_line_and_the_file_that_was_there_stays() {
    let address = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.ctf");
    fs::write(&path, "earlier").unwrap();
    let mut tool = Tool::start(["trace", &address.to_string(), "-o", path.to_str().unwrap()]);
    assert_eq!(
        tool.line(),
        format!(
            "hermon: cannot connect to {address}: Connection refused (os error 111): is the image running, and does it listen there?"
        )
    );
    assert_eq!(tool.wait().code(), Some(3));
    assert_eq!(fs::read_to_string(path).unwrap(), "earlier");
}

#[test]
fn a_full_disk_is_told() {
    let (address, server) = server(|mut client| drop(client.write_all(&whole().concat())));
    let mut tool = Tool::start(["trace", &address.to_string(), "-o", "/dev/full"]);
    let line = tool.line_with("hermon: ");
    assert_eq!(
        line,
        "hermon: cannot write /dev/full: No space left on device (os error 28)"
    );
    assert_eq!(tool.wait().code(), Some(3));
    server.join().unwrap();
}

#[test]
fn the_rate_is_set_by_the_control_port_before_the_trace_begins() {
    let (control, command) = server(|mut client| {
        let mut line = String::new();
        BufReader::new(client.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        client.write_all(b"ok: rate 1e-3\n").unwrap();
        client.shutdown(Shutdown::Both).unwrap();
        line
    });
    let (address, server) =
        server(|mut client| client.write_all(&packets(1e-3, &service()).concat()));
    let (code, said, _) = run(
        address,
        &["--rate", "1e-3", "--control", &control.to_string()],
    )
    .end();
    server.join().unwrap().unwrap();
    assert_eq!(command.join().unwrap(), "T1e-3\n");
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(&format!("hermon: {control}: ok: rate 1e-3")),
        "{said}"
    );
    assert!(
        said.contains("rate         0.001 of all words, a hit stands for 7.81 KiB"),
        "{said}"
    );
}

#[test]
fn a_rate_that_the_image_refuses_ends_it_before_there_is_a_trace() {
    let (control, command) = server(|mut client| {
        let mut line = String::new();
        BufReader::new(client.try_clone().unwrap())
            .read_line(&mut line)
            .unwrap();
        client.write_all(b"error: a trace is running\n").unwrap();
    });
    let mut tool = Tool::start([
        "trace",
        "127.0.0.1:1",
        "--rate",
        "1",
        "--control",
        &control.to_string(),
    ]);
    assert_eq!(
        tool.line(),
        format!("hermon: the rate was not set: {control} said \"error: a trace is running\"")
    );
    assert_eq!(tool.wait().code(), Some(1));
    command.join().unwrap();
}

#[test]
fn bad_options_are_named() {
    for (arguments, want) in [
        (
            &["trace", "a b"][..],
            "\"a b\" is neither HOST nor HOST:PORT",
        ),
        (&["trace", "a", "--rate", "2"], "\"2\" is not a probability"),
        (
            &["trace", "a", "--duration", "0s"],
            "\"0s\" is not a time such as 30s",
        ),
        (&["report"], "<FILE>"),
    ] {
        let mut tool = Tool::start(arguments);
        assert_eq!(tool.wait().code(), Some(2));
        let said: Vec<String> = tool.lines.iter().collect();
        assert!(said.join("\n").contains(want), "{said:?}");
    }
}
