//! The control port as its clients see it: many, rude, dead and slow ones.

use monitoring::net::bounds::{CONTROL_CONNECTIONS, CONTROL_IDLE, LINGER, OPENING};
use monitoring::time::Micros;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;

use crate::lan::{Lan, METRICS, config, own, parse};

fn lan() -> Lan {
    let mut lan = Lan::new(&config("udp://10.0.2.2:8094", "10s"));
    lan.run_now();
    lan
}

fn connect(lan: &mut Lan) -> SocketHandle {
    let client = lan.peer.tcp(4096);
    lan.peer.connect(client);
    lan.run_now();
    client
}

fn ask(lan: &mut Lan, client: SocketHandle, command: &str) -> String {
    lan.peer.send(client, command.as_bytes());
    lan.run_now();
    lan.peer.receive(client)
}

/// The value of a key in the reply to `s`.
fn status(reply: &str, key: &str) -> String {
    let fields = reply
        .strip_prefix("ok: ")
        .unwrap_or_else(|| panic!("{reply:?}"));
    let value = fields
        .split_ascii_whitespace()
        .find_map(|field| field.strip_prefix(&format!("{key}=")));
    value
        .unwrap_or_else(|| panic!("no {key} in {reply:?}"))
        .to_string()
}

/// A field of the source `monitoring`, ten seconds later.
fn next_metric(lan: &mut Lan, field: &str) -> i64 {
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(10));
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    lan.peer.sockets.remove(receiver);
    own(&lines, field)
}

#[test]
fn commands_are_answered_in_order_without_passing_time() {
    let mut lan = lan();
    let client = connect(&mut lan);
    assert_eq!(ask(&mut lan, client, "?\n"), "ok: ? this help, s status\n");
    let replies = ask(&mut lan, client, "x\ns\r\n?\0");
    let replies: Vec<_> = replies.split_inclusive('\n').collect();
    assert_eq!(replies.len(), 3, "{replies:?}");
    assert_eq!(replies[0], "error: unknown command\n");
    for (key, value) in [
        ("version", env!("CARGO_PKG_VERSION")),
        ("uptime_s", "0.000000"),
        ("address", "10.0.2.15/24"),
        ("metrics", "udp://10.0.2.2:8094"),
        ("lines_lost", "0"),
        ("live_bytes", "4000"),
    ] {
        assert_eq!(status(replies[1], key), value);
    }
    assert_eq!(replies[2], "ok: ? this help, s status\n");
    assert!(lan.monitor.is_active());
    // A command without an end, then the client closes its half: answered, then closed.
    lan.peer.send(client, b"?");
    lan.peer.get(client).close();
    lan.run_now();
    assert_eq!(lan.peer.receive(client), "ok: ? this help, s status\n");
    assert_eq!(lan.peer.state(client), State::TimeWait);
    assert_eq!(lan.now, Micros::ZERO);
    assert!(!lan.monitor.is_active());
    assert_eq!(next_metric(&mut lan, "control_commands"), 5);
}

#[test]
fn the_ninth_connection_is_refused_and_counted_and_the_eight_go_on() {
    let mut lan = lan();
    let clients: Vec<_> = (0..CONTROL_CONNECTIONS)
        .map(|_| connect(&mut lan))
        .collect();
    let late = lan.peer.tcp(4096);
    for _ in 0..100 {
        lan.peer.connect(late);
        lan.run_now();
        assert_eq!(lan.peer.state(late), State::Closed, "refused at once");
    }
    for &client in &clients {
        assert_eq!(ask(&mut lan, client, "?\n"), "ok: ? this help, s status\n");
    }
    lan.peer.get(clients[3]).close();
    lan.run_now();
    lan.peer.connect(late);
    lan.run_now();
    assert_eq!(
        ask(&mut lan, late, "?\n"),
        "ok: ? this help, s status\n",
        "there is room again"
    );
    let receiver = lan.peer.udp(METRICS);
    lan.run(Micros::from_secs(10));
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let fields =
        ["control_refused", "control_accepted", "control_open"].map(|field| own(&lines, field));
    assert_eq!(fields, [100, 9, 8]);
}

#[test]
fn a_burst_of_connections_is_taken_or_refused_one_by_one() {
    let mut lan = lan();
    let clients: Vec<_> = (0..40)
        .map(|_| {
            let client = lan.peer.tcp(2048);
            lan.peer.connect(client);
            client
        })
        .collect();
    lan.run_now();
    let open = clients
        .iter()
        .filter(|&&client| lan.peer.state(client) == State::Established)
        .count();
    let closed = clients
        .iter()
        .filter(|&&client| lan.peer.state(client) == State::Closed)
        .count();
    assert_eq!(
        (open, closed),
        (CONTROL_CONNECTIONS, 40 - CONTROL_CONNECTIONS)
    );
    assert_eq!(
        next_metric(&mut lan, "control_refused"),
        32,
        "every one is counted"
    );
}

#[test]
fn a_thousand_connections_one_after_another_each_get_their_answer() {
    let mut lan = lan();
    let client = lan.peer.tcp(4096);
    for number in 0..1000 {
        lan.peer.connect(client);
        lan.run_now();
        match number % 4 {
            // Asks, reads, closes.
            0 => {
                assert_eq!(ask(&mut lan, client, "?\n"), "ok: ? this help, s status\n");
                lan.peer.get(client).close();
            }
            // Asks, and is gone before the answer.
            1 => {
                lan.peer.send(client, b"s\ns\ns\n");
                lan.peer.get(client).abort();
            }
            // Says nothing.
            2 => lan.peer.get(client).close(),
            // Asks and closes its half in one segment.
            _ => {
                lan.peer.send(client, b"?");
                lan.peer.get(client).close();
                lan.run_now();
                assert_eq!(lan.peer.receive(client), "ok: ? this help, s status\n");
            }
        }
        lan.run_now();
        assert!(
            !lan.peer.get(client).is_open(),
            "{number}: {:?}",
            lan.peer.state(client)
        );
    }
    assert_eq!(lan.now, Micros::ZERO, "nothing waited for a timer");
    assert!(!lan.monitor.is_active());
    assert_eq!(next_metric(&mut lan, "control_accepted"), 1000);
}

#[test]
fn an_idle_client_is_closed_cleanly_at_the_deadline() {
    let mut lan = lan();
    let client = connect(&mut lan);
    lan.run(Micros(CONTROL_IDLE.0 - 1));
    assert_eq!(lan.peer.state(client), State::Established);
    lan.run(Micros(1));
    assert_eq!(lan.peer.state(client), State::CloseWait);
    lan.peer.get(client).close();
    lan.run_now();
    assert_eq!(lan.peer.state(client), State::Closed);
    assert_eq!(next_metric(&mut lan, "control_idle_closed"), 1);
}

#[test]
fn connections_that_were_closed_for_idling_leave_room_at_once() {
    let mut lan = lan();
    let clients: Vec<_> = (0..CONTROL_CONNECTIONS)
        .map(|_| connect(&mut lan))
        .collect();
    lan.run(CONTROL_IDLE);
    for client in clients {
        lan.peer.get(client).close();
    }
    lan.run_now();
    for _ in 0..CONTROL_CONNECTIONS {
        let client = connect(&mut lan);
        assert_eq!(ask(&mut lan, client, "?\n"), "ok: ? this help, s status\n");
    }
}

#[test]
fn a_client_that_does_not_close_its_half_is_reset_after_a_while() {
    let mut lan = lan();
    let client = connect(&mut lan);
    lan.run(CONTROL_IDLE);
    assert_eq!(lan.peer.state(client), State::CloseWait);
    lan.run(LINGER);
    assert_eq!(lan.peer.state(client), State::Closed);
}

#[test]
fn a_client_that_never_reads_is_reset_and_disturbs_nobody() {
    let mut lan = lan();
    let deaf = lan.peer.tcp(300);
    lan.peer.connect(deaf);
    lan.run_now();
    for _ in 0..3 {
        lan.peer.send(deaf, &b"s\n".repeat(300));
        lan.run_now();
    }
    let before = lan.turns;
    let other = connect(&mut lan);
    assert_eq!(ask(&mut lan, other, "?\n"), "ok: ? this help, s status\n");
    lan.run(Micros::from_secs(30));
    assert!(
        lan.turns - before < 500,
        "{} turns: a full buffer is no reason to spin",
        lan.turns - before
    );
    assert_eq!(ask(&mut lan, other, "?\n"), "ok: ? this help, s status\n");
    lan.run(CONTROL_IDLE);
    assert_eq!(lan.peer.state(deaf), State::Closed);
    assert_eq!(next_metric(&mut lan, "control_idle_closed"), 2);
}

#[test]
fn half_open_connections_give_their_sockets_back() {
    let mut lan = lan();
    // Eight clients that vanish after their SYN.
    let mut handles = Vec::new();
    for _ in 0..CONTROL_CONNECTIONS {
        let client = lan.peer.tcp(2048);
        lan.peer.connect(client);
        handles.push(client);
    }
    lan.peer.interface.poll(
        smoltcp::time::Instant::ZERO,
        &mut lan.peer.nic,
        &mut lan.peer.sockets,
    );
    lan.nic.arrived.extend(lan.peer.nic.sent.drain(..));
    lan.turn();
    lan.nic.sent.clear();
    for client in handles {
        lan.peer.sockets.remove(client);
    }
    lan.run_now();
    let late = connect(&mut lan);
    assert_eq!(lan.peer.state(late), State::Closed, "all are taken");
    // Nobody answers the SYN-ACKs, not even with a reset.
    lan.connected = false;
    lan.run(OPENING);
    lan.connected = true;
    lan.peer.connect(late);
    lan.run_now();
    assert_eq!(ask(&mut lan, late, "?\n"), "ok: ? this help, s status\n");
}

#[test]
fn metrics_flow_on_while_clients_do_what_they_like() {
    let mut lan = lan();
    let receiver = lan.peer.udp(METRICS);
    let clients: Vec<_> = (0..CONTROL_CONNECTIONS)
        .map(|_| connect(&mut lan))
        .collect();
    let mut answered = 0;
    for second in 0..30 {
        for &client in &clients {
            if lan.peer.get(client).can_send() {
                lan.peer.send(client, b"s\ns\n");
            }
        }
        lan.run(Micros::from_secs(1));
        for &client in &clients {
            answered += lan.peer.receive(client).lines().count();
        }
        assert_eq!(lan.now, Micros::from_secs(second + 1));
    }
    assert_eq!(answered, 30 * CONTROL_CONNECTIONS * 2);
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    let seconds: Vec<_> = lines
        .iter()
        .step_by(2)
        .map(|line| (line.timestamp - crate::lan::BOOT.0) / 1_000_000_000)
        .collect();
    assert_eq!(seconds, [10, 20, 30]);
}
