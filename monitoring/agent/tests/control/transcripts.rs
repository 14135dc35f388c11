//! Accepted conversations, in `tests/golden/control`, and each of them cut at every position.
//!
//! A line that begins with `> ` is sent, one with `< ` is the reply to it, anything else is for the reader. `VERSION` stands for the
//! crate's version, so that a release changes no file here.
//! `ACCEPT=1 cargo test -p agent --test control accepted` writes the replies anew.

use core::fmt::Write as _;
use std::path::{Path, PathBuf};

use agent::config::parse_token;
use agent::control::COMMANDS;

use crate::fixture::{Client, Image};
use crate::oracle::Oracle;
use crate::stream::FakeStream;

/// Writes the replies anew.
const ACCEPT: &str = "ACCEPT=1 cargo test -p agent --test control accepted";

/// The token of conversations that begin with `token` in their name.
const TOKEN: &str = "open sesame";

struct Transcript {
    path: PathBuf,
    text: String,
    token: Option<&'static str>,
}

impl Transcript {
    fn client(&self) -> Client {
        Client::with_token(self.token.map(|token| parse_token(token).expect("a token")))
    }

    /// Returns the bytes that are sent, each command with its line feed.
    fn sent(&self) -> Vec<u8> {
        let commands = self.text.lines().filter_map(|line| line.strip_prefix("> "));
        let whole = |command: &str| [&unescape(command)[..], b"\n"].concat();
        commands.flat_map(whole).collect()
    }

    /// What is answered to all of it at once.
    fn replies(&self) -> String {
        self.client().ask(&Image::new(), &self.sent())
    }

    fn accepted(&self) -> String {
        let replies = self.text.lines().filter_map(|line| line.strip_prefix("< "));
        replies.fold(String::new(), |all, reply| all + reply + "\n")
    }
}

/// Replaces `\r`, `\0`, `\xNN` and `\\`, so that a command in a file is one line of text.
fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'r') => b'\r',
            Some(b'0') => 0,
            Some(b'\\') => b'\\',
            Some(b'x') => {
                let mut digit = || char::from(rest.next().expect("two digits")).to_digit(16);
                let (high, low) = (digit().expect("a digit"), digit().expect("a digit"));
                (high * 16 + low) as u8
            }
            other => panic!("{other:?} behind a backslash in {text:?}"),
        });
    }
    bytes
}

fn transcripts() -> Vec<Transcript> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/control");
    let files = std::fs::read_dir(folder).expect("the folder");
    let mut paths: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
    paths.sort();
    assert!(paths.len() >= 5, "{paths:?}");
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path).expect("text");
        let name = path.file_name().expect("a name").to_string_lossy();
        let token = name.starts_with("token").then_some(TOKEN);
        Transcript { path, text, token }
    };
    paths.into_iter().map(read).collect()
}

#[test]
fn conversations_are_as_accepted() {
    for transcript in transcripts() {
        let version = concat!("version=", env!("CARGO_PKG_VERSION"));
        let replies = transcript.replies().replace(version, "version=VERSION");
        if std::env::var_os("ACCEPT").is_some() {
            write_replies(&transcript, &replies);
        } else {
            let accepted = transcript.accepted();
            let pairs = replies.lines().zip(accepted.lines());
            let same = pairs.take_while(|(now, then)| now == then).count();
            let [then, now] =
                [&accepted, &replies].map(|text| text.lines().nth(same).unwrap_or("nothing"));
            assert!(
                replies == accepted,
                "{} is out of date. If the change is meant, accept it: {ACCEPT}\naccepted: {then}\nnow:      {now}",
                transcript.path.display()
            );
        }
    }
}

#[test]
fn every_command_is_in_a_conversation_and_in_the_documentation() {
    let sent: Vec<u8> = transcripts().iter().flat_map(Transcript::sent).collect();
    let documentation = include_str!("../../../../docs/CONTROL.md");
    for (form, _) in COMMANDS {
        let letter = &form[..1];
        let is_sent = sent
            .split(|byte| matches!(byte, b'\n' | 0))
            .any(|command| command.starts_with(letter.as_bytes()));
        assert!(
            is_sent,
            "{letter}: no conversation sends it. Add the line `> {letter}` to \
             monitoring/agent/tests/golden/control/others.txt; its reply is written by {ACCEPT}"
        );
        assert!(
            documentation.contains(&format!("\n| `{letter}")),
            "{letter}: docs/CONTROL.md has no row for it in its table of commands"
        );
    }
}

/// Writes a reply after each command that has one.
fn write_replies(transcript: &Transcript, replies: &str) {
    let mut replies = replies.lines();
    let mut text = String::new();
    let kept = transcript
        .text
        .lines()
        .filter(|line| !line.starts_with("< "));
    for line in kept {
        writeln!(text, "{line}").expect("memory");
        let Some(command) = line.strip_prefix("> ") else {
            continue;
        };
        let commands = unescape(command);
        let commands = commands.split(|byte| *byte == 0);
        for _ in commands.filter(|command| !matches!(*command, b"" | b"\r")) {
            if let Some(reply) = replies.next() {
                writeln!(text, "< {reply}").expect("memory");
            }
        }
    }
    assert_eq!(replies.next(), None, "{:?}", transcript.path);
    std::fs::write(&transcript.path, text).expect("the file");
}

#[test]
fn the_oracle_says_the_same() {
    for transcript in transcripts() {
        let by_oracle = Oracle::new(transcript.token).converse(&transcript.sent());
        assert_eq!(
            transcript.replies(),
            by_oracle,
            "{}: the oracle knows other replies. After a change that is meant, change it too: \
             monitoring/agent/tests/control/oracle.rs, and fixture.rs for the reply to `s`",
            transcript.path.display()
        );
    }
}

#[test]
fn every_conversation_cut_at_every_position_has_the_same_replies() {
    for transcript in transcripts() {
        let (sent, expected) = (transcript.sent(), transcript.replies());
        for cut in 0..=sent.len() {
            let (first, second) = sent.split_at(cut);
            let mut stream = FakeStream::default();
            let pieces = [first, second];
            let replies = transcript
                .client()
                .converse(&Image::new(), pieces, &mut stream);
            assert_eq!(replies, expected, "{:?} cut at {cut}", transcript.path);
        }
    }
}

#[test]
fn one_byte_at_a_time_in_both_directions_has_the_same_replies() {
    for transcript in transcripts() {
        let mut stream = FakeStream {
            write_limit: Some(1),
            peek_limit: Some(1),
            ..FakeStream::default()
        };
        let sent = transcript.sent();
        let replies = transcript
            .client()
            .converse(&Image::new(), sent.chunks(1), &mut stream);
        assert_eq!(replies, transcript.replies(), "{:?}", transcript.path);
    }
}
