//! Inputs that are worth trying again, in `tests/corpus/control`: each as it is, and changed in many ways.
//!
//! The fuzzer (`scripts/fuzz.sh`) begins with them. An input that it finds becomes a file here.

use std::path::Path;

use agent::config::parse_token;
use proptest::prelude::*;

use crate::fixture::{Client, Image};
use crate::oracle::Oracle;
use crate::stream::FakeStream;

const TOKEN: &str = "sesame";

fn corpus() -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/control");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|file| {
            let path = file.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            (name.into_owned(), std::fs::read(&path).expect("bytes"))
        })
        .collect();
    all.sort();
    assert!(all.len() >= 20, "{}", all.len());
    all
}

/// Gives an image and the oracle the same input, in one piece and byte by byte, with a token and without.
fn judge(input: &[u8]) -> Result<(), TestCaseError> {
    for token in [None, Some(TOKEN)] {
        let expected = Oracle::new(token).converse(input);
        for size in [input.len().max(1), 1] {
            let token = token.map(|token| parse_token(token).expect("a token"));
            let mut client = Client::with_token(token);
            let mut stream = FakeStream::default();
            let replies = client.converse(&Image::new(), input.chunks(size), &mut stream);
            prop_assert_eq!(&replies, &expected, "{:?}", String::from_utf8_lossy(input));
        }
    }
    Ok(())
}

#[test]
fn every_input_of_the_corpus_gets_the_replies_of_the_oracle() {
    for (name, input) in corpus() {
        judge(&input).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// One change of an input.
#[derive(Clone, Debug)]
enum Bend {
    Replace(prop::sample::Index, u8),
    Insert(prop::sample::Index, Vec<u8>),
    Remove(prop::sample::Index, usize),
    Repeat(prop::sample::Index, usize),
    Append(prop::sample::Index),
}

fn bends() -> impl Strategy<Value = Vec<Bend>> {
    let at = any::<prop::sample::Index>;
    let telling = prop::sample::select(b",:*\n\r\0\\\" =lLmMsS?".to_vec());
    let word = prop::sample::select(vec![
        "src:", "tag:", "*:", "enable", "off", "debug", "auth ", "::", "é", "dns", "http",
    ]);
    prop::collection::vec(
        prop_oneof![
            (at(), any::<u8>()).prop_map(|(at, byte)| Bend::Replace(at, byte)),
            (at(), telling.clone()).prop_map(|(at, byte)| Bend::Replace(at, byte)),
            (at(), telling).prop_map(|(at, byte)| Bend::Insert(at, vec![byte])),
            (at(), word).prop_map(|(at, word)| Bend::Insert(at, word.into())),
            (at(), 1_usize..6).prop_map(|(at, count)| Bend::Remove(at, count)),
            (at(), 1_usize..1_100).prop_map(|(at, count)| Bend::Repeat(at, count)),
            at().prop_map(Bend::Append),
        ],
        1..6,
    )
}

fn bent(mut input: Vec<u8>, bends: Vec<Bend>, corpus: &[(String, Vec<u8>)]) -> Vec<u8> {
    for bend in bends {
        let place = |at: prop::sample::Index| at.index(input.len() + 1);
        match bend {
            Bend::Replace(at, byte) => {
                let at = place(at);
                if let Some(place) = input.get_mut(at) {
                    *place = byte;
                }
            }
            Bend::Insert(at, bytes) => {
                let at = place(at);
                input.splice(at..at, bytes);
            }
            Bend::Remove(at, count) => {
                let at = place(at);
                let end = input.len().min(at + count);
                input.drain(at..end);
            }
            Bend::Repeat(at, count) => {
                let at = place(at);
                if let Some(&byte) = input.get(at) {
                    input.splice(at..at, core::iter::repeat_n(byte, count));
                }
            }
            Bend::Append(which) => input.extend(&corpus[which.index(corpus.len())].1),
        }
    }
    input
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn a_bent_input_gets_the_replies_of_the_oracle(which: prop::sample::Index, bends in bends()) {
        let corpus = corpus();
        let input = corpus[which.index(corpus.len())].1.clone();
        judge(&bent(input, bends, &corpus))?;
    }
}
