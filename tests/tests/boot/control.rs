//! The control port of a running image, with real sockets.

use core::net::Ipv4Addr;
use core::time::Duration;

use hermon_machine::qemu::{Machine, Nic};
use tests::boot::{Boot, Running};
use tests::control::{Client, Port};
use tests::metrics::{Point, Receive, Udp};

/// A guest with `mixed` as its workload, whose control port is reached by `Port`.
fn boot(arguments: &str) -> (Running, Port, Udp) {
    let (udp, port) = (Udp::open(), Port::free());
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(port.network()))
        .arguments("--interval 200ms")
        .arguments(arguments)
        .argument(udp.target())
        .start();
    guest.ready();
    (guest, port, udp)
}

fn own(udp: &mut Udp) -> Point {
    udp.until(|point| point.measurement == "monitoring")
}

/// Waits for the first emission after what was asked for; which sources the next ones have.
fn sources(udp: &mut Udp, emissions: usize) -> Vec<String> {
    let mut seen = Vec::new();
    let mut first = own(udp).timestamp;
    // One that had begun may still be on its way.
    for _ in 0..2 {
        first = udp
            .until(|point| point.measurement == "monitoring" && point.timestamp > first)
            .timestamp;
    }
    let mut times = vec![first];
    while times.len() <= emissions {
        for point in udp.receive() {
            if !times.contains(&point.timestamp) {
                times.push(point.timestamp);
            }
            if !seen.contains(&point.measurement) {
                seen.push(point.measurement);
            }
        }
    }
    seen
}

#[test]
fn a_source_is_switched_and_a_level_is_set_under_a_running_workload() {
    let (mut guest, port, mut udp) = boot("");
    let mut control = port.connect();

    // Metrics stop and start.
    assert_eq!(control.ask("m"), "ok: *:enabled");
    assert_eq!(control.ask("Mmemory:disable"), "ok");
    assert_eq!(control.ask("m"), "ok: *:enabled,memory:disabled");
    let seen = sources(&mut udp, 3);
    assert!(!seen.iter().any(|name| name == "memory"), "{seen:?}");
    assert!(seen.iter().any(|name| name == "cpu"), "{seen:?}");
    assert_eq!(control.ask("M*:off,memory:on,monitoring:on"), "ok");
    let mut seen = sources(&mut udp, 3);
    seen.sort();
    assert_eq!(seen, ["memory", "monitoring"]);
    assert_eq!(control.ask("Mtag:interface:on"), "ok");
    let seen = sources(&mut udp, 3);
    assert!(seen.iter().any(|name| name == "net-virtio"), "{seen:?}");

    // Records start, change and stop.
    assert_eq!(control.ask("lapp,hermit"), "ok: app:info,hermit:warning");
    let before = guest.lines().filter(|line| line.contains("DEBUG")).count();
    assert_eq!(before, 0);
    assert_eq!(control.ask("Lapp:debug"), "ok");
    for _ in 0..2 {
        let line = guest.wait_for(" DEBUG app] app: ");
        assert!(line.ends_with(" steps"), "{line}");
    }
    assert_eq!(control.ask("Lapp:error"), "ok");
    assert_eq!(control.ask("l"), "ok: *:info,app:error,hermit:warning");
    // The workload reports each second: two seconds of the guest's own time without a record.
    let from = uptime(&mut control);
    while uptime(&mut control) < from + 2.5 {
        own(&mut udp);
    }
    assert_eq!(control.ask("Lapp:info,monitoring:trace"), "ok");
    let last = |guest: &Running| {
        guest
            .lines()
            .filter(|line| line.contains("DEBUG app]"))
            .count()
    };
    let shown = last(&guest);
    assert_eq!(control.ask("Lapp:debug"), "ok");
    guest.wait_for(" DEBUG app] app: ");
    // At most one was on its way to the console when the level was set.
    assert!(last(&guest) <= shown + 2, "{} after {shown}", last(&guest));
}

fn uptime(control: &mut Client) -> f64 {
    let status = control.ask("s");
    let value = status
        .split(' ')
        .find_map(|field| field.strip_prefix("uptime_s="));
    value.expect("the time").parse().expect("a number")
}

#[test]
fn the_kernels_own_log_is_a_source() {
    let (mut guest, port, _udp) = boot("");
    let mut control = port.connect();
    assert_eq!(control.ask("lhermit"), "ok: hermit:warning");
    let kernel = |guest: &Running| {
        let of_kernel = |line: &&str| line.starts_with("[0][");
        guest.lines().filter(of_kernel).count()
    };
    assert_eq!(kernel(&guest), 0);
    assert_eq!(control.ask("Lhermit:debug"), "ok");
    guest.wait_for("[DEBUG] ");
    assert_eq!(control.ask("Lhermit:quiet,app:debug"), "ok");
    assert_eq!(control.ask("lhermit"), "ok: hermit:quiet");
    // What was on its way to the console comes before the next record of the application; then none for a second.
    guest.wait_for(" DEBUG app] app: ");
    let shown = kernel(&guest);
    guest.wait_for(" DEBUG app] app: ");
    assert_eq!(kernel(&guest), shown);
}

#[test]
fn a_level_at_boot_is_the_same_grammar() {
    let (mut guest, port, _udp) = boot("--log warning,app:debug,hermit:error,monitoring:info");
    guest.wait_for(" DEBUG app] app: ");
    assert_eq!(
        port.connect().ask("l"),
        "ok: *:warning,app:debug,hermit:error,monitoring:info"
    );
    let info = |line: &&str| line.contains(" INFO  ");
    let named = |line: &str| line.contains(" app]") || line.contains(" monitoring]");
    assert!(guest.lines().filter(info).all(named));
}

#[test]
fn a_list_is_whole_and_an_error_changes_nothing() {
    let (_guest, port, _udp) = boot("");
    let mut control = port.connect();
    let list = control.ask("S");
    for name in ["memory", "cpu", "tasks", "net-virtio", "monitoring"] {
        assert!(list.contains(&format!("{name}:enabled tags=")), "{list}");
    }
    assert_eq!(
        control.ask("M*:off,nobody:on"),
        "error: unknown source: nobody"
    );
    assert_eq!(control.ask("m"), "ok: *:enabled");
    assert_eq!(
        control.ask("L*:quiet,nobody:info"),
        "error: unknown source: nobody"
    );
    assert_eq!(control.ask("l"), "ok: *:info,hermit:warning");
}

#[test]
fn a_client_of_one_command_and_no_line_feed_is_answered() {
    let (_guest, port, _udp) = boot("");
    assert_eq!(port.send_and_read_all(b"l"), b"ok: *:info,hermit:warning\n");
    assert_eq!(
        port.send_and_read_all(b"m\r\nl\0?"),
        [
            &b"ok: *:enabled\nok: *:info,hermit:warning\n"[..],
            port.connect().ask("?").as_bytes(),
            b"\n"
        ]
        .concat()
    );
}

#[test]
fn only_allowed_addresses_may_connect() {
    // The user network shows every client as its host, 10.0.2.2.
    let (mut guest, port, mut udp) = boot("--allow 10.0.3.0/24,10.0.2.3");
    assert!(
        !guest
            .lines()
            .any(|line| line.contains("every address may connect"))
    );
    for _ in 0..3 {
        assert_eq!(port.send_and_read_all(b"l"), b"");
    }
    let denied =
        |point: &Point| point.measurement == "monitoring" && point.integer("control_denied") == 3;
    let point = udp.until(denied);
    assert_eq!(point.integer("control_accepted"), 0);
    guest.kill();

    let (guest, port, _udp) = boot("--allow 10.0.2.2");
    assert_eq!(port.connect().ask("l"), "ok: *:info,hermit:warning");
    drop(guest);
}

#[test]
fn that_every_address_may_connect_is_said_once() {
    let (mut guest, port, _udp) = boot("");
    port.connect().ask("Lapp:debug");
    guest.wait_for(" DEBUG app] app: ");
    let told = |line: &&str| line.contains("every address may connect");
    assert_eq!(guest.lines().filter(told).count(), 1);
}

#[test]
fn a_token_opens_and_three_failures_close_the_door() {
    let (_guest, port, mut udp) = boot("--token sesame");
    let mut inside = port.connect();
    assert_eq!(inside.ask("auth sesame"), "ok");
    for _ in 0..3 {
        assert_eq!(
            port.send_and_read_all(b"auth guess\nl\n"),
            b"error: wrong token\n"
        );
    }
    assert_eq!(port.send_and_read_all(b"auth sesame\nl\n"), b"");
    assert_eq!(inside.ask("l"), "ok: *:info,hermit:warning");
    let point =
        udp.until(|point| point.measurement == "monitoring" && point.integer("control_denied") > 0);
    assert_eq!(point.integer("control_auth_failures"), 3);
}

#[test]
fn an_idle_client_is_closed_after_the_time_that_is_set() {
    let (_guest, port, mut udp) = boot("--control-idle 1s");
    let mut idle = port.connect();
    assert_eq!(idle.ask("l"), "ok: *:info,hermit:warning");
    assert_eq!(idle.rest(), b"", "closed by the guest");
    udp.until(|point| {
        point.measurement == "monitoring" && point.integer("control_idle_closed") == 1
    });
}

#[test]
fn clients_that_behave_badly_disturb_neither_metrics_nor_memory() {
    let (_guest, port, mut udp) = boot("--workload idle");
    let is_memory = |point: &Point| point.measurement == "memory";
    let before = udp.until(is_memory);

    // Eight at a time: four that never read what they ask for, two that say nothing, one that sends a byte with each emission.
    let mut deaf: Vec<Client> = (0..4).map(|_| port.connect()).collect();
    for client in &mut deaf {
        client.send(&b"S\n".repeat(2_000));
    }
    let _mute: Vec<Client> = (0..2).map(|_| port.connect()).collect();
    let mut slow = port.connect();
    for byte in b"Mcpu:off\nm\n" {
        slow.send(&[*byte]);
        own(&mut udp);
    }
    assert_eq!(slow.line(), "ok");
    assert_eq!(slow.line(), "ok: *:enabled,cpu:disabled");
    let mut last = port.connect();
    assert_eq!(last.ask("l"), "ok: *:info,hermit:warning");

    // More are refused, whatever they send.
    for _ in 0..20 {
        assert_eq!(port.send_and_read_all(b"l\n"), b"");
    }
    let point = udp
        .until(|point| point.measurement == "monitoring" && point.integer("control_refused") >= 20);
    assert_eq!(point.integer("control_open"), 8);
    // A reset, and a client that closes its half with a command unfinished.
    for client in deaf {
        client.reset();
    }
    assert_eq!(port.send_and_read_all(b"Mcpu:on"), b"ok\n");
    assert_eq!(last.ask("m"), "ok: *:enabled");

    let allocations = |point: &Point| point.integer("allocations");
    assert_eq!(allocations(&udp.until(is_memory)), allocations(&before));
    let point = own(&mut udp);
    assert_eq!(point.integer("intervals_missed"), 0);
    assert_eq!(point.integer("lines_lost"), 0);
}

#[test]
fn ten_thousand_connections_one_after_the_other_leave_nothing_behind() {
    const CONNECTIONS: i64 = 10_000;
    let (_guest, port, udp) = boot("--workload idle");
    let mut udp = udp.drained();
    let is_memory = |point: &Point| point.measurement == "memory";
    let before = udp.until(is_memory);
    for number in 0..CONNECTIONS {
        match number % 3 {
            0 => assert_eq!(port.send_and_read_all(b"Lapp:info"), b"ok\n"),
            1 => {
                let mut client = port.connect();
                client.send(b"m\n");
                client.reset();
            }
            _ => {
                let mut client = port.connect();
                assert_eq!(client.ask("lapp"), "ok: app:info");
            }
        }
    }
    // The last of them may be about to close.
    let point = udp.until(|point| {
        point.measurement == "monitoring"
            && point.integer("control_accepted") == CONNECTIONS
            && point.integer("control_open") == 0
    });
    assert_eq!(point.integer("control_commands"), CONNECTIONS);
    for field in ["control_refused", "control_denied", "control_idle_closed"] {
        assert_eq!(point.integer(field), 0, "{field}");
    }
    for field in ["intervals_missed", "lines_lost"] {
        assert_eq!(point.integer(field), 0, "{field}");
    }
    let after = udp.until(is_memory);
    assert_eq!(after.integer("allocations"), before.integer("allocations"));
}

#[test]
fn a_static_address_has_the_same_door() {
    let port = Port::free();
    let address = Ipv4Addr::new(10, 0, 2, 50);
    let mut guest = Boot::new(Machine::Microvm)
        .nic(Nic::Default(port.network_to(address)))
        .arguments(
            "--ipv4 10.0.2.50/24 --gateway 10.0.2.2 --influx off --token s --allow 10.0.2.0/24",
        )
        .start();
    guest.ready();
    assert_eq!(
        port.send_and_read_all(b"s\n"),
        b"error: the first line must be auth and the token\n"
    );
    assert_eq!(port.connect().ask("auth s"), "ok");
    guest.wait_for_at("app: workload mixed", Duration::from_secs(60));
}
