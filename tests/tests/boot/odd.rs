//! Machines that are not as they should be: each gets one clear line, and none hangs.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use tests::DEADLINE;
use tests::image::{Heap, path};

/// Boots with just these options of QEMU's, waits for the end, and gives the exit code and the console.
fn boot(options: &str, append: &[u8]) -> (Option<i32>, String) {
    let qemu = std::env::var_os("QEMU").unwrap_or_else(|| "qemu-system-x86_64".into());
    let mut child = Command::new(qemu)
        .args(options.split_whitespace())
        .args([
            "-accel",
            "tcg",
            "-m",
            "64M",
            "-display",
            "none",
            "-nodefaults",
            "-no-reboot",
        ])
        .args([
            "-serial",
            "stdio",
            "-device",
            "isa-debug-exit,iobase=0xf4,iosize=0x04",
        ])
        .arg("-kernel")
        .arg(path(Heap::Talc))
        .arg("-append")
        .arg(OsStr::from_bytes(append))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("QEMU starts");
    let mut console = child.stdout.take().expect("a pipe");
    let (to, from) = channel();
    thread::spawn(move || {
        let mut text = Vec::new();
        console
            .read_to_end(&mut text)
            .expect("the console can be read");
        drop(to.send(String::from_utf8_lossy(&text).into_owned()));
    });
    let text = from.recv_timeout(DEADLINE);
    drop(child.kill());
    let status = child.wait().expect("QEMU can be waited for");
    let text = text.unwrap_or_else(|_| panic!("no end with {options}"));
    (status.code(), text)
}

const SUCCESS: Option<i32> = Some(3);
const FAILURE: Option<i32> = Some(1);
const SHORT: &[u8] = b"app -freq 2596 -- --influx off --duration 300ms";

#[test]
fn a_machine_without_an_rtc_boots_and_says_so() {
    let (code, text) = boot("-M microvm,ioapic2=off,rtc=off", SHORT);
    assert_eq!(code, SUCCESS, "{text}");
    assert!(text.contains("No RTC"), "{text}");
}

#[test]
fn a_machine_without_acpi_is_refused_with_the_reason() {
    let (code, text) = boot("-M microvm,ioapic2=off,acpi=off", SHORT);
    assert_eq!(code, FAILURE, "{text}");
    assert!(text.contains("ACPI"), "{text}");
    assert!(!text.contains("PageAlreadyMapped"), "{text}");
}

#[test]
fn a_command_line_that_is_not_utf_8_is_refused_with_the_reason() {
    let (code, text) = boot("-M q35", b"app -freq 2596 -- --influx off --vm a\xff\xfeb");
    assert_eq!(code, FAILURE, "{text}");
    assert!(
        text.contains("boot: the command line is not UTF-8"),
        "{text}"
    );
}

#[test]
fn a_card_that_cannot_be_used_is_one_warning_and_the_application_runs_on() {
    for (card, part) in [
        (
            "virtio-net-pci,netdev=n,romfile=,iommu_platform=on,disable-legacy=on",
            "refused to be set up",
        ),
        (
            "virtio-net-pci,netdev=n,romfile=,mac=01:00:5e:00:00:01",
            "is no address of a card",
        ),
        (
            "virtio-net-pci,netdev=n,romfile=,disable-modern=on,disable-legacy=off",
            "virtio network card",
        ),
        ("e1000,netdev=n,romfile=", "no virtio network card"),
    ] {
        let (code, text) = boot(&format!("-M q35 -netdev user,id=n -device {card}"), SHORT);
        assert_eq!(code, SUCCESS, "{text}");
        let warnings: Vec<_> = text.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(warnings.len(), 1, "{card}: {text}");
        assert!(
            warnings[0].contains("monitoring: off, ") && warnings[0].contains(part),
            "{text}"
        );
    }
}

#[test]
fn a_description_of_a_device_that_cannot_be_is_passed_over() {
    let append = b"app -freq 2596 -- --duration 300ms virtio_mmio.device=4K@0xffffffffffff0000:5";
    let (code, text) = boot("-M q35", append);
    assert_eq!(code, SUCCESS, "{text}");
    assert!(text.contains("no virtio network card"), "{text}");
}
