//! The application's arguments on their way through QEMU and the kernel.

use hermon_machine::append::{MAX_APPEND, append};
use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use tests::boot::Boot;
use tests::metrics::{Receive, Udp};

/// The one line of the application that refuses its arguments.
fn refused(words: &[&str]) -> String {
    let boot = Boot::new(Machine::Q35).nic(Nic::None);
    let mut guest = words
        .iter()
        .fold(boot, |boot, word| boot.argument(*word))
        .start();
    let line = guest.wait_for("app: ");
    assert_eq!(guest.end(), Ended::Failure);
    assert_eq!(
        guest.lines().filter(|line| line.contains("app: ")).count(),
        1
    );
    line
}

#[test]
fn a_bad_value_is_named_in_one_line_and_fails() {
    let line = refused(&["--interval", "5parsecs"]);
    assert!(
        line.contains("5parsecs") && line.contains("--interval"),
        "{line}"
    );
}

#[test]
fn an_unknown_argument_is_named_in_one_line_and_fails() {
    let line = refused(&["--vm=a", "--colour=red"]);
    assert!(line.contains("--colour"), "{line}");
}

#[test]
fn a_missing_value_is_named_in_one_line_and_fails() {
    let line = refused(&["--influx"]);
    assert!(line.contains("--influx"), "{line}");
}

#[test]
fn version_and_help_end_with_success() {
    for (argument, part) in [("--version", "app 0."), ("--help", "--interval")] {
        let mut guest = Boot::new(Machine::Microvm)
            .nic(Nic::None)
            .argument(argument)
            .start();
        guest.wait_for(part);
        assert_eq!(guest.end(), Ended::Success);
    }
}

#[test]
fn awkward_characters_reach_the_application_and_arrive_in_its_metrics() {
    let name = "a b,c=d 'e' \"f\" $g \u{e9}\u{6f22}";
    let mut udp = Udp::open();
    let mut guest = Boot::new(Machine::Q35)
        .argument("--vm")
        .argument(name)
        .argument(udp.target())
        .start();
    guest.ready();
    let point = udp.until(|point| point.measurement == "memory");
    assert_eq!(point.tags["vm"], name);
}

#[test]
fn the_longest_command_line_reaches_the_application_on_every_machine() {
    for machine in [Machine::Q35, Machine::Pc, Machine::Microvm] {
        let seed = |zeros: usize| format!("--seed={}7", "0".repeat(zeros));
        let arguments = |zeros: usize| {
            ["--workload=idle", "--duration=100ms"]
                .map(str::to_owned)
                .into_iter()
                .chain([seed(zeros)])
        };
        // The frequency is given with four or five digits; leave room for five.
        let shortest = append(Some(10_000), &arguments(0).collect::<Vec<_>>())
            .expect("fits")
            .len();
        let mut boot = Boot::new(machine).nic(Nic::None);
        for argument in arguments(MAX_APPEND - shortest) {
            boot = boot.argument(argument);
        }
        let mut guest = boot.start();
        let line = guest.wait_for("app: workload");
        assert!(
            line.ends_with("workload idle, seed 7"),
            "{machine:?}: {line}"
        );
        assert_eq!(guest.end(), Ended::Success);
    }
}
