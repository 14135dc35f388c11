//! Checks the ways in which an image ends: normally, out of memory, by a panic.

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::{Boot, Running, long_enough};
use tests::symbols;

#[test]
fn a_clean_end_is_a_power_off() {
    for machine in [Machine::Q35, Machine::Pc, Machine::Microvm] {
        let boot = Boot::new(machine)
            .without_debug_exit()
            .arguments("--duration 200ms");
        assert_eq!(boot.start().end(), Ended::Off, "{machine:?}");
    }
}

#[test]
fn a_clean_end_is_reported_as_success_where_the_machine_can_tell() {
    for machine in [Machine::Q35, Machine::Microvm] {
        let boot = Boot::new(machine).arguments("--duration 200ms");
        assert_eq!(boot.start().end(), Ended::Success, "{machine:?}");
    }
}

#[test]
fn the_exact_workload_ends_with_sums_that_agree() {
    let json = long_enough(1, |seconds| {
        let mut guest = Boot::new(Machine::Q35)
            .arguments(&format!("--workload exact --duration {seconds}s"))
            .start();
        let line = guest.wait_for("workload: exact ");
        assert_eq!(guest.end(), Ended::Success);
        assert_eq!(
            guest.lines().last(),
            Some(line.as_str()),
            "it is the last line"
        );
        let json = line
            .strip_prefix("workload: exact ")
            .expect("the line begins so");
        let json: serde_json::Value = serde_json::from_str(json).expect("JSON");
        (json["total"]["allocs"].as_u64() > Some(1000)).then_some(json)
    });
    let sites = json["sites"].as_array().expect("sites");
    assert!(sites.len() > 1);
    for part in ["total", "while_traced"] {
        for count in ["allocs", "frees", "bytes", "words"] {
            let whole = json[part][count].as_u64().expect(count);
            let sum: u64 = sites
                .iter()
                .map(|site| site[part][count].as_u64().expect(count))
                .sum();
            assert_eq!(whole, sum, "{part} {count}");
        }
    }
    assert_eq!(json["while_traced"]["allocs"], 0, "nothing was traced");
    let mut names: Vec<&str> = sites
        .iter()
        .map(|site| site["site"].as_str().expect("a name"))
        .collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), sites.len(), "each site once");
}

/// Waits for a backtrace and returns its functions.
fn backtrace(guest: &mut Running) -> Vec<String> {
    let line = guest.wait_for("backtrace:");
    let addresses = symbols::addresses(&line);
    assert!(addresses.len() >= 3, "{line}");
    symbols::frames(guest.image(), &addresses)
}

#[test]
fn out_of_memory_names_the_size_that_failed_and_who_asked_for_it() {
    let mut guest = Boot::new(Machine::Q35)
        .memory(19)
        .nic(Nic::None)
        .arguments("--workload leak")
        .start();
    let line = guest.wait_for("memory allocation of ");
    let size = line
        .split("memory allocation of ")
        .nth(1)
        .and_then(|rest| rest.split(' ').next());
    let size: u64 = size
        .and_then(|size| size.parse().ok())
        .unwrap_or_else(|| panic!("{line}"));
    assert!(size > 0);
    let frames = backtrace(&mut guest);
    // From the caller of the allocator to the beginning of the image, through the application.
    for part in ["app/src/workload/", "app/src/image.rs", "runtime_entry at "] {
        assert!(
            frames.iter().any(|frame| frame.contains(part)),
            "no {part} in {frames:#?}"
        );
    }
    assert_eq!(guest.end(), Ended::Failure);
}

#[test]
fn a_lock_that_its_holder_takes_again_is_a_panic_that_names_the_caller() {
    let mut guest = Boot::new(Machine::Q35).doing("twice").start();
    guest.wait_for("a lock is taken again by its holder");
    let frames = backtrace(&mut guest);
    assert!(
        frames
            .iter()
            .any(|frame| frame.contains("tests/guest/src/image.rs")),
        "{frames:#?}"
    );
    assert_eq!(guest.end(), Ended::Failure);
}
