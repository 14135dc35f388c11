//! Checks clients that leave, return, connect twice, or stop reading.

use core::time::Duration;
use std::time::Instant;

use hermon_machine::qemu::Machine;
use tests::DEADLINE;
use tests::boot::{Boot, Running, long_enough};
use tests::control;
use tests::measure::report;
use tests::metrics::{Intervals, Point, Receive, Udp, are_accounted_for};
use tests::trace::{Client, Ports, Profile};

use super::{Exact, boot, boot_exact, boot_with, judge};

/// Returns the value of a key in a line of `key=value` pairs.
fn value<'l>(line: &'l str, key: &str) -> &'l str {
    line.split(' ')
        .find_map(|pair| pair.strip_prefix(key)?.strip_prefix('='))
        .unwrap_or_else(|| panic!("no {key} in {line:?}"))
}

pub fn number(line: &str, key: &str) -> u64 {
    value(line, key).parse().expect("a number")
}

/// Asks until the profiler is in this state.
pub fn until_state(control: &mut control::Client, state: &str) -> String {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let line = control.ask("T");
        if value(&line, "state") == state {
            return line;
        }
        assert!(Instant::now() < deadline, "not {state}: {line}");
    }
}

/// The ways in which a client ends a trace.
const WAYS: [fn(Client); 4] = [
    drop,
    Client::reset,
    |mut client| {
        client.send(b"\0");
        Profile::read(&client.rest());
    },
    |mut client| {
        client.close_half();
        Profile::read(&client.rest());
    },
];

#[test]
fn however_a_client_ends_its_trace_nothing_is_left_of_it() {
    let (_guest, ports) = boot("--workload exact --sampling-rate 1");
    let mut control = ports.control.connect();
    let live = |control: &mut control::Client| number(&control.ask("s"), "live_bytes");
    let before = control.ask("s");
    for (n, end) in WAYS.into_iter().enumerate() {
        let mut client = ports.trace();
        client.read_to(20_000);
        until_state(&mut control, "tracing");
        end(client);
        let line = until_state(&mut control, "idle");
        assert_eq!(number(&line, "traces"), n as u64 + 1, "{line}");
        assert_eq!(number(&line, "refused"), 0, "{line}");
    }
    let held = |status: &str| number(status, "monitoring_bytes");
    assert_eq!(held(&control.ask("s")), held(&before));
    // The live bytes of `exact` change by up to 512 KiB. Four of its traces would be more, if they were kept.
    let (before, after) = (number(&before, "live_bytes"), live(&mut control));
    assert!(after < before + (512 << 10), "{before}, then {after}");
}

#[test]
fn a_thousand_clients_one_after_the_other_leave_nothing_behind() {
    const CLIENTS: u64 = 1_000;
    let udp = Udp::open();
    let boot = Boot::new(Machine::Q35).argument(udp.target());
    let (mut guest, ports) = boot_with(boot, "--workload idle --interval 200ms");
    guest.has_said("app: workload idle");
    let mut udp = Intervals::of(udp.drained());
    let is_memory = |point: &Point| point.measurement == "memory";
    let before = udp.until(is_memory);
    let mut control = ports.control.connect();
    for n in 0..CLIENTS {
        let mut client = ports.trace();
        client.read_to(1);
        WAYS[n as usize % WAYS.len()](client);
        until_state(&mut control, "idle");
    }
    let line = control.ask("T");
    assert_eq!(number(&line, "traces"), CLIENTS, "{line}");
    let own = udp.until(|point| {
        point.measurement == "monitoring" && point.integer("traces") == CLIENTS as i64
    });
    for field in ["tracing", "trace_refused", "lines_lost"] {
        assert_eq!(own.integer(field), 0, "{field}");
    }
    udp.are_accounted_for(Duration::from_millis(200));
    let after = udp.until(|point| is_memory(point) && point.timestamp > own.timestamp);
    for field in ["allocations", "frees", "live_bytes", "live_blocks"] {
        assert_eq!(after.integer(field), before.integer(field), "{field}");
    }
}

#[test]
fn a_second_client_is_closed_and_the_console_says_why() {
    let (mut guest, ports) = boot("--workload exact --sampling-rate 0.01");
    let mut control = ports.control.connect();
    let mut first = ports.trace();
    first.read_to(1);
    for refused in 1..=5 {
        assert_eq!(ports.trace().rest(), b"", "the second client");
        assert_eq!(number(&control.ask("T"), "refused"), refused);
    }
    guest.wait_for("a second client of the memtrace port was closed, another one gets a trace");
    // The first client's trace goes on.
    first.read_to(100_000);
    assert!(first.finish().blocks.len() > 100);
    until_state(&mut control, "idle");
    let mut third = ports.trace();
    third.read_to(20_000);
    third.finish();
}

/// Stops reading until something is lost, and for some intervals more; checks that the image goes on meanwhile. Returns the trace
/// and the image's counts, or `None` if the image ends before.
fn with_a_client_that_stops(seconds: u64) -> Option<(Profile, Exact)> {
    const INTERVAL: Duration = Duration::from_millis(200);
    const STOPPED: usize = 5;
    let mut udp = Udp::open();
    let boot = Boot::new(Machine::Q35)
        .argument(udp.target())
        .arguments("--interval 200ms --control-idle 60m");
    let (mut guest, ports) = boot_exact(boot, "--sampling-rate 1", seconds)?;
    let mut client = ports.trace_with_buffer(4096)?;
    if !client.reads_to(20_000) {
        return None;
    }
    let is_own = |point: &Point| point.measurement == "monitoring";
    let is_tracing = |point: &Point| is_own(point) && point.integer("tracing") == 1;
    let before = udp.until_end_of(&mut guest, is_tracing)?;
    let is_memory = |point: &Point| point.measurement == "memory";
    let live_before = udp
        .until_end_of(&mut guest, is_memory)?
        .integer("live_bytes");
    let steps = |guest: &Running| {
        let records = guest
            .lines()
            .filter(|line| line.contains(" DEBUG app] app: "));
        records.count()
    };
    let shown = steps(&guest);
    let mut own = vec![before.clone()];
    let is_losing = |pair: &&[Point]| {
        let [earlier, later] = [0, 1].map(|at| pair[at].integer("samples_lost"));
        later > earlier
    };
    while own.windows(2).filter(is_losing).count() < STOPPED || steps(&guest) < shown + 2 {
        own.push(udp.until_end_of(&mut guest, is_own)?);
    }
    are_accounted_for(&own, INTERVAL);
    let last = &own[own.len() - 1];
    assert_eq!(last.integer("lines_lost"), 0);
    for field in ["held_bytes", "traces", "tracing"] {
        assert_eq!(last.integer(field), before.integer(field), "{field}");
    }
    let live_after = udp
        .until_end_of(&mut guest, is_memory)?
        .integer("live_bytes");
    assert!(
        live_after < live_before + (512 << 10),
        "{live_before}, then {live_after}"
    );
    report(&format!(
        "a client that did not read for {} intervals of {} ms",
        own.len() - 1,
        INTERVAL.as_millis()
    ));
    // The client reads again and gets the rest: a trace that is whole and has the right total.
    let bytes = client.rest();
    let exact = Exact::of(&mut guest);
    Some((Profile::read(&bytes), exact))
}

#[test]
fn a_client_that_stops_reading_stops_nobody_else_and_what_is_lost_is_told() {
    let (profile, exact) = long_enough(10, with_a_client_that_stops);
    let lost: u64 = profile.lost().map(|block| block.words).sum();
    assert!(lost > 0);
    assert!(profile.lost().all(|block| block.is_freed));
    report(&format!(
        "its trace: {} blocks in {} bytes, {lost} of {} words lost",
        profile.blocks.len(),
        profile.bytes,
        exact.sum("while_traced", "words")
    ));
    judge(&profile, &exact);
}

#[test]
fn what_monitoring_holds_is_told_and_at_most_one_mebibyte() {
    let mut udp = Udp::open();
    let boot = Boot::new(Machine::Q35).argument(udp.target());
    let (_guest, ports) = boot_with(boot, "--interval 200ms");
    let status = ports.control.connect().ask("s");
    let held = number(&status, "monitoring_bytes");
    report(&format!("held by monitoring: {held} bytes"));
    assert!((1..=1 << 20).contains(&held), "{held}");
    let own = udp.until(|point| point.measurement == "monitoring");
    assert_eq!(own.integer("held_bytes"), held as i64);
}

#[test]
fn commands_show_and_set_the_rate_and_end_a_trace() {
    let (_guest, ports): (_, Ports) = boot("--workload exact");
    let mut control = ports.control.connect();
    let idle = "ok: rate=1e-4 state=idle heap_profile=off traces=0 allocations=0 frees=0 bytes=0 lost=0 refused=0 slow=0";
    assert_eq!(control.ask("T"), idle);
    assert_eq!(control.ask("Tstop"), "error: nobody gets a trace");
    assert_eq!(
        control.ask("H"),
        "error: the heap profile is off: boot the image with --heap-profile on"
    );
    for wrong in ["T0", "T2", "T-1", "Tx", "TNaN"] {
        let answer = control.ask(wrong);
        assert!(
            answer.starts_with("error: ") && answer.contains(&wrong[1..]),
            "{answer}"
        );
    }
    assert_eq!(control.ask("T"), idle);

    assert_eq!(control.ask("T0.25"), "ok");
    let mut client = ports.trace();
    client.read_to(20_000);
    let line = until_state(&mut control, "tracing");
    assert_eq!(value(&line, "rate"), "2.5e-1");
    // This rate is for the next trace.
    assert_eq!(control.ask("T0.5"), "ok");
    assert_eq!(control.ask("Tstop"), "ok");
    let profile = Profile::read(&client.rest());
    assert_eq!(profile.info.rate, 0.25);
    let line = until_state(&mut control, "idle");
    assert_eq!(value(&line, "rate"), "5e-1");
    let lost: u64 = profile.lost().count() as u64;
    assert_eq!(
        number(&line, "allocations"),
        profile.blocks.len() as u64,
        "{lost} of them for lost ones"
    );
    let freed = profile.blocks.iter().filter(|block| block.is_freed);
    assert_eq!(number(&line, "frees"), freed.count() as u64);
    assert_eq!(number(&line, "bytes"), profile.bytes as u64);
    let mut client = ports.trace();
    client.read_to(1);
    assert_eq!(client.finish().info.rate, 0.5);
}
