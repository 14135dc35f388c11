//! What is written is read: random spans, with the spans themselves as the oracle.

use monitoring::symbols::{FRAMES_MAX, Scratch, Symbols, TEXT_MAX};
use proptest::prelude::*;
use proptest::sample::Index;
use symbols::spans::{Frame, Spans};
use symbols::table::{Coverage, write};

type Found = Vec<(String, String, u32)>;

fn found(symbols: &Symbols<'_>, address: u64) -> Found {
    let mut found = Vec::new();
    let count = symbols.frames(address, &mut Scratch::new(), &mut |frame| {
        found.push((frame.function.to_owned(), frame.file.to_owned(), frame.line));
    });
    assert_eq!(found.len(), count);
    found
}

fn expected(spans: &Spans, frames: &[Frame]) -> Found {
    frames
        .iter()
        .map(|frame| {
            let text = |texts: &[String], number: u32| texts[number as usize].clone();
            (
                text(&spans.names, frame.function),
                text(&spans.files, frame.file),
                frame.line,
            )
        })
        .collect()
}

/// Texts that share beginnings, repeat themselves, and have bytes that mean something in the table.
fn text() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        Just("core::fmt::"),
        Just("core::fmt::Formatter"),
        Just("alloc::"),
        Just("{closure#0}"),
        Just("src/lib.rs"),
        Just("é"),
        Just("\u{1}"),
        Just("\0"),
        Just("\u{7f}\u{80}"),
        Just("ß::\u{1f980}"),
        Just(" "),
    ];
    prop::collection::vec(part, 0..12).prop_map(|parts| parts.concat())
}

fn line() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..100_u32, 1..100_000_u32, Just((1 << 30) - 1)]
}

/// Spans that go on from each other as those of code do: some frames stay, others come.
fn spans() -> impl Strategy<Value = Spans> {
    let frame = (any::<Index>(), any::<Index>(), line());
    let step = (
        1..5000_u64,
        0..5_usize,
        prop::collection::vec(frame, 0..5),
        line(),
    );
    let texts = || {
        prop::collection::btree_set(text(), 1..20)
            .prop_map(|texts| texts.into_iter().rev().collect::<Vec<_>>())
    };
    let base = prop_oneof![Just(0_u64), Just(0x20_0000), Just(u64::MAX - (1 << 31))];
    (texts(), texts(), base, prop::collection::vec(step, 1..60)).prop_map(
        |(names, files, base, steps)| {
            let mut spans = Spans {
                names,
                files,
                spans: Vec::new(),
            };
            let mut chain: Vec<Frame> = Vec::new();
            let mut at = base;
            for (gap, pops, pushes, line) in steps {
                at += gap;
                chain.truncate(chain.len().saturating_sub(pops));
                if let Some(last) = chain.last_mut() {
                    last.line = line;
                }
                for (function, file, line) in pushes {
                    if chain.len() < FRAMES_MAX {
                        let (function, file) = (
                            function.index(spans.names.len()) as u32,
                            file.index(spans.files.len()) as u32,
                        );
                        chain.push(Frame {
                            function,
                            file,
                            line,
                        });
                    }
                }
                spans.push(at, &chain);
            }
            spans.push(at + 1, &[]);
            spans
        },
    )
}

proptest! {
    // Learning a dictionary is what takes the time, without optimisation.
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_table_of_all_rows_tells_what_the_spans_do(spans in spans(), near in prop::collection::vec(-3..4_i64, 1..4)) {
        prop_assume!(!spans.spans.is_empty());
        let table = write(&spans, Coverage::All, b"id").expect("a table");
        prop_assert_eq!(&write(&spans, Coverage::All, b"id").expect("a table"), &table, "each time the same");
        let symbols = Symbols::parse(&table.bytes).expect("a table");
        prop_assert_eq!(symbols.build_id(), b"id");
        prop_assert_eq!(symbols.bytes(), table.bytes.len());
        for span in &spans.spans {
            for near in &near {
                let address = span.start.saturating_add_signed(*near);
                prop_assert_eq!(found(&symbols, address), expected(&spans, spans.at(address)), "{:#x}", address);
            }
        }
        for address in [0, u64::MAX] {
            prop_assert_eq!(found(&symbols, address), expected(&spans, spans.at(address)));
        }
    }

    #[test]
    fn a_table_of_calls_tells_all_of_calls_and_elsewhere_the_function(spans in spans(), calls in prop::collection::vec(any::<Index>(), 0..40)) {
        prop_assume!(!spans.spans.is_empty());
        let (first, last) = (spans.spans[0].start, spans.spans[spans.spans.len() - 1].start);
        let length = usize::try_from(last - first + 2).expect("small");
        let calls: Vec<u64> = {
            let mut calls: Vec<u64> = calls.iter().map(|call| first + call.index(length) as u64).collect();
            calls.sort_unstable();
            calls.dedup();
            calls
        };
        let table = write(&spans, Coverage::Calls(&calls), &[0xff; 20]).expect("a table");
        let symbols = Symbols::parse(&table.bytes).expect("a table");
        prop_assert_eq!(symbols.build_id(), [0xff; 20]);
        for &call in &calls {
            prop_assert_eq!(found(&symbols, call), expected(&spans, spans.at(call)), "{:#x}", call);
        }
        for address in calls.iter().map(|call| call + 1).chain(spans.spans.iter().map(|span| span.start)) {
            if calls.binary_search(&address).is_err() {
                let outermost = |address: u64| spans.at(address).first().copied();
                let begins = address == first || outermost(address).map(|it| it.function) != outermost(address - 1).map(|it| it.function);
                let expected = outermost(address).map(|frame| {
                    let file = if begins { spans.files[frame.file as usize].clone() } else { String::new() };
                    (spans.names[frame.function as usize].clone(), file, 0)
                });
                prop_assert_eq!(found(&symbols, address), expected.into_iter().collect::<Vec<_>>(), "{:#x}", address);
            }
        }
    }
}

fn one(name: &str, file: &str, frames: usize) -> Spans {
    let mut spans = Spans {
        names: vec![name.to_owned()],
        files: vec![file.to_owned()],
        spans: Vec::new(),
    };
    let frames: Vec<Frame> = (0..frames as u32)
        .map(|line| Frame {
            function: 0,
            file: 0,
            line,
        })
        .collect();
    spans.push(0x1000, &frames);
    spans.push(0x2000, &[]);
    spans
}

#[test]
fn texts_that_are_too_long_are_cut_and_counted() {
    for (name, bytes) in [
        ("n".repeat(TEXT_MAX), TEXT_MAX),
        ("n".repeat(TEXT_MAX + 1), TEXT_MAX),
        ("é".repeat(200), 126),
    ] {
        let table = write(&one(&name, "f", 1), Coverage::All, &[]).expect("a table");
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
    let table = write(&one("n", "f", FRAMES_MAX + 3), Coverage::All, &[]).expect("a table");
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

#[test]
fn what_does_not_fit_the_format_is_refused_with_its_size() {
    let spans = one("n", "f", 1);
    let refused = |spans: &Spans, id: &[u8]| {
        write(spans, Coverage::All, id)
            .expect_err("refused")
            .to_string()
    };
    assert_eq!(
        refused(&spans, &[0; 21]),
        "a build id of 21 bytes: at most 20 are known"
    );
    assert_eq!(
        refused(&Spans::default(), &[]),
        "no symbol and no line is known of any address"
    );
    let mut wide = spans.clone();
    wide.spans[1].start += 1 << 32;
    assert_eq!(refused(&wide, &[]), "the code spans more than 4 GiB");
}
