//! Checks metrics as they arrive: both transports on both kinds of machine, and a receiver that dies.

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

use hermon_machine::qemu::{Machine, Nic};
use tests::boot::{Boot, Running};
use tests::control::Port;
use tests::measure::report;
use tests::metrics::{Connection, Intervals, Point, Receive, Tcp, Udp, are_dated_since};

const INTERVAL: Duration = Duration::from_millis(500);
const ROUNDS: usize = 4;

fn boot(machine: Machine, target: String) -> Running {
    let mut guest = Boot::new(machine)
        .arguments("--interval 500ms --vm metrics-test")
        .argument(target)
        .start();
    guest.ready();
    guest
}

/// Receives points until there are [`ROUNDS`] of both sources and the application has allocated, and accounts for every interval.
fn rounds(receiver: impl Receive) -> Vec<Point> {
    let mut receiver = Intervals::of(receiver);
    let points = receiver.gather(|points| {
        let of = |name: &'static str| points.iter().filter(move |it| it.measurement == name);
        let mut allocations = of("memory").map(|point| point.integer("allocations"));
        let first = allocations.next();
        let has_allocated = allocations.any(|it| Some(it) > first);
        let enough = of("memory").count() >= ROUNDS && of("monitoring").count() >= ROUNDS;
        (enough && has_allocated).then(|| points.to_vec())
    });
    receiver.are_accounted_for(INTERVAL);
    points
}

/// Checks the rules that hold for any points.
fn judge(points: &[Point]) {
    let mut by_source: BTreeMap<&str, Vec<&Point>> = BTreeMap::new();
    for point in points {
        assert_eq!(
            point.tags.get("vm").map(String::as_str),
            Some("metrics-test"),
            "{point:?}"
        );
        assert!(!point.fields.is_empty());
        by_source.entry(&point.measurement).or_default().push(point);
    }
    for (source, points) in &by_source {
        for pair in points.windows(2) {
            let fields = |point: &Point| point.fields.keys().cloned().collect::<BTreeSet<_>>();
            let (earlier, later) = (fields(pair[0]), fields(pair[1]));
            // Keyed counters have a field for each key that was counted so far.
            let same = if *source == "http_requests" {
                earlier.is_subset(&later)
            } else {
                earlier == later
            };
            assert!(same, "{source}: {earlier:?}, then {later:?}");
        }
    }
    let memory = &by_source["memory"];
    for point in memory {
        let live = point.integer("live_bytes");
        assert_eq!(
            live,
            point.integer("allocated_bytes") - point.integer("freed_bytes")
        );
        assert_eq!(
            point.integer("live_blocks"),
            point.integer("allocations") - point.integer("frees")
        );
        assert!(live > 0 && live <= point.integer("peak_live_bytes"));
        assert!(point.integer("free_bytes") + live <= point.integer("heap_size_bytes"));
    }
    let allocations: Vec<i64> = memory
        .iter()
        .map(|point| point.integer("allocations"))
        .collect();
    assert!(allocations.is_sorted(), "{allocations:?}");
    // A source has one point for one time.
    for point in memory {
        assert_eq!(
            memory
                .iter()
                .filter(|other| other.timestamp == point.timestamp)
                .count(),
            1
        );
    }
    let times = |source: &str| {
        by_source[source]
            .iter()
            .map(|point| point.timestamp)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        times("memory")[..ROUNDS],
        times("monitoring")[..ROUNDS],
        "one time for all points of an interval"
    );
}

fn by_udp(machine: Machine) {
    let (udp, began) = (Udp::open(), SystemTime::now());
    let _guest = boot(machine, udp.target());
    let points = rounds(udp);
    are_dated_since(began, points.iter().map(|point| point.timestamp));
    judge(&points);
}

fn by_tcp(machine: Machine) {
    let (tcp, began) = (Tcp::open(), SystemTime::now());
    let _guest = boot(machine, tcp.target());
    let points = rounds(tcp.accept());
    are_dated_since(began, points.iter().map(|point| point.timestamp));
    judge(&points);
}

#[test]
fn metrics_arrive_by_udp_from_a_q35() {
    by_udp(Machine::Q35);
}

#[test]
fn metrics_arrive_by_tcp_from_a_q35() {
    by_tcp(Machine::Q35);
}

#[test]
fn metrics_arrive_by_udp_from_a_microvm() {
    by_udp(Machine::Microvm);
}

#[test]
fn metrics_arrive_by_tcp_from_a_microvm() {
    by_tcp(Machine::Microvm);
}

/// Returns the next point of the source `monitoring`.
fn own(connection: &mut Connection) -> Point {
    connection.until(|point| point.measurement == "monitoring")
}

#[test]
fn a_receiver_that_returns_has_lines_and_the_loss_is_counted() {
    let tcp = Tcp::open();
    let port = tcp.port();
    let mut guest = Boot::new(Machine::Q35)
        .arguments("--interval 1s")
        .argument(tcp.target())
        .start();
    guest.ready();
    let mut connection = tcp.accept();
    let before = own(&mut connection);
    assert_eq!(before.integer("connections_lost"), 0);
    drop((connection, tcp));

    guest.wait_for("monitoring: connection to tcp://");
    guest.wait_for("monitoring: cannot connect to tcp://");

    // That it is within three intervals is tested on a simulated wire, see docs/PROMISES.md.
    let back = Instant::now();
    let tcp = Tcp::open_at(port);
    let mut connection = tcp.accept();
    connection.receive();
    report(&format!(
        "lines at an interval of 1 s came {} ms after the receiver's return",
        back.elapsed().as_millis()
    ));

    let after = connection.until(|point| {
        point.measurement == "monitoring"
            && point.timestamp > before.timestamp
            && point.integer("connections") == 2
    });
    assert_eq!(after.integer("connections_lost"), 1);
    assert!(after.integer("connect_failures") >= 1);
    // The lines that the dead receiver was sent and may not have read.
    let unsure = after.integer("lines_resent")
        + after.integer("lines_in_doubt")
        + after.integer("lines_lost");
    assert!(unsure >= 1, "{after:?}");
}

#[test]
fn lines_that_no_memory_is_left_for_are_counted_as_lost_and_the_newest_arrive() {
    let tcp = Tcp::open();
    let port = tcp.port();
    let mut guest = Boot::new(Machine::Q35)
        .arguments("--interval 50ms")
        .argument(tcp.target())
        .start();
    guest.ready();
    let mut connection = tcp.accept();
    let before = own(&mut connection);
    assert_eq!(before.integer("lines_lost"), 0);
    drop((connection, tcp));

    guest.wait_for("monitoring: queue full");

    let tcp = Tcp::open_at(port);
    let mut connection = tcp.accept();
    let after = connection
        .until(|point| point.measurement == "monitoring" && point.integer("connections") == 2);
    let lost = after.integer("lines_lost");
    assert!(
        lost >= 1 && lost == after.integer("lines_lost_queue_full"),
        "{after:?}"
    );
}

#[test]
fn the_loop_allocates_nothing() {
    let mut udp = Udp::open();
    let port = Port::free();
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(port.network()))
        .arguments("--interval 100ms --workload idle")
        .argument(udp.target())
        .start();
    guest.ready();
    let allocations = |point: &Point| point.integer("allocations");
    let is_memory = |point: &Point| point.measurement == "memory";
    // The application has logged that it works, so its allocations at the start are done. Points that were sent before may still
    // wait in the socket.
    guest.has_said("app: workload idle");
    for _ in 0..10 {
        udp.until(is_memory);
    }
    let before = udp.until(is_memory);
    let mut control = port.connect();
    for _ in 0..20 {
        control.ask("s");
        udp.until(is_memory);
    }
    let after = udp.until(is_memory);
    assert_eq!(allocations(&before), allocations(&after));
}

/// Returns the share of the core that is busy, in thousandths, over the third interval. The guest's time is counted, so a busy host
/// does not make the guest look busy.
fn busy_permille(workload: &str) -> i64 {
    let mut udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .counted()
        .arguments(&format!("--interval 100ms --workload {workload}"))
        .argument(udp.target())
        .start();
    guest.ready();
    let is_cpu = |point: &Point| point.measurement == "cpu";
    for _ in 0..2 {
        udp.until(is_cpu);
    }
    let cpu = udp.until(is_cpu);
    let [busy, idle] = ["busy_permille", "idle_permille"].map(|field| cpu.integer(field));
    assert_eq!(busy + idle, 1000);
    busy
}

#[test]
fn an_idle_core_is_told_as_idle_and_a_spinning_one_as_busy() {
    let (idle, spin) = (busy_permille("idle"), busy_permille("spin"));
    assert!(idle <= 20, "idle: {idle} thousandths busy");
    assert!(spin >= 980, "spin: {spin} thousandths busy");
}

#[test]
fn the_application_declares_sources_and_they_arrive() {
    let mut udp = Udp::open();
    let mut guest = Boot::new(Machine::Microvm)
        .arguments("--interval 300ms")
        .argument(udp.target())
        .start();
    guest.ready();
    let named = |name: &'static str| move |point: &Point| point.measurement == name;
    let served = |point: &Point| point.measurement == "http_requests" && point.integer("total") > 0;
    let requests = udp.until(served);
    assert_eq!(requests.tags["http"], "demo");
    let by_verb = ["GET", "PUT", "LIST", "malformed", "other"].map(|verb| {
        requests
            .fields
            .get(verb)
            .map_or(0, |_| requests.integer(verb))
    });
    assert_eq!(by_verb.iter().sum::<i64>(), requests.integer("total"));
    let responses = udp.until(named("http_responses"));
    assert!(responses.integer("p50") <= responses.integer("p99"));
    assert!(responses.integer("p99") <= responses.integer("max"));
    let stack =
        udp.until(|point| point.measurement == "tasks" && point.tags["task"] == "monitoring");
    let used = stack.integer("stack_high_water_bytes");
    report(&format!("stack of the monitoring task: {used} bytes used"));
    assert!(
        used > 0 && used < stack.integer("stack_bytes") / 2,
        "{stack:?}"
    );
}
