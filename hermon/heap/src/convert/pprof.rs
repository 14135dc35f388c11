//! Writes pprof's format: the protocol buffer `perftools.profiles.Profile` (profile.proto of github.com/google/pprof,
//! 2024), compressed with gzip. The fields that are written are declared here with their numbers; the others stay empty.
//!
//! As in Go's own heap profiles, a stack has four values: blocks and bytes, allocated and in use.

use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::numbers::Numbers;
use crate::named::Named;
use crate::names::Place;

#[derive(Clone, PartialEq, Message)]
struct Profile {
    #[prost(message, repeated, tag = "1")]
    sample_type: Vec<ValueType>,
    #[prost(message, repeated, tag = "2")]
    sample: Vec<Sample>,
    #[prost(message, repeated, tag = "3")]
    mapping: Vec<Mapping>,
    #[prost(message, repeated, tag = "4")]
    location: Vec<Location>,
    #[prost(message, repeated, tag = "5")]
    function: Vec<Function>,
    #[prost(string, repeated, tag = "6")]
    string_table: Vec<String>,
    #[prost(int64, tag = "9")]
    time_nanos: i64,
    #[prost(int64, tag = "10")]
    duration_nanos: i64,
    #[prost(message, optional, tag = "11")]
    period_type: Option<ValueType>,
    #[prost(int64, tag = "12")]
    period: i64,
    #[prost(int64, repeated, tag = "13")]
    comment: Vec<i64>,
    #[prost(int64, tag = "14")]
    default_sample_type: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct ValueType {
    #[prost(int64, tag = "1")]
    kind: i64,
    #[prost(int64, tag = "2")]
    unit: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    location_id: Vec<u64>,
    #[prost(int64, repeated, tag = "2")]
    value: Vec<i64>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Mapping {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "3")]
    memory_limit: u64,
    #[prost(int64, tag = "5")]
    filename: i64,
    #[prost(bool, tag = "7")]
    has_functions: bool,
    #[prost(bool, tag = "8")]
    has_filenames: bool,
    #[prost(bool, tag = "9")]
    has_line_numbers: bool,
    #[prost(bool, tag = "10")]
    has_inline_frames: bool,
}

#[derive(Clone, PartialEq, Message)]
struct Location {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(uint64, tag = "2")]
    mapping_id: u64,
    #[prost(uint64, tag = "3")]
    address: u64,
    #[prost(message, repeated, tag = "4")]
    line: Vec<Line>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Line {
    #[prost(uint64, tag = "1")]
    function_id: u64,
    #[prost(int64, tag = "2")]
    line: i64,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Function {
    #[prost(uint64, tag = "1")]
    id: u64,
    #[prost(int64, tag = "2")]
    name: i64,
    #[prost(int64, tag = "3")]
    system_name: i64,
    #[prost(int64, tag = "4")]
    filename: i64,
}

/// The profile while it is written.
#[derive(Default)]
struct Book {
    profile: Profile,
    /// Places in the table of texts, of which the first one is empty.
    texts: Numbers<String>,
    locations: Numbers<u64>,
    functions: Numbers<(i64, i64)>,
}

/// Writes the profile.
pub(super) fn write(named: &Named, out: &mut dyn Write) -> io::Result<()> {
    let mut compressed = GzEncoder::new(out, Compression::default());
    compressed.write_all(&profile(named).encode_to_vec())?;
    compressed.finish().map(drop)
}

fn profile(named: &Named) -> Profile {
    let info = &named.profile.info;
    let mut book = Book::default();
    book.text("");
    let sample_type = [
        ("alloc_objects", "count"),
        ("alloc_space", "bytes"),
        ("inuse_objects", "count"),
        ("inuse_space", "bytes"),
    ]
    .map(|(kind, unit)| book.value_type(kind, unit));
    for (stack, tally) in named.stacks() {
        let codes = named.codes(*stack);
        let location_id = codes.map(|code| book.location(named, code)).collect();
        let value = [
            tally.allocated.blocks().round() as i64,
            named.bytes(tally.allocated.hits) as i64,
            tally.live.blocks().round() as i64,
            named.bytes(tally.live.hits) as i64,
        ];
        book.profile.sample.push(Sample {
            location_id,
            value: value.into(),
        });
    }
    // The profile has all names, so no tool looks for them in the image.
    let mapping = Mapping {
        id: 1,
        memory_limit: u64::MAX,
        filename: book.text(&info.executable.to_string()),
        has_functions: true,
        has_filenames: true,
        has_line_numbers: true,
        has_inline_frames: true,
    };
    let comment = [
        format!("host {}", info.host),
        format!("estimated: {} of all words were sampled", info.rate),
    ]
    .map(|text| book.text(&text));
    Profile {
        sample_type: sample_type.into(),
        mapping: vec![mapping],
        time_nanos: (info.start as i64).saturating_mul(1_000),
        duration_nanos: (named.profile.span.micros as i64).saturating_mul(1_000),
        period_type: Some(book.value_type("space", "bytes")),
        period: named.bytes(1) as i64,
        comment: comment.into(),
        default_sample_type: book.text("inuse_space"),
        ..book.profile
    }
}

impl Book {
    /// Returns the place of a text in the table.
    fn text(&mut self, text: &str) -> i64 {
        let (number, is_new) = self.texts.of(text.to_owned());
        if is_new {
            self.profile.string_table.push(text.to_owned());
        }
        number as i64
    }

    fn value_type(&mut self, kind: &str, unit: &str) -> ValueType {
        ValueType {
            kind: self.text(kind),
            unit: self.text(unit),
        }
    }

    /// Returns the number of a code, from 1.
    fn location(&mut self, named: &Named, address: u64) -> u64 {
        let (number, is_new) = self.locations.of(address);
        let id = number + 1;
        if is_new {
            let places = named.names.innermost_first(address);
            let line = places.map(|place| Line {
                function_id: self.function(place),
                line: place.line.into(),
            });
            let line = line.collect();
            self.profile.location.push(Location {
                id,
                mapping_id: 1,
                address,
                line,
            });
        }
        id
    }

    /// Returns the number of a function, from 1.
    fn function(&mut self, place: &Place) -> u64 {
        let (name, filename) = (self.text(&place.function), self.text(&place.file));
        let (number, is_new) = self.functions.of((name, filename));
        let id = number + 1;
        if is_new {
            self.profile.function.push(Function {
                id,
                name,
                system_name: name,
                filename,
            });
        }
        id
    }
}
