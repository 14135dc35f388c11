//! A table put together by hand from the drawing, and what is wrong with others. Round trips with the writer are in its crate.

use super::*;

const BASE: u64 = 0x1000;

/// `main` in `a.rs`: at `BASE` line 7, at `BASE` + 5 line 9, which ends at `BASE` + 9.
fn main_in_a_rs() -> Vec<u8> {
    // How many symbols have codes of one bit, of six codes.
    let mut codes = Vec::new();
    for symbols in [2_u8, 2, 2, 1, 1, 1] {
        codes.extend([symbols]);
        codes.extend([0; 39]);
    }
    // GAP 5 4, POP 0 1, PUSH 1 0, CHANGE 4 (by 2), LINE 1 (the usual one).
    let symbols = [5, 4, 0, 1, 1, 0, 4, 1];
    let functions = [0b1110_0000];
    let names = *b"\0\0\0\0\x04main";
    let files = *b"\0\0\0\0\x04a.rs";
    let blocks = [0; 4 + 3];
    // PUSH FUNCTION LINE, GAP POP CHANGE PUSH, GAP POP PUSH.
    let rows = [0b0000_0011, 0b1100_0000];

    let mut out = vec![0; 92];
    out[..4].copy_from_slice(b"SYM\x02");
    out[16..20].copy_from_slice(b"\x0b\x1d\x0b\x1d");
    out[36] = 4;
    out[40] = 3;
    out[41..46].copy_from_slice(&[2, 2, 2, 1, 1]);
    out[48..56].copy_from_slice(&BASE.to_le_bytes());
    for (at, count) in [1_u8, 1, 1, 3, 0, 6, 6, 2].into_iter().enumerate() {
        out[56 + 4 * at] = count;
    }
    for part in [
        &codes[..],
        &symbols,
        &functions,
        &names,
        &files,
        &blocks,
        &rows,
    ] {
        out.extend(part);
    }
    out[4] = out.len().to_le_bytes()[0];
    out[5] = out.len().to_le_bytes()[1];
    seal(&mut out);
    out
}

/// Makes the checksum right.
fn seal(table: &mut [u8]) {
    let sum = table::checksum(&table[16..]);
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
fn a_call_has_its_line_and_elsewhere_there_is_the_function() {
    let table = main_in_a_rs();
    assert_eq!(lines(&table, BASE), ["main at a.rs:7"]);
    assert_eq!(lines(&table, BASE + 1), ["main"]);
    assert_eq!(lines(&table, BASE + 5), ["main at a.rs:9"]);
    assert_eq!(lines(&table, BASE + 8), ["main"]);
    for outside in [0, BASE - 1, BASE + 9, BASE + (1 << 32), u64::MAX] {
        assert!(lines(&table, outside).is_empty(), "{outside:#x}");
    }
}

#[test]
fn frames_are_those_of_the_address_that_was_looked_up_last() {
    let table = main_in_a_rs();
    let symbols = Symbols::parse(&table).expect("a table");
    let mut scratch = Scratch::new();
    for (address, count) in [(BASE, 1), (BASE - 1, 0), (BASE + 5, 1), (BASE + 9, 0)] {
        assert_eq!(symbols.look_up(address, &mut scratch), count);
        for index in 0..3 {
            let frame = symbols.frame(index, &mut scratch);
            assert_eq!(frame.is_some(), index < count, "{address:#x}, {index}");
        }
    }
}

#[test]
fn a_call_of_no_line_keeps_its_file() {
    let mut table = main_in_a_rs();
    // Of the code LINE the one symbol, the last of all: 0, no line.
    let last = 92 + 6 * 40 + 8 - 1;
    assert_eq!(table[last], 1);
    table[last] = 0;
    seal(&mut table);
    assert_eq!(lines(&table, BASE), ["main at a.rs"]);
    assert_eq!(lines(&table, BASE + 1), ["main"]);
    // The change of the line goes on from 0.
    assert_eq!(lines(&table, BASE + 5), ["main at a.rs:2"]);
}

#[test]
fn with_all_rows_a_line_holds_up_to_the_next_row() {
    let mut table = main_in_a_rs();
    table[37] = 1;
    seal(&mut table);
    assert_eq!(lines(&table, BASE + 4), ["main at a.rs:7"]);
    assert_eq!(lines(&table, BASE + 8), ["main at a.rs:9"]);
    assert!(lines(&table, BASE + 9).is_empty());
}

#[test]
fn a_table_knows_its_image_and_its_length() {
    let mut table = main_in_a_rs();
    let length = table.len();
    table.extend(b"what follows it");
    let symbols = Symbols::parse(&table).expect("a table");
    assert_eq!(symbols.build_id(), b"\x0b\x1d\x0b\x1d");
    assert_eq!(symbols.bytes(), length);
}

#[test]
fn what_is_no_table_is_refused_with_what_it_is() {
    let table = main_in_a_rs();
    assert_eq!(
        error(&[]).to_string(),
        "the symbol table is cut off after 0 bytes"
    );
    let cut = table.len() - 1;
    assert_eq!(error(&table[..cut]), Error::Short(cut));
    assert_eq!(
        error(&[0x7f; 92]).to_string(),
        "no symbol table: it begins with \"\\x7f\\x7f\\x7f\""
    );

    let mut newer = table.clone();
    newer[3] = 3;
    assert_eq!(
        error(&newer).to_string(),
        "symbol table of version 3, known is 2"
    );

    let mut longer = table.clone();
    longer[36] = 21;
    seal(&mut longer);
    assert_eq!(
        error(&longer).to_string(),
        "the symbol table contradicts itself: build id"
    );
    let mut shorter = table;
    shorter[4..8].copy_from_slice(&[15, 0, 0, 0]);
    assert_eq!(error(&shorter), Error::Part("length"));
}

#[test]
fn each_changed_byte_is_noticed() {
    let table = main_in_a_rs();
    for at in 8..table.len() {
        let mut damaged = table.clone();
        damaged[at] ^= 0x10;
        assert!(matches!(error(&damaged), Error::Checksum(..)), "byte {at}");
    }
}

#[test]
fn a_wrong_table_with_the_right_checksum_is_refused_or_tells_nothing_that_was_not_written() {
    let table = main_in_a_rs();
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
                    count <= 1,
                    "byte {at} ^ {change:#x} at {address:#x}: {count} frames"
                );
            }
        }
    }
    assert!(refused > 100, "{refused} refused");
}
