//! Metrics over TCP: a receiver that connects, closes, dies and stalls, and a wire that loses frames.

use agent::monitor::Event;
use network::bounds::{CONNECT_MIN, SILENCE, STALL};
use network::push::{ConnectFailure, Loss};
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use units::Micros;

use crate::lan::{Faults, Lan, Line, config, own, parse};

const INTERVAL: Micros = Micros::from_secs(1);

/// An image that sends every second, and a receiver that listens.
fn lan() -> (Lan, SocketHandle) {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.tcp(1 << 20);
    lan.peer.listen(receiver);
    (lan, receiver)
}

fn lost(lan: &Lan, wanted: Loss) -> usize {
    lan.count(|event| matches!(event, Event::ConnectionLost { reason, .. } if *reason == wanted))
}

fn refused(lan: &Lan) -> usize {
    let wanted = ConnectFailure::Refused;
    lan.count(|event| matches!(event, Event::ConnectFailed { reason, .. } if *reason == wanted))
}

/// Returns the seconds since boot at which lines of the source `memory` were made.
fn seconds(lines: &[Line]) -> Vec<i64> {
    let memory = lines.iter().filter(|line| line.measurement == "memory");
    memory
        .map(|line| (line.timestamp - crate::lan::BOOT.0) / 1_000_000_000)
        .collect()
}

#[test]
fn lines_flow_over_one_connection() {
    let (mut lan, receiver) = lan();
    lan.run(Micros::from_millis(60_500));
    let lines = parse(&lan.peer.receive(receiver));
    assert_eq!(seconds(&lines), (0..=60).collect::<Vec<_>>());
    assert_eq!(own(&lines, "lines_sent"), 120);
    assert_eq!(
        (own(&lines, "connections"), own(&lines, "lines_lost")),
        (1, 0)
    );
    assert_eq!(
        (own(&lines, "connect_failures"), own(&lines, "lines_resent")),
        (0, 0)
    );
    assert_eq!(
        lan.log(),
        "monitoring: ready, address 10.0.2.15/24 static, control port 2323, memtrace port off, metrics to tcp://10.0.2.2:8094\n\
         monitoring: connected to tcp://10.0.2.2:8094\n"
    );
    assert!(lan.turns < 1_000, "{} turns for 61 intervals", lan.turns);
}

#[test]
fn a_close_of_the_receiver_is_noticed_at_once_while_idle() {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "60m"));
    let receiver = lan.peer.tcp(1 << 16);
    lan.peer.listen(receiver);
    lan.run(Micros::from_secs(5));
    assert_eq!(lan.peer.state(receiver), State::Established);
    lan.peer.get(receiver).close();
    lan.run_now();
    assert_eq!(lost(&lan, Loss::PeerClosed), 1, "{}", lan.log());
    assert_eq!(
        lan.events.last().map(|(at, _)| *at),
        Some(Micros::from_secs(5)),
        "at once"
    );
    assert_eq!(
        lan.peer.state(receiver),
        State::TimeWait,
        "this side's half was closed cleanly"
    );
}

#[test]
fn a_reset_of_the_receiver_is_noticed_at_once_while_idle() {
    let (mut lan, receiver) = lan();
    lan.run(Micros::from_millis(5_500));
    lan.peer.get(receiver).abort();
    lan.run_now();
    assert_eq!(lost(&lan, Loss::Reset), 1, "{}", lan.log());
}

#[test]
fn a_killed_receiver_loses_nothing_that_is_not_counted_and_gets_lines_soon_after_its_return() {
    let (mut lan, receiver) = lan();
    lan.run(Micros::from_millis(5_100));
    let before = parse(&lan.peer.receive(receiver));
    // The receiver is killed in the middle of an interval's lines: they are unread in its buffer when it dies.
    lan.run(Micros::from_secs(1));
    lan.peer.get(receiver).abort();
    let away = Micros::from_secs(20);
    lan.run(away);
    assert!(
        refused(&lan) >= 3,
        "failures 1, 2, 4, 8 and so on: {}",
        lan.log()
    );
    let attempts_per_second = lan.turns;
    assert!(attempts_per_second < 2_000, "{attempts_per_second} turns");

    let again = lan.peer.tcp(1 << 20);
    lan.peer.listen(again);
    let back = lan.now;
    lan.run_until_done("lines again", |lan| lan.peer.get(again).can_recv());
    assert!(
        lan.now - back <= INTERVAL + INTERVAL + INTERVAL,
        "{} later",
        lan.now - back
    );
    lan.run(Micros::from_secs(2));
    let after = parse(&lan.peer.receive(again));
    let all = [seconds(&before), seconds(&after)].concat();
    let missing: Vec<_> = (0..28).filter(|second| !all.contains(second)).collect();
    assert_eq!(
        missing,
        [6],
        "the interval that it had acknowledged and not read"
    );
    assert_eq!(
        own(&after, "lines_in_doubt"),
        2,
        "the lines in doubt are counted"
    );
    assert_eq!(own(&after, "connections_lost"), 1);
    assert!(own(&after, "connect_failures") > 10);
    assert_eq!(own(&after, "lines_lost"), 0, "the other lines waited");
}

#[test]
fn an_outage_longer_than_the_queue_is_counted_line_by_line() {
    let (mut lan, receiver) = lan();
    lan.run(Micros::from_millis(5_500));
    let before = parse(&lan.peer.receive(receiver));
    lan.peer.get(receiver).abort();
    lan.run(Micros::from_secs(300));
    assert_eq!(lan.count(|event| matches!(event, Event::Losing { .. })), 1);
    let again = lan.peer.tcp(1 << 20);
    lan.peer.listen(again);
    lan.run(Micros::from_secs(5));
    let after = parse(&lan.peer.receive(again));
    let lost = own(&after, "lines_lost");
    let emitted = 2 * 311;
    assert!(lost > 0, "{lost}");
    assert_eq!(
        (before.len() + after.len()) as i64 + lost,
        emitted,
        "every line has arrived or is counted"
    );
    let mut ordered = after.clone();
    ordered.sort_by_key(|line| line.timestamp);
    assert_eq!(after, ordered);
}

#[test]
fn a_receiver_that_was_never_there_is_tried_until_it_is() {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    lan.connected = false;
    lan.run(Micros::from_secs(60));
    let no_answer = lan.count(|event| {
        matches!(
            event,
            Event::ConnectFailed {
                reason: ConnectFailure::NoAnswer,
                ..
            }
        )
    });
    assert!(no_answer >= 4, "{}", lan.log());
    assert!(lan.turns < 1_000, "{} turns in a minute", lan.turns);
    let receiver = lan.peer.tcp(1 << 20);
    lan.peer.listen(receiver);
    lan.connected = true;
    let back = lan.now;
    lan.run_until_done("lines", |lan| lan.peer.get(receiver).can_recv());
    assert!(
        lan.now - back <= CONNECT_MIN + INTERVAL,
        "{} later",
        lan.now - back
    );
}

#[test]
fn a_receiver_that_stops_reading_stalls_nothing_and_is_given_up() {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "1s"));
    let receiver = lan.peer.tcp(3_000);
    lan.peer.listen(receiver);
    lan.run(Micros::from_secs(20));
    assert_eq!(lost(&lan, Loss::Stalled), 0);
    assert!(
        lan.turns < 1_000,
        "{} turns: the loop must not spin while the window is full",
        lan.turns
    );
    // The control port answers in the meantime.
    let client = lan.peer.tcp(4096);
    lan.peer.connect(client);
    lan.run_now();
    lan.peer.send(client, b"s\n");
    lan.run_now();
    assert!(lan.peer.receive(client).contains(" lines_waiting="));
    lan.run(STALL);
    assert_eq!(lost(&lan, Loss::Stalled), 1, "{}", lan.log());
    let at = lan
        .events
        .iter()
        .find(|(_, event)| event.is_warning())
        .map(|(at, _)| *at);
    let at = at.expect("the loss");
    assert!(
        at > STALL && at < STALL + Micros::from_secs(6),
        "{at}: after its buffer was full"
    );

    let again = lan.peer.tcp(1 << 20);
    lan.peer.listen(again);
    lan.run(Micros::from_secs(5));
    let before = seconds(&parse_whole_lines(&lan.peer.receive(receiver)));
    let lines = parse(&lan.peer.receive(again));
    let all = [before, seconds(&lines)].concat();
    assert!((0..50).all(|second| all.contains(&second)), "{all:?}");
    assert!(
        own(&lines, "lines_resent") > 0,
        "the line that was cut, at least"
    );
    assert_eq!(own(&lines, "lines_lost"), 0);
}

/// Parses the whole lines of a stream that may have been cut.
fn parse_whole_lines(text: &str) -> Vec<Line> {
    parse(&text[..text.rfind('\n').map_or(0, |at| at + 1)])
}

#[test]
fn a_receiver_that_vanishes_is_given_up_with_data_waiting_or_without() {
    for interval in ["1s", "60m"] {
        let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", interval));
        let receiver = lan.peer.tcp(1 << 20);
        lan.peer.listen(receiver);
        lan.run(Micros::from_millis(5_500));
        lan.connected = false;
        lan.run(SILENCE + Micros::from_secs(12));
        let given_up = lost(&lan, Loss::Stalled) + lost(&lan, Loss::Silent);
        assert_eq!(given_up, 1, "{interval}: {}", lan.log());
        // The receiver was rebooted: it does not know the connection, and listens for new ones.
        lan.connected = true;
        let again = lan.peer.tcp(1 << 20);
        lan.peer.listen(again);
        lan.run(Micros::from_secs(31));
        assert_eq!(
            lan.peer.state(again),
            State::Established,
            "{interval}: {}",
            lan.log()
        );
        if interval == "1s" {
            let lines = parse(&lan.peer.receive(again));
            let all = [
                seconds(&parse(&lan.peer.receive(receiver))),
                seconds(&lines),
            ]
            .concat();
            assert!((0..80).all(|second| all.contains(&second)), "{all:?}");
            assert_eq!(own(&lines, "lines_lost"), 0);
        }
    }
}

#[test]
fn an_idle_connection_is_probed_and_stays() {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "60m"));
    let receiver = lan.peer.tcp(1 << 16);
    lan.peer.listen(receiver);
    lan.run(Micros::from_secs(600));
    assert_eq!(lan.peer.state(receiver), State::Established);
    assert_eq!(lan.events.len(), 2, "{}", lan.log());
    assert!(
        (60..400).contains(&lan.turns),
        "{} turns: a probe every ten seconds",
        lan.turns
    );
}

#[test]
fn restarts_of_the_receiver_use_ports_that_do_not_follow_from_the_last_one() {
    let mut lan = Lan::new(&config("tcp://10.0.2.2:8094", "250ms"));
    let mut ports = Vec::new();
    for _ in 0..100 {
        let receiver = lan.peer.tcp(1 << 16);
        lan.peer.listen(receiver);
        let began = lan.now;
        lan.run_until_done("lines", |lan| lan.peer.get(receiver).can_recv());
        assert!(
            lan.now - began <= Micros::from_millis(750),
            "{} later: three intervals",
            lan.now - began
        );
        parse(&lan.peer.receive(receiver));
        let remote = lan.peer.get(receiver).remote_endpoint().expect("a peer");
        ports.push(remote.port);
        lan.peer.get(receiver).close();
        lan.run_until_done("the end", |lan| !lan.peer.get(receiver).is_open());
        lan.peer.sockets.remove(receiver);
    }
    for pair in ports.windows(2) {
        assert_ne!(pair[0], pair[1], "the peer may still know the last one");
    }
    // Of 100 draws from 16,384 ports, 0.3 pairs are the same.
    let steps = ports
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) < 16);
    assert!(steps.count() < 5, "{ports:?}");
    let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
    assert!(distinct.len() > 95, "{ports:?}");
}

#[test]
fn a_bad_wire_delays_lines_and_changes_none() {
    let (mut lan, receiver) = lan();
    lan.faults = Faults {
        drop: 100,
        double: 100,
        swap: 200,
    };
    lan.run(Micros::from_secs(300));
    lan.faults = Faults::default();
    lan.run(Micros::from_secs(70));
    let mut all = seconds(&parse_whole_lines(&lan.peer.receive(receiver)));
    assert!(lan.log().lines().count() < 20, "{}", lan.log());
    assert!(
        all.windows(2).all(|pair| pair[0] < pair[1]),
        "in order, once"
    );
    all.dedup();
    assert!(all.len() > 300, "{}", all.len());
}
