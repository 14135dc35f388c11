//! Checks that a panic in the monitoring task leaves the application running, and monitoring with it.

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::{Boot, Running};
use tests::control::Client;
use tests::metrics::{Receive, Udp};
use tests::symbols;
use tests::trace::Ports;

/// The restarts after which monitoring stays off.
const RESTARTS_MAX: u64 = 3;

fn boot(machine: Machine, task: &str, udp: &Udp, arguments: &str) -> (Running, Ports, Client) {
    let ports = Ports::free();
    let mut guest = Boot::new(machine)
        .doing(task)
        .nic(Nic::Default(ports.network()))
        .arguments("--interval 100ms")
        .arguments(arguments)
        .argument(udp.target())
        .start();
    guest.ready();
    // It prints once the source is there.
    guest.has_said("application: alive 0");
    let control = ports.control.connect();
    (guest, ports, control)
}

fn round(line: &str) -> u64 {
    let (_, number) = line.split_once("application: alive ").expect("its line");
    number.parse().expect("a number")
}

/// Waits until the application has printed twice, and returns how often it has in all.
fn is_alive(guest: &mut Running) -> u64 {
    let first = round(&guest.wait_for("application: alive "));
    let second = round(&guest.wait_for("application: alive "));
    assert_eq!(second, first + 1, "it is the same application");
    second
}

/// Receives until the monitoring tells so many restarts, and after that the application's counter has grown.
fn metrics_return(udp: &mut Udp, restarts: i64) {
    udp.gather(|points| {
        let told = |point: &&tests::metrics::Point| {
            point.measurement == "monitoring" && point.integer("restarts") == restarts
        };
        let since = points.iter().find(told)?.timestamp;
        let later = points.iter().filter(|point| point.timestamp >= since);
        let counts = later.filter(|point| point.measurement == "switched");
        let counts: Vec<i64> = counts.map(|point| point.integer("count")).collect();
        (counts.last()? > counts.first()?).then_some(())
    });
}

#[test]
fn a_panic_of_a_polled_source_restarts_the_monitoring_and_the_application_goes_on() {
    for machine in [Machine::Q35, Machine::Pc, Machine::Microvm] {
        let mut udp = Udp::open();
        let (mut guest, ports, mut control) = boot(machine, "panic-1", &udp, "");
        assert!(control.ask("s").contains(" restarts=0 "), "{machine:?}");
        // A client whose connection the panic breaks.
        let mut broken = ports.trace();
        broken.read_to(1);
        let held = control.ask("s");
        // The panic may come before the answer leaves.
        control.send(b"Mbomb:on\n");

        guest.wait_for("a polled source of the application, 0 to go");
        let line = guest.wait_for("backtrace:");
        let frames = symbols::frames(guest.image(), &symbols::addresses(&line));
        let bomb = frames
            .iter()
            .any(|frame| frame.starts_with("guest::image::bomb at "));
        assert!(bomb, "{machine:?}: {frames:#?}");
        guest.wait_for("monitoring: begins again after a panic in its task, restart 1");
        is_alive(&mut guest);
        metrics_return(&mut udp, 1);
        guest.has_said("restart 1");

        let mut control = ports.control.connect();
        let status = control.ask("s");
        assert!(status.contains(" restarts=1 "), "{machine:?}: {status}");
        let bytes = |status: &str| {
            let (_, bytes) = status
                .split_once("monitoring_bytes=")
                .expect("in the reply");
            bytes.to_owned()
        };
        assert_eq!(bytes(&status), bytes(&held), "no memory was taken");
        // The next client gets a trace.
        let mut client = ports.trace();
        client.read_to(1);
        assert!(control.ask("T").contains("state=tracing"), "{machine:?}");
    }
}

#[test]
fn a_panic_that_comes_back_ends_the_monitoring_and_not_the_application() {
    let mut udp = Udp::open();
    let (mut guest, _ports, mut control) = boot(Machine::Q35, "panic-100", &udp, "");
    // The panic may come before the answer leaves.
    control.send(b"Mbomb:on\n");
    for restart in 1..=RESTARTS_MAX {
        guest.wait_for(&format!("restart {restart}"));
    }
    guest.wait_for("monitoring: off, its task panicked again after 3 restarts within 600 s");
    let rounds = is_alive(&mut guest);
    assert!(is_alive(&mut guest) > rounds);
    assert!(!guest.lines().any(|line| line.contains("restart 4")));
    let restarts = udp.gather(|points| {
        let own = points
            .iter()
            .filter(|point| point.measurement == "monitoring");
        own.map(|point| point.integer("restarts")).max()
    });
    assert!(restarts <= RESTARTS_MAX as i64);
}

#[test]
fn a_panic_with_the_profile_always_on_is_contained_too_and_the_profile_goes_on() {
    let mut udp = Udp::open();
    let arguments = "--heap-profile on --sampling-rate 0.01";
    let (mut guest, ports, mut control) = boot(Machine::Q35, "panic-1", &udp, arguments);
    // The panic may come before the answer leaves.
    control.send(b"Mbomb:on\n");
    guest.wait_for("restart 1");
    metrics_return(&mut udp, 1);
    let top = ports.control.connect().ask("H");
    assert!(top.starts_with("ok: "), "{top}");
}

#[test]
fn a_panic_under_a_lock_ends_the_machine() {
    let udp = Udp::open();
    let (mut guest, _ports, mut control) = boot(Machine::Q35, "panic-locked", &udp, "");
    control.send(b"Mbomb:on\n");
    guest.wait_for("a polled source of the application, 0 to go");
    assert_eq!(guest.end(), Ended::Failure);
    assert!(!guest.lines().any(|line| line.contains("begins again")));
}
