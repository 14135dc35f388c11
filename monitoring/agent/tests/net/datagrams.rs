//! Metrics over UDP, as a receiver sees them.

use core::net::Ipv4Addr;

use agent::config::parse_vm;
use agent::monitor::Event;
use network::bounds::{DATAGRAM_MAX, QUEUE_BYTES};
use units::Micros;

use crate::lan::{BOOT, Lan, METRICS, Nic, config, own, parse};

#[test]
fn every_interval_brings_one_line_of_each_source_with_one_timestamp() {
    let mut config = config("udp://10.0.2.2:8094", "1s");
    config.vm = parse_vm("a b,c=d\\").expect("a name");
    let mut lan = Lan::new(&config);
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_millis(9_500));
    let datagrams = lan.peer.datagrams(receiver);
    assert_eq!(datagrams.len(), 10, "at 0 s to 9 s");
    for (second, datagram) in (0..).zip(&datagrams) {
        assert!(datagram.len() <= DATAGRAM_MAX);
        let lines = parse(datagram);
        assert_eq!(lines.len(), 2);
        for (line, measurement) in lines.iter().zip(["memory", "monitoring"]) {
            assert_eq!(line.measurement, measurement);
            assert_eq!(line.tags.len(), 1);
            assert!(line.tags["vm"].starts_with("a b,c=d"), "{line:?}");
            assert_eq!(line.timestamp, BOOT.0 + second * 1_000_000_000);
        }
        let memory = &lines[0].fields;
        assert_eq!(memory.len(), 11);
        assert_eq!(
            (memory["live_bytes"], memory["largest_free_bytes"]),
            (4_000, 1 << 19)
        );
        let sent_before = 2 * second;
        assert_eq!(own(&lines, "lines_sent"), sent_before);
        assert_eq!(own(&lines, "datagrams_sent"), second);
        assert_eq!(
            (own(&lines, "lines_lost"), own(&lines, "lines_waiting")),
            (0, 0)
        );
        assert_eq!(own(&lines, "uptime_us"), second * 1_000_000);
    }
}

#[test]
fn no_interval_drifts_and_missed_ones_are_skipped_and_counted() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    lan.run_now();
    // Each turn is 300 ms late; then the task gets no turn for 5.7 s.
    for millis in [1_300, 2_300, 8_000, 9_000] {
        lan.now = Micros::from_millis(millis);
        lan.run_now();
    }
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let stamps: Vec<_> = lines
        .iter()
        .step_by(2)
        .map(|line| (line.timestamp - BOOT.0) / 1_000_000)
        .collect();
    assert_eq!(stamps, [0, 1_300, 2_300, 8_000, 9_000]);
    assert_eq!(own(&lines, "intervals_missed"), 5, "3 to 7");
}

#[test]
fn lines_for_a_receiver_that_is_not_there_wait_and_the_oldest_are_lost() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    lan.connected = false;
    lan.run(Micros::from_secs(20));
    assert_eq!(lan.count(|event| matches!(event, Event::Losing { .. })), 0);
    lan.run(Micros::from_secs(180));
    assert_eq!(
        lan.count(|event| matches!(event, Event::Losing { .. })),
        1,
        "reported once: {}",
        lan.log()
    );
    assert!(
        lan.turns < 1_500,
        "{} turns: one per interval and ARP request, or so",
        lan.turns
    );

    lan.connected = true;
    lan.run(Micros::from_secs(3));
    let datagrams = lan.peer.datagrams(receiver);
    let lines = parse(&datagrams.concat());
    let lost = own(&lines, "lines_lost");
    assert!(lost > 0, "{lost}");
    assert_eq!(own(&lines, "lines_lost_queue_full"), lost);
    let emitted = 2 * 204;
    assert_eq!(
        lines.len() as i64 + lost,
        emitted,
        "every line has arrived or is counted"
    );
    let bytes: usize = datagrams.iter().map(String::len).sum();
    assert!(
        (QUEUE_BYTES - 2_000..QUEUE_BYTES + 6_000).contains(&bytes),
        "{bytes}: the queue was full"
    );
    assert!(
        datagrams
            .iter()
            .all(|datagram| datagram.len() <= DATAGRAM_MAX && datagram.ends_with('\n'))
    );

    lan.connected = false;
    lan.run(Micros::from_secs(200));
    assert_eq!(
        lan.count(|event| matches!(event, Event::Losing { .. })),
        2,
        "the second time is reported too"
    );
}

#[test]
fn a_device_with_small_frames_gets_small_datagrams() {
    let nic = Nic {
        mtu: 14 + 20 + 8 + 900,
        ..Nic::default()
    };
    let mut lan = Lan::with_nic(&config("udp://10.0.2.2:8094", "1s"), nic);
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_millis(2_500));
    let datagrams = lan.peer.datagrams(receiver);
    assert!(
        datagrams.iter().all(|datagram| datagram.len() <= 900),
        "{datagrams:?}"
    );
    let memory = parse(&datagrams.concat())
        .iter()
        .filter(|line| line.measurement == "memory")
        .count();
    assert_eq!(memory, 3);
}

#[test]
fn a_device_with_large_frames_gets_no_larger_datagrams() {
    let nic = Nic {
        mtu: 9_014,
        ..Nic::default()
    };
    let mut lan = Lan::with_nic(&config("udp://10.0.2.2:8094", "1s"), nic);
    let receiver = lan.peer.udp(METRICS);
    lan.connected = false;
    lan.run(Micros::from_secs(10));
    lan.connected = true;
    lan.run(Micros::from_secs(2));
    let datagrams = lan.peer.datagrams(receiver);
    assert_eq!(parse(&datagrams.concat()).len(), 2 * 13);
    assert!(
        datagrams
            .iter()
            .all(|datagram| datagram.len() <= DATAGRAM_MAX)
    );
}

#[test]
fn a_device_that_is_full_is_asked_again_without_spinning() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    lan.run_now();
    lan.nic.room = 0;
    lan.now = Micros::from_secs(1);
    let before = lan.turns;
    lan.run(Micros::from_millis(100));
    let turns = lan.turns - before;
    assert!(
        (50..=250).contains(&turns),
        "{turns} turns in 100 ms: about one per ms"
    );
    assert_eq!(lan.peer.datagrams(receiver).len(), 1);
    lan.nic.room = 1;
    lan.run(Micros::from_millis(2));
    assert_eq!(
        lan.peer.datagrams(receiver).len(),
        1,
        "the datagram waited in the stack"
    );
}

#[test]
fn a_receiver_behind_the_gateway_is_reached_through_it() {
    let mut config = config("udp://192.0.2.1:8094", "1s");
    config.addressing =
        agent::config::Addressing::parse("10.0.2.15/24", Some("10.0.2.2")).expect("an address");
    let mut lan = Lan::new(&config);
    lan.peer.interface.update_ip_addrs(|addresses| {
        let other = smoltcp::wire::IpAddress::Ipv4(Ipv4Addr::new(192, 0, 2, 1));
        addresses
            .push(smoltcp::wire::IpCidr::new(other, 24))
            .expect("room for an address");
    });
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_millis(500));
    assert_eq!(lan.peer.datagrams(receiver).len(), 1);
    assert!(!lan.log().contains("no route"), "{}", lan.log());
}

#[test]
fn what_the_shell_measured_is_told_in_the_next_interval() {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.udp(METRICS);
    lan.run_now();
    lan.monitor.after_turn(Micros(900), 3);
    lan.monitor.after_turn(Micros(20), 5);
    lan.run(Micros::from_secs(1));
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let told = ["turn_last_us", "turn_max_us", "frames_dropped"].map(|field| own(&lines, field));
    assert_eq!(told, [20, 900, 5]);
}
