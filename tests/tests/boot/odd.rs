//! Checks faulty machines: each prints one clear line, and none hangs.

use core::net::Ipv4Addr;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;

use hermon_machine::qemu::GUEST_MAC;
use tests::DEADLINE;
use tests::boot::long_enough;
use tests::image::{Heap, path};
use tests::wire::greeting_and_echo;

/// Boots with only these options of QEMU, waits for the end, and returns the exit code and the console.
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

#[test]
fn a_peer_that_never_reads_does_not_stop_the_application() {
    let (text, sent) = long_enough(2, |seconds| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let peer = thread::spawn(move || peer_that_never_reads(&listener));
        let options = format!(
            "-M q35 -netdev stream,id=n,server=off,addr.type=inet,addr.host=127.0.0.1,addr.port={port} \
             -device virtio-net-pci,netdev=n,romfile=,mac=52:54:00:12:34:56"
        );
        let append = format!(
            "app -freq 2596 -- --influx off --ipv4 10.0.2.15/24 --workload exact --duration {seconds}s"
        );
        // The end comes only if the application gets to run, because the peer never begins to read.
        let (code, text) = boot(&options, append.as_bytes());
        assert_eq!(code, SUCCESS, "{text}");
        let sent = peer.join().expect("the peer ends with QEMU");
        (sent >= 100).then_some((text, sent))
    });
    assert!(
        text.contains("workload: exact "),
        "after {sent} frames: {text}"
    );
}

/// Sends frames to the guest until QEMU ends, and never reads its answers. First the buffers on the way fill up, then the guest's
/// transmit ring, while frames still arrive. Returns the number of frames.
fn peer_that_never_reads(listener: &TcpListener) -> usize {
    let (mut stream, _) = listener.accept().expect("QEMU connects");
    let guest = Ipv4Addr::new(10, 0, 2, 15);
    let [greeting, echo] = greeting_and_echo(Ipv4Addr::new(10, 0, 2, 1), GUEST_MAC, guest);
    // Each frame has its length in front of it (QEMU, -netdev stream).
    let mut send = |frame: &[u8]| {
        let length = u32::try_from(frame.len())
            .expect("a short frame")
            .to_be_bytes();
        stream
            .write_all(&length)
            .and_then(|()| stream.write_all(frame))
    };
    let mut sent = 0;
    while send(&greeting).is_ok() && (0..100).all(|_| send(&echo).is_ok()) {
        sent += 100;
    }
    sent
}
