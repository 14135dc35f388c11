//! Checks addresses, the kinds of NIC, ping, and a machine without a NIC.

use core::net::Ipv4Addr;

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{GUEST_MAC, Machine, Net, Nic};
use tests::boot::Boot;
use tests::control::Port;
use tests::metrics::{Receive, Udp};
use tests::wire::Wire;

const GUEST: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);

#[test]
fn an_address_comes_by_dhcp() {
    let mut guest = Boot::new(Machine::Q35).start();
    let line = guest.ready();
    assert!(
        line.ends_with(
            "monitoring: ready, address 10.0.2.15/24 by dhcp, control port 2323, memtrace port 4242, metrics to udp://10.0.2.2:8094"
        ),
        "{line}"
    );
}

#[test]
fn a_static_address_is_used_at_once() {
    let mut udp = Udp::open();
    let address = Ipv4Addr::new(10, 0, 2, 50);
    let port = Port::free();
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(port.network_to(address)))
        .arguments("--ipv4 10.0.2.50/24 --gateway 10.0.2.2 --interval 500ms")
        .argument(udp.target())
        .start();
    let line = guest.ready();
    assert!(line.contains("address 10.0.2.50/24 static"), "{line}");
    udp.until(|point| point.measurement == "memory");
    let reply = port.connect().ask("s");
    assert!(reply.contains(" address=10.0.2.50/24 "), "{reply}");
}

#[test]
fn a_ports_number_can_be_set_and_a_port_can_be_off() {
    let mut guest = Boot::new(Machine::Microvm)
        .arguments("--control-port 0 --memtrace-port 4343 --influx off")
        .start();
    let line = guest.ready();
    assert!(
        line.ends_with("control port off, memtrace port 4343, metrics off"),
        "{line}"
    );
}

fn nic_works(machine: Machine, nic: impl FnOnce(Net) -> Nic) {
    let mut udp = Udp::open();
    let mut guest = Boot::new(machine)
        .nic(nic(Net::User(Vec::new())))
        .arguments("--interval 500ms")
        .argument(udp.target())
        .start();
    guest.ready();
    let first = udp.until(|point| point.measurement == "monitoring");
    udp.until(|point| point.measurement == "monitoring" && point.timestamp > first.timestamp);
}

#[test]
fn a_transitional_nic_works_on_a_pc() {
    nic_works(Machine::Pc, Nic::Transitional);
}

#[test]
fn a_transitional_nic_works_on_a_q35() {
    nic_works(Machine::Q35, Nic::Transitional);
}

#[test]
fn a_modern_nic_works_on_a_pc() {
    nic_works(Machine::Pc, Nic::Modern);
}

#[test]
fn a_modern_nic_works_on_a_q35() {
    nic_works(Machine::Q35, Nic::Modern);
}

fn without_a_nic(machine: Machine) {
    let mut guest = Boot::new(machine)
        .nic(Nic::None)
        .arguments("--duration 500ms")
        .start();
    let line = guest.wait_for("monitoring: off, ");
    assert!(line.contains("WARN"), "{line}");
    guest.wait_for("app: workload mixed");
    assert_eq!(guest.end(), Ended::Success);
    assert_eq!(
        guest.lines().filter(|line| line.contains("WARN")).count(),
        1
    );
}

#[test]
fn without_a_nic_the_app_warns_once_and_runs_on() {
    without_a_nic(Machine::Q35);
}

#[test]
fn without_a_nic_the_app_warns_once_and_runs_on_on_microvm() {
    without_a_nic(Machine::Microvm);
}

fn answers_ping(machine: Machine) {
    let wire = Wire::open(PEER);
    let mut guest = Boot::new(machine)
        .nic(Nic::Default(wire.network()))
        .arguments("--ipv4 192.168.7.2/24 --influx off")
        .start();
    guest.ready();
    let mac = wire.resolve(GUEST);
    assert_eq!(mac, GUEST_MAC);
    for (sequence, length) in (0..).zip([0, 1, 56, 1000, 1472]) {
        let data: Vec<u8> = (0..length).map(|n: u16| n as u8).collect();
        wire.ping(mac, GUEST, sequence, &data);
    }
}

#[test]
fn a_q35_answers_ping_of_every_size() {
    answers_ping(Machine::Q35);
}

#[test]
fn a_microvm_answers_ping_of_every_size() {
    answers_ping(Machine::Microvm);
}

#[test]
fn frames_that_make_no_sense_do_not_stop_it() {
    let wire = Wire::open(PEER);
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(wire.network()))
        .arguments("--ipv4 192.168.7.2/24 --influx off")
        .start();
    guest.ready();
    let mac = wire.resolve(GUEST);
    // Send frames to the guest with each protocol that it might look into, cut at every length, and noise.
    let mut noise = 1u32;
    for kind in [0x0800u16, 0x0806, 0x86dd, 0x8100, 0xffff] {
        for length in (14..=90).chain([1514]) {
            let mut frame: Vec<u8> = mac.iter().copied().chain(tests::wire::PEER_MAC).collect();
            frame.extend(kind.to_be_bytes());
            frame.extend([0x45, 0x00]);
            frame.resize_with(length.max(16), || {
                // Marsaglia's xorshift: any bytes will do, but the same in every run.
                noise ^= noise << 13;
                noise ^= noise >> 17;
                noise ^= noise << 5;
                noise as u8
            });
            frame.truncate(length);
            wire.send(&frame);
        }
    }
    // This many frames overflow the buffers on the way, and the last ones are lost first.
    wire.ping_until_answered(mac, GUEST, b"still there");
}
