//! Transcripts of the control port, chopped at every position, against an oracle that sees them whole.

use crate::fake::FakeStream;
use monitoring::config::Target;
use monitoring::heap::HeapStats;
use monitoring::net::Step;
use monitoring::net::bounds::{COMMAND_MAX, CONTROL_IDLE, REPLY_MAX};
use monitoring::net::command::Status;
use monitoring::net::control::{ControlCounts, Session};
use monitoring::net::outbox::Counts;
use monitoring::time::Micros;
use proptest::prelude::*;

const HELP: &str = "ok: ? this help, s status\n";
const UNKNOWN: &str = "error: unknown command\n";
const TOO_LONG: &str = "error: command too long\n";

fn status() -> Status {
    Status {
        uptime: Micros(1_500_000),
        address: None,
        target: Target::Off,
        counts: Counts::default(),
        lines_waiting: 3,
        intervals_missed: 0,
        heap: HeapStats {
            live_bytes: 42,
            ..HeapStats::default()
        },
    }
}

/// What a client that sends `input` and closes its half must read, decided on the input as a whole.
fn oracle(input: &[u8]) -> String {
    let mut replies = String::new();
    for command in input.split(|&byte| byte == b'\n' || byte == b'\0') {
        let command = match command {
            [command @ .., b'\r'] if command.len() <= COMMAND_MAX => command,
            command => command,
        };
        replies.push_str(match command {
            b"" => "",
            b"?" => HELP,
            b"s" => status_reply(),
            long if long.len() > COMMAND_MAX => TOO_LONG,
            _ => UNKNOWN,
        });
    }
    replies
}

fn status_reply() -> &'static str {
    concat!(
        "ok: version=",
        env!("CARGO_PKG_VERSION"),
        " uptime_s=1.500000 address=none metrics=off lines_sent=0 lines_lost=0 lines_in_doubt=0 lines_waiting=3",
        " connections_lost=0 intervals_missed=0 live_bytes=42 live_blocks=0 peak_bytes=0 free_bytes=0 heap_bytes=0\n",
    )
}

struct Client {
    line: Vec<u8>,
    reply: Vec<u8>,
    counts: ControlCounts,
}

impl Client {
    fn new() -> Self {
        let counts = ControlCounts::default();
        Self {
            line: vec![0; COMMAND_MAX + 1],
            reply: vec![0; REPLY_MAX],
            counts,
        }
    }

    /// Sends the pieces one by one, a turn after each, then closes; reads `per_turn` bytes of reply each turn.
    fn converse<'p>(
        &mut self,
        pieces: impl IntoIterator<Item = &'p [u8]>,
        stream: &mut FakeStream,
    ) -> String {
        let mut session = Session::new(&mut self.line, &mut self.reply);
        session.open(Micros::ZERO);
        for piece in pieces {
            stream.arrive(piece);
            let step = session.turn(Micros::ZERO, stream, &status, &mut self.counts);
            assert!(
                matches!(step, Step::Stay(_)),
                "{step:?} before the client closed"
            );
            stream.acknowledge();
        }
        stream.close();
        for turn in 0.. {
            assert!(turn < 1_000_000, "the session never ends");
            let step = session.turn(Micros::ZERO, stream, &status, &mut self.counts);
            stream.acknowledge();
            if step == Step::Close {
                break;
            }
            assert_eq!(step, Step::Stay(CONTROL_IDLE));
        }
        String::from_utf8(stream.sent.clone()).expect("replies are text")
    }
}

fn transcripts() -> Vec<Vec<u8>> {
    let long = |len: usize, end: &[u8]| [&vec![b'x'; len], end].concat();
    let mut all: Vec<Vec<u8>> = [
        &b""[..],
        b"s",
        b"?\n",
        b"?\r\n",
        b"?\0",
        b"s\ns\n?\n",
        b"?\n\n\n?\n",
        b"\r\n\0\n",
        b"nonsense\n?",
        b"\xff\xfe\n?\n",
        b"?\r\r\n",
        b"? \n",
        b"\r",
        b"?\r",
        b"s\0\n?\r\n\0x",
    ]
    .iter()
    .map(|bytes| bytes.to_vec())
    .collect();
    for len in [
        COMMAND_MAX - 1,
        COMMAND_MAX,
        COMMAND_MAX + 1,
        COMMAND_MAX + 2,
        3 * COMMAND_MAX,
    ] {
        for end in [
            &b""[..],
            b"\n",
            b"\r\n",
            b"\0",
            b"\r",
            b"\r\r\n",
            b"\n?\n",
            b"\r\ns",
        ] {
            all.push(long(len, end));
        }
    }
    all
}

#[test]
fn every_transcript_chopped_at_every_position_gets_the_same_replies() {
    for transcript in transcripts() {
        let expected = oracle(&transcript);
        for cut in 0..=transcript.len() {
            let (first, second) = transcript.split_at(cut);
            let replies = Client::new().converse([first, second], &mut FakeStream::default());
            assert_eq!(
                replies,
                expected,
                "cut at {cut}: {:?}",
                String::from_utf8_lossy(&transcript)
            );
        }
    }
}

#[test]
fn one_byte_at_a_time_in_both_directions_gets_the_same_replies() {
    for transcript in transcripts() {
        let mut stream = FakeStream {
            write_limit: Some(1),
            peek_limit: Some(1),
            ..FakeStream::default()
        };
        let replies = Client::new().converse(transcript.chunks(1), &mut stream);
        assert_eq!(
            replies,
            oracle(&transcript),
            "{:?}",
            String::from_utf8_lossy(&transcript)
        );
    }
}

#[test]
fn a_client_that_does_not_read_stops_only_itself() {
    let mut memory = Client::new();
    let mut session = Session::new(&mut memory.line, &mut memory.reply);
    session.open(Micros::ZERO);
    let mut stream = FakeStream {
        buffer: Some(100),
        ..FakeStream::default()
    };
    stream.arrive(&b"s\n".repeat(500));
    let mut counts = ControlCounts::default();
    let until = CONTROL_IDLE;
    assert_eq!(
        session.turn(Micros(0), &mut stream, &status, &mut counts),
        Step::Stay(until)
    );
    assert_eq!(
        session.turn(Micros(9), &mut stream, &status, &mut counts),
        Step::Stay(until),
        "nothing moves"
    );
    assert_eq!(
        counts.commands, 1,
        "the next command waits for the reply to be taken"
    );
    assert_eq!(
        session.turn(until, &mut stream, &status, &mut counts),
        Step::Abort
    );
    assert_eq!(counts.idle_closed, 1);
}

#[test]
fn a_silent_client_is_closed_at_the_deadline() {
    let mut memory = Client::new();
    let mut session = Session::new(&mut memory.line, &mut memory.reply);
    session.open(Micros(5));
    let mut stream = FakeStream::default();
    let mut counts = ControlCounts::default();
    let until = Micros(5) + CONTROL_IDLE;
    assert_eq!(
        session.turn(Micros(5), &mut stream, &status, &mut counts),
        Step::Stay(until)
    );
    assert_eq!(
        session.turn(Micros(until.0 - 1), &mut stream, &status, &mut counts),
        Step::Stay(until)
    );
    assert_eq!(
        session.turn(until, &mut stream, &status, &mut counts),
        Step::Close
    );
    assert_eq!(counts.idle_closed, 1);
}

#[test]
fn half_a_command_and_a_slow_reader_keep_a_connection_open() {
    let mut memory = Client::new();
    let mut session = Session::new(&mut memory.line, &mut memory.reply);
    session.open(Micros::ZERO);
    let mut stream = FakeStream {
        buffer: Some(10),
        ..FakeStream::default()
    };
    let mut counts = ControlCounts::default();
    let mut now = Micros::ZERO;
    for piece in [&b"x"[..], b"x", b"\n"] {
        now = Micros(now.0 + CONTROL_IDLE.0 - 1);
        stream.arrive(piece);
        let step = session.turn(now, &mut stream, &status, &mut counts);
        assert_eq!(step, Step::Stay(now + CONTROL_IDLE));
    }
    // The reply does not fit the buffer of 10 bytes: taking one at a time is movement too.
    for _ in 0..5 {
        now = Micros(now.0 + CONTROL_IDLE.0 - 1);
        stream.acknowledge_some(1);
        let step = session.turn(now, &mut stream, &status, &mut counts);
        assert_eq!(step, Step::Stay(now + CONTROL_IDLE));
    }
    // So is an acknowledgement of what was handed over whole.
    stream.buffer = None;
    session.turn(now, &mut stream, &status, &mut counts);
    for _ in 0..5 {
        now = Micros(now.0 + CONTROL_IDLE.0 - 1);
        stream.acknowledge_some(1);
        let step = session.turn(now, &mut stream, &status, &mut counts);
        assert_eq!(step, Step::Stay(now + CONTROL_IDLE));
    }
    assert_eq!(counts.idle_closed, 0);
}

#[test]
fn a_session_starts_afresh_after_the_last_client_left_in_the_middle() {
    let mut memory = Client::new();
    let mut session = Session::new(&mut memory.line, &mut memory.reply);
    let mut counts = ControlCounts::default();
    for rest in [b"garbage".to_vec(), vec![b'x'; COMMAND_MAX + 9]] {
        session.open(Micros::ZERO);
        let mut gone = FakeStream {
            write_limit: Some(0),
            ..FakeStream::default()
        };
        gone.arrive(b"?\n");
        gone.arrive(&rest);
        session.turn(Micros::ZERO, &mut gone, &status, &mut counts);
        session.open(Micros::ZERO);
        let mut stream = FakeStream::default();
        stream.arrive(b"?\n");
        session.turn(Micros::ZERO, &mut stream, &status, &mut counts);
        assert_eq!(stream.sent, HELP.as_bytes());
    }
}

proptest! {
    #[test]
    fn awkward_bytes_in_awkward_pieces_get_the_replies_of_the_oracle(
        parts in prop::collection::vec(
            prop_oneof![
                Just(b"s".to_vec()), Just(b"?".to_vec()), Just(b"\n".to_vec()), Just(b"\r".to_vec()),
                Just(b"\0".to_vec()), Just(b"\\ ,=\"".to_vec()), Just("é漢".as_bytes().to_vec()),
                (COMMAND_MAX - 2..COMMAND_MAX + 3).prop_map(|len| vec![b'y'; len]),
            ], 0..12),
        sizes in prop::collection::vec(1_usize..700, 1..8),
        write_limit in 1_usize..90,
        buffer in 90_usize..2000,
    ) {
        let input = parts.concat();
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*size).min(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        let mut stream =
            FakeStream { write_limit: Some(write_limit), buffer: Some(buffer), ..FakeStream::default() };
        let replies = Client::new().converse(pieces, &mut stream);
        prop_assert_eq!(replies, oracle(&input));
    }
}
