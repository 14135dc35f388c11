//! One session and the time: which connections are idle, and which are not.

use network::bounds::{COMMAND_MAX, CONTROL_IDLE, REPLY_MAX};
use network::{Step, Stream as _};
use units::Micros;

use crate::fixture::{Client, Image};
use crate::oracle::Oracle;
use crate::stream::FakeStream;

#[test]
fn a_client_that_does_not_read_stops_only_itself() {
    let (image, mut client) = (Image::new(), Client::new());
    let managed = image.managed();
    let (mut session, counts, door) = client.session(Micros::ZERO);
    let mut stream = FakeStream {
        buffer: Some(100),
        ..FakeStream::default()
    };
    stream.arrive(&b"s\n".repeat(500));
    let until = CONTROL_IDLE;
    assert_eq!(
        session.turn(Micros(0), &mut stream, &managed, door, counts),
        Step::Stay(until)
    );
    assert_eq!(
        session.turn(Micros(9), &mut stream, &managed, door, counts),
        Step::Stay(until),
        "nothing moves"
    );
    assert_eq!(
        counts.commands, 1,
        "the next command waits for the reply to be taken"
    );
    assert_eq!(
        session.turn(until, &mut stream, &managed, door, counts),
        Step::Abort
    );
    assert_eq!(counts.idle_closed, 1);
}

#[test]
fn a_silent_client_is_closed_at_the_deadline() {
    let (image, mut client) = (Image::new(), Client::new());
    let managed = image.managed();
    let (mut session, counts, door) = client.session(Micros(5));
    let mut stream = FakeStream::default();
    let until = Micros(5) + CONTROL_IDLE;
    assert_eq!(
        session.turn(Micros(5), &mut stream, &managed, door, counts),
        Step::Stay(until)
    );
    assert_eq!(
        session.turn(Micros(until.0 - 1), &mut stream, &managed, door, counts),
        Step::Stay(until)
    );
    assert_eq!(
        session.turn(until, &mut stream, &managed, door, counts),
        Step::Close
    );
    assert_eq!(counts.idle_closed, 1);
}

#[test]
fn half_a_command_and_a_slow_reader_keep_a_connection_open() {
    let (image, mut client) = (Image::new(), Client::new());
    let managed = image.managed();
    let (mut session, counts, door) = client.session(Micros::ZERO);
    let mut stream = FakeStream {
        buffer: Some(10),
        ..FakeStream::default()
    };
    let mut now = Micros::ZERO;
    for piece in [&b"x"[..], b"x", b"\n"] {
        now = Micros(now.0 + CONTROL_IDLE.0 - 1);
        stream.arrive(piece);
        let step = session.turn(now, &mut stream, &managed, door, counts);
        assert_eq!(step, Step::Stay(now + CONTROL_IDLE));
    }
    // The reply does not fit the buffer of 10 bytes. Each acknowledged part also counts as movement.
    for _ in 0..5 {
        now = Micros(now.0 + CONTROL_IDLE.0 - 1);
        stream.acknowledge_some(1);
        let step = session.turn(now, &mut stream, &managed, door, counts);
        assert_eq!(step, Step::Stay(now + CONTROL_IDLE));
    }
    // An acknowledgement of a reply that was handed over whole counts as well.
    stream.buffer = None;
    session.turn(now, &mut stream, &managed, door, counts);
    for _ in 0..5 {
        now = Micros(now.0 + CONTROL_IDLE.0 - 1);
        stream.acknowledge_some(1);
        let step = session.turn(now, &mut stream, &managed, door, counts);
        assert_eq!(step, Step::Stay(now + CONTROL_IDLE));
    }
    assert_eq!(counts.idle_closed, 0);
}

#[test]
fn a_session_starts_afresh_after_the_last_client_left_in_the_middle() {
    let (image, mut client) = (Image::new(), Client::new());
    let managed = image.managed();
    let (mut session, counts, door) = client.session(Micros::ZERO);
    for rest in [b"garbage".to_vec(), vec![b'x'; COMMAND_MAX + 9]] {
        session.open(Micros::ZERO);
        let mut gone = FakeStream {
            write_limit: Some(0),
            ..FakeStream::default()
        };
        gone.arrive(b"?\n");
        gone.arrive(&rest);
        session.turn(Micros::ZERO, &mut gone, &managed, door, counts);
        session.open(Micros::ZERO);
        let mut stream = FakeStream::default();
        stream.arrive(b"?\n");
        session.turn(Micros::ZERO, &mut stream, &managed, door, counts);
        assert_eq!(stream.sent, Oracle::new(None).converse(b"?").as_bytes());
    }
}

#[test]
fn a_listing_waits_for_the_client_and_is_whole_in_the_end() {
    let (image, mut client) = (Image::new(), Client::new());
    // More names than one part of a reply holds.
    for number in 0..40 {
        let _ = image.log.see(&format!(
            "a::module::with::a::path::of::some::length::{number}"
        ));
    }
    let expected = client.ask(&image, b"l*");
    assert!(expected.len() > 2 * REPLY_MAX && expected.matches('\n').count() == 1);
    for buffer in [1, 7, 100, REPLY_MAX + 1] {
        let mut stream = FakeStream {
            buffer: Some(buffer),
            ..FakeStream::default()
        };
        let reply = client.converse(&image, [&b"l*"[..]], &mut stream);
        assert_eq!(reply, expected, "a buffer of {buffer}");
    }
}

#[test]
fn a_client_that_has_taken_half_a_listing_keeps_no_one_from_changing_what_it_lists() {
    let (image, mut client) = (Image::new(), Client::new());
    for number in 0..40 {
        let _ = image.log.see(&format!(
            "a::module::with::a::path::of::some::length::{number}"
        ));
    }
    let managed = image.managed();
    let (mut session, counts, door) = client.session(Micros::ZERO);
    let mut slow = FakeStream {
        buffer: Some(500),
        ..FakeStream::default()
    };
    slow.arrive(b"l*\n");
    session.turn(Micros::ZERO, &mut slow, &managed, door, counts);
    assert_eq!(Client::new().ask(&image, b"L*:debug\n"), "ok\n");
    while slow.unacknowledged() > 0 {
        slow.acknowledge();
        session.turn(Micros::ZERO, &mut slow, &managed, door, counts);
    }
    let text = String::from_utf8(slow.sent).unwrap();
    assert!(text.starts_with("ok: *:warning,dns:warning,"), "{text}");
    assert!(text.ends_with("::39:debug\n"), "{text}");
}
