//! A table put together by hand from the drawing, and what is wrong with others.

use std::string::{String, ToString};
use std::vec::Vec;
use std::{assert_eq, vec};

use super::*;
use crate::header::{HEADER_BYTES, checksum};
use crate::write::{Row, WriteError, write};

const BASE: u64 = 0x1000;

/// The parts behind the header.
const FILES: &[u8] = b"\0\0\0\0\x00\x04a.rs\x01\x04b.rs";
const FUNCTIONS: &[u8] = b"\0\0\0\0\x00\x04main\x00\x07\x02\x01p\x01\x04";
const ROWS: &[u8] = &[0, 0, 0, 0, 0, 2, 1, 5, 4, 1, 4, 5, 0];
const FRAMES: &[u8] = &[0, 0, 2, 1, 3];

/// `main` in `a.rs`: at `BASE` line 7, at `BASE` + 5 line 9, where line 4 of `map` in `ab.rs` is inlined; it ends at `BASE` + 9.
fn by_hand() -> Vec<u8> {
    let mut out = vec![0; HEADER_BYTES];
    out[..4].copy_from_slice(b"SYM\x03");
    out[16..20].copy_from_slice(b"\x0b\x1d\x0b\x1d");
    out[36] = 4;
    out[40..48].copy_from_slice(&BASE.to_le_bytes());
    // Each list has one start of 4 bytes.
    let [files, functions, rows] = [FILES, FUNCTIONS, ROWS].map(|part| part.len() as u8 - 4);
    let sizes = [2, files, 2, functions, 3, rows, FRAMES.len() as u8];
    for (at, size) in sizes.into_iter().enumerate() {
        out[48 + 4 * at] = size;
    }
    out.extend([FILES, FUNCTIONS, ROWS, FRAMES].concat());
    out[4] = out.len() as u8;
    seal(&mut out);
    out
}

/// The same as rows for the writer.
fn rows() -> Vec<Row<'static>> {
    let main = |line| Frame {
        function: "main",
        file: "a.rs",
        line,
    };
    let map = Frame {
        function: "map",
        file: "ab.rs",
        line: 4,
    };
    [
        (BASE, vec![main(7)]),
        (BASE + 5, vec![main(9), map]),
        (BASE + 9, vec![]),
    ]
    .map(|(address, frames)| Row { address, frames })
    .into()
}

/// Makes the checksum right.
fn seal(table: &mut [u8]) {
    let sum = checksum(&table[16..]);
    table[8..16].copy_from_slice(&sum.to_le_bytes());
}

fn error(table: &[u8]) -> Error {
    Symbols::parse(table).err().expect("no table")
}

fn lines(table: &[u8], address: u64) -> Vec<String> {
    let symbols = Symbols::parse(table).expect("a table");
    let mut lines = Vec::new();
    symbols.frames(address, &mut Scratch::new(), &mut |frame| {
        lines.push(frame.to_string());
    });
    lines
}

#[test]
fn the_writer_writes_the_drawing() {
    let table = write(&rows(), Coverage::Calls, b"\x0b\x1d\x0b\x1d").expect("a table");
    assert_eq!(table.bytes, by_hand());
    assert_eq!(
        table.to_string(),
        "127 bytes: 3 rows of 3 frames in 18 bytes, 2 functions and 2 files in 33"
    );
}

#[test]
fn a_call_has_its_line_and_elsewhere_there_is_the_function() {
    let table = by_hand();
    assert_eq!(lines(&table, BASE), ["main at a.rs:7"]);
    assert_eq!(lines(&table, BASE + 1), ["main"]);
    let both = ["main at a.rs:9", "map at ab.rs:4"];
    assert_eq!(lines(&table, BASE + 5), both);
    assert_eq!(lines(&table, BASE + 8), ["main"]);
    for outside in [0, BASE - 1, BASE + 9, BASE + (1 << 32), u64::MAX] {
        assert!(lines(&table, outside).is_empty(), "{outside:#x}");
    }
}

#[test]
fn frames_are_those_of_the_address_that_was_looked_up_last() {
    let table = by_hand();
    let symbols = Symbols::parse(&table).expect("a table");
    let mut scratch = Scratch::new();
    for (address, count) in [
        (BASE + 5, 2),
        (BASE - 1, 0),
        (BASE, 1),
        (BASE + 6, 1),
        (BASE + 9, 0),
    ] {
        assert_eq!(symbols.look_up(address, &mut scratch), count);
        for index in 0..3 {
            let frame = symbols.frame(index, &mut scratch);
            assert_eq!(frame.is_some(), index < count, "{address:#x}, {index}");
        }
    }
}

#[test]
fn a_call_of_no_line_keeps_its_file() {
    let mut table = by_hand();
    // LINE of the first row.
    let at = table.len() - FRAMES.len() - ROWS.len() + 6;
    assert_eq!(table[at], 1);
    table[at] = 0;
    seal(&mut table);
    assert_eq!(lines(&table, BASE), ["main at a.rs"]);
    assert_eq!(lines(&table, BASE + 1), ["main"]);
    let mut rows = rows();
    rows[0].frames[0].line = 0;
    let written = write(&rows, Coverage::Calls, b"").expect("a table");
    assert_eq!(lines(&written.bytes, BASE), ["main at a.rs"]);
    assert_eq!(lines(&written.bytes, BASE + 5), lines(&table, BASE + 5));
}

#[test]
fn with_all_rows_a_line_holds_up_to_the_next_row() {
    let mut table = by_hand();
    table[37] = 1;
    seal(&mut table);
    assert_eq!(lines(&table, BASE + 4), ["main at a.rs:7"]);
    let both = ["main at a.rs:9", "map at ab.rs:4"];
    assert_eq!(lines(&table, BASE + 8), both);
    assert!(lines(&table, BASE + 9).is_empty());
}

#[test]
fn a_table_knows_its_image_and_where_it_ends() {
    let mut table = by_hand();
    table.extend(b"what follows it");
    let symbols = Symbols::parse(&table).expect("a table");
    assert_eq!(symbols.build_id(), b"\x0b\x1d\x0b\x1d");
    assert_eq!(lines(&table, BASE), ["main at a.rs:7"]);
}

#[test]
fn what_is_no_table_is_refused_with_what_it_is() {
    let table = by_hand();
    assert_eq!(
        error(&[]).to_string(),
        "the symbol table is cut off after 0 bytes"
    );
    let cut = table.len() - 1;
    assert_eq!(error(&table[..cut]), Error::Short(cut));
    assert_eq!(
        error(&[0x7f; HEADER_BYTES]).to_string(),
        "no symbol table: it begins with \"\\x7f\\x7f\\x7f\""
    );

    let mut newer = table.clone();
    newer[3] = 4;
    assert_eq!(
        error(&newer).to_string(),
        "symbol table of version 4, known is 3"
    );

    let mut longer = table.clone();
    longer[36] = 21;
    seal(&mut longer);
    assert_eq!(
        error(&longer).to_string(),
        "the symbol table contradicts itself: build id"
    );
    let mut shorter = table;
    for length in [0, 15, 16, HEADER_BYTES as u8 - 1] {
        shorter[4] = length;
        assert_eq!(error(&shorter), Error::Part("length"));
    }
}

#[test]
fn each_changed_byte_is_noticed() {
    let table = by_hand();
    for at in 8..table.len() {
        let mut damaged = table.clone();
        damaged[at] ^= 0x10;
        assert!(matches!(error(&damaged), Error::Checksum(..)), "byte {at}");
    }
}

#[test]
fn a_wrong_table_with_the_right_checksum_is_refused_or_tells_nothing_that_was_not_written() {
    let table = by_hand();
    let mut refused = 0;
    for at in 16..table.len() {
        for change in [1, 2, 0x10, 0x80, 0xff] {
            let mut wrong = table.clone();
            wrong[at] ^= change;
            seal(&mut wrong);
            let Ok(symbols) = Symbols::parse(&wrong) else {
                refused += 1;
                continue;
            };
            for address in [
                BASE - 1,
                BASE,
                BASE + 4,
                BASE + 5,
                BASE + 8,
                BASE + 9,
                BASE + 100,
            ] {
                let count = symbols.frames(address, &mut Scratch::new(), &mut |_| ());
                assert!(
                    count <= 2,
                    "byte {at} ^ {change:#x} at {address:#x}: {count} frames"
                );
            }
        }
    }
    assert!(refused > 100, "{refused} refused");
}

#[test]
fn each_part_that_is_larger_than_the_table_is_named() {
    for (at, part) in [
        (48, "files"),
        (52, "files"),
        (56, "functions"),
        (60, "functions"),
        (64, "rows"),
        (68, "rows"),
        (72, "frames"),
    ] {
        for size in [0x100, u32::MAX] {
            let mut table = by_hand();
            table[at..at + 4].copy_from_slice(&size.to_le_bytes());
            seal(&mut table);
            assert_eq!(error(&table), Error::Part(part), "{size:#x} at {at}");
        }
    }
}

#[test]
fn a_chain_that_leads_before_the_first_record_tells_nothing() {
    let at = by_hand().len() - FRAMES.len() + 2;
    for outer in [3, 4, 0x7f] {
        let mut table = by_hand();
        table[at] = outer;
        seal(&mut table);
        assert!(lines(&table, BASE + 5).is_empty(), "{outer}");
        assert_eq!(lines(&table, BASE), ["main at a.rs:7"]);
    }
}

#[test]
fn a_chain_that_is_longer_than_any_that_is_written_tells_nothing() {
    let rows = [Row {
        address: BASE,
        frames: vec![Frame::default(); FRAMES_MAX],
    }];
    let mut table = write(&rows, Coverage::All, b"").expect("a table").bytes;
    assert_eq!(lines(&table, BASE).len(), FRAMES_MAX);
    // One more record like the last one, and the row leads to it: 3 bytes on, which is 6 more as a difference.
    let frame_bytes = 2 + 3 * (FRAMES_MAX - 1);
    let row = table.len() - frame_bytes - 4;
    assert_eq!(table[row..row + 4], [0, 0xfa, 2, 0]);
    table[row + 1..row + 3].copy_from_slice(&[0x80, 3]);
    assert_eq!(table[table.len() - 3..], [3, 0, 0]);
    table.extend([3, 0, 0]);
    table[72] += 3;
    table[4] += 3;
    seal(&mut table);
    assert!(lines(&table, BASE).is_empty());
}

/// The position of a part of a table that is there once.
fn position(table: &[u8], part: &[u8]) -> usize {
    let mut found = (0..table.len()).filter(|&at| table[at..].starts_with(part));
    let at = found.next().expect("the part");
    assert_eq!(found.next(), None);
    at
}

#[test]
fn a_text_that_contradicts_itself_is_unknown() {
    // It shares a byte with nothing; there are not as many bytes; it is not UTF-8.
    for (at, byte, want) in [(4, 1, "?"), (5, 0x7f, "?"), (6, 0xff, "? at a.rs:7")] {
        let mut table = by_hand();
        let functions = position(&table, FUNCTIONS);
        table[functions + at] = byte;
        seal(&mut table);
        assert_eq!(lines(&table, BASE), [want], "byte {at}");
    }
    // The same of a path.
    for (at, byte) in [(4, 1), (5, 0x7f), (6, 0xff)] {
        let mut table = by_hand();
        let files = position(&table, FILES);
        table[files + at] = byte;
        seal(&mut table);
        assert_eq!(lines(&table, BASE), ["main"], "byte {at}");
    }
}

#[test]
fn a_text_that_is_longer_than_any_that_is_written_is_unknown() {
    let short = "n".repeat(200);
    let long = short.clone() + &"m".repeat(TEXT_MAX - 200);
    let rows = [&short, &long].map(|function| Frame {
        function,
        ..Frame::default()
    });
    let rows = [Row {
        address: BASE,
        frames: rows.into(),
    }];
    let mut table = write(&rows, Coverage::All, b"").expect("a table").bytes;
    assert_eq!(lines(&table, BASE), [&*short, &*long]);
    // It shares 200 bytes, and 55 follow; then 56.
    let at = position(&table, &[0xc8, 1, 55, b'm']);
    table[at + 2] = 56;
    seal(&mut table);
    assert_eq!(lines(&table, BASE), [&*short, "?"]);
}

#[test]
fn a_function_file_or_line_that_there_is_not_is_unknown() {
    // FUNCTION of the first record, FILE and FIRST of `main`.
    for (part, at, byte, want) in [
        (FRAMES, 1, 2, "?"),
        (FRAMES, 1, 0x7f, "?"),
        (FUNCTIONS, 10, 2, "main"),
        (FUNCTIONS, 10, 0x7f, "main"),
    ] {
        let mut table = by_hand();
        let begin = position(&table, part);
        table[begin + at] = byte;
        seal(&mut table);
        assert_eq!(lines(&table, BASE), [want], "{byte}");
    }
    let mut rows = rows();
    rows[1].frames[0].line = u32::MAX;
    let mut table = write(&rows, Coverage::Calls, b"").expect("a table").bytes;
    assert_eq!(lines(&table, BASE + 5)[0], "main at a.rs:4294967295");
    let first = position(&table, b"main\x00\x07");
    table[first + 5] = 8;
    seal(&mut table);
    assert_eq!(lines(&table, BASE + 5)[0], "main at a.rs");
}

#[test]
fn rows_that_do_not_fit_the_format_are_refused_with_what_they_are() {
    let refused =
        |rows: &[Row<'_>], id: &[u8]| write(rows, Coverage::All, id).expect_err("refused");
    assert_eq!(
        refused(&rows(), &[0; 21]).to_string(),
        "a build id of 21 bytes: at most 20 are known"
    );
    assert_eq!(
        refused(&[], &[]).to_string(),
        "no symbol and no line is known of any address"
    );
    let mut wide = rows();
    wide[2].address = BASE + (1 << 32);
    assert_eq!(
        refused(&wide, &[]).to_string(),
        "the code spans more than 4 GiB"
    );
    for address in [0, BASE, BASE + 5] {
        let mut disordered = rows();
        disordered[2].address = address;
        assert_eq!(refused(&disordered, &[]), WriteError::Order(address));
    }
}
