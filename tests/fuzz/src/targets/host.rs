//! What the tool reads.

use core::num::NonZeroU64;
use std::io;

use hermon_heap::convert::{self, Format, Value};
use hermon_heap::flame::FlameGraph;
use hermon_heap::named::Named;
use hermon_heap::profile::{Profile, Settings};
use hermon_heap::report::{Comparison, Report};
use hermon_machine::split::{Piece, Splitter};
use memtrace_reader::{Kind, Trace};
use memtrace_writer::{
    Alloc, CollectError, Encoder, Info, Location, ObjectId, Resolve, UnixMicros,
};
use metrics::line::{Field, encode};
use symbol_table::{Scratch, Symbols};
use symbols::image;
use units::UnixNanos;

use crate::attack::Choices;
use crate::memory::within;
use crate::point::Point;
use crate::sealed::{look_around, seal};

/// The limit for reading a trace.
const TRACE: usize = 4 << 20;
/// What the rest of a target may take: inputs have at most some KiB.
const REST: usize = 64 << 20;

/// A trace; it is written in every format, and the repaired one has no fault.
pub fn trace(bytes: &[u8]) {
    within(TRACE + REST, || {
        let _ = memtrace_reader::dump(bytes, &mut io::sink());
        let Ok(profile) = Profile::read(bytes, &Settings::default().within(TRACE)) else {
            return;
        };
        let named = Named::new(profile);
        Report::new(&named, &Settings::default(), false, 10);
        Comparison::new(&named, &named, false, 10);
        let formats = [
            Format::Pprof,
            Format::Folded,
            Format::Flamegraph,
            Format::Dhat,
            Format::Speedscope,
            Format::Heaptrack,
        ];
        for format in formats {
            let _ = convert::write(format, Value::Allocated, &named, bytes, &mut io::sink());
        }
        let mut repaired = Vec::new();
        convert::write(
            Format::Memtrace,
            Value::Allocated,
            &named,
            bytes,
            &mut repaired,
        )
        .expect("it was read before");
        let mut again = Trace::new(&repaired).expect("a repaired trace begins as before");
        while again.next_event().expect("no fault is left").is_some() {}
    });
}

/// Names that are cut from the code's digits.
struct Names;

impl Resolve for Names {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        const TEXT: &str = "a::b<é>::{closure#0} [with spaces]";
        let count = (code % 4) as usize;
        let start = (code / 4 % 3) as usize;
        (index < count).then_some(Location {
            function: &TEXT[start..],
            file: &TEXT[..start],
            line: code as u32,
            column: code as u32 >> 8,
            end_column: code as u32 >> 16,
        })
    }
}

/// Events of any kind, written and read again.
pub fn writer(bytes: &[u8]) {
    #[derive(Debug, PartialEq)]
    enum Event {
        Alloc {
            words: u64,
            hits: u64,
            stack: Vec<u64>,
        },
        Collect(u64),
    }
    let mut choices = Choices::Bytes(bytes);
    let mut number = |bound| choices.below(bound);
    let start = UnixMicros(number(1 << 62));
    let mut encoder = Encoder::new(&Info {
        start,
        rate: 1e-4,
        executable: "x",
        host: "y",
        parameters: "",
        pid: 1,
        context: "",
    });
    let mut stream = encoder.flush().expect("the first packet").to_vec();
    let (mut now, mut stack, mut freed) = (start.0, Vec::new(), Vec::new());
    let mut expected = Vec::new();
    for _ in 0..bytes.len() / 4 {
        now = now.wrapping_add(number(1 << 7) << number(24));
        let at = UnixMicros(now);
        if number(3) == 0 && encoder.counts().allocs > 0 {
            let id = ObjectId(number(encoder.counts().allocs));
            if freed.contains(&id) {
                continue;
            }
            freed.push(id);
            while encoder.collect(at, id) == Err(CollectError::Full) {
                stream.extend(encoder.flush().expect("it is full"));
            }
            expected.push(Event::Collect(id.0));
            continue;
        }
        stack.truncate(number(64) as usize);
        for _ in 0..number(16) {
            stack.push(0x100 + number(1 << 12));
        }
        let words = number(1 << 32) >> number(32);
        let hits = NonZeroU64::new(1 + number(1 << 16)).expect("at least one");
        // The first of the stack is the outermost one here.
        let frames = || stack.iter().rev().copied();
        while encoder
            .alloc(at, Alloc::new(words, hits), frames(), &mut Names)
            .is_err()
        {
            stream.extend(encoder.flush().expect("it is full"));
        }
        expected.push(Event::Alloc {
            words,
            hits: hits.get(),
            stack: stack.clone(),
        });
    }
    stream.extend(encoder.flush().unwrap_or_default());
    let mut trace = Trace::new(&stream).expect("a trace");
    let mut read = Vec::new();
    while let Some(event) = trace.next_event().expect("it was written without a fault") {
        match event.kind {
            Kind::Alloc(it) => read.push(Event::Alloc {
                words: it.length,
                hits: it.samples,
                stack: it.stack.codes().to_vec(),
            }),
            Kind::Collect(id) => read.push(Event::Collect(id)),
            Kind::Location(_) | Kind::Promote(_) => {}
        }
    }
    for event in &mut expected {
        if let Event::Alloc { stack, .. } = event
            && stack.is_empty()
        {
            stack.push(memtrace_writer::code::UNKNOWN);
        }
    }
    assert_eq!(read, expected);
}

/// Folded stacks or speedscope's document.
pub fn flame(bytes: &[u8]) {
    if let Ok(text) = core::str::from_utf8(bytes) {
        let _ = within(REST, || FlameGraph::read("name", text));
    }
}

/// An image: its names and lines become a table, which can be looked up.
pub fn elf(bytes: &[u8]) {
    within(REST, || {
        if let Ok(table) = image::describe(bytes, true) {
            Symbols::parse(&table.bytes).expect("what was written can be read");
        }
        let _ = image::describe(bytes, false);
        if let Ok(Some(table)) = image::table(bytes)
            && let Ok(symbols) = Symbols::parse(table)
        {
            look_around(&symbols, &mut Scratch::new());
        }
        let _ = image::embed(bytes, b"table");
    });
}

/// A symbol table; its checksum is made right.
pub fn symbol_table(bytes: &[u8]) {
    let mut table = bytes.to_vec();
    if table.len() >= 76 {
        let length = table.len() as u32;
        table[4..8].copy_from_slice(&length.to_le_bytes());
        seal(&mut table);
    }
    if let Ok(symbols) = Symbols::parse(&table) {
        look_around(&symbols, &mut Scratch::new());
    }
}

/// Line protocol as it arrives. What is a point is encoded by the image's encoder, and is the same point again.
pub fn line(bytes: &[u8]) {
    let Some((&size, input)) = bytes.split_first() else {
        return;
    };
    let mut lines = Vec::new();
    let mut splitter = Splitter::default();
    for piece in input.chunks(usize::from(size) + 1) {
        splitter.feed(piece, |piece| match piece {
            Piece::Line(line) => lines.push(line.to_vec()),
            Piece::TooLong(_) => {}
        });
    }
    lines.push(splitter.rest().to_vec());
    for line in lines {
        let _ = Point::parse(&line);
        if let Ok(text) = core::str::from_utf8(&line) {
            encoded_again(text);
        }
    }
}

fn encoded_again(line: &str) {
    use influxdb_line_protocol::{FieldValue, parse_lines};
    use metrics::line::{Point, Value};

    let encoded = |line: &str| {
        let point = parse_lines(line).next()?.ok()?;
        let tags: Vec<_> = point
            .series
            .tag_set
            .iter()
            .flatten()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let fields: Vec<_> = point
            .field_set
            .iter()
            .map(|(key, value)| Field {
                key: key.as_str(),
                value: match value {
                    FieldValue::I64(value) => Value::I64(*value),
                    FieldValue::U64(value) => Value::U64(*value),
                    FieldValue::F64(value) => Value::F64(*value),
                    FieldValue::Boolean(value) => Value::Bool(*value),
                    FieldValue::String(value) => Value::Str(value.as_str()),
                },
            })
            .collect();
        let point = Point {
            measurement: point.series.measurement.as_str(),
            tags: &tags,
            fields: &fields,
            timestamp: point.timestamp.map(UnixNanos),
        };
        let mut out = vec![0; 64 << 10];
        let encoded = encode(&point, &mut out).ok()?;
        out.truncate(encoded.len);
        Some((String::from_utf8(out).expect("text stays text"), encoded))
    };
    let Some((first, _)) = encoded(line) else {
        return;
    };
    if first.is_empty() {
        return;
    }
    let (second, _) = encoded(&first).unwrap_or_else(|| panic!("{first:?} is not a point"));
    assert_eq!(second, first);
}
