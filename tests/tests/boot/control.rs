//! Uses the control port of a running image with real sockets.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::collections::BTreeSet;

use hermon_machine::qemu::{Machine, Nic};
use tests::boot::{Boot, Running};
use tests::control::{Client, Port};
use tests::metrics::{Intervals, Point, Receive, Udp};

const INTERVAL: Duration = Duration::from_millis(200);

/// Boots a guest with the workload `mixed`, and returns it with the port that leads to its control port.
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

fn own(udp: &mut impl Receive) -> Point {
    udp.until(|point| point.measurement == "monitoring")
}

/// Returns the sources of some emissions that begin after the last command.
fn sources(udp: &mut Udp, control: &mut Client, emissions: usize) -> Vec<String> {
    udp.own_after(control.uptime_us());
    udp.gather(|points| {
        let times: BTreeSet<i64> = points.iter().map(|point| point.timestamp).collect();
        let sources = || {
            let names: BTreeSet<&str> = points.iter().map(|it| &*it.measurement).collect();
            names.into_iter().map(str::to_owned).collect()
        };
        (times.len() > emissions).then(sources)
    })
}

#[test]
fn a_source_is_switched_and_a_level_is_set_under_a_running_workload() {
    let (mut guest, port, mut udp) = boot("");
    let mut control = port.connect();

    // Metrics stop and start.
    assert_eq!(control.ask("m"), "ok: *:enabled");
    assert_eq!(control.ask("Mmemory:disable"), "ok");
    assert_eq!(control.ask("m"), "ok: *:enabled,memory:disabled");
    let seen = sources(&mut udp, &mut control, 3);
    assert!(!seen.iter().any(|name| name == "memory"), "{seen:?}");
    assert!(seen.iter().any(|name| name == "cpu"), "{seen:?}");
    assert_eq!(control.ask("M*:off,memory:on,monitoring:on"), "ok");
    let seen = sources(&mut udp, &mut control, 3);
    assert_eq!(seen, ["memory", "monitoring"]);
    assert_eq!(control.ask("Mtag:interface:on"), "ok");
    let seen = sources(&mut udp, &mut control, 3);
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
    // The workload reports each second: wait two seconds of the guest's own time without a record.
    let from = control.uptime_us();
    let to = udp.own_after(from + 2_500_000).integer("uptime_us");
    assert_eq!(control.ask("Lapp:info,monitoring:trace"), "ok");
    assert_eq!(control.ask("Lapp:debug"), "ok");
    // `[    1.012345 DEBUG app] app: …`
    let time = |line: &str| -> i64 {
        let time = line.split_whitespace().nth(1).expect("a time");
        time.replace('.', "").parse().expect("a number")
    };
    while time(&guest.wait_for(" DEBUG app] app: ")) < to {}
    let quiet = |line: &&str| line.contains(" DEBUG app]") && (from..to).contains(&time(line));
    assert_eq!(guest.lines().find(quiet), None);
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
    // Records on their way to the console come before the next record of the application. Then there must be none for a second.
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
fn an_idle_client_is_closed_after_the_time_that_is_set() {
    let (_guest, port, mut udp) = boot("--control-idle 1s");
    // On a busy host the time may be over before the command arrives. Then there is no answer, and the next client tries.
    let answered = (0..100).find(|_| {
        let mut idle = port.connect();
        idle.send(b"l\n");
        let said = idle.rest();
        assert!(
            said.is_empty() || said == b"ok: *:info,hermit:warning\n",
            "{said:?}"
        );
        !said.is_empty()
    });
    let closed = answered.expect("one of them") + 1;
    udp.until(|point| {
        point.measurement == "monitoring" && point.integer("control_idle_closed") == closed
    });
}

#[test]
fn clients_that_behave_badly_disturb_neither_metrics_nor_memory() {
    let (_guest, port, udp) = boot("--workload idle --control-idle 60m");
    let mut udp = Intervals::of(udp.drained());
    let is_memory = |point: &Point| point.measurement == "memory";
    let before = udp.until(is_memory);

    // Eight at a time: four that send commands and never read the replies, two that send nothing, one that sends a byte with each
    // emission.
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

    // More clients are refused, whatever they send.
    for _ in 0..20 {
        assert_eq!(port.send_and_read_all(b"l\n"), b"");
    }
    let point = udp
        .until(|point| point.measurement == "monitoring" && point.integer("control_refused") >= 20);
    assert_eq!(point.integer("control_open"), 8);
    // Then clients reset, and one closes its half with a command unfinished.
    for client in deaf {
        client.reset();
    }
    assert_eq!(port.send_and_read_all(b"Mcpu:on"), b"ok\n");
    assert_eq!(last.ask("m"), "ok: *:enabled");

    let allocations = |point: &Point| point.integer("allocations");
    assert_eq!(allocations(&udp.until(is_memory)), allocations(&before));
    assert_eq!(own(&mut udp).integer("lines_lost"), 0);
    udp.are_accounted_for(INTERVAL);
}

#[test]
fn ten_thousand_connections_one_after_the_other_leave_nothing_behind() {
    const CONNECTIONS: i64 = 10_000;
    let (_guest, port, udp) = boot("--workload idle");
    let mut udp = Intervals::of(udp.drained());
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
    // The last of the connections may still be closing.
    let point = udp.until(|point| {
        point.measurement == "monitoring"
            && point.integer("control_accepted") == CONNECTIONS
            && point.integer("control_open") == 0
    });
    assert_eq!(point.integer("control_commands"), CONNECTIONS);
    for field in [
        "control_refused",
        "control_denied",
        "control_idle_closed",
        "lines_lost",
    ] {
        assert_eq!(point.integer(field), 0, "{field}");
    }
    udp.are_accounted_for(INTERVAL);
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
            "--ipv4 10.0.2.50/24 --gateway 10.0.2.2 --influx off --token s --token-plain on --allow 10.0.2.0/24",
        )
        .start();
    guest.ready();
    assert_eq!(
        port.send_and_read_all(b"s\n"),
        b"error: the first line must be auth and the token\n"
    );
    assert_eq!(port.connect().ask("auth s"), "ok");
    guest.wait_for("app: workload mixed");
}
