//! The control port as its clients see it: many, invalid, dead and slow clients.

use agent::config::{Allow, Config, parse_idle, parse_token};
use agent::door::{PROOF_EVERY, PROOFS_BURST};
use hmac::{Hmac, KeyInit as _, Mac as _};
use logging::Level;
use network::bounds::{
    CONTROL_CONNECTIONS, CONTROL_IDLE, CONTROL_RECEIVE_BYTES, CONTROL_SEND_BYTES, CONTROL_SOCKETS,
    LINGER, LINGER_BYTES, OPENING, PROVE_WITHIN, YIELDS_AFTER,
};
use sha2::Sha256;
use smoltcp::iface::SocketHandle;
use smoltcp::socket::tcp::State;
use units::Micros;

use crate::lan::{Lan, METRICS, config, help, own, parse};

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

/// Returns the value of a key in the reply to `s`.
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

/// Returns a field of the source `monitoring`, ten seconds later.
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
    assert_eq!(ask(&mut lan, client, "?\n"), help());
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
    assert_eq!(replies[2], help());
    assert!(lan.monitor.is_active());
    // A command without an end, then the client closes its half: the command is answered, then the connection closed.
    lan.peer.send(client, b"?");
    lan.peer.get(client).close();
    lan.run_now();
    assert_eq!(lan.peer.receive(client), help());
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
        assert_eq!(ask(&mut lan, client, "?\n"), help());
    }
    lan.peer.get(clients[3]).close();
    lan.run_now();
    lan.peer.connect(late);
    lan.run_now();
    assert_eq!(ask(&mut lan, late, "?\n"), help(), "a place is free again");
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
        "every refusal is counted"
    );
}

#[test]
fn ten_thousand_connections_one_after_another_each_get_their_answer() {
    let mut lan = lan();
    let client = lan.peer.tcp(4096);
    for number in 0..10_000 {
        lan.peer.connect(client);
        lan.run_now();
        match number % 4 {
            // The client asks, reads and closes.
            0 => {
                assert_eq!(ask(&mut lan, client, "?\n"), help());
                lan.peer.get(client).close();
            }
            // The client asks and disappears before the answer.
            1 => {
                lan.peer.send(client, b"s\ns\ns\n");
                lan.peer.get(client).abort();
            }
            // The client closes without a command.
            2 => lan.peer.get(client).close(),
            // The client asks and closes its half in one segment.
            _ => {
                lan.peer.send(client, b"?");
                lan.peer.get(client).close();
                lan.run_now();
                assert_eq!(lan.peer.receive(client), help());
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
    assert_eq!(next_metric(&mut lan, "control_accepted"), 10_000);
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
        assert_eq!(ask(&mut lan, client, "?\n"), help());
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

/// Connects clients that the service has closed and that send more than a receive buffer holds.
fn talk_on(bytes: usize) -> (Lan, Vec<SocketHandle>) {
    let mut lan = lan();
    let clients: Vec<_> = (0..CONTROL_CONNECTIONS)
        .map(|_| connect(&mut lan))
        .collect();
    lan.run(CONTROL_IDLE);
    for &client in &clients {
        assert_eq!(lan.peer.state(client), State::CloseWait);
        for part in vec![b'x'; bytes].chunks(1_024) {
            if lan.peer.state(client) == State::CloseWait {
                lan.peer.send(client, part);
                lan.run_now();
            }
        }
        lan.peer.get(client).close();
    }
    lan.run_now();
    (lan, clients)
}

#[test]
fn what_a_client_says_after_the_close_does_not_keep_its_own_close_out() {
    let (mut lan, clients) = talk_on(4 * CONTROL_RECEIVE_BYTES);
    for client in clients {
        assert_eq!(lan.peer.state(client), State::Closed);
    }
    for _ in 0..CONTROL_CONNECTIONS {
        let client = connect(&mut lan);
        assert_eq!(ask(&mut lan, client, "?\n"), help());
    }
    assert_eq!(next_metric(&mut lan, "control_refused"), 0);
}

#[test]
fn a_client_that_does_not_stop_talking_after_the_close_is_reset() {
    let (mut lan, clients) = talk_on(2 * LINGER_BYTES);
    for client in clients {
        assert_eq!(lan.peer.state(client), State::Closed);
    }
    let client = connect(&mut lan);
    assert_eq!(ask(&mut lan, client, "?\n"), help());
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
    assert_eq!(ask(&mut lan, other, "?\n"), help());
    lan.run(Micros::from_secs(30));
    assert!(
        lan.turns - before < 500,
        "{} turns: the loop must not spin while a buffer is full",
        lan.turns - before
    );
    assert_eq!(ask(&mut lan, other, "?\n"), help());
    lan.run(CONTROL_IDLE);
    assert_eq!(lan.peer.state(deaf), State::Closed);
    assert_eq!(next_metric(&mut lan, "control_idle_closed"), 2);
}

#[test]
fn half_open_connections_keep_nobody_out_and_give_their_sockets_back() {
    let mut lan = lan();
    // As many clients as there are sockets, that vanish after their SYN.
    let mut handles = Vec::new();
    for _ in 0..CONTROL_SOCKETS {
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
    assert_eq!(ask(&mut lan, late, "?\n"), help());
    lan.peer.get(late).abort();
    lan.run_now();
    // The SYN-ACKs get no answer, not even a reset.
    lan.connected = false;
    lan.run(OPENING);
    lan.connected = true;
    lan.peer.connect(late);
    lan.run_now();
    assert_eq!(ask(&mut lan, late, "?\n"), help());
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

/// Returns `true` if a new connection stays open.
fn can_connect(lan: &mut Lan) -> bool {
    let client = connect(lan);
    let open = lan.peer.state(client) == State::Established;
    lan.peer.get(client).abort();
    lan.run_now();
    open
}

fn lan_with(config: Config) -> Lan {
    let mut lan = Lan::new(&config);
    lan.run_now();
    lan
}

#[test]
fn only_allowed_addresses_may_connect_and_the_others_are_counted() {
    let base = config("udp://10.0.2.2:8094", "10s");
    for (networks, allowed) in [
        ("10.0.2.2", true),
        ("10.0.3.0/24,10.0.0.0/8", true),
        ("10.0.2.3", false),
        ("192.168.0.0/16,10.0.2.3/32", false),
    ] {
        let allow = Allow::parse(networks).unwrap();
        let mut lan = lan_with(Config { allow, ..base });
        for _ in 0..20 {
            assert_eq!(can_connect(&mut lan), allowed, "{networks}");
        }
        assert_eq!(lan.now, Micros::ZERO);
        let receiver = lan.peer.udp(METRICS);
        lan.run(Micros::from_secs(10));
        let lines = parse(&lan.peer.datagrams(receiver).concat());
        let fields = ["control_accepted", "control_denied", "control_refused"];
        let expected = if allowed { [20, 0, 0] } else { [0, 20, 0] };
        assert_eq!(fields.map(|field| own(&lines, field)), expected);
    }
}

#[test]
fn that_every_address_may_connect_is_told_once() {
    let told = "monitoring: every address may connect, --allow names those that may\n";
    let base = config("off", "10s");
    let allow = Allow::parse("10.0.2.0/24").unwrap();
    for (config, times) in [
        (
            Config {
                allow: Allow::ALL,
                ..base
            },
            1,
        ),
        (Config { allow, ..base }, 0),
        (
            Config {
                allow: Allow::ALL,
                control_port: None,
                memtrace_port: None,
                ..base
            },
            0,
        ),
    ] {
        assert_eq!(lan_with(config).log().matches(told).count(), times);
    }
}

fn guarded() -> Lan {
    let base = config("udp://10.0.2.2:8094", "10s");
    let token = Some(parse_token("sesame").unwrap());
    lan_with(Config { token, ..base })
}

/// Proves to know the token, and returns the last reply.
fn prove(lan: &mut Lan, client: SocketHandle, token: &str) -> String {
    let reply = ask(lan, client, "auth\n");
    let challenge = reply.strip_prefix("ok: ").expect("a challenge").trim_end();
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("a key");
    mac.update(challenge.as_bytes());
    let proof = mac.finalize().into_bytes();
    let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
    ask(lan, client, &format!("auth {proof}\n"))
}

#[test]
fn wrong_tokens_slow_guesses_in_all_and_never_shut_out_who_knows_it() {
    let mut lan = guarded();
    let inside = connect(&mut lan);
    assert_eq!(prove(&mut lan, inside, "sesame"), "ok\n");
    assert_eq!(ask(&mut lan, inside, "l\n"), "ok: *:info\n");
    let began = lan.now;
    for _ in 0..40 {
        let guess = connect(&mut lan);
        let mut reply = prove(&mut lan, guess, "guess");
        while reply.is_empty() {
            lan.run(Micros::from_millis(10));
            reply = lan.peer.receive(guess);
        }
        assert_eq!(reply, "error: wrong token\n");
        assert_eq!(lan.peer.state(guess), State::CloseWait, "closed");
        lan.peer.get(guess).abort();
        lan.run_now();
    }
    let allowed = PROOFS_BURST + (lan.now - began).0 / PROOF_EVERY.0;
    assert!(allowed <= 42, "40 guesses in the time of {allowed}");
    // From the same address, right after them.
    let operator = connect(&mut lan);
    let mut reply = prove(&mut lan, operator, "sesame");
    if reply.is_empty() {
        lan.run(PROOF_EVERY);
        reply = lan.peer.receive(operator);
    }
    assert_eq!(reply, "ok\n");
    assert_eq!(ask(&mut lan, inside, "l\n"), "ok: *:info\n");
    assert_eq!(next_metric(&mut lan, "control_auth_failures"), 40);
}

#[test]
fn a_token_in_the_clear_is_not_taken_unless_that_was_allowed() {
    let mut lan = guarded();
    let client = connect(&mut lan);
    let reply = ask(&mut lan, client, "auth sesame\n");
    assert!(
        reply.starts_with("error: the token is not taken in the clear"),
        "{reply}"
    );
    let token = Some(parse_token("sesame").unwrap());
    let base = config("off", "10s");
    let mut lan = lan_with(Config {
        token,
        token_plain: true,
        ..base
    });
    let client = connect(&mut lan);
    assert_eq!(ask(&mut lan, client, "auth sesame\n"), "ok\n");
}

#[test]
fn a_proof_that_was_overheard_opens_nothing() {
    let mut lan = guarded();
    let client = connect(&mut lan);
    let reply = ask(&mut lan, client, "auth\n");
    let challenge = reply.strip_prefix("ok: ").expect("a challenge").trim_end();
    let mut mac = Hmac::<Sha256>::new_from_slice(b"sesame").expect("a key");
    mac.update(challenge.as_bytes());
    let proof = mac.finalize().into_bytes();
    let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(ask(&mut lan, client, &format!("auth {proof}\n")), "ok\n");
    let thief = connect(&mut lan);
    ask(&mut lan, thief, "auth\n");
    let reply = ask(&mut lan, thief, &format!("auth {proof}\n"));
    assert_eq!(reply, "error: wrong token\n");
}

#[test]
fn clients_that_know_no_token_keep_nobody_out() {
    let mut lan = guarded();
    for _ in 0..30 {
        // As many as there are places, each with a byte that is no line.
        let mut clients = Vec::new();
        for _ in 0..CONTROL_CONNECTIONS {
            let client = connect(&mut lan);
            clients.push(client);
            if lan.peer.get(client).can_send() {
                lan.peer.send(client, b"a");
            }
            lan.run_now();
        }
        let operator = connect(&mut lan);
        let mut reply = prove(&mut lan, operator, "sesame");
        if reply.is_empty() {
            lan.run(PROOF_EVERY);
            reply = lan.peer.receive(operator);
        }
        assert_eq!(reply, "ok\n");
        lan.peer.get(operator).close();
        lan.run(Micros::from_millis(100));
        for client in clients.into_iter().chain([operator]) {
            lan.peer.sockets.remove(client);
        }
    }
}

#[test]
fn a_client_without_a_proof_is_closed_after_two_seconds() {
    let mut lan = guarded();
    let client = connect(&mut lan);
    for _ in 0..3 {
        lan.peer.send(client, b"x");
        lan.run(Micros::from_millis(600));
    }
    assert_eq!(lan.peer.state(client), State::Established);
    lan.run(PROVE_WITHIN);
    assert_eq!(lan.peer.receive(client), "error: no token in time\n");
    assert_eq!(lan.peer.state(client), State::CloseWait);
}

#[test]
fn when_all_places_are_taken_the_one_without_a_command_for_longest_is_given_up() {
    let mut lan = lan();
    let clients: Vec<_> = (0..CONTROL_CONNECTIONS)
        .map(|_| connect(&mut lan))
        .collect();
    lan.run(YIELDS_AFTER);
    ask(&mut lan, clients[0], "l\n");
    let newcomer = connect(&mut lan);
    assert_eq!(ask(&mut lan, newcomer, "l\n"), "ok: *:info\n");
    assert_eq!(ask(&mut lan, clients[0], "l\n"), "ok: *:info\n");
    let gone = clients
        .iter()
        .filter(|&&client| lan.peer.state(client) == State::Closed);
    assert_eq!(gone.count(), 1);
}

#[test]
fn spoofed_syns_keep_nobody_out() {
    let mut lan = lan();
    let clients: Vec<_> = (0..CONTROL_CONNECTIONS - 1)
        .map(|_| connect(&mut lan))
        .collect();
    for number in 0..300_u16 {
        lan.peer.spoof_syn(1_000 + number);
        lan.run(Micros::from_millis(3));
        if number % 20 == 0 {
            let operator = connect(&mut lan);
            assert_eq!(
                ask(&mut lan, operator, "l\n"),
                "ok: *:info\n",
                "after {number}"
            );
            lan.peer.get(operator).close();
            lan.run(Micros::from_millis(50));
            lan.peer.sockets.remove(operator);
        }
    }
    assert_eq!(ask(&mut lan, clients[0], "l\n"), "ok: *:info\n");
}

#[test]
fn a_browsers_request_is_answered_once_and_nothing_of_it_is_obeyed() {
    let body = "M*:off\nL*:quiet\nT1e-3\n";
    let long = format!("GET /{} HTTP/1.1\r\n{body}", "x".repeat(3_000));
    for request in [
        format!(
            "POST / HTTP/1.1\r\nHost: 127.0.0.1:2323\r\nContent-Length: 21\r\nOrigin: https://example.org\r\n\r\n{body}"
        ),
        format!("OPTIONS * HTTP/1.1\r\n\r\n{body}"),
        format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{body}"),
        format!("get /M*:off\n{body}"),
        format!("\x16\x03\x01\x02\n\x01{body}"),
        long,
    ] {
        let mut lan = lan();
        let client = connect(&mut lan);
        let mut reply = String::new();
        for piece in request.as_bytes().chunks(600) {
            if lan.peer.get(client).can_send() {
                lan.peer.send(client, piece);
            }
            lan.run_now();
            reply.push_str(&lan.peer.receive(client));
        }
        let (errors, oks) = (reply.matches("error:").count(), reply.matches("ok").count());
        assert_eq!((errors, oks), (1, 0), "{reply}");
        assert_eq!(lan.peer.state(client), State::CloseWait, "{request}");
        let other = connect(&mut lan);
        assert_eq!(
            ask(&mut lan, other, "m\nl\n"),
            "ok: *:disabled,memory:enabled,monitoring:enabled\nok: *:info\n"
        );
        assert_eq!(next_metric(&mut lan, "control_foreign"), 1);
    }
}

#[test]
fn the_idle_time_can_be_set() {
    let control_idle = parse_idle("5s").unwrap();
    let mut lan = lan_with(Config {
        control_idle,
        ..config("off", "10s")
    });
    let client = connect(&mut lan);
    lan.run(Micros(control_idle.0 - 1));
    assert_eq!(lan.peer.state(client), State::Established);
    lan.run(Micros(1));
    assert_eq!(lan.peer.state(client), State::CloseWait);
}

#[test]
fn a_switch_is_in_force_from_the_next_interval_on() {
    let mut lan = lan();
    let receiver = lan.peer.udp(METRICS);
    let client = connect(&mut lan);
    let next = |lan: &mut Lan| -> Vec<String> {
        lan.run(Micros::from_secs(10));
        let lines = parse(&lan.peer.datagrams(receiver).concat());
        lines.into_iter().map(|line| line.measurement).collect()
    };
    assert_eq!(next(&mut lan), ["memory", "monitoring"]);
    assert_eq!(ask(&mut lan, client, "Mmemory:disable\n"), "ok\n");
    assert_eq!(next(&mut lan), ["monitoring"]);
    let nobody = "error: unknown source: nobody\n";
    assert_eq!(ask(&mut lan, client, "M*:enable,nobody:on\n"), nobody);
    assert_eq!(next(&mut lan), ["monitoring"], "no part was applied");
    assert_eq!(ask(&mut lan, client, "Mmemory:on,monitoring:off\n"), "ok\n");
    assert_eq!(next(&mut lan), ["memory"]);
}

#[test]
fn a_level_is_changed_and_listed() {
    let mut lan = lan();
    let _ = lan.log.see("app::cache");
    let client = connect(&mut lan);
    assert_eq!(
        ask(&mut lan, client, "Lapp::cache:debug\nl\n"),
        "ok\nok: *:info,app::cache:debug\n"
    );
    assert_eq!(lan.log.level("app::cache::lru"), Level::Debug);
}

#[test]
fn a_list_longer_than_all_buffers_arrives_whole() {
    let mut lan = lan();
    let client = connect(&mut lan);
    let mut reply = ask(&mut lan, client, "S\n");
    // The client reads as much as it has room for at a time.
    while !reply.ends_with('\n') {
        lan.run_now();
        let more = lan.peer.receive(client);
        assert!(!more.is_empty(), "it stopped after {reply}");
        reply += &more;
    }
    assert!(
        reply.len() > CONTROL_SEND_BYTES && reply.ends_with("restarts:u64:restarts\n"),
        "{} bytes",
        reply.len()
    );
    for entry in lan.registry.entries() {
        assert!(reply.contains(&format!("{}:", entry.metric.source().name())));
    }
}

#[test]
fn a_client_that_sends_a_byte_a_second_is_served_and_disturbs_nobody() {
    let mut lan = lan();
    let receiver = lan.peer.udp(METRICS);
    let (slow, other) = (connect(&mut lan), connect(&mut lan));
    for byte in "Lwarning\nl\n".bytes() {
        lan.peer.send(slow, &[byte]);
        lan.run(Micros::from_secs(1));
        assert_eq!(ask(&mut lan, other, "?\n"), help());
    }
    assert_eq!(lan.peer.receive(slow), "ok\nok: *:warning\n");
    let lines = parse(&lan.peer.datagrams(receiver).concat());
    assert_eq!(
        lines
            .iter()
            .filter(|line| line.measurement == "monitoring")
            .count(),
        1
    );
}
