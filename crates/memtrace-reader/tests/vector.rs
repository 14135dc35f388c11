//! Tests the reader on a trace of three events: whole, cut and damaged.

use memtrace_reader::{Fault, Kind, Rest, Source, Trace, dump, packets, whole};
use proptest::prelude::*;

/// The trace. The readers of memtrace 0.2.3 and of its development version accept it.
const VECTOR: &[u8] = include_bytes!("vector.ctf");

/// The output of memtrace's `dump_trace` for it.
const DUMPED: &str = "\
0000000010 0000000000 alloc 1 len=3    0: app::main@a.rs:7:1-9 app::f@a.rs:12:3-20 lib::g@b.rs:3:5-8
0000000020 0000000001 alloc_major 1 len=100    2: app::main@a.rs:7:1-9 app::f@a.rs:12:3-20 lib::g@b.rs:3:5-8
0000000030 0000000000 collect
";

/// The beginnings of its packets, and its end.
const PACKETS: [usize; 4] = [0, 96, 240, 347];

fn dumped(stream: &[u8]) -> Result<String, String> {
    let mut out = Vec::new();
    dump(stream, &mut out).map_err(|error| error.to_string())?;
    Ok(String::from_utf8(out).expect("text"))
}

/// Returns the error for the vector with some bytes replaced.
fn error(changes: &[(usize, &[u8])]) -> String {
    let mut stream = VECTOR.to_vec();
    for (offset, bytes) in changes {
        stream[*offset..][..bytes.len()].copy_from_slice(bytes);
    }
    dumped(&stream).expect_err("a broken rule")
}

#[test]
fn the_vector_is_dumped_as_memtrace_dumps_it() {
    assert_eq!(dumped(VECTOR), Ok(DUMPED.into()));
}

#[test]
fn the_vector_says_what_it_was_made_of() {
    let mut trace = Trace::new(VECTOR).expect("a trace");
    let info = trace.info();
    assert_eq!(
        (info.start, info.pid, info.word_bytes, info.version),
        (0x0006_0000_0000_0005, 1, 8, 2)
    );
    assert_eq!(info.rate.to_bits(), 0.001_f64.to_bits());
    let texts = [
        &info.executable,
        &info.host,
        &info.parameters,
        &info.context,
    ]
    .map(|text| text.to_string());
    assert_eq!(texts, ["app", "vm", "", ""]);
    let mut kinds = Vec::new();
    while let Some(event) = trace.next_event().expect("a trace") {
        kinds.push(match event.kind {
            Kind::Location(frame) => {
                format!("{:#x} is {} positions", frame.code, frame.positions.len())
            }
            Kind::Alloc(alloc) => {
                assert_eq!(alloc.stack.codes(), [0x1000, 0x1010]);
                let source = if alloc.source == Source::Minor {
                    "minor"
                } else {
                    "major"
                };
                format!(
                    "{} of {} words, {source}, {} codewords",
                    alloc.id, alloc.length, alloc.codewords
                )
            }
            Kind::Collect(id) => format!("{id} is free"),
            Kind::Promote(id) => format!("{id} is promoted"),
        });
    }
    assert_eq!(
        kinds,
        [
            "0x1000 is 1 positions",
            "0x1010 is 2 positions",
            "0 of 3 words, minor, 2 codewords",
            "1 of 100 words, major, 0 codewords",
            "0 is free",
        ]
    );
    assert_eq!(trace.live(), 1);
}

#[test]
fn a_cut_vector_is_whole_up_to_its_last_packet() {
    for cut in 0..=VECTOR.len() {
        let found = whole(&VECTOR[..cut]);
        let packets = PACKETS.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(
            (found.end, found.packets),
            (PACKETS[packets], packets),
            "cut at {cut}"
        );
        let is_whole = PACKETS.contains(&cut);
        assert_eq!(
            found.rest,
            if is_whole { Rest::None } else { Rest::Cut },
            "cut at {cut}"
        );
        let read = dumped(&VECTOR[..cut]);
        if is_whole && cut > 0 {
            assert!(DUMPED.starts_with(&read.expect("whole packets")));
        } else {
            let error = read.expect_err("a cut stream");
            assert!(
                error.starts_with(&format!("offset {cut}: the stream is cut: ")),
                "{error}"
            );
        }
    }
}

#[test]
fn bytes_after_the_last_packet_are_found() {
    let mut stream = VECTOR.to_vec();
    stream.extend_from_slice(b"and then some text");
    let found = whole(&stream);
    assert_eq!((found.end, found.packets), (347, 3));
    let Rest::Bad(error) = found.rest else {
        panic!("{found:?}")
    };
    assert_eq!(
        error.to_string(),
        "offset 347: not a packet: it begins with 0x20646e61"
    );
}

#[test]
fn each_broken_rule_of_a_header_is_named_with_its_place() {
    for (changes, said) in [
        (
            &[(0, &b"\0"[..])][..],
            "offset 0: not a packet: it begins with 0xc1fc1f00",
        ),
        (&[(100, &[0x81, 4])], "offset 100: a packet of 1153 bits"),
        (
            &[(100, &[0, 0])],
            "offset 100: a packet of 0 bytes, less than its header",
        ),
        (
            &[(100, &[0x18, 2, 4])],
            "offset 100: a packet of 32835 bytes, more than readers take",
        ),
        (&[(124, &[4])], "offset 124: version 4, which is not known"),
        (
            &[(124, &[1])],
            "offset 124: version 1 in a trace of version 2",
        ),
        (
            &[(112, &[4])],
            "offset 112: a packet from 1688849860263941 µs to 1688849860263940 µs",
        ),
        (&[(126, &[9])], "offset 126: pid 9 in the trace of pid 1"),
        (
            &[(104, &[4]), (112, &[4])],
            "offset 104: time 1688849860263940 µs after 1688849860263941 µs",
        ),
        (
            &[(134, &[0, 0x40])],
            "offset 134: slot 16384 is to be compared, which does not exist",
        ),
        (
            &[(278, &[0xb3, 0x13]), (282, &[1])],
            "offset 278: slot 5043 of the cache is said to have prediction 0 and code 0x1, and has 0 and 0x0",
        ),
        (
            &[(290, &[1])],
            "offset 290: the packet's first id is 1, not 0",
        ),
        (&[(290, &[3])], "offset 298: ids from 3 to 2"),
        (
            &[(298, &[3])],
            "offset 298: the packet's ids end at 3, not 2",
        ),
        (
            &[(16, &[6])],
            "offset 16: the first packet has a begin and another end",
        ),
        (
            &[(38, &[0, 0])],
            "offset 38: the first packet says something of the cache",
        ),
        (&[(58, &[1])], "offset 50: the first packet has ids"),
    ] {
        assert_eq!(error(changes), said);
    }
}

#[test]
fn each_broken_rule_of_the_first_event_is_named_with_its_place() {
    for (offset, bytes, said) in [
        (
            66,
            &[6_u8][..],
            "the trace starts at 1688849860263941 µs and at 1688849860263942 µs",
        ),
        (69, &[4], "the first packet does not say what the trace is"),
        (77, &[0x40], "a sampling rate of 65.536"),
        (78, &[0x41], "words of 65 bits"),
    ] {
        let found = error(&[(offset, bytes)]);
        assert!(found.contains(said), "{found}");
    }
    assert_eq!(
        error(&[(87, &[2])]),
        "offset 87: pid 1 in the trace of pid 2"
    );
    assert_eq!(error(&[(95, b"x")]), "offset 95: a text without an end");
}

#[test]
fn each_broken_rule_of_an_event_is_named_with_its_place() {
    for (offset, bytes, said) in [
        (
            162,
            &[4_u8][..],
            "offset 162: time 1688849893818372 µs in a packet that ends at 1688849860263941 µs",
        ),
        (
            332,
            &[0x0e],
            "offset 332: time 1688849860263950 µs after 1688849860263951 µs",
        ),
        (
            162,
            &[9],
            "offset 162: time 1688849860263945 µs in a packet that ends at 1688849860263941 µs",
        ),
        (165, &[0], "offset 162: a second trace begins"),
        (165, &[10], "offset 162: no event has the code 5"),
        (
            173,
            &[0x80],
            "offset 166: code 0x8000000000001000, whose highest bit readers drop",
        ),
        (
            200,
            &[0, 0x10],
            "offset 200: code 0x1000 was defined differently before",
        ),
        (213, &[0x41], "offset 215: the name at place 1 of 1"),
        (
            310,
            &[1],
            "offset 310: 1 frames in common with a stack of 0",
        ),
        (311, &[0], "offset 306: an empty stack"),
    ] {
        let found = error(&[(offset, bytes)]);
        assert_eq!(found, said, "at {offset}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(5_000))]

    #[test]
    fn a_damaged_stream_is_read_or_refused(changes in prop::collection::vec((0..VECTOR.len(), any::<u8>()), 1..6), cut in 0..=VECTOR.len()) {
        let mut stream = VECTOR.to_vec();
        for (offset, byte) in changes {
            stream[offset] = byte;
        }
        stream.truncate(cut);
        let events = DUMPED.lines().count() + 2;
        if let Ok(mut trace) = Trace::new(&stream) {
            // An event takes at least five bytes, so the loop ends.
            let mut read = 0;
            while let Ok(Some(event)) = trace.next_event() {
                prop_assert!(event.offset < stream.len());
                read += 1;
            }
            prop_assert!(read <= stream.len() / 5 && events > 0);
        }
        let found = whole(&stream);
        prop_assert!(found.end <= stream.len());
        prop_assert_eq!(packets(&stream).filter(Result::is_ok).count(), found.packets);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let fault = Trace::new(&bytes).err().map(|error| error.fault);
        let refused = matches!(fault, Some(Fault::NotAPacket(_) | Fault::Cut { .. }));
        prop_assert!(refused, "{:?}", fault);
    }
}
