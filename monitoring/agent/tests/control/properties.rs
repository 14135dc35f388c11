//! Conversations of valid and invalid parts, cut into awkward pieces, against the oracle.

use network::bounds::COMMAND_MAX;
use proptest::prelude::*;

use crate::fixture::{Client, Image, LOG_SOURCES, METRICS};
use crate::oracle::Oracle;
use crate::stream::FakeStream;

/// A command, more often valid than not.
fn command() -> impl Strategy<Value = Vec<u8>> {
    let word = |words: &'static [&'static str]| prop::sample::select(words).prop_map(String::from);
    let awkward = || {
        word(&[
            "",
            " ",
            "nobody",
            "é漢",
            "\"",
            "\\",
            "=",
            "*",
            "a:b",
            "src",
            "tag",
            "app",
            "\t",
            "\u{1b}[0m",
        ])
    };
    let log = || prop_oneof![6 => prop::sample::select(&LOG_SOURCES[..]).prop_map(String::from), 1 => awkward()];
    let metric = || {
        let names = METRICS.map(|source| source.0);
        prop_oneof![6 => prop::sample::select(names.to_vec()).prop_map(String::from), 1 => awkward()]
    };
    let level = word(&[
        "quiet", "app", "Error", "warning", "INFO", "debug", "trace", "warn", "off", "loud", "",
    ]);
    let state = word(&["enable", "disable", "On", "OFF", "maybe", ""]);
    let everyone = || word(&["", "*:"]);
    let prefix = word(&["", "", "src:", "tag:"]);
    let tag = word(&["tag:http:", "tag:interface:", "tag:none:"]);
    let set_level = prop_oneof![
        3 => (log(), level.clone()).prop_map(|(name, level)| format!("{name}:{level}")),
        1 => (log(), level.clone()).prop_map(|(name, level)| format!("src:{name}:{level}")),
        1 => (everyone(), level).prop_map(|(everyone, level)| everyone + &level),
    ];
    let set_metric = prop_oneof![
        3 => (prefix, metric(), state.clone()).prop_map(|(prefix, name, state)| format!("{prefix}{name}:{state}")),
        2 => (tag, state.clone()).prop_map(|(tag, state)| tag + &state),
        1 => (everyone(), state).prop_map(|(everyone, state)| everyone + &state),
    ];
    let list = |item: BoxedStrategy<String>, letter: &'static str| {
        let items = prop::collection::vec(item, 1..4);
        items.prop_map(move |items| format!("{letter}{}", items.join(",")))
    };
    let text = prop_oneof![
        list(set_level.boxed(), "L"),
        list(set_metric.boxed(), "M"),
        list(log().boxed(), "l"),
        list(metric().boxed(), "m"),
        word(&["l", "l*", "m", "m*", "S", "s", "?", "", "x", "auth sesame"]),
    ];
    prop_oneof![
        12 => text.prop_map(String::into_bytes),
        1 => (COMMAND_MAX - 2..COMMAND_MAX + 3).prop_map(|len| vec![b'l'; len]),
        1 => Just(b"l\xff\xfe".to_vec()),
    ]
}

const ENDS: &[&[u8]] = &[b"\n", b"\r\n", b"\0", b"\n\n", b"\r\r\n"];

fn end() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(ENDS)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn any_conversation_in_any_pieces_gets_the_replies_of_the_oracle(
        commands in prop::collection::vec((command(), end()), 0..12),
        last in command(),
        sizes in prop::collection::vec(1_usize..700, 1..8),
        write_limit in 1_usize..90,
        buffer in 90_usize..2000,
    ) {
        let mut input: Vec<u8> = commands.into_iter().flat_map(|(command, end)| [&command[..], end].concat()).collect();
        input.extend(last);
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
        let replies = Client::new().converse(&Image::new(), pieces, &mut stream);
        prop_assert_eq!(replies, Oracle::new(None).converse(&input));
    }
}
