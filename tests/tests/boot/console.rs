//! Checks the console: a reader that reads gets everything, and one that does not read stops nothing.

use std::io::{BufRead, BufReader};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::Boot;
use tests::control::Port;
use tests::measure::report;
use tests::metrics::{Point, Receive, Udp};

/// The lines that the task `lines` prints at once.
const BURST: u64 = 1_000;

/// A place for the console's other end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> (Self, UnixListener) {
        let name = format!("console-{}-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        drop(std::fs::remove_file(&path));
        let listener = UnixListener::bind(&path).expect("a socket");
        (Self(path), listener)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for path in [self.0.clone(), self.0.with_extension("sh")] {
            drop(std::fs::remove_file(path));
        }
    }
}

/// Reads lines until one contains `part`. Returns all of them.
fn read_until(console: &mut BufReader<UnixStream>, part: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    while !lines.last().is_some_and(|line| line.contains(part)) {
        let mut line = String::new();
        let length = console.read_line(&mut line).expect("the console");
        assert!(length > 0, "the console ended before {part:?}: {lines:#?}");
        lines.push(line.trim_end().to_owned());
    }
    lines
}

/// Returns the number in `line N of many …`.
fn number(line: &str) -> Option<u64> {
    line.strip_prefix("line ")?.split(' ').next()?.parse().ok()
}

/// Returns the lines and bytes in `console: L lines lost, B bytes`.
fn lost(line: &str) -> Option<[u64; 2]> {
    let (lines, bytes) = line
        .strip_prefix("console: ")?
        .split_once(" lines lost, ")?;
    Some([lines, bytes.strip_suffix(" bytes")?].map(|number| number.parse().expect(line)))
}

fn told(points: &[Point], source: &str, field: &str) -> impl Iterator<Item = i64> {
    let own = points
        .iter()
        .filter(move |point| point.measurement == source);
    own.map(move |point| point.integer(field))
}

#[test]
fn a_console_that_nobody_reads_stops_nothing_and_its_losses_are_told_exactly() {
    for machine in [Machine::Q35, Machine::Microvm] {
        stops_nothing(machine);
    }
}

fn stops_nothing(machine: Machine) {
    const INTERVALS: usize = 8;
    let (place, listener) = Place::new("unread");
    let (port, mut udp) = (Port::free(), Udp::open());
    let _guest = Boot::new(machine)
        .doing("lines")
        .console_at(&place.0)
        .nic(Nic::Default(port.network()))
        .arguments("--interval 100ms --log *:off")
        .argument(udp.target())
        .start();
    let (console, _) = listener.accept().expect("QEMU");
    console
        .set_read_timeout(Some(tests::DEADLINE))
        .expect("not zero");
    let mut console = BufReader::with_capacity(64, console);
    let mut lines = read_until(&mut console, "line 1 of");

    // Nobody reads now, and only the task prints. It prints on and loses lines, and everything else goes on.
    let missed = udp.gather(|points| {
        let losing = told(points, "log", "console_lines_lost").filter(|&lost| lost > 0);
        let missed = told(points, "monitoring", "intervals_missed").last();
        (losing.count() > INTERVALS).then_some(missed)
    });
    let mut client = port.connect();
    for _ in 0..3 {
        assert!(client.ask("s").starts_with("ok: "));
    }

    // It is read again: first what was kept, then what was lost, then what is printed now.
    lines.extend(read_until(&mut console, " lines lost, "));
    lines.extend(read_until(&mut console, "line "));
    let shown: Vec<u64> = lines.iter().filter_map(|line| number(line)).collect();
    let others = |line: &&String| line.starts_with("long ") || line.starts_with("lines: ");
    let others = lines.iter().filter(others).count() as u64;
    // The burst may have been too fast for this reader as well.
    let losses = lines.iter().filter_map(|line| lost(line));
    let [told, bytes] = losses.fold([0, 0], |[a, b], [c, d]| [a + c, b + d]);
    let printed = shown.last().expect("a line") + BURST / 100 + 1;
    let sum = shown.len() as u64 + others + told;
    assert_eq!(sum, printed, "{machine:?}: {lines:#?}");
    assert!(told > 0 && bytes > 40 * told);
    assert!(shown.is_sorted(), "{machine:?}: the order stays");
    report(&format!(
        "{machine:?}: {printed} lines, {told} lost with {bytes} bytes, {missed:?} intervals missed"
    ));
}

#[test]
fn a_reader_that_reads_gets_every_line_of_a_burst() {
    for machine in [Machine::Q35, Machine::Microvm] {
        let mut guest = Boot::new(machine).doing("lines").start();
        guest.wait_for("lines: the burst is over");
        let lines: Vec<&str> = guest.lines().collect();
        assert!(!lines.iter().any(|line| line.starts_with("console: ")));
        let numbers: Vec<u64> = lines.iter().filter_map(|line| number(line)).collect();
        assert_eq!(numbers, (1..=BURST).collect::<Vec<_>>(), "{machine:?}");
        let longs = lines
            .iter()
            .filter(|line| line.starts_with("long ") && line.len() == 1_599);
        assert_eq!(longs.count() as u64, BURST / 100, "{machine:?}");
    }
}

#[test]
fn the_end_of_the_machine_does_not_wait_for_a_reader_that_has_stopped() {
    let (place, listener) = Place::new("end");
    let mut guest = Boot::new(Machine::Q35)
        .doing("last-words")
        .console_at(&place.0)
        .start();
    // The connection stays open, and nobody reads.
    let (_console, _) = listener.accept().expect("QEMU");
    assert_eq!(guest.end(), Ended::Failure);
}

#[test]
fn last_words_are_read_to_their_end_by_a_slow_reader() {
    let (place, listener) = Place::new("last");
    // The second that the guest waits is counted in its instructions, so it is long enough on a busy host.
    let mut guest = Boot::new(Machine::Q35)
        .counted()
        .doing("last-words")
        .console_at(&place.0)
        .start();
    let (console, _) = listener.accept().expect("QEMU");
    console
        .set_read_timeout(Some(tests::DEADLINE))
        .expect("not zero");
    // The small buffers make the guest wait for this reader again and again.
    let mut console = BufReader::with_capacity(64, console);
    let lines = read_until(&mut console, "exit status 1");
    assert!(
        lines.iter().any(|line| line.ends_with("the last words")),
        "{lines:#?}"
    );
    assert!(
        lines.iter().any(|line| line.starts_with("backtrace: ")),
        "{lines:#?}"
    );
    assert_eq!(guest.end(), Ended::Failure);
}
