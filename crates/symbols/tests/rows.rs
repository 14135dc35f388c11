//! A table tells what the spans of an image say: random spans, which are the oracle too.

use proptest::prelude::*;
use proptest::sample::Index;
use symbol_table::{FRAMES_MAX, Scratch, Symbols};
use symbols::spans::{Frame, Spans};
use symbols::table::write;

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

fn line() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..100_u32, 1..100_000_u32]
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
        prop::collection::btree_set("[a-c:]{0,6}", 1..20)
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
    #[test]
    fn a_table_of_all_rows_tells_what_the_spans_do(spans in spans(), near in prop::collection::vec(-3..4_i64, 1..4)) {
        prop_assume!(!spans.spans.is_empty());
        let table = write(&spans, None, b"id").expect("a table");
        let symbols = Symbols::parse(&table.bytes).expect("a table");
        prop_assert_eq!(symbols.build_id(), b"id");
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
        let table = write(&spans, Some(&calls), &[0xff; 20]).expect("a table");
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
