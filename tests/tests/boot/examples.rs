//! Uses the images of `examples/` as their readers would.

use std::time::Instant;

use hermon_machine::qemu::{Machine, Nic};
use tests::DEADLINE;
use tests::boot::Boot;
use tests::control::Port;

/// Boots an example and waits until its own source has counted something.
fn an_example_counts(name: &str, source: &str) {
    let port = Port::free();
    let mut guest = Boot::new(Machine::Q35)
        .nic(Nic::Default(port.network()))
        .example(name)
        .start();
    guest.ready();
    let mut client = port.connect();
    // The source appears at its first use, which may be a moment after monitoring is ready.
    let deadline = Instant::now() + DEADLINE;
    while client.ask(&format!("m{source}")) != format!("ok: {source}:enabled") {
        assert!(Instant::now() < deadline, "no source {source}");
    }
    let status = client.ask("s");
    let live = status
        .split(' ')
        .find_map(|pair| pair.strip_prefix("live_bytes="));
    let live: u64 = live.expect("the live bytes").parse().expect("a number");
    assert!(
        live > 100_000,
        "monitoring's own memory is in the profiled heap: {status}"
    );
    assert_eq!(client.ask("T").split(' ').nth(2), Some("state=idle"));
}

#[test]
fn the_smallest_application_monitors_itself() {
    an_example_counts("minimal", "orders");
}

#[test]
fn an_application_with_std_monitors_itself() {
    an_example_counts("with-std", "words");
}
