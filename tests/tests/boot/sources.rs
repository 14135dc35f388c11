//! Checks sources under known conditions, in an image that creates them (`tests/guest`).

use core::time::Duration;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::{Boot, Running};
use tests::measure::report;
use tests::metrics::{Intervals, Point, Receive, Tcp, Udp, are_dated_since};

/// Returns the load that the image tells over some intervals, and the load that the application has counted itself, both in
/// thousandths. The guest's time is counted, so a busy host adds to neither.
fn told_and_counted(task: &str) -> (i64, i64) {
    const INTERVALS: usize = 10;
    let mut udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .counted()
        .doing(task)
        .arguments("--interval 100ms")
        .argument(udp.target())
        .start();
    guest.ready();
    let intervals = udp.gather(|points| {
        let mut intervals: BTreeMap<i64, [Option<i64>; 3]> = BTreeMap::new();
        for point in points {
            let numbers = intervals.entry(point.timestamp).or_default();
            match &*point.measurement {
                "cpu" => {
                    numbers[0] = Some(point.integer("busy_us"));
                    numbers[1] = Some(point.integer("idle_us"));
                }
                "spun" => numbers[2] = Some(point.integer("count")),
                _ => {}
            }
        }
        let whole = intervals
            .into_values()
            .filter_map(|[busy, idle, spun]| Some([busy?, idle?, spun?]));
        let whole: Vec<_> = whole.collect();
        (whole.len() > INTERVALS).then_some(whole)
    });
    let (first, last) = (intervals[0], intervals[INTERVALS]);
    let [busy, idle, spun] = [0, 1, 2].map(|at| last[at] - first[at]);
    let permille = |part: i64| part * 1_000 / (busy + idle);
    (permille(busy), permille(spun))
}

#[test]
fn the_load_of_the_core_is_told_within_two_points() {
    for task in ["duty-0", "duty-50", "duty-100"] {
        let (told, counted) = told_and_counted(task);
        report(&format!(
            "{task}: busy for {counted} thousandths, told as {told}"
        ));
        assert!((told - counted).abs() <= 20, "{task}: {told}, {counted}");
        // An idle guest's time also passes while its host is late, so half of the time is at most that.
        let possible = match task {
            "duty-0" => 0..=0,
            "duty-50" => 1..=550,
            _ => 980..=1_000,
        };
        assert!(possible.contains(&counted), "{task}: {counted}");
    }
}

const INTERVALS: usize = 5;
const SERIES: usize = 1_000;

/// Boots the image that pushes to all series every second, by its own time: that is counted, so it has the same time for its work
/// on every host.
fn boot_series(target: String) -> Running {
    let mut guest = Boot::new(Machine::Q35)
        .counted()
        .doing("series")
        .arguments("--interval 1s")
        .argument(target)
        .start();
    guest.ready();
    guest
}

/// Receives until some intervals have all series, and checks that nothing is lost without being counted. `dropped` returns the
/// datagrams that this host has dropped.
fn a_thousand_series(receiver: impl Receive, dropped: impl Fn() -> u64) {
    let mut receiver = Intervals::of(receiver);
    let sizes = |points: &[Point]| -> BTreeMap<i64, usize> {
        let mut sizes = BTreeMap::new();
        for point in points.iter().filter(|point| point.measurement == "many") {
            *sizes.entry(point.timestamp).or_default() += 1;
        }
        sizes
    };
    let points = receiver.gather(|points| {
        let whole = sizes(points).into_values().filter(|&size| size == SERIES);
        (whole.count() >= INTERVALS).then(|| points.to_vec())
    });
    let sizes = sizes(&points);
    let of_monitoring = points.iter().filter(|it| it.measurement == "monitoring");
    let last = of_monitoring.clone().next_back().expect("one");
    let lost = last.integer("lines_lost") + i64::try_from(dropped()).expect("few");
    // A microsecond of this guest is a thousand instructions.
    let turns = of_monitoring
        .clone()
        .map(|own| own.integer("turn_max_us") * 1_000);
    let longest = turns.max().expect("one");
    report(&format!(
        "{SERIES} series of 10 fields: {lost} lines lost, the longest turn took {longest} instructions"
    ));
    assert!(longest <= 2_000_000, "{longest} instructions");
    assert_eq!(last.integer("series_refused"), 0);
    for (&time, &size) in &sizes {
        let at_that_time = |it: &&Point| it.timestamp == time && it.measurement == "many";
        let many = points.iter().filter(at_that_time);
        let names: BTreeSet<_> = many.clone().map(|point| &point.tags["n"]).collect();
        assert_eq!(names.len(), size, "each series once");
        assert!(many.clone().all(|point| point.fields.len() == 10));
    }
    // The first interval may begin before all series are pushed.
    let whole = sizes.values().skip_while(|&&size| size < SERIES);
    let is_whole = whole.clone().all(|&size| size == SERIES);
    let excused = lost + last.integer("series_expired") > 0;
    assert!(is_whole || excused, "{sizes:?}");
    // What was received before a point of the source `monitoring` is what it says was sent.
    for own in of_monitoring {
        let before = points.iter().take_while(|it| it.timestamp != own.timestamp);
        let (before, sent) = (before.count(), own.integer("lines_sent"));
        let told = usize::try_from(sent + own.integer("lines_waiting")).expect("not negative");
        assert!(
            before == told || dropped() > 0 && before < told,
            "{before} of {told}"
        );
    }
    if dropped() == 0 {
        receiver.are_accounted_for(Duration::from_secs(1));
    }
}

#[test]
fn ten_thousand_fields_a_second_arrive_by_tcp() {
    let tcp = Tcp::open();
    let _guest = boot_series(tcp.target());
    a_thousand_series(tcp.accept(), || 0);
}

#[test]
fn ten_thousand_fields_a_second_arrive_by_udp() {
    let udp = Udp::open();
    let _guest = boot_series(udp.target());
    let dropped = udp.dropped();
    a_thousand_series(udp.drained(), dropped);
}

#[test]
fn a_source_that_is_off_sends_nothing_and_a_series_that_is_not_updated_expires() {
    /// Intervals that a phase has in the guest, but for the first ones, which may be missed here.
    const STEADY: usize = 5;
    /// The image's phases. They are odd while something is being switched.
    const ON: i64 = 2;
    const OFF_BY_NAME: i64 = 4;
    const ON_BY_NAME: i64 = 6;
    const OFF_BY_ALL: i64 = 8;
    const ON_BY_TAG: i64 = 10;
    let tcp = Tcp::open();
    let mut guest = Boot::new(Machine::Q35)
        .doing("switch")
        .arguments("--interval 50ms")
        .argument(tcp.target())
        .start();
    guest.ready();
    let mut connection = tcp.accept();
    // The intervals that were whole in a phase: the phase is the same in the next one. By time.
    let steady = |points: &[Point]| -> BTreeMap<i64, i64> {
        let beats: Vec<&Point> = points
            .iter()
            .filter(|it| it.measurement == "beat")
            .collect();
        let phase = |beat: &Point| beat.integer("phase");
        let same = |pair: &&[&Point]| phase(pair[0]) == phase(pair[1]) && phase(pair[0]) % 2 == 0;
        let pairs = beats.windows(2).filter(same);
        pairs
            .map(|pair| (pair[0].timestamp, phase(pair[0])))
            .collect()
    };
    let points = connection.gather(|points| {
        let last = steady(points)
            .into_values()
            .filter(|&phase| phase == ON_BY_TAG);
        (last.count() >= STEADY).then(|| points.to_vec())
    });
    let steady = steady(&points);
    let phases_of = |source: &str| -> BTreeSet<i64> {
        let of = points.iter().filter(|point| point.measurement == source);
        of.filter_map(|point| steady.get(&point.timestamp).copied())
            .collect()
    };
    assert_eq!(
        phases_of("beat"),
        [ON, OFF_BY_NAME, ON_BY_NAME, OFF_BY_ALL, ON_BY_TAG].into()
    );
    assert_eq!(phases_of("switched"), [ON, ON_BY_NAME, ON_BY_TAG].into());
    assert_eq!(phases_of("cpu"), [ON, OFF_BY_NAME, ON_BY_NAME].into());
    // It expires after five intervals; some of them may be missed.
    let once = points.iter().filter(|point| point.measurement == "once");
    assert!((1..=7).contains(&once.clone().count()), "{}", once.count());
    let own = points.iter().rfind(|it| it.measurement == "monitoring");
    assert_eq!(own.expect("one").integer("series_expired"), 1);
    drop(connection);
    assert_eq!(guest.end(), Ended::Success);
}

#[test]
fn a_machine_that_was_paused_finds_the_time_again() {
    /// Twice the smallest step that is told.
    const PAUSE: Duration = Duration::from_secs(4);
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
    let [steps, advanced] = ["steps", "advanced_ms"].map(|field| before.integer(field));
    let mut qmp = guest.qmp();
    let asked = Instant::now();
    qmp.execute("stop");
    let stopped = Instant::now();
    // This test is about the pause, so there is nothing else to wait for.
    std::thread::sleep(PAUSE);
    let (paused, goes_on) = (stopped.elapsed(), SystemTime::now());
    qmp.execute("cont");
    let at_most = asked.elapsed();
    guest.wait_for("the clock stepped");
    // The RTC has whole seconds.
    let second = Duration::from_secs(1);
    let millis = |time: Duration| i64::try_from(time.as_millis()).expect("short");
    let possible = millis(paused - second)..=millis(at_most + second);
    let after =
        udp.until(|point| is_clock(point) && possible.contains(&point.integer("last_step_ms")));
    report(&format!(
        "paused for {} to {} ms: stepped by {} ms, moved by {} ms",
        paused.as_millis(),
        at_most.as_millis(),
        after.integer("last_step_ms"),
        after.integer("advanced_ms") - advanced,
    ));
    assert!(after.integer("steps") > steps, "{after:?}");
    are_dated_since(goes_on, [after.timestamp]);
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
