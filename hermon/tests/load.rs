//! Sends many points. Every loss is counted, and nothing is lost where the sender can wait.

mod common;

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{BufWriter, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Instant;

use common::DEADLINE;
use common::pty::Pty;
use tempfile::TempDir;

const HERMON: &str = env!("CARGO_BIN_EXE_hermon");

/// The number of lines that 1,000 series of 10 fields have in ten seconds.
const LINES: u64 = 100_000;

/// Returns a line of one of 1,000 series, with ten fields, 190 bytes.
fn line(n: u64) -> String {
    format!(
        "load,shard={},vm=web-1 a={n}i,b={n}i,c={n}i,d={n}i,e={n}i,f={n}i,g={n}i,h=1.5,i={},live_bytes={} {}\n",
        n % 1_000,
        n % 7,
        n * 4_096,
        1_700_000_000_000_000_000 + (n / 1_000) * 1_000_000_000,
    )
}

/// Starts a watch with everything that it can do at once: the view, the page and the file.
fn watch(folder: &TempDir) -> (Pty, SocketAddr) {
    let db = folder.path().join("db").display().to_string();
    let arguments = [
        "watch",
        "--listen=127.0.0.1:0",
        "--web=127.0.0.1:0",
        "--db",
        &db,
    ];
    let program: Vec<&str> = [HERMON].into_iter().chain(arguments).collect();
    let pty = Pty::start(&program, (110, 30));
    pty.wait_for_text("waiting for the first point");
    let address = pty
        .contents()
        .split_whitespace()
        .find_map(|word| word.parse().ok());
    (pty, address.expect("an address"))
}

/// Leaves the view. Returns the last line, the sum.
fn sum(mut pty: Pty) -> String {
    pty.keys("q");
    assert_eq!(pty.end().code(), Some(0));
    let mut sum = String::new();
    pty.wait_for("the sum", |screen| {
        let text = screen.contents().replace('\n', " ");
        let found = text
            .rsplit_once(" hermon  ")
            .filter(|(_, last)| last.contains(" points"));
        sum = found
            .map(|(_, last)| last.trim().to_owned())
            .unwrap_or_default();
        !sum.is_empty()
    });
    sum
}

/// Returns the number in front of a text, or 0.
fn number_before(sum: &str, what: &str) -> u64 {
    let before = sum
        .split(what)
        .next()
        .filter(|before| before.len() < sum.len());
    let number = before.and_then(|before| before.trim_end().rsplit(' ').next());
    number.map_or(0, |number| {
        number.parse().unwrap_or_else(|_| panic!("{sum}"))
    })
}

/// Returns the most memory that a process has had, in bytes.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let row = status
        .lines()
        .find_map(|row| row.strip_prefix("VmHWM:"))
        .unwrap();
    row.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
}

#[test]
fn by_tcp_every_point_is_shown_and_kept() {
    let folder = TempDir::new().unwrap();
    let (pty, address) = watch(&folder);
    let began = Instant::now();
    let mut stream = BufWriter::new(TcpStream::connect(address).unwrap());
    for n in 0..LINES {
        stream.write_all(line(n).as_bytes()).unwrap();
    }
    stream.flush().unwrap();
    pty.wait_for_text("100,000 points");
    let rate = LINES as f64 / began.elapsed().as_secs_f64();
    let peak = peak(pty.pid());
    eprintln!(
        "{rate:.0} points of 10 fields a second, at most {} MB of memory",
        peak / 1_000_000
    );
    // 10,000 fields of 100 samples, the queue of the file, the program.
    assert!(peak < 150_000_000, "{peak} bytes");
    let sum = sum(pty);
    let kept = LINES - number_before(&sum, "points not in the file");
    assert!(sum.starts_with("100000 points"), "{sum}");
    for lost in ["lost here", "unparsable", "cut", "dropped", "too many"] {
        assert!(!sum.contains(lost), "{sum}");
    }
    // On a slow disk the file's queue may be full at such a rate; then the tool reports it.
    assert!(kept > 0, "{sum}");
}

#[test]
fn by_udp_every_point_is_shown_or_counted_as_lost() {
    let folder = TempDir::new().unwrap();
    let (pty, address) = watch(&folder);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..LINES {
        udp.send_to(line(n).as_bytes(), address).unwrap();
    }
    let markers = read_up_to_here(&pty, &udp, address);
    let sum = sum(pty);
    let points = number_before(&sum, "points");
    let lost = number_before(&sum, "lines lost here") + number_before(&sum, "datagrams dropped");
    eprintln!("without any pause: {points} points shown, {lost} counted as lost");
    // A datagram is a line.
    assert_eq!(points + lost, LINES + markers, "{sum}");
    assert!(points > 0, "{sum}");
}

/// Sends a line by itself until it is shown: then all before it has been read. Returns how often.
fn read_up_to_here(pty: &Pty, udp: &UdpSocket, address: SocketAddr) -> u64 {
    let until = Instant::now() + DEADLINE;
    let mut sent = 0;
    while !pty.contents().contains("last_of_all") {
        assert!(Instant::now() < until, "{}", pty.contents());
        udp.send_to(b"last,vm=a last_of_all=1i\n", address).unwrap();
        sent += 1;
        // To the other machine, and some time for another picture.
        pty.keys("\u{1b}[D");
        std::thread::park_timeout(Duration::from_millis(50));
    }
    sent
}

/// How many are shown at this rate depends on the machine and is printed: the figure is in docs/PROMISES.md.
#[test]
fn by_udp_at_ten_thousand_points_a_second_every_point_is_shown_or_counted_as_lost() {
    const LINES: u64 = 50_000;
    const LINES_PER_DATAGRAM: u64 = 8;
    let folder = TempDir::new().unwrap();
    let (pty, address) = watch(&folder);
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Like an image: several lines a datagram, in a burst each tenth of a second.
    let (burst, began) = (1_000, Instant::now());
    for tenth in 0..LINES / burst {
        let due = began + Duration::from_millis(100) * tenth as u32;
        std::thread::park_timeout(due.saturating_duration_since(Instant::now()));
        let lines: Vec<String> = (tenth * burst..(tenth + 1) * burst).map(line).collect();
        for datagram in lines.chunks(LINES_PER_DATAGRAM as usize) {
            udp.send_to(datagram.concat().as_bytes(), address).unwrap();
        }
    }
    let markers = read_up_to_here(&pty, &udp, address);
    let sum = sum(pty);
    let [points, lost, dropped] =
        ["points", "lines lost here", "datagrams dropped"].map(|what| number_before(&sum, what));
    eprintln!("at 10,000 a second: {points} of {LINES} points shown; {sum}");
    // A datagram that was dropped had one line or eight.
    let sent = LINES + markers;
    let told = points + lost;
    assert!(
        (told + dropped..=told + LINES_PER_DATAGRAM * dropped).contains(&sent),
        "{sent} sent: {sum}"
    );
    assert!(points > 0, "{sum}");
}
