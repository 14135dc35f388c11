//! The sources of an application when they are sent: switches, expiry, and many series at once.

use std::collections::BTreeMap;

use influxdb_line_protocol::parse_lines;
use metrics::line::Value;
use metrics::{Counter, FieldDef, KeyedCounter, Points, Registry};
use units::Micros;

use crate::lan::{BOOT, Lan, METRICS, config, own, parse};

type Series = Points<2, 10>;

/// Registers a source with 10 fields per series.
fn points(registry: &'static Registry) -> &'static Series {
    const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let fields = NAMES.map(|name| FieldDef::u64(name, "", "a number"));
    let points: &'static Series = Box::leak(Box::new(Points::new(
        "load",
        "a test",
        &["route", "method"],
        fields,
    )));
    registry.register(points).expect("a new name");
    registry.enable("load").expect("it is registered");
    points
}

fn counter(registry: &'static Registry, name: &'static str) -> &'static Counter {
    let counter: &'static Counter = Box::leak(Box::new(Counter::new(name, "a test")));
    registry.register(counter).expect("a new name");
    registry.enable(name).expect("it is registered");
    counter
}

fn push_all(points: &'static Series, series: u64, round: u64) {
    for number in 0..series {
        let route = format!("/route/{number}, =\"\\");
        points.push(
            [&route, "GET"],
            core::array::from_fn(|at| Value::U64(round * 10 + at as u64)),
        );
    }
}

#[test]
fn a_source_that_is_switched_off_sends_nothing_from_the_next_interval_on() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    let jobs = counter(lan.registry, "jobs");
    jobs.add(5);
    lan.run(Micros::from_millis(2_500));
    lan.registry.disable("jobs").expect("it is registered");
    jobs.add(100);
    lan.run(Micros::from_secs(3));
    lan.registry.enable("jobs").expect("it is registered");
    jobs.add(1);
    lan.run(Micros::from_secs(1));
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let sent: Vec<_> = lines
        .iter()
        .filter(|line| line.measurement == "jobs")
        .map(|line| {
            (
                (line.timestamp - BOOT.0) / 1_000_000_000,
                line.fields["count"],
            )
        })
        .collect();
    assert_eq!(sent, [(0, 5), (1, 5), (2, 5), (6, 6)]);
}

#[test]
fn a_series_that_is_not_updated_expires() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    let points = points(lan.registry);
    lan.run(Micros::from_millis(500));
    push_all(points, 1, 1);
    lan.run(Micros::from_secs(10));
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let seconds: Vec<_> = lines
        .iter()
        .filter(|line| line.measurement == "load")
        .map(|line| (line.timestamp - BOOT.0) / 1_000_000_000)
        .collect();
    assert_eq!(seconds, [1, 2, 3, 4, 5], "five intervals and no more");
    assert_eq!(
        (own(&lines, "series"), own(&lines, "series_expired")),
        (0, 1)
    );
}

#[test]
fn fields_that_do_not_fit_one_line_come_on_several_of_the_same_time() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    let keyed: &'static KeyedCounter = Box::leak(Box::new(KeyedCounter::new("keys", "a test")));
    lan.registry.register(keyed).expect("a new name");
    lan.registry.enable("keys").expect("it is registered");
    for number in 0..40 {
        keyed.add(&format!("{number:2}{}", ",".repeat(30)), u64::MAX >> 2);
    }
    lan.run_now();
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let keys: Vec<_> = lines
        .iter()
        .filter(|line| line.measurement == "keys")
        .collect();
    assert!(keys.len() > 1);
    assert!(keys.iter().all(|line| line.timestamp == keys[0].timestamp));
    let fields: usize = keys.iter().map(|line| line.fields.len()).sum();
    assert_eq!(fields, 32 + 2);
    assert_eq!(own(&lines, "lines_lost"), 0);
}

/// Returns the lines of `rounds` intervals of 1,000 series of 10 fields.
fn ten_thousand_fields(target: &str, rounds: u64) -> Vec<String> {
    let mut lan = Lan::new(&config(target, "1s"));
    let udp = lan.peer.udp(METRICS);
    let tcp = lan.peer.tcp(1 << 20);
    lan.peer.listen(tcp);
    let points = points(lan.registry);
    let mut text = String::new();
    for round in 0..rounds {
        push_all(points, 1_000, round);
        lan.run(if round == 0 {
            Micros::from_millis(500)
        } else {
            Micros::from_secs(1)
        });
        if target.starts_with("udp") {
            let datagrams = lan.peer.datagrams(udp);
            assert!(
                datagrams.iter().all(|datagram| datagram.ends_with('\n')),
                "whole lines"
            );
            text += &datagrams.concat();
        } else {
            text += &lan.peer.receive(tcp);
        }
    }
    let mut stamps: BTreeMap<i64, (usize, usize)> = BTreeMap::new();
    let mut load = Vec::new();
    for raw in text.lines() {
        let line = parse_lines(raw)
            .next()
            .expect("a line")
            .expect("a legal one");
        let counts = stamps
            .entry(line.timestamp.expect("a timestamp"))
            .or_default();
        if line.series.measurement == "load" {
            counts.0 += 1;
            counts.1 += line.field_set.len();
            load.push(raw.to_owned());
        }
    }
    let own = text
        .lines()
        .rfind(|line| line.starts_with("monitoring,"))
        .expect("its own line");
    for none in [
        "intervals_missed=0i",
        "lines_lost=0i",
        "series_refused=0i",
        "series=1000i",
    ] {
        assert!(own.contains(none), "{none} in {own}");
    }
    assert_eq!(stamps.len() as u64, rounds, "one timestamp for an interval");
    assert!(
        stamps.values().all(|counts| *counts == (1_000, 10_000)),
        "{stamps:?}"
    );
    load
}

#[test]
fn ten_thousand_fields_an_interval_arrive_alike_by_udp_and_by_tcp() {
    let udp = ten_thousand_fields("udp://10.0.2.2:8094", 3);
    let tcp = ten_thousand_fields("tcp://10.0.2.2:8094", 3);
    assert_eq!(udp, tcp);
}

#[test]
fn an_interval_that_begins_before_the_last_is_sent_is_missed_and_counted() {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    // A window of 2 KiB that is read once per second. An emission of 250 KiB takes minutes.
    let tcp = lan.peer.tcp(2_048);
    lan.peer.listen(tcp);
    let points = points(lan.registry);
    lan.registry.series().set_expiry(1_000);
    push_all(points, 1_000, 1);
    let mut text = String::new();
    for _ in 0..300 {
        lan.run(Micros::from_secs(1));
        text += &lan.peer.receive(tcp);
    }
    let whole = &text[..text.rfind('\n').expect("lines") + 1];
    let lines = parse(whole);
    let mut stamps: Vec<_> = lines.iter().map(|line| line.timestamp).collect();
    stamps.dedup();
    assert!(
        stamps.is_sorted() && stamps.len() > 1,
        "a line of an older interval came after one of a newer"
    );
    let first = lines
        .iter()
        .filter(|line| line.timestamp == stamps[0] && line.measurement == "load");
    assert_eq!(
        first.count(),
        1_000,
        "an emission that has begun is finished"
    );
    let last = lines
        .iter()
        .rfind(|line| line.measurement == "monitoring")
        .expect("its own line");
    let begun = (last.timestamp - stamps[0]) / 1_000_000_000;
    let emitted = stamps.iter().filter(|stamp| **stamp < last.timestamp);
    let missed = begun - emitted.count() as i64;
    assert!(missed > 10, "{missed}");
    assert_eq!(own(&lines, "intervals_missed"), missed);
    assert_eq!(own(&lines, "lines_lost"), 0);
}
