//! pprof's format: the protocol buffer `perftools.profiles.Profile` (profile.proto of github.com/google/pprof, 2024),
//! compressed with gzip. The fields that are written are declared here with their numbers; the rest stays empty.
//!
//! As Go's own heap profiles have it: four values for a stack, blocks and bytes, allocated and in use.

use std::collections::HashMap;
use std::io::{self, Write};

use flate2::Compression;
use flate2::write::GzEncoder;
use prost::Message;

use super::frames::Sheet;
use crate::report::Place;

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

/// Texts by their index in the table. Index 0 is the empty text.
struct Texts {
    table: Vec<String>,
    known: HashMap<String, i64>,
}

impl Texts {
    fn index(&mut self, text: &str) -> i64 {
        if let Some(&known) = self.known.get(text) {
            return known;
        }
        let index = self.table.len() as i64;
        self.table.push(text.to_owned());
        self.known.insert(text.to_owned(), index);
        index
    }
}

/// Writes the profile.
pub fn write(sheet: &Sheet<'_>, out: &mut dyn Write) -> io::Result<()> {
    let bytes = profile(sheet).encode_to_vec();
    let mut compressed = GzEncoder::new(out, Compression::default());
    compressed.write_all(&bytes)?;
    compressed.finish().map(drop)
}

fn profile(sheet: &Sheet<'_>) -> Profile {
    let profile = &sheet.named.profile;
    let info = &profile.info;
    let mut texts = Texts {
        table: vec![String::new()],
        known: HashMap::from([(String::new(), 0)]),
    };
    let mut value_type = |kind: &str, unit: &str| ValueType {
        kind: texts.index(kind),
        unit: texts.index(unit),
    };
    let sample_type = vec![
        value_type("alloc_objects", "count"),
        value_type("alloc_space", "bytes"),
        value_type("inuse_objects", "count"),
        value_type("inuse_space", "bytes"),
    ];
    let period_type = value_type("space", "bytes");
    let mut made = Profile {
        sample_type,
        period_type: Some(period_type),
        period: sheet.bytes(1) as i64,
        time_nanos: (info.start as i64).saturating_mul(1_000),
        duration_nanos: (profile.span.micros as i64).saturating_mul(1_000),
        default_sample_type: texts.index("inuse_space"),
        comment: vec![
            texts.index(&format!("host {}", info.host)),
            texts.index(&format!(
                "estimated: {} of all words were sampled",
                info.rate
            )),
        ],
        // Everything is said here; so no tool looks for the image to find names in it.
        mapping: vec![Mapping {
            id: 1,
            memory_limit: u64::MAX,
            filename: texts.index(&info.executable.to_string()),
            has_functions: true,
            has_filenames: true,
            has_line_numbers: true,
            has_inline_frames: true,
        }],
        ..Profile::default()
    };
    let mut locations: HashMap<u64, u64> = HashMap::new();
    let mut functions: HashMap<(i64, i64), u64> = HashMap::new();
    for (stack, tally) in sheet.stacks() {
        let codes = sheet.named.names.codes(profile, *stack);
        let location_id = codes.map(|code| {
            let next = made.location.len() as u64 + 1;
            *locations.entry(code).or_insert_with(|| {
                let places = sheet.named.names.innermost_first(code);
                let line =
                    places.map(|place| line(place, &mut functions, &mut made.function, &mut texts));
                made.location.push(Location {
                    id: next,
                    mapping_id: 1,
                    address: code,
                    line: line.collect(),
                });
                next
            })
        });
        let location_id = location_id.collect();
        let blocks = |blocks: f64| blocks.round() as i64;
        made.sample.push(Sample {
            location_id,
            value: vec![
                blocks(tally.allocated.blocks()),
                sheet.bytes(tally.allocated.hits) as i64,
                blocks(tally.live.blocks()),
                sheet.bytes(tally.live.hits) as i64,
            ],
        });
    }
    made.string_table = texts.table;
    made
}

fn line(
    place: &Place,
    known: &mut HashMap<(i64, i64), u64>,
    functions: &mut Vec<Function>,
    texts: &mut Texts,
) -> Line {
    let (name, filename) = (texts.index(&place.function), texts.index(&place.file));
    let next = functions.len() as u64 + 1;
    let function_id = *known.entry((name, filename)).or_insert(next);
    if function_id == next {
        functions.push(Function {
            id: next,
            name,
            system_name: name,
            filename,
        });
    }
    Line {
        function_id,
        line: place.line.into(),
    }
}
