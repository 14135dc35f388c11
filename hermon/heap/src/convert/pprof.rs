//! Writes pprof's format: the protocol buffer `perftools.profiles.Profile` (profile.proto of github.com/google/pprof,
//! 2024), compressed with gzip. The fields that are written have their numbers here; the others stay empty.
//!
//! As in Go's own heap profiles, a stack has four values: blocks and bytes, allocated and in use.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::numbers::Numbers;
use crate::named::Named;
use crate::names::Place;

/// A message of protocol buffers (protobuf.dev/programming-guides/encoding): a sequence of fields in any order.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.varint(field << 3);
        self.varint(value);
    }

    /// Adds a text, a message, or packed numbers.
    fn bytes(&mut self, field: u64, bytes: &[u8]) {
        self.varint(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn numbers(&mut self, field: u64, values: impl IntoIterator<Item = u64>) {
        let mut packed = Self::default();
        values.into_iter().for_each(|value| packed.varint(value));
        self.bytes(field, &packed.0);
    }

    /// Returns a message of numeric fields, each given by its number and its value.
    fn of(fields: &[(u64, u64)]) -> Self {
        let mut message = Self::default();
        for &(field, value) in fields {
            message.number(field, value);
        }
        message
    }
}

/// The profile while it is written.
#[derive(Default)]
struct Book {
    profile: Message,
    /// The texts, which are written after everything else. The first one is empty.
    table: Message,
    texts: Numbers<String>,
    locations: Numbers<u64>,
    functions: Numbers<(u64, u64)>,
}

/// Writes the profile.
pub(super) fn write(named: &Named, out: &mut dyn Write) -> io::Result<()> {
    let mut compressed = GzEncoder::new(out, Compression::default());
    compressed.write_all(&profile(named))?;
    compressed.finish().map(drop)
}

fn profile(named: &Named) -> Vec<u8> {
    let info = &named.profile.info;
    let mut book = Book::default();
    book.text("");
    for (kind, unit) in [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ] {
        let kind = book.value_type(kind, unit);
        book.profile.bytes(1, &kind.0);
    }
    for (stack, tally) in named.stacks() {
        let codes = named.codes(*stack);
        let locations: Vec<u64> = codes.map(|code| book.location(named, code)).collect();
        let mut sample = Message::default();
        sample.numbers(1, locations);
        let values = [
            tally.allocated.blocks().round() as u64,
            named.bytes(tally.allocated.hits),
            tally.live.blocks().round() as u64,
            named.bytes(tally.live.hits),
        ];
        sample.numbers(2, values);
        book.profile.bytes(2, &sample.0);
    }
    // The profile has all names, so no tool looks for them in the image.
    let executable = book.text(&info.executable.to_string());
    let has_names = [7, 8, 9, 10].map(|field| (field, 1));
    let mapping = [&[(1, 1), (3, u64::MAX), (5, executable)], &has_names[..]].concat();
    book.profile.bytes(3, &Message::of(&mapping).0);
    book.profile.number(9, info.start.saturating_mul(1_000));
    let nanos = named.profile.span.micros.saturating_mul(1_000);
    book.profile.number(10, nanos);
    let period_type = book.value_type("space", "bytes");
    book.profile.bytes(11, &period_type.0);
    book.profile.number(12, named.bytes(1));
    let comments = [
        format!("host {}", info.host),
        format!("estimated: {} of all words were sampled", info.rate),
    ]
    .map(|text| book.text(&text));
    book.profile.numbers(13, comments);
    let default = book.text("inuse_space");
    book.profile.number(14, default);
    [book.profile.0, book.table.0].concat()
}

impl Book {
    fn text(&mut self, text: &str) -> u64 {
        let (number, is_new) = self.texts.of(text.to_owned());
        if is_new {
            self.table.bytes(6, text.as_bytes());
        }
        number
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> Message {
        Message::of(&[(1, self.text(kind)), (2, self.text(unit))])
    }

    /// Returns the number of a code, from 1.
    fn location(&mut self, named: &Named, code: u64) -> u64 {
        let (number, is_new) = self.locations.of(code);
        if is_new {
            let mut location = Message::of(&[(1, number + 1), (2, 1), (3, code)]);
            for place in named.names.innermost_first(code) {
                let line = [(1, self.function(place)), (2, place.line.into())];
                location.bytes(4, &Message::of(&line).0);
            }
            self.profile.bytes(4, &location.0);
        }
        number + 1
    }

    /// Returns the number of a function, from 1.
    fn function(&mut self, place: &Place) -> u64 {
        let (name, file) = (self.text(&place.function), self.text(&place.file));
        let (number, is_new) = self.functions.of((name, file));
        if is_new {
            // Its name, and its name in the system's form.
            let fields = [(1, number + 1), (2, name), (3, name), (4, file)];
            self.profile.bytes(5, &Message::of(&fields).0);
        }
        number + 1
    }
}
