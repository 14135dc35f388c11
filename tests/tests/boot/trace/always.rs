//! Checks the profile that is always on: the live blocks at any time, at the beginning of a trace and at the end of the image.

use std::time::Instant;

use hermon_machine::guest::Ended;
use hermon_machine::qemu::Machine;
use tests::DEADLINE;
use tests::boot::{Boot, Running};

use super::clients::{number, until_state};
use super::{boot, boot_with, is_whole};

#[test]
fn the_function_that_leaks_is_named_first_and_a_trace_begins_with_what_is_alive() {
    let (_guest, ports) = boot("--workload leak --heap-profile on --sampling-rate 1e-3");
    let mut control = ports.control.connect();
    assert!(control.ask("T").contains(" heap_profile=on "));
    assert_eq!(
        control.ask("T0.5"),
        "error: the heap profile is always on, at the rate 1e-3"
    );
    assert_eq!(control.ask("Tstop"), "error: nobody gets a trace");
    // Wait until more has leaked than the service keeps at any other site.
    let deadline = Instant::now() + DEADLINE;
    let top = loop {
        let top = control.ask("H");
        assert!(top.len() <= 1024 && top.starts_with("ok: live "), "{top}");
        let first = top.split("; ").nth(1);
        if first.is_some_and(|first| first.contains("::remember_session app/src/workload/leak.rs:"))
        {
            break top;
        }
        assert!(Instant::now() < deadline, "{top}");
    };
    // The count at this moment or a little later.
    let blocks = top.split("; ").nth(1).and_then(|first| {
        let (_, rest) = first.split_once(" in ")?;
        rest.split(' ').next()?.parse::<usize>().ok()
    });
    let blocks = blocks.unwrap_or_else(|| panic!("{top}"));

    let mut client = ports.trace();
    client.read_to(30_000);
    let profile = client.finish();
    let alive: Vec<_> = profile.blocks.iter().filter(|it| it.at == 0).collect();
    let leaked = alive.iter().filter(|it| it.passes("remember_session"));
    assert!(leaked.count() >= blocks, "less than {blocks} at the start");
    assert!(profile.blocks.len() > alive.len(), "and nothing behind it");
    assert!(profile.of("remember_session").all(|it| !it.is_freed));
    assert!(profile.blocks.iter().all(is_whole));
    assert_eq!(profile.info.rate, 1e-3);
    // The profile goes on, and the next client gets it again.
    assert!(control.ask("H").contains("remember_session"));
    let mut client = ports.trace();
    client.read_to(30_000);
    let again = client.finish();
    let leaked = again.of("remember_session").filter(|it| it.at == 0);
    assert!(leaked.count() >= blocks);
}

#[test]
fn a_client_that_does_not_read_is_reset_and_the_profile_goes_on() {
    let (mut guest, ports) = boot("--workload churn --heap-profile on --sampling-rate 1e-2");
    let mut control = ports.control.connect();
    let _silent = ports.trace_with_buffer(4096).expect("the guest runs");
    guest
        .wait_for("the client of the memtrace port was reset, it reads too slowly or not at all, ");
    guest.wait_for("the trace has ended, ");
    let state = until_state(&mut control, "idle");
    assert_eq!(number(&state, "slow"), 1, "{state}");
    assert!(number(&state, "lost") > 0, "{state}");
    // What is alive is known again, and what was not recorded is told.
    let deadline = Instant::now() + DEADLINE;
    while control.ask("H").contains(", behind by ") {
        assert!(Instant::now() < deadline, "the profile stays behind");
    }
    assert!(control.ask("H").contains(", not recorded since boot"));
    let mut client = ports.trace();
    client.read_to(100_000);
    let profile = client.finish();
    assert!(profile.blocks.iter().any(|block| block.at == 0));
    assert!(profile.blocks.iter().any(|block| block.at > 0));
}

#[test]
fn what_could_not_be_recorded_is_not_passed_over_in_silence() {
    // At rate 1 the live blocks soon exceed the slots.
    let (_guest, ports) = boot("--workload leak --heap-profile on --sampling-rate 1");
    let mut control = ports.control.connect();
    let deadline = Instant::now() + DEADLINE;
    loop {
        let state = control.ask("T");
        if !state.contains(" lost=0 ") {
            break;
        }
        assert!(Instant::now() < deadline, "{state}");
    }
    let top = control.ask("H");
    let head = top.split("; ").next().expect("a part");
    assert!(
        head.contains(" or more by ")
            && head.contains(", not recorded since boot, alive or not: ")
            && head.contains(" blocks (ring full 0, too many alive "),
        "{top}"
    );
}

/// Boots a machine that soon runs out of memory.
fn small(arguments: &str) -> Running {
    let boot = Boot::new(Machine::Q35).memory(19).arguments("--influx off");
    let (mut guest, _) = boot_with(boot.arguments("--workload leak"), arguments);
    guest.wait_for("memory allocation of ");
    guest
}

/// Waits for the backtrace, and for the names that the image itself prints for it.
fn names(guest: &mut Running) {
    guest.wait_for("backtrace: 0x");
    for part in [
        " app/src/workload/",
        "app::image::main app/src/image.rs:",
        "runtime_entry kernel/src/entry.rs:",
        "::task_entry hermit-kernel/",
    ] {
        let line = guest.wait_for(part);
        assert!(line.starts_with("  0x"), "{line}");
    }
}

#[test]
fn out_of_memory_without_a_profile_names_the_backtrace_only() {
    let mut guest = small("");
    names(&mut guest);
    assert_eq!(guest.end(), Ended::Failure);
    assert!(!guest.lines().any(|line| line.starts_with("heap: ")));
}

#[test]
fn out_of_memory_with_a_profile_names_what_is_alive_and_the_last_samples() {
    let mut guest = small("--heap-profile on --sampling-rate 1e-3");
    names(&mut guest);
    let top = guest.wait_for("heap: live ");
    let first = top.split("; ").nth(1).expect("a site");
    assert!(first.contains("::remember_session app/src/"), "{top}");
    guest.wait_for("heap: last samples, newest first:");
    for _ in 0..8 {
        let line = guest.wait_for("  at ");
        assert!(line.contains(" bytes: ") && line.contains(".rs:"), "{line}");
    }
    assert_eq!(guest.end(), Ended::Failure);
}
