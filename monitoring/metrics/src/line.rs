//! Influx line protocol: one point into the caller's buffer.
//!
//! ```text
//! measurement,tag=value,tag=value field=value,field=value timestamp\n
//! └── name ─┘ └ name┘ └ name┘     └ name┘ └ typed value      └ ns
//! ```
//!
//! # What is written
//!
//! Every parser of the protocol accepts these lines and reads the same point from them: InfluxDB 1
//! (`models/points.go`), the decoder of InfluxDB 2 and of newer Telegraf (`influxdata/line-protocol`,
//! `lineprotocol/decoder.go`), Telegraf's own (`plugins/parsers/influx/machine.go.rl`), VictoriaMetrics
//! (`lib/protoparser/influx/parser.go`) and InfluxDB 3 (crate `influxdb-line-protocol`). They differ, so the encoder
//! avoids everything on which they disagree:
//!
//! | in | escaped with `\` | replaced | reason |
//! |---|---|---|---|
//! | measurement | `,` space | leading `#` by `-` | the line would be a comment; no parser undoes `\#` |
//! | tag key, tag value, field key | `,` `=` space | | |
//! | every name (the four above) | | control characters (00–1F, 7F) by `-` | parsers end the line there, or reject it |
//! | every name | | `\` by `/` where it could escape the next byte | parsers read it differently |
//! | text value (between `"`) | `"` `\` | control characters but tab by a space | the protocol has no newline in a value |
//!
//! A newline ends the line in any name. Tab, CR and FF are errors in Telegraf, InfluxDB 1 skips NUL, and all of them
//! are illegal in InfluxDB 2.
//!
//! A `\` becomes `/` at the end of a name, and before `,` `=` space `"` `\` or a control character; elsewhere it stays.
//! At the end it would escape the separator (telegraf#7558, influxdb#6154). Some parsers read a doubled backslash as
//! one, others as two, and Telegraf reads `\"` as `"`.
//!
//! InfluxDB would accept a newline in a text value, but Telegraf's TCP listener and VictoriaMetrics cut there. Telegraf
//! rejects CR and FF. Escape sequences must not reach an operator's terminal.
//!
//! Everything else, including UTF-8, is kept byte for byte. Only substitutions lose information: they can make two
//! different names equal. Callers must avoid names that InfluxDB reserves (`time`, a leading `_`). They must also avoid
//! `"` in a field key, which is legal but which VictoriaMetrics misreads.
//!
//! * Integers are written with `i`, never with `u`, which InfluxDB 1 rejects. An unsigned value above `i64::MAX`
//!   becomes `i64::MAX` and is counted.
//! * Floats have the shortest digits that read back as the same value, and always a point or an exponent. NaN and the
//!   infinities do not exist in the protocol: they are left out and counted.
//! * Tags are sorted by key, bytewise, as InfluxDB recommends. A tag with an empty value is the same as no tag and is
//!   not written. InfluxDB 1 rejects a repeated tag key: the last one wins. At most [`MAX_TAGS`].
//! * A field key is written once: the last field that can be written wins.
//! * A point without a measurement or without a field has no line.
//! * Timestamps are in nanoseconds. A timestamp outside InfluxDB's range is moved into it and counted.

mod decimal;
mod escape;
mod keys;
mod sink;
mod tags;

use core::fmt;

use self::keys::{a_key_comes_twice, a_key_is_repeated, is_among, is_sendable};
use self::sink::{Buffer, Length, Sink};
use units::UnixNanos;

/// The most tags on one line.
///
/// Tags are an index in the database, so a source with many tags is a mistake. Their sorted order is kept on the stack.
pub const MAX_TAGS: usize = 16;

/// The length of the longest number: `-2.2250738585072014e-308` has 24 bytes, `-9223372036854775808i` 21.
const MAX_NUMBER_LEN: usize = 24;

/// The range of timestamps that InfluxDB 1 and 2 accept (`models/time.go`): they reserve the outermost values of an
/// `i64`.
const TIMESTAMPS: core::ops::RangeInclusive<i64> = i64::MIN + 2..=i64::MAX - 1;

/// The key and the value of a tag. Both are names: any text, with the replacements of the [module](self).
pub type Tag<'a> = (&'a str, &'a str);

/// One measured value with its key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Field<'a> {
    /// Any text but the empty one. A field with an empty key is left out.
    pub key: &'a str,
    /// The value. Its type must not change during the life of a series.
    pub value: Value<'a>,
}

/// A value of one of the protocol's types.
///
/// ```
/// use metrics::line::Value;
/// let values = [Value::U64(3), Value::F64(0.5), Value::Bool(true), Value::Str("ok")];
/// assert_eq!(values[0], Value::U64(3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An integer, written with `i`.
    I64(i64),
    /// An unsigned integer, written with `i`, at most `i64::MAX`.
    U64(u64),
    /// A number, written with the shortest digits that read back the same; NaN and infinities are left out.
    F64(f64),
    /// `true` or `false`.
    Bool(bool),
    /// Text between quotes, possibly empty.
    Str(&'a str),
}

/// The values that were measured at one time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point<'a> {
    /// The name of the source. A point with an empty one is not sent.
    pub measurement: &'a str,
    /// The tags, in any order.
    pub tags: &'a [Tag<'a>],
    /// The fields, in the order in which they are written.
    pub fields: &'a [Field<'a>],
    /// The time; without it, the receiver uses the time of arrival.
    pub timestamp: Option<UnixNanos>,
}

/// The result of [`encode`], with counts of values that it changed or left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Encoded {
    /// Bytes written, with the newline; 0 if the point has nothing to send.
    pub len: usize,
    /// Values outside the protocol's range, written as the nearest value in it.
    pub clamped: u32,
    /// Fields and tags that the line lacks: NaN, an infinity, an empty key, a key repeated later, or more than
    /// [`MAX_TAGS`]. Tags with an empty value are not counted. If nothing is sent, the number of fields.
    pub left_out: u32,
}

/// The line does not fit; nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the line does not fit into the buffer")
    }
}

impl core::error::Error for Full {}

/// Writes `point` as one line, ending in a newline, to the front of `out`.
///
/// Cost: one pass over the point if `out` has room for twice its text, else two; about 85 ns for a line of 116 bytes on
/// a server's core (`benches/line.rs`). The comparisons of keys grow with the square of the number of fields, so use it
/// for some dozens. Allocates nothing. The bytes after the line in `out` are unspecified. Source: the line protocol
/// references of InfluxDB 1.8 and 2, and the parsers named in the [module](self).
///
/// # Errors
///
/// [`Full`] if the line is longer than `out`, which then is unchanged.
///
/// # Example
///
/// ```
/// use metrics::line::{encode, Field, Point, Value};
/// use units::UnixNanos;
///
/// let point = Point {
///     measurement: "memory",
///     tags: &[("vm", "web 1")],
///     fields: &[
///         Field { key: "live_bytes", value: Value::U64(4096) },
///         Field { key: "load", value: Value::F64(0.25) },
///     ],
///     timestamp: Some(UnixNanos(1_700_000_000_000_000_000)),
/// };
/// let mut out = [0; 128];
/// let encoded = encode(&point, &mut out).unwrap();
/// assert_eq!(
///     &out[..encoded.len],
///     b"memory,vm=web\\ 1 live_bytes=4096i,load=0.25 1700000000000000000\n",
/// );
/// ```
pub fn encode(point: &Point<'_>, out: &mut [u8]) -> Result<Encoded, Full> {
    if point.measurement.is_empty() || !point.fields.iter().any(is_sendable) {
        let left_out = u32::try_from(point.fields.len()).unwrap_or(u32::MAX);
        return Ok(Encoded {
            len: 0,
            clamped: 0,
            left_out,
        });
    }
    let tags = tags::Sorted::new(point.tags);
    let mut repeated = a_key_comes_twice(point.fields);
    if most_bytes(point) > out.len() {
        repeated = a_key_is_repeated(point.fields);
        let mut length = Length::default();
        write(point, &tags, repeated, &mut length);
        if length.0 > out.len() {
            return Err(Full);
        }
    }
    let mut line = Buffer::new(out);
    let mut counts = write(point, &tags, repeated, &mut line);
    let (mut len, escaped) = (line.len, line.escaped);
    // Without a repeated key before, only substituted keys can have become equal.
    if escaped && !repeated && a_key_is_repeated(point.fields) {
        (len, counts) = write_again(point, &tags, out);
    }
    Ok(Encoded {
        len,
        clamped: counts.clamped,
        left_out: counts.left_out + tags.left_out,
    })
}

#[cold]
fn write_again(point: &Point<'_>, tags: &tags::Sorted, out: &mut [u8]) -> (usize, Counts) {
    let mut line = Buffer::new(out);
    let counts = write(point, tags, true, &mut line);
    (line.len, counts)
}

/// Returns the length that no line of this point exceeds: every byte of text escaped, every number at its longest.
fn most_bytes(point: &Point<'_>) -> usize {
    let tags: usize = point
        .tags
        .iter()
        .map(|(key, value)| key.len() + value.len() + 1)
        .sum();
    let fields: usize = point
        .fields
        .iter()
        .map(|field| {
            let value = if let Value::Str(text) = field.value {
                text.len() + 1
            } else {
                MAX_NUMBER_LEN / 2
            };
            field.key.len() + 1 + value
        })
        .sum();
    2 * (point.measurement.len() + tags + fields) + MAX_NUMBER_LEN
}

struct Counts {
    clamped: u32,
    left_out: u32,
}

/// Writes the line. `repeated`: a key may occur twice, so each is compared with those after it. Inlined, so that the
/// state of the sink stays in registers.
#[inline(always)]
fn write(point: &Point<'_>, tags: &tags::Sorted, repeated: bool, sink: &mut impl Sink) -> Counts {
    let mut counts = Counts {
        clamped: 0,
        left_out: 0,
    };
    sink.measurement(point.measurement);
    for (key, value) in tags.iter(point.tags) {
        sink.name(b',', key);
        sink.name(b'=', value);
    }
    let mut separator = b' ';
    for (index, field) in point.fields.iter().enumerate() {
        if !is_sendable(field) || (repeated && is_among(field, &point.fields[index + 1..])) {
            counts.left_out += 1;
            continue;
        }
        sink.name(separator, field.key);
        separator = b',';
        counts.clamped += u32::from(write_value(field.value, sink));
    }
    if let Some(UnixNanos(nanos)) = point.timestamp {
        let sent = nanos.clamp(*TIMESTAMPS.start(), *TIMESTAMPS.end());
        counts.clamped += u32::from(sent != nanos);
        sink.raw(b" ");
        sink.integer(sent, b'\n');
    } else {
        sink.raw(b"\n");
    }
    counts
}

/// Writes the equals sign and the value. Returns `true` if the value had to be moved into range.
#[inline(always)]
fn write_value(value: Value<'_>, sink: &mut impl Sink) -> bool {
    match value {
        Value::I64(value) => {
            sink.raw(b"=");
            sink.integer(value, b'i');
        }
        Value::U64(value) => {
            sink.raw(b"=");
            sink.integer(i64::try_from(value).unwrap_or(i64::MAX), b'i');
            return i64::try_from(value).is_err();
        }
        Value::F64(value) => {
            sink.raw(b"=");
            sink.raw(zmij::Buffer::new().format_finite(value).as_bytes());
        }
        Value::Bool(true) => sink.raw(b"=true"),
        Value::Bool(false) => sink.raw(b"=false"),
        Value::Str(text) => {
            sink.raw(b"=");
            sink.text(text);
        }
    }
    false
}

#[cfg(test)]
mod tests;
