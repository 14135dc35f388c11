//! Runs `hermon ctl` against a control port that follows the documented grammar.

use core::net::SocketAddr;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::common::{DEADLINE, STARTING, Tool};

/// Returns the line that answers the challenge `control 00ff`.
fn proof_of(token: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(b"control 00ff");
    let proof = mac.finalize().into_bytes();
    let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("auth {proof}")
}

/// Starts a control port that never ends: a line in, a line out. With a token, the first lines must prove it.
fn control(token: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for client in listener.incoming() {
            let mut client = client.unwrap();
            client.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut trusted = token.is_none();
            for line in BufReader::new(client.try_clone().unwrap())
                .lines()
                .map_while(Result::ok)
            {
                let reply = match (trusted, line.as_str()) {
                    (false, "auth") => "ok: control 00ff",
                    (false, line) if token.is_some_and(|token| line == proof_of(token)) => {
                        trusted = true;
                        "ok"
                    }
                    (false, _) => "error: auth",
                    (true, "?") => "ok: ? this help; s status; S sources; LA:LEVEL set",
                    (true, "s") => "up=1",
                    (true, "S") => {
                        "ok: memory:enabled tags=vm fields=live:integer:B;log:enabled tags=vm fields="
                    }
                    (true, "l*") => "ok: *:info,dns:debug",
                    (true, "quit") => return,
                    (true, command) if command.starts_with('L') => "ok",
                    (true, _) => "error: unknown command",
                };
                let split = reply.len() / 2;
                // A reply may come in pieces.
                client.write_all(&reply.as_bytes()[..split]).unwrap();
                client
                    .write_all(&[&reply.as_bytes()[split..], b"\n"].concat())
                    .unwrap();
                if reply == "error: auth" {
                    break;
                }
            }
        }
    });
    address
}

fn ctl(address: SocketAddr, arguments: &[&str]) -> (Vec<String>, Option<i32>) {
    let address = address.to_string();
    let mut tool = Tool::start([&["ctl", &address], arguments].concat());
    let code = tool.wait().code();
    (tool.lines.iter().collect(), code)
}

#[test]
fn commands_are_sent_in_order_and_replies_printed_a_line_each() {
    let address = control(None);
    assert_eq!(
        ctl(address, &["s", "Ldns:debug", "s"]),
        (vec!["up=1".into(), "ok".into(), "up=1".into()], Some(0))
    );
}

#[test]
fn a_reply_that_is_an_error_is_printed_and_ends_with_one_after_all_commands() {
    let address = control(None);
    assert_eq!(
        ctl(address, &["x", "s"]),
        (
            vec!["error: unknown command".into(), "up=1".into()],
            Some(1)
        )
    );
}

#[test]
fn the_token_is_said_first_and_a_wrong_one_is_told() {
    let address = control(Some("secret"));
    assert_eq!(
        ctl(address, &["--token", "secret", "s"]),
        (vec!["up=1".into()], Some(0))
    );
    let (said, code) = ctl(address, &["--token", "wrong", "s"]);
    assert_eq!(
        (said, code),
        (
            vec![format!(
                "hermon: {address} does not take the token: error: auth"
            )],
            Some(1)
        )
    );
}

#[test]
fn a_connection_that_ends_before_the_reply_is_one_line_that_says_what_may_be_wrong() {
    let address = control(None);
    let (said, code) = ctl(address, &["quit"]);
    let want = format!(
        "hermon: {address} closed the connection before it answered \"quit\": does it let this machine in (--allow, --token)?"
    );
    assert_eq!((said, code), (vec![want], Some(3)));
}

#[test]
fn a_command_with_a_line_break_is_refused_before_anything_is_sent() {
    let (said, code) = ctl(([127, 0, 0, 1], 1).into(), &["s", "l\nM*:off"]);
    let want = "hermon: \"l\\nM*:off\" has a line break or a NUL in it: give one command at a time";
    assert_eq!((said, code), (vec![want.to_owned()], Some(2)));
}

#[test]
fn standard_input_is_read_line_by_line() {
    let address = control(None).to_string();
    let starting = STARTING.lock().unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_hermon"))
        .args(["ctl", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(starting);
    tool.stdin
        .take()
        .unwrap()
        .write_all(b"s\n\nx\nl\xff\nLdns:debug\r\n")
        .unwrap();
    let output = tool.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "up=1\nerror: unknown command\nerror: command is not UTF-8\nok\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

/// Returns the terminal's output when keys are pressed. Each key waits for a text and then the prompt. The terminal is
/// `script` of util-linux.
fn terminal(address: SocketAddr, steps: &[(&str, &str)]) -> Option<(String, Option<i32>)> {
    let home = tempfile::TempDir::new().unwrap();
    let starting = STARTING.lock().unwrap();
    let tool = format!(
        "timeout --foreground 60 {} ctl {address}",
        env!("CARGO_BIN_EXE_hermon")
    );
    let script = Command::new("script")
        .args(["-qec", &tool, "/dev/null"])
        .env("TERM", "xterm")
        .env("HOME", home.path())
        .env_remove("XDG_STATE_HOME")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn();
    drop(starting);
    let mut script = match script {
        Ok(script) => script,
        Err(error) => {
            assert!(
                std::env::var("CI").as_deref() != Ok("true"),
                "script of util-linux: {error}"
            );
            eprintln!("SKIPPED: script of util-linux cannot be run: {error}");
            return None;
        }
    };
    let mut keyboard = script.stdin.take().unwrap();
    let mut screen = script.stdout.take().unwrap();
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    for (text, keys) in steps {
        // The terminal itself would edit keys that are typed before the prompt.
        let from = shown.len();
        let is_asked = |shown: &[u8]| {
            let shown = String::from_utf8_lossy(&shown[from..]);
            shown
                .split_once(text)
                .is_some_and(|(_, after)| after.contains("hermon> "))
        };
        while !is_asked(&shown) {
            let count = screen.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "{}", String::from_utf8_lossy(&shown));
            shown.extend_from_slice(&buffer[..count]);
        }
        keyboard.write_all(keys.as_bytes()).unwrap();
    }
    screen.read_to_end(&mut shown).unwrap();
    let status = script.wait().unwrap();
    let history = home.path().join(".local/state/hermon/ctl-history");
    assert!(history.exists(), "the history is kept");
    Some((String::from_utf8_lossy(&shown).into_owned(), status.code()))
}

#[test]
fn at_a_prompt_tab_completes_from_the_images_own_words() {
    let address = control(None);
    // L, d, Tab: dns. A colon, de, Tab: debug. Ctrl-D ends.
    let steps = [
        ("Ctrl-D ends", "s\r"),
        ("up=1", "Ld\t:de\t\r"),
        ("\r\nok", "x\r"),
        ("error: unknown command", "S\r"),
        ("memory:enabled", "\u{4}"),
    ];
    let Some((shown, code)) = terminal(address, &steps) else {
        return;
    };
    assert!(
        shown.contains("up=1")
            && shown.contains("Ldns:debug")
            && shown.contains("error: unknown command"),
        "{shown}"
    );
    assert!(
        shown.contains("\r\nmemory:enabled tags=vm"),
        "the list of sources is shown item by item: {shown}"
    );
    assert_eq!(code, Some(0), "the last reply was no error");
}
