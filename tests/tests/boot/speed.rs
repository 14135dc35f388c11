//! Measures the promised speeds, and checks what they rest on. The times are only printed: each guest here runs alone, but the host
//! may be busy. What is counted decides, because it is the same on every host.

use core::net::Ipv4Addr;
use core::time::Duration;
use std::time::Instant;

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::Boot;
use tests::control::Port;
use tests::measure::{median_and_p99, processor_time, report};
use tests::metrics::{Point, Receive, Udp};
use tests::wire::Wire;

const ROUND_TRIPS: u16 = 200;

fn report_times(what: &str, times: Vec<Duration>) {
    let (median, p99) = median_and_p99(times);
    report(&format!(
        "{what}: median {} µs, p99 {} µs",
        median.as_micros(),
        p99.as_micros()
    ));
}

/// Counts of the monitoring loop and of its interrupts, all at the beginning of one interval.
#[derive(Debug, Clone, Copy)]
struct Counts {
    uptime_us: i64,
    turns: i64,
    interrupts: i64,
    card: i64,
}

impl Counts {
    /// Waits for the first interval after this uptime.
    fn after(uptime_us: i64, udp: &mut Udp) -> Self {
        udp.gather(|points| {
            let of =
                |source: &'static str| points.iter().filter(move |it| it.measurement == source);
            let mut own = of("monitoring").filter(|own| own.integer("uptime_us") > uptime_us);
            // The datagrams of an interval may have come in part before.
            own.find_map(|own| {
                let irq = of("irq").find(|irq| irq.timestamp == own.timestamp)?;
                Some(Self {
                    uptime_us: own.integer("uptime_us"),
                    turns: own.integer("turns"),
                    interrupts: irq.integer("interrupts"),
                    card: irq.integer("card"),
                })
            })
        })
    }

    fn seconds(self) -> i64 {
        self.uptime_us / 1_000_000
    }

    fn since(self, before: Self) -> Self {
        Self {
            uptime_us: self.uptime_us - before.uptime_us,
            turns: self.turns - before.turns,
            interrupts: self.interrupts - before.interrupts,
            card: self.card - before.card,
        }
    }
}

/// A command wakes the loop by the card's interrupt, also while the application spins. Without that, the kernel's timer would wake it
/// every millisecond or every ten, to look at its card. A command that comes during a turn needs no interrupt, so on a busy host not
/// each one has its own.
fn control_round_trips(machine: Machine, workload: &str) {
    let (mut udp, port) = (Udp::open(), Port::free());
    let mut guest = Boot::new(machine)
        .alone()
        .nic(Nic::Default(port.network()))
        .arguments("--interval 500ms --workload")
        .argument(workload)
        .argument(udp.target())
        .start();
    guest.ready();
    let mut client = port.connect();
    let before = Counts::after(client.uptime_us(), &mut udp);
    let times = (0..ROUND_TRIPS)
        .map(|_| {
            let start = Instant::now();
            client.ask("s");
            start.elapsed()
        })
        .collect();
    let counts = Counts::after(client.uptime_us(), &mut udp).since(before);
    let what = format!("control port, {machine:?}, workload {workload}");
    report_times(&what, times);
    report(&format!("{what}: {ROUND_TRIPS} round trips, {counts:?}"));
    assert!(counts.card > 0, "{counts:?}");
    // For metrics, and for segments that a slow host acknowledges late.
    let timer = counts.interrupts - counts.card;
    assert!(timer <= 20 * (counts.seconds() + 1), "{counts:?}");
    assert!(counts.turns <= 10 * i64::from(ROUND_TRIPS), "{counts:?}");
}

#[test]
fn the_control_port_is_woken_by_the_card_while_the_app_sleeps() {
    control_round_trips(Machine::Q35, "idle");
}

#[test]
fn the_control_port_is_woken_by_the_card_while_the_app_spins() {
    control_round_trips(Machine::Q35, "spin");
}

#[test]
fn the_control_port_is_woken_by_the_card_while_the_app_spins_on_microvm() {
    control_round_trips(Machine::Microvm, "spin");
}

fn pings(machine: Machine, workload: &str) {
    let address = Ipv4Addr::new(192, 168, 7, 2);
    let wire = Wire::open(Ipv4Addr::new(192, 168, 7, 1));
    let mut guest = Boot::new(machine)
        .alone()
        .nic(Nic::Default(wire.network()))
        .arguments("--ipv4 192.168.7.2/24 --influx off --workload")
        .argument(workload)
        .start();
    guest.ready();
    let mac = wire.resolve(address);
    let times = (0..ROUND_TRIPS)
        .map(|sequence| wire.ping(mac, address, sequence, &[0; 56]))
        .collect();
    report_times(&format!("ping, {machine:?}, workload {workload}"), times);
}

#[test]
fn every_ping_is_answered_while_the_app_sleeps() {
    pings(Machine::Q35, "idle");
}

#[test]
fn every_ping_is_answered_while_the_app_spins() {
    pings(Machine::Q35, "spin");
}

#[test]
fn every_ping_is_answered_while_the_app_spins_on_microvm() {
    pings(Machine::Microvm, "spin");
}

/// Reports the share of a core that QEMU uses, with monitoring on and without a client. An idle image wakes once in an interval, for
/// its metrics. Looking at the card every 10 ms would be 100 turns a second.
fn idle(machine: Machine) {
    const SECONDS: i64 = 4;
    let mut udp = Udp::open();
    let mut guest = Boot::new(machine)
        .alone()
        .arguments("--interval 1s --workload idle")
        .argument(udp.target())
        .start();
    guest.ready();
    guest.has_said("app: workload idle");
    let first = Counts::after(0, &mut udp);
    let before = Counts::after(first.uptime_us, &mut udp);
    let (start, used) = (Instant::now(), processor_time(guest.pid()));
    // A little less, so that an interval that begins early is the right one.
    let until = before.uptime_us + SECONDS * 1_000_000 - 500_000;
    let counts = Counts::after(until, &mut udp).since(before);
    let (took, used) = (start.elapsed(), processor_time(guest.pid()) - used);
    report(&format!(
        "idle, {machine:?}, an interval of 1 s: {:.2} % of a core over {:.1} s, {counts:?}",
        used.as_secs_f64() / took.as_secs_f64() * 100.0,
        took.as_secs_f64(),
    ));
    let most = 5 * (counts.seconds() + 1);
    assert!(counts.turns <= most, "{counts:?}");
    assert!(counts.interrupts <= most, "{counts:?}");
}

#[test]
fn an_idle_q35_wakes_for_its_metrics_only() {
    idle(Machine::Q35);
}

#[test]
fn an_idle_microvm_wakes_for_its_metrics_only() {
    idle(Machine::Microvm);
}

#[test]
fn an_idle_interval_takes_at_most_half_a_million_instructions() {
    const INTERVALS: i64 = 10;
    let mut udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .counted()
        .arguments("--interval 100ms --workload idle")
        .argument(udp.target())
        .start();
    guest.ready();
    guest.has_said("app: workload idle");
    let is_cpu = |point: &Point| point.measurement == "cpu";
    let uptime = udp.own_after(0).integer("uptime_us");
    udp.own_after(uptime);
    let mut busy_us = || udp.until(is_cpu).integer("busy_us");
    let before = busy_us();
    let after = (0..INTERVALS).map(|_| busy_us()).last().expect("some");
    // A microsecond of this guest is a thousand instructions.
    let instructions = (after - before) * 1_000 / INTERVALS;
    report(&format!(
        "an interval of an idle q35: {instructions} instructions"
    ));
    assert!(instructions <= 500_000, "{instructions}");
}

#[test]
fn counting_takes_at_most_24_instructions_for_an_allocation_and_its_free() {
    let mut guest = Boot::new(Machine::Q35)
        .counted()
        .doing("pairs")
        .arguments("--influx off")
        .start();
    let line = guest.wait_for("pairs: ");
    assert_eq!(guest.end(), Ended::Success);
    let numbers: Vec<f64> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    let [pairs, with, without] = numbers[..] else {
        panic!("{line}");
    };
    // A microsecond of this guest is a thousand instructions.
    let [with, without] = [with, without].map(|micros| micros * 1_000.0 / pairs);
    report(&format!(
        "an allocation and free of 64 bytes: {with:.1} instructions, {without:.1} of them without the hook"
    ));
    assert!(without > 10.0 && with > without, "{line}");
    assert!(with - without <= 24.0, "{line}");
}

#[test]
fn the_first_metric_does_not_wait_for_the_interval() {
    for machine in [Machine::Q35, Machine::Pc, Machine::Microvm] {
        let mut udp = Udp::open();
        // Longer than any deadline.
        let mut guest = Boot::new(machine)
            .alone()
            .arguments("--interval 60m")
            .argument(udp.target())
            .start();
        let (line, _) = guest.wait_for_at("");
        udp.receive();
        let metric = guest.started().elapsed();
        report(&format!(
            "{machine:?}: first console line after {} ms, first metric after {} ms",
            line.as_millis(),
            metric.as_millis()
        ));
    }
}
