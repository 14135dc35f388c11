//! What is written is read: random rows, with the rows themselves as the oracle.

use proptest::prelude::*;
use proptest::sample::Index;
use symbol_table::write::{Row, write};
use symbol_table::{Coverage, FRAMES_MAX, Frame, Scratch, Symbols, TEXT_MAX};

type Found = Vec<(String, String, u32)>;

fn found(symbols: &Symbols<'_>, address: u64) -> Found {
    let mut found = Vec::new();
    let count = symbols.frames(address, &mut Scratch::new(), &mut |frame| {
        found.push((frame.function.to_owned(), frame.file.to_owned(), frame.line));
    });
    assert_eq!(found.len(), count);
    found
}

/// Texts that share beginnings, also the first byte of a character, repeat themselves, and have bytes like those of numbers.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("core::fmt::"),
        Just("core::fmt::Formatter"),
        Just("alloc::"),
        Just("{closure#0}"),
        Just("src/lib.rs"),
        Just("é"),
        Just("è"),
        Just("\u{1}"),
        Just("\0"),
        Just("\u{7f}\u{80}"),
        Just("ß::\u{1f980}"),
        Just(" "),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn line() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..100_u32, 1..100_000_u32, Just(u32::MAX)]
}

type Rows = Vec<(u64, Found)>;

/// Rows that go on from each other as those of code do: some frames stay, others come.
fn rows() -> impl Strategy<Value = Rows> {
    let frame = (any::<Index>(), any::<Index>(), line());
    let step = (
        1..5000_u64,
        0..5_usize,
        prop::collection::vec(frame, 0..5),
        line(),
    );
    let texts = || {
        prop::collection::btree_set(text(), 1..40)
            .prop_map(|texts| texts.into_iter().rev().collect::<Vec<_>>())
    };
    let base = prop_oneof![Just(0_u64), Just(0x20_0000), Just(u64::MAX - (1 << 31))];
    (texts(), texts(), base, prop::collection::vec(step, 1..60)).prop_map(
        |(names, files, base, steps)| {
            let mut rows = Vec::new();
            let mut chain = Found::new();
            let mut at = base;
            for (gap, pops, pushes, line) in steps {
                at += gap;
                chain.truncate(chain.len().saturating_sub(pops));
                if let Some(last) = chain.last_mut() {
                    last.2 = line;
                }
                let pushes = pushes.iter().map(|(function, file, line)| {
                    (
                        function.get(&names).clone(),
                        file.get(&files).clone(),
                        *line,
                    )
                });
                chain.extend(pushes);
                chain.truncate(FRAMES_MAX);
                rows.push((at, chain.clone()));
            }
            rows.push((at + 1, Vec::new()));
            rows
        },
    )
}

fn as_rows(rows: &Rows) -> Vec<Row<'_>> {
    rows.iter()
        .map(|(address, frames)| Row {
            address: *address,
            frames: frames
                .iter()
                .map(|(function, file, line)| Frame {
                    function,
                    file,
                    line: *line,
                })
                .collect(),
        })
        .collect()
}

/// What a table of these rows has to tell, found one row after the other.
fn expected(rows: &Rows, coverage: Coverage, address: u64) -> Found {
    let Some((at, frames)) = rows.iter().rev().find(|(at, _)| *at <= address) else {
        return Vec::new();
    };
    if coverage == Coverage::All || *at == address {
        return frames.clone();
    }
    let outermost = frames.iter().take(1);
    outermost
        .map(|(function, ..)| (function.clone(), String::new(), 0))
        .collect()
}

proptest! {
    #[test]
    fn a_table_tells_what_its_rows_do(
        rows in rows(),
        near in prop::collection::vec(-3..4_i64, 1..4),
        is_all in any::<bool>(),
        id in prop::collection::vec(any::<u8>(), 0..=20),
    ) {
        let coverage = if is_all { Coverage::All } else { Coverage::Calls };
        let table = write(&as_rows(&rows), coverage, &id).expect("a table");
        prop_assert_eq!(&write(&as_rows(&rows), coverage, &id).expect("a table"), &table, "each time the same");
        let symbols = Symbols::parse(&table.bytes).expect("a table");
        prop_assert_eq!(symbols.build_id(), id);
        let around = rows.iter().flat_map(|(at, _)| near.iter().map(|near| at.saturating_add_signed(*near)));
        for address in around.chain([0, u64::MAX]) {
            prop_assert_eq!(found(&symbols, address), expected(&rows, coverage, address), "{:#x}", address);
        }
    }
}

fn one(name: &str, file: &str, frames: u32) -> Rows {
    let frame = |line| (name.to_owned(), file.to_owned(), line);
    vec![(0x1000, (0..frames).map(frame).collect())]
}

#[test]
fn texts_that_are_too_long_are_cut_and_counted() {
    for (name, bytes) in [
        ("n".repeat(TEXT_MAX), TEXT_MAX),
        ("n".repeat(TEXT_MAX + 1), TEXT_MAX),
        ("é".repeat(200), 254),
    ] {
        let rows = one(&name, "f", 1);
        let table = write(&as_rows(&rows), Coverage::All, &[]).expect("a table");
        let symbols = Symbols::parse(&table.bytes).expect("a table");
        let found = found(&symbols, 0x1800);
        assert_eq!(found[0].0, name[..bytes]);
        assert_eq!(table.cut_texts, usize::from(bytes < name.len()));
        assert_eq!(
            table.to_string().contains("1 cut to 255 bytes"),
            bytes < name.len()
        );
    }
}

#[test]
fn chains_that_are_too_long_keep_the_outermost_and_the_innermost_and_are_counted() {
    let rows = one("n", "f", FRAMES_MAX as u32 + 3);
    let table = write(&as_rows(&rows), Coverage::All, &[]).expect("a table");
    let symbols = Symbols::parse(&table.bytes).expect("a table");
    let lines: Vec<u32> = found(&symbols, 0x1000)
        .iter()
        .map(|frame| frame.2)
        .collect();
    let kept: Vec<u32> = core::iter::once(0)
        .chain(4..FRAMES_MAX as u32 + 3)
        .collect();
    assert_eq!(lines, kept);
    assert_eq!(table.cut_chains, 1);
    assert!(table.to_string().contains("1 chains cut to 64 frames"));
}
