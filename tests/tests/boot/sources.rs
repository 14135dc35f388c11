//! Sources under known conditions, in an image that makes them (`tests/guest`).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::Boot;
use tests::measure::report;
use tests::metrics::{Point, Receive, Tcp, Udp};

/// Thousandths of the core that are busy, over some whole seconds.
fn busy_permille(task: &str) -> i64 {
    let mut udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .alone()
        .doing(task)
        .arguments("--interval 1s")
        .argument(udp.target())
        .start();
    guest.ready();
    let busy = |point: &Point| [point.integer("busy_us"), point.integer("idle_us")];
    let is_cpu = |point: &Point| point.measurement == "cpu";
    udp.until(is_cpu);
    let before = busy(&udp.until(is_cpu));
    for _ in 0..3 {
        udp.until(is_cpu);
    }
    let after = busy(&udp.until(is_cpu));
    let [busy, idle] = [0, 1].map(|index| after[index] - before[index]);
    busy * 1000 / (busy + idle)
}

#[test]
fn the_load_of_the_core_is_told_within_two_points() {
    for (percent, task) in [(0, "duty-0"), (50, "duty-50"), (100, "duty-100")] {
        let busy = busy_permille(task);
        report(&format!("load of {percent} %: told as {busy} thousandths"));
        assert!((busy - percent * 10).abs() <= 20, "{percent} %: {busy}");
    }
}

/// Rounds of an interval's points by their timestamp, of this source.
fn by_interval(points: &[Point], source: &str) -> BTreeMap<i64, Vec<Point>> {
    let mut intervals: BTreeMap<i64, Vec<Point>> = BTreeMap::new();
    for point in points.iter().filter(|point| point.measurement == source) {
        intervals
            .entry(point.timestamp)
            .or_default()
            .push(point.clone());
    }
    intervals
}

const INTERVALS: usize = 5;

fn a_thousand_series(receiver: &mut impl Receive) {
    let (mut points, mut seen) = (Vec::new(), BTreeSet::new());
    // The first interval may begin before all series are pushed, the last is not complete when it is first seen.
    while seen.len() < INTERVALS + 2 {
        let arrived = receiver.receive();
        let many = arrived.iter().filter(|point| point.measurement == "many");
        seen.extend(many.map(|point| point.timestamp));
        points.extend(arrived);
    }
    let intervals = by_interval(&points, "many");
    let whole: Vec<_> = intervals.values().skip(1).take(INTERVALS).collect();
    for interval in &whole {
        assert_eq!(interval.len(), 1_000);
        assert!(interval.iter().all(|point| point.fields.len() == 10));
    }
    let times: Vec<i64> = intervals.keys().copied().collect();
    for pair in times.windows(2) {
        let span = (pair[1] - pair[0]) / 1_000_000;
        assert!(
            (500..1_500).contains(&span),
            "{span} ms between two intervals"
        );
    }
    let own = points
        .iter()
        .rfind(|point| point.measurement == "monitoring")
        .expect("one");
    for field in ["intervals_missed", "lines_lost", "series_refused"] {
        assert_eq!(own.integer(field), 0, "{field}: {own:?}");
    }
}

#[test]
fn ten_thousand_fields_a_second_arrive_by_tcp() {
    let tcp = Tcp::open();
    let mut guest = Boot::new(Machine::Q35)
        .alone()
        .doing("series")
        .arguments("--interval 1s")
        .argument(tcp.target())
        .start();
    guest.ready();
    a_thousand_series(&mut tcp.accept());
}

#[test]
fn ten_thousand_fields_a_second_arrive_by_udp() {
    let udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .alone()
        .doing("series")
        .arguments("--interval 1s")
        .argument(udp.target())
        .start();
    // Not before: its thread gives up when nothing comes, and other guests had their turn first.
    let mut udp = udp.drained();
    guest.ready();
    a_thousand_series(&mut udp);
}

#[test]
fn a_source_that_is_off_sends_nothing_and_a_series_that_is_not_updated_expires() {
    let tcp = Tcp::open();
    let mut guest = Boot::new(Machine::Q35)
        .doing("switch")
        .arguments("--interval 200ms")
        .argument(tcp.target())
        .start();
    guest.ready();
    let mut connection = tcp.accept();
    let mut points = Vec::new();
    // `cpu` is switched off with all others by `all`, and no tag brings it back: `switched` alone is sent at the end.
    while points
        .last()
        .is_none_or(|point: &Point| point.measurement != "switched")
        || points
            .iter()
            .rev()
            .take(6)
            .any(|point| point.measurement != "switched")
    {
        points.extend(connection.receive());
    }
    let at = |source: &str| -> Vec<i64> {
        let of = points.iter().filter(|point| point.measurement == source);
        of.map(|point| point.timestamp / 1_000_000).collect()
    };
    let gaps = |times: &[i64]| {
        times
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .filter(|&gap| gap > 1_000)
            .collect::<Vec<_>>()
    };
    let switched = at("switched");
    let off = gaps(&switched);
    assert_eq!(off.len(), 2, "off twice: {off:?}");
    for gap in off {
        assert!(
            (1_500..3_500).contains(&gap),
            "off for {gap} ms instead of 2,000"
        );
    }
    let (cpu, once) = (at("cpu"), at("once"));
    assert_eq!(
        gaps(&cpu),
        [] as [i64; 0],
        "nobody switched it before all were"
    );
    assert!(*cpu.last().expect("one") < *switched.last().expect("one") - 1_500);
    // Five intervals of 200 ms.
    assert!(
        (4..=7).contains(&once.len()),
        "{} points of one push",
        once.len()
    );
    drop(connection);
    assert_eq!(guest.end(), Ended::Success);
}

#[test]
fn a_machine_that_was_paused_finds_the_time_again() {
    const PAUSE: Duration = Duration::from_secs(5);
    let mut udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .commanded()
        .doing("duty-0")
        .arguments("--interval 500ms")
        .argument(udp.target())
        .start();
    guest.ready();
    let is_clock = |point: &Point| point.measurement == "clock";
    let before = udp.until(is_clock);
    assert_eq!(
        (before.integer("steps"), before.integer("advanced_ms")),
        (0, 0)
    );
    let mut qmp = guest.qmp();
    qmp.execute("stop");
    // The pause is what is tested: there is nothing else to wait for.
    std::thread::sleep(PAUSE);
    qmp.execute("cont");
    guest.wait_for("the clock stepped");
    let after = udp.until(|point| is_clock(point) && point.integer("steps") > 0);
    let late = unix_millis() - after.timestamp / 1_000_000;
    report(&format!(
        "paused for {} ms: stepped by {} ms, moved by {} ms, then {late} ms behind the host",
        PAUSE.as_millis(),
        after.integer("last_step_ms"),
        after.integer("advanced_ms"),
    ));
    assert_eq!(after.integer("steps"), 1);
    let step = after.integer("last_step_ms");
    assert!((3_900..7_000).contains(&step), "{step}");
    // QEMU's own RTC and whole seconds: up to a second each; the rest is for a busy host.
    assert!((-100..3_500).contains(&late), "{late} ms");
}

fn unix_millis() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.expect("after 1970").as_millis()).expect("before the year 292,000,000")
}

#[test]
fn a_guest_without_a_network_ends_at_once() {
    let mut guest = Boot::new(Machine::Microvm)
        .doing("switch")
        .nic(Nic::None)
        .start();
    guest.wait_for("guest: monitoring: off");
    assert_eq!(guest.end(), Ended::Failure);
}
