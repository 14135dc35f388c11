//! Runs `hermon watch` and `hermon run` in a real terminal, from outside.

mod common;

use core::net::SocketAddr;
use std::net::UdpSocket;

use common::pty::Pty;
use common::send;
use rustix::termios::LocalModes;

const HERMON: &str = env!("CARGO_BIN_EXE_hermon");
const SIZE: (u16, u16) = (100, 30);

/// Starts a watch in a terminal. Returns the terminal when the picture is there, and the address on which the watch
/// listens.
fn watch(size: (u16, u16)) -> (Pty, SocketAddr) {
    let pty = Pty::start(&[HERMON, "watch", "--listen", "127.0.0.1:0"], size);
    pty.wait_for_text("waiting for the first point");
    let address = address(&pty.contents());
    (pty, address)
}

/// The title is `hermon  ADDRESS  0 points …`.
fn address(screen: &str) -> SocketAddr {
    let mut words = screen.split_whitespace();
    words
        .find_map(|word| word.parse().ok())
        .unwrap_or_else(|| panic!("no address: {screen}"))
}

fn feed(address: SocketAddr, lines: &str) {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.send_to(lines.as_bytes(), address).unwrap();
}

/// Returns `true` if the program takes keys as they come, and its picture is on the other screen.
fn is_ours(pty: &Pty) -> bool {
    !pty.settings().local_modes.contains(LocalModes::ICANON)
}

#[test]
fn values_arrive_keys_work_and_the_terminal_is_given_back() {
    let (mut pty, address) = watch(SIZE);
    assert!(is_ours(&pty));
    for n in 1..4 {
        feed(
            address,
            &format!("memory,vm=web-1 allocations={n}00i,live_bytes=4096i {n}000000000\n"),
        );
    }
    feed(address, "uptime,vm=web-2 seconds=7i\nm v=\n");
    pty.wait_for("a rate", |screen| {
        let text = screen.contents();
        text.contains("web-1") && text.contains("4 KiB") && text.contains("100/s")
    });
    pty.wait_for_text("1 lines unparsable");
    pty.keys("/live\r");
    pty.wait_for("the filter", |screen| {
        let text = screen.contents();
        text.contains("live_bytes") && !text.contains("allocations")
    });
    pty.keys("\u{1b}");
    pty.wait_for_text("allocations");
    pty.keys("\u{1b}[C");
    pty.wait_for_text("seconds");
    pty.keys("q");
    assert_eq!(pty.end().code(), Some(0));
    pty.wait_for("the first screen", |screen| !screen.alternate_screen());
    pty.wait_for_text("hermon  4 points, 1 lines unparsable");
    assert!(!is_ours(&pty));
}

#[test]
fn the_picture_follows_the_terminals_size() {
    let (pty, address) = watch(SIZE);
    feed(address, "memory,vm=a live_bytes=1i,free_bytes=2i\n");
    pty.wait_for_text("free_bytes");
    for size in [(1, 1), (30, 5), (200, 60), (80, 24)] {
        pty.resize(size.0, size.1);
    }
    pty.wait_for("the keys in the last row", |screen| {
        let rows: Vec<String> = screen.rows(0, 80).collect();
        rows[23].starts_with("q quit") && screen.contents().contains("free_bytes")
    });
}

#[test]
fn a_signal_gives_the_terminal_back() {
    for (signal, code) in [("-TERM", 0), ("-INT", 0), ("-HUP", 0)] {
        let (mut pty, _) = watch(SIZE);
        send(pty.pid(), signal);
        assert_eq!(pty.end().code(), Some(code), "{signal}");
        pty.wait_for("the first screen", |screen| !screen.alternate_screen());
        assert!(!is_ours(&pty), "{signal}");
    }
}

#[test]
fn ctrl_z_gives_the_terminal_to_the_shell_and_fg_brings_the_view_back() {
    let mut pty = Pty::start(&["bash", "--norc", "--noprofile", "-i"], SIZE);
    pty.wait_for_text("prompt>");
    for stop in ["\u{1a}", "signal"] {
        pty.keys(&format!("{HERMON} watch --listen 127.0.0.1:0\r"));
        pty.wait_for_text("waiting for the first point");
        let address = address(&pty.contents());
        if stop == "signal" {
            send(child_of(pty.pid()), "-TSTP");
        } else {
            pty.keys(stop);
        }
        pty.wait_for("the shell", |screen| {
            !screen.alternate_screen() && screen.contents().contains("Stopped")
        });
        // Readline has the terminal now. A command that the shell runs shows that the shell is back.
        pty.keys("clear; echo a shel''l\r");
        pty.wait_for_text("a shell");
        pty.keys("fg\r");
        pty.wait_for("the view", vt100::Screen::alternate_screen);
        feed(address, "memory,vm=a live_bytes=1i\n");
        pty.wait_for_text("live_bytes");
        pty.keys("q");
        pty.wait_for_text("hermon  1 points");
        pty.keys("clear\r");
        pty.wait_for("an empty screen", |screen| {
            screen.contents().trim() == "prompt>"
        });
    }
    pty.keys("exit\r");
    assert!(pty.end().success());
}

#[test]
fn ctrl_z_without_a_shell_that_could_wake_it_changes_nothing() {
    let (mut pty, address) = watch(SIZE);
    pty.keys("\u{1a}");
    feed(address, "memory,vm=a live_bytes=1i\n");
    pty.wait_for("the view", |screen| {
        screen.alternate_screen() && screen.contents().contains("live_bytes")
    });
    pty.keys("q");
    assert_eq!(pty.end().code(), Some(0));
}

#[test]
fn a_panic_gives_the_terminal_back_before_it_speaks() {
    const INNER: &str = "HERMON_TEST_PANICS";
    if std::env::var_os(INNER).is_some() {
        hermon::terminal::enter().unwrap();
        panic!("as intended");
    }
    let this = std::env::current_exe().unwrap();
    let name = "a_panic_gives_the_terminal_back_before_it_speaks";
    let inner = format!("{INNER}=1");
    let mut pty = Pty::start(
        &[
            "env",
            &inner,
            this.to_str().unwrap(),
            "--exact",
            "--nocapture",
            name,
        ],
        SIZE,
    );
    assert!(!pty.end().success());
    pty.wait_for("the message on the first screen", |screen| {
        !screen.alternate_screen() && screen.contents().contains("as intended")
    });
    assert!(!is_ours(&pty));
}

#[test]
fn lines_are_printed_when_asked_for() {
    let pty = Pty::start(
        &[HERMON, "watch", "--plain", "--listen", "127.0.0.1:0"],
        SIZE,
    );
    pty.wait_for_text("for udp and tcp");
    assert!(!is_ours(&pty));
}

#[test]
fn a_run_shows_the_console_and_leaves_its_last_lines() {
    let folder = tempfile::TempDir::new().unwrap();
    let image = folder.path().join("app.elf");
    std::fs::write(&image, "").unwrap();
    let qemu = common::script(
        folder.path(),
        "qemu",
        "echo hello from the guest; exec sleep 600",
    );
    let programs = [
        "--qemu",
        qemu.to_str().unwrap(),
        "--image",
        image.to_str().unwrap(),
    ];
    let fixed = [HERMON, "run", "--accel=tcg"];
    let mut pty = Pty::start(&[&fixed[..], &common::ANY_PORTS, &programs].concat(), SIZE);
    pty.wait_for("the console", |screen| {
        screen.alternate_screen() && screen.contents().contains("console hello from the guest")
    });
    pty.keys("q");
    assert_eq!(pty.end().code(), Some(130));
    pty.wait_for("the last lines", |screen| {
        let text = screen.contents();
        !screen.alternate_screen()
            && text.contains("console hello from the guest")
            && text.contains("hermon  ended by the key q")
    });
    assert!(!is_ours(&pty));
}

/// Returns the only child of a process.
fn child_of(pid: u32) -> u32 {
    let children = format!("/proc/{pid}/task/{pid}/children");
    let children = std::fs::read_to_string(children).unwrap();
    children
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{children:?}"))
}
