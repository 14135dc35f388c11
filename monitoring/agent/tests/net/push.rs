//! The emitter over TCP, with a connection whose peer is the test.

use network::bounds::{
    BACK_OFF_MAX, BACK_OFF_MIN, CONNECT_MAX, CONNECT_MIN, DOUBT, DRAIN, ON_THE_WAY_BYTES,
    PUSH_SEND_BYTES, QUEUE_BYTES, STALL,
};
use network::outbox::Outbox;
use network::push::{ConnectFailure, Loss, PushEvent, State, StreamPush};
use network::{Closed, LinkState};
use proptest::prelude::*;
use units::Micros;

use crate::fake::{FakeLink, FakeStream};

const INTERVAL: Micros = Micros::from_secs(10);

/// An emitter, its outbox and the link it drives.
struct Bench {
    push: StreamPush,
    outbox: Outbox<'static>,
    link: FakeLink,
    events: Vec<PushEvent>,
    now: Micros,
    up: bool,
    deadline: Option<Micros>,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let outbox = Outbox::new(
            vec![0; QUEUE_BYTES].leak(),
            vec![0; ON_THE_WAY_BYTES].leak(),
        );
        let mut link = FakeLink::default();
        link.stream.buffer = Some(PUSH_SEND_BYTES);
        Self {
            push: StreamPush::new(INTERVAL, seed),
            outbox,
            link,
            events: Vec::new(),
            now: Micros::ZERO,
            up: true,
            deadline: None,
        }
    }

    fn turn(&mut self) {
        let Self {
            push,
            outbox,
            link,
            events,
            now,
            up,
            deadline,
        } = self;
        *deadline = push.turn(*now, *up, link, outbox, &mut |event| events.push(event));
    }

    /// Runs a turn at the time that the last turn asked for.
    fn turn_at_deadline(&mut self) {
        self.now = self.deadline.expect("a deadline");
        self.turn();
    }

    fn open() -> Self {
        let mut bench = Self::new(1);
        bench.turn();
        bench.link.state = LinkState::Open;
        bench.turn();
        assert_eq!(bench.events, [PushEvent::Connected]);
        bench.events.clear();
        bench
    }

    /// Connects again after a loss.
    fn reopen(&mut self) {
        self.turn_at_deadline();
        assert_eq!(self.link.state, LinkState::Connecting);
        self.link.state = LinkState::Open;
        self.turn();
    }

    fn sent(&self) -> &str {
        str::from_utf8(&self.link.stream.sent).expect("lines are text")
    }
}

#[test]
fn lines_are_counted_as_sent_when_the_last_byte_is_acknowledged() {
    let mut bench = Bench::open();
    bench.outbox.push(b"a v=1i\n");
    bench.outbox.push(b"b v=1i\n");
    bench.turn();
    assert_eq!(bench.sent(), "a v=1i\nb v=1i\n");
    assert_eq!(
        (
            bench.outbox.counts().lines_sent,
            bench.outbox.lines_waiting()
        ),
        (0, 2)
    );
    bench.link.stream.acknowledge_some(13);
    bench.turn();
    assert_eq!(
        (
            bench.outbox.counts().lines_sent,
            bench.outbox.lines_waiting()
        ),
        (1, 1)
    );
    bench.link.stream.acknowledge();
    bench.turn();
    assert_eq!(
        (
            bench.outbox.counts().lines_sent,
            bench.outbox.counts().bytes_sent
        ),
        (2, 14)
    );
    assert_eq!(bench.deadline, None, "nothing to wait for");
    assert!(!bench.push.is_active());
}

#[test]
fn a_line_that_was_cut_is_sent_again_whole_on_the_next_connection() {
    let mut bench = Bench::open();
    bench.link.stream.buffer = Some(10);
    bench.outbox.push(b"a v=1i\n");
    bench.outbox.push(b"b v=1i\n");
    bench.outbox.push(b"c v=1i\n");
    bench.turn();
    assert_eq!(bench.sent(), "a v=1i\nb v");
    bench.link.stream.acknowledge_some(9);
    bench.turn();
    assert_eq!(bench.sent(), "a v=1i\nb v=1i\nc v=1");
    bench.link.state = LinkState::Closed(Closed::Reset);
    bench.turn();
    assert_eq!(
        bench.events,
        [PushEvent::Lost {
            reason: Loss::Reset,
            resent: 2
        }]
    );
    let counts = *bench.outbox.counts();
    assert_eq!(
        (
            counts.lines_sent,
            counts.lines_resent,
            counts.connections_lost
        ),
        (1, 2, 1)
    );
    bench.link.stream.buffer = None;
    bench.reopen();
    assert_eq!(bench.sent(), "b v=1i\nc v=1i\n");
    bench.link.stream.acknowledge();
    bench.turn();
    assert_eq!(
        (
            bench.outbox.counts().lines_sent,
            bench.outbox.counts().lines_lost()
        ),
        (3, 0)
    );
}

#[test]
fn lines_acknowledged_just_before_the_connection_broke_are_in_doubt() {
    let mut bench = Bench::open();
    for (at, line) in [(10, "a v=1i\n"), (20, "b v=1i\n"), (20, "c v=1i\n")] {
        bench.now = Micros::from_secs(at);
        bench.outbox.push(line.as_bytes());
        bench.turn();
        bench.link.stream.acknowledge();
        bench.turn();
    }
    bench.now = Micros::from_secs(20) + Micros(DOUBT.0 / 4 * 3);
    bench.link.state = LinkState::PeerClosed;
    bench.turn();
    bench.link.state = LinkState::Closed(Closed::Reset);
    bench.turn();
    assert_eq!(
        bench.outbox.counts().lines_in_doubt,
        2,
        "a was read long ago"
    );
    assert_eq!(
        bench.outbox.counts().lines_sent,
        3,
        "the lines are counted as sent too"
    );
    bench.reopen();
    bench.link.state = LinkState::Closed(Closed::Reset);
    bench.turn();
    assert_eq!(
        bench.outbox.counts().lines_in_doubt,
        2,
        "each is counted once"
    );
}

#[test]
fn an_attempt_ends_when_it_is_refused_or_not_answered_in_time() {
    let mut bench = Bench::new(3);
    bench.turn();
    assert_eq!(
        bench.push.state(),
        State::Connecting {
            deadline: CONNECT_MAX
        },
        "10 s are too long"
    );
    bench.now = Micros(CONNECT_MAX.0 - 1);
    bench.turn();
    assert_eq!(bench.events, []);
    bench.turn_at_deadline();
    let no_answer = PushEvent::ConnectFailed {
        reason: ConnectFailure::NoAnswer,
        failures: 1,
    };
    assert_eq!(
        (bench.events.pop(), bench.link.aborted),
        (Some(no_answer), true)
    );
    bench.turn_at_deadline();
    bench.link.state = LinkState::Closed(Closed::Reset);
    bench.turn();
    let refused = PushEvent::ConnectFailed {
        reason: ConnectFailure::Refused,
        failures: 2,
    };
    assert_eq!(bench.events.pop(), Some(refused));
    bench.link.unreachable = true;
    bench.turn_at_deadline();
    assert_eq!(
        bench.events,
        [],
        "the third failure in a row is not reported"
    );
    assert_eq!(bench.outbox.counts().connect_failures, 3);
}

/// Returns the pauses after a peer that refuses permanently.
fn pauses(interval: Micros, seed: u64, count: usize) -> Vec<u64> {
    let mut bench = Bench::new(seed);
    bench.push = StreamPush::new(interval, seed);
    let mut pauses = Vec::new();
    for _ in 0..count {
        bench.turn();
        bench.link.state = LinkState::Closed(Closed::Reset);
        bench.turn();
        let State::Waiting { until } = bench.push.state() else {
            panic!("{:?}", bench.push.state())
        };
        pauses.push((until - bench.now).0);
        bench.now = until;
    }
    assert_eq!(
        bench.events.len(),
        count.ilog2() as usize + 1,
        "failures 1, 2, 4, 8 ... are told"
    );
    pauses
}

#[test]
fn the_pause_doubles_up_to_the_interval_and_half_of_it_is_chance() {
    for (interval, longest) in [
        (INTERVAL, INTERVAL),
        (Micros::from_millis(250), Micros::from_millis(250)),
        (Micros::from_millis(10), BACK_OFF_MIN),
        (Micros::from_secs(3600), BACK_OFF_MAX),
    ] {
        for seed in 0..20 {
            for (number, pause) in pauses(interval, seed, 40).into_iter().enumerate() {
                let full = (BACK_OFF_MIN.0 << number.min(30)).min(longest.0);
                assert!(
                    (full / 2..=full).contains(&pause),
                    "{number}: {pause} of {full}"
                );
            }
        }
    }
    let of_many = |number: usize| {
        (0..200)
            .map(|seed| pauses(INTERVAL, seed, 8)[number])
            .collect::<Vec<_>>()
    };
    let last = of_many(7);
    let mean = last.iter().sum::<u64>() / 200;
    let expected = INTERVAL.0 * 3 / 4;
    // The mean of 200 uniform numbers over half the pause: 5 standard errors are 5 s / sqrt(12 · 200) · 5.
    assert!(
        mean.abs_diff(expected) < 5_000_000 / 49 * 5,
        "{mean} is not near {expected}"
    );
}

#[test]
fn the_pause_is_short_again_only_after_a_line_came_across() {
    let mut bench = Bench::open();
    let pause = |bench: &mut Bench| {
        bench.link.state = LinkState::Closed(Closed::Reset);
        bench.turn();
        let State::Waiting { until } = bench.push.state() else {
            panic!("{:?}", bench.push.state())
        };
        (until - bench.now).0
    };
    for number in 0..5 {
        assert!(
            pause(&mut bench) >= (BACK_OFF_MIN.0 << number) / 2,
            "a peer that accepts and closes at once"
        );
        bench.reopen();
    }
    bench.outbox.push(b"a v=1i\n");
    bench.turn();
    bench.link.stream.acknowledge();
    assert!(
        pause(&mut bench) <= BACK_OFF_MIN.0,
        "acknowledged in the same turn as the reset"
    );
}

#[test]
fn an_idle_peers_close_is_noticed_at_once() {
    let mut bench = Bench::open();
    bench.link.state = LinkState::PeerClosed;
    bench.turn();
    assert_eq!(bench.push.state(), State::Draining { deadline: DRAIN });
    assert_eq!(
        bench.link.state,
        LinkState::Closing,
        "this side's half is closed too"
    );
    bench.link.state = LinkState::Closed(Closed::Here);
    bench.turn();
    assert_eq!(
        bench.events,
        [PushEvent::Lost {
            reason: Loss::PeerClosed,
            resent: 0
        }]
    );
}

#[test]
fn a_peer_that_closed_may_still_acknowledge_what_is_on_the_way() {
    let mut bench = Bench::open();
    bench.outbox.push(b"a v=1i\n");
    bench.turn();
    bench.link.state = LinkState::PeerClosed;
    bench.outbox.push(b"b v=1i\n");
    bench.turn();
    assert_eq!(bench.sent(), "a v=1i\n", "nothing new is handed over");
    bench.link.stream.acknowledge();
    bench.turn();
    bench.turn_at_deadline();
    assert_eq!(
        bench.events,
        [PushEvent::Lost {
            reason: Loss::PeerClosed,
            resent: 0
        }]
    );
    assert_eq!(
        (
            bench.outbox.counts().lines_sent,
            bench.outbox.lines_waiting()
        ),
        (1, 1)
    );
}

#[test]
fn a_peer_that_closes_in_its_answer_is_a_connection_that_was_lost() {
    let mut bench = Bench::new(1);
    bench.turn();
    bench.link.state = LinkState::PeerClosed;
    bench.turn();
    assert_eq!(bench.events, [PushEvent::Connected]);
    assert!(matches!(bench.push.state(), State::Draining { .. }));
}

#[test]
fn a_stalled_peer_is_given_up_at_the_deadline_and_progress_puts_it_off() {
    let mut bench = Bench::open();
    bench.now = Micros::from_secs(100);
    bench.outbox.push(b"a v=1i\n");
    bench.turn();
    assert_eq!(
        bench.deadline,
        Some(bench.now + STALL),
        "the time before there was anything to acknowledge does not count"
    );
    bench.now = Micros(bench.now.0 + STALL.0 - 1);
    bench.turn();
    bench.link.stream.acknowledge_some(1);
    bench.turn();
    assert_eq!(bench.deadline, Some(bench.now + STALL));
    bench.turn_at_deadline();
    assert_eq!(
        bench.events,
        [PushEvent::Lost {
            reason: Loss::Stalled,
            resent: 1
        }]
    );
    assert!(bench.link.aborted);
}

#[test]
fn a_silent_peer_and_a_lost_address_end_the_connection() {
    let mut bench = Bench::open();
    bench.link.state = LinkState::Closed(Closed::Silent);
    bench.turn();
    assert_eq!(
        bench.events.pop(),
        Some(PushEvent::Lost {
            reason: Loss::Silent,
            resent: 0
        })
    );
    bench.reopen();
    bench.up = false;
    bench.turn();
    assert_eq!(
        bench.events.pop(),
        Some(PushEvent::Lost {
            reason: Loss::AddressLost,
            resent: 0
        })
    );
    assert_eq!(
        bench.deadline, None,
        "without an address there is nothing to wake up for"
    );
    bench.now = Micros::from_secs(9_999);
    bench.turn();
    assert_eq!(bench.link.attempts, 2, "no attempt without an address");
    bench.up = true;
    bench.turn();
    assert_eq!(bench.link.attempts, 3);
    bench.up = false;
    bench.turn();
    assert!(
        matches!(bench.push.state(), State::Waiting { .. }),
        "an attempt ends with the address too"
    );
}

#[test]
fn what_a_receiver_says_is_thrown_away() {
    let mut bench = Bench::open();
    bench.link.stream.peek_limit = Some(3);
    bench.link.stream.arrive(b"HTTP/1.1 400 Bad Request\r\n");
    bench.turn();
    assert_eq!(bench.link.stream.arrived, b"");
    assert_eq!(bench.events, []);
}

#[test]
fn the_time_for_an_attempt_follows_the_interval_within_bounds() {
    for (interval, expected) in [
        (Micros::from_millis(10), CONNECT_MIN),
        (Micros::from_secs(3), Micros::from_secs(3)),
        (Micros::from_secs(60), CONNECT_MAX),
    ] {
        let mut bench = Bench::new(0);
        bench.push = StreamPush::new(interval, 0);
        bench.turn();
        assert_eq!(bench.push.state(), State::Connecting { deadline: expected });
    }
}

#[derive(Clone, Debug)]
enum Op {
    Line(usize),
    Acknowledge(usize),
    Break(Closed),
    PeerClose,
    Pass(u64),
    AddressLost,
}

proptest! {
    /// The oracle is a receiver that keeps the bytes of each connection up to the last one that its TCP acknowledged.
    #[test]
    fn every_line_arrives_whole_and_in_order_or_is_counted(
        ops in prop::collection::vec(
            prop_oneof![
                6 => (1_usize..200).prop_map(Op::Line),
                6 => (0_usize..400).prop_map(Op::Acknowledge),
                1 => prop::sample::select(vec![Closed::Reset, Closed::Silent]).prop_map(Op::Break),
                1 => Just(Op::PeerClose),
                2 => (0_u64..40_000_000).prop_map(Op::Pass),
                1 => Just(Op::AddressLost),
            ], 0..150),
        buffer in 1_usize..500, write_limit in 1_usize..300,
    ) {
        let mut bench = Bench::new(7);
        bench.link.stream.buffer = Some(buffer);
        bench.link.stream.write_limit = Some(write_limit);
        let mut pushed: Vec<String> = Vec::new();
        let mut connections: Vec<Vec<u8>> = Vec::new();
        let mut acknowledged_lines = 0;
        let mut attempts = 0;
        let mut step = |bench: &mut Bench, connections: &mut Vec<Vec<u8>>| {
            bench.turn();
            if bench.link.attempts > attempts {
                attempts = bench.link.attempts;
                connections.push(Vec::new());
                bench.link.state = LinkState::Open;
                bench.turn();
            }
            if let Some(last) = connections.last_mut()
                && bench.link.stream.sent.len() >= last.len()
            {
                last.clone_from(&bench.link.stream.sent);
            }
        };
        for op in ops {
            match op {
                Op::Line(len) => {
                    let line = format!("m,n={} v=\"{}\"\n", pushed.len(), "x".repeat(len));
                    bench.outbox.push(line.as_bytes());
                    pushed.push(line);
                }
                Op::Acknowledge(count) => bench.link.stream.acknowledge_some(count),
                Op::Break(how) if bench.link.state == LinkState::Open => bench.link.state = LinkState::Closed(how),
                Op::PeerClose if bench.link.state == LinkState::Open => bench.link.state = LinkState::PeerClosed,
                Op::Break(_) | Op::PeerClose => {}
                Op::Pass(micros) => bench.now += Micros(micros),
                Op::AddressLost => bench.up = !bench.up,
            }
            step(&mut bench, &mut connections);
        }
        // At the end everything works.
        bench.up = true;
        for _ in 0..10_000 {
            if bench.outbox.lines_waiting() == 0 {
                break;
            }
            bench.now += Micros::from_secs(1);
            bench.link.stream.acknowledge();
            if bench.link.state == LinkState::Closing {
                bench.link.state = LinkState::Closed(Closed::Here);
            }
            step(&mut bench, &mut connections);
        }
        prop_assert_eq!(bench.outbox.lines_waiting(), 0, "the queue does not become empty");
        let counts = *bench.outbox.counts();
        prop_assert_eq!(counts.lines_lost(), 0, "the queue never overflowed");
        prop_assert_eq!(counts.lines_sent, pushed.len() as u64);

        let mut copies = vec![0_u64; pushed.len()];
        for bytes in &connections {
            let text = str::from_utf8(bytes).expect("text");
            let mut last = None;
            for line in text.split_inclusive('\n') {
                let number = pushed.iter().position(|pushed| pushed.starts_with(line));
                let Some(number) = number else {
                    return Err(TestCaseError::fail(format!("the tail of a line: {line:?}")));
                };
                if line.ends_with('\n') {
                    prop_assert_eq!(line, &pushed[number]);
                    prop_assert!(last.is_none_or(|last| last + 1 == number), "out of order");
                    last = Some(number);
                }
                copies[number] += 1;
                acknowledged_lines += 1;
            }
        }
        prop_assert!(copies.iter().all(|&copies| copies > 0), "a line never arrived");
        prop_assert_eq!(counts.lines_resent, acknowledged_lines - pushed.len() as u64);
    }
}

#[test]
fn an_outage_longer_than_the_queue_loses_the_oldest_and_counts_them() {
    let mut bench = Bench::open();
    bench.link.state = LinkState::Closed(Closed::Reset);
    bench.turn();
    let line = |number: usize| format!("m v=\"{number:0500}\"\n");
    let fit = QUEUE_BYTES / line(0).len();
    for number in 0..fit + 10 {
        bench.outbox.push(line(number).as_bytes());
    }
    assert_eq!(bench.outbox.counts().lines_lost(), 10);
    bench.link.stream = FakeStream {
        buffer: Some(PUSH_SEND_BYTES),
        ..FakeStream::default()
    };
    bench.reopen();
    assert!(bench.sent().starts_with(&line(10)));
    while bench.outbox.lines_waiting() > 0 {
        bench.link.stream.acknowledge();
        bench.turn();
    }
    assert_eq!(bench.sent(), (10..fit + 10).map(line).collect::<String>());
}
