//! One point of line protocol, as the rest of the tool sees it.

use core::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use influxdb_line_protocol::{FieldValue, ParsedLine, parse_lines};

/// Microseconds since 1970, UTC. Fits the years that matter, and a JavaScript number holds it exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UnixMicros(pub i64);

impl UnixMicros {
    /// Now, by this host's clock: the one place where the tool looks at the wall clock for the time of a point.
    pub(crate) fn now() -> Self {
        Self(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |us| -us),
        })
    }
}

/// The value of a field, as exact as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// `1i`
    Int(i64),
    /// `1u`
    Uint(u64),
    /// `1` or `1.5`
    Float(f64),
    /// `t`, `true`, …
    Bool(bool),
    /// `"text"`
    Text(String),
}

impl Value {
    /// As a number for a chart, if it is one. Whole numbers above 2^53 lose their last digits.
    pub(crate) fn number(&self) -> Option<f64> {
        match *self {
            Self::Int(value) => Some(value as f64),
            Self::Uint(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            Self::Bool(value) => Some(value.into()),
            Self::Text(_) => None,
        }
    }

    /// Returns whether it is a whole number: only those count things.
    pub(crate) fn is_whole(&self) -> bool {
        matches!(self, Self::Int(_) | Self::Uint(_))
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Uint(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Bool(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// The longest text that is kept of a field, in bytes. Versions and build identities are shorter.
pub(crate) const MAX_TEXT: usize = 256;

/// A point: the machine, the source, its other tags, and the fields' values.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    /// The tag `vm`; empty if the line has none.
    pub vm: String,
    /// The measurement.
    pub source: String,
    /// The other tags, sorted by key, as `key=value,key=value`; empty if there are none.
    pub tags: String,
    /// When, if the line says so.
    pub time: Option<UnixMicros>,
    /// Names and values, in the line's order.
    pub fields: Vec<(String, Value)>,
}

impl Point {
    /// Reads one line, without its end, with the parser of InfluxDB 3; `None` if it is blank or a comment.
    ///
    /// Cost: linear in the line. Texts longer than [`MAX_TEXT`] are shortened, with an ellipsis.
    ///
    /// # Errors
    /// The reason why no parser would take it, in one line.
    pub(crate) fn parse(line: &[u8]) -> Result<Option<Self>, String> {
        let text = core::str::from_utf8(line)
            .map_err(|error| format!("not UTF-8 after {} bytes", error.valid_up_to()))?;
        let mut points = Vec::new();
        for point in parse_lines(text) {
            points.push(point.map_err(|error| one_line(&error.to_string()))?);
        }
        match points.as_slice() {
            [] => Ok(None),
            [point] => Ok(Some(Self::of(point))),
            // A line break inside the text: the caller did not split.
            points => Err(format!("{} points in one line", points.len())),
        }
    }

    fn of(parsed: &ParsedLine<'_>) -> Self {
        let mut vm = String::new();
        let mut others = Vec::new();
        for (key, value) in parsed.series.tag_set.iter().flatten() {
            if key.as_str() == "vm" {
                value.as_str().clone_into(&mut vm);
            } else {
                others.push(format!("{}={}", key.as_str(), value.as_str()));
            }
        }
        others.sort_unstable();
        let fields = parsed.field_set.iter();
        Self {
            vm,
            source: parsed.series.measurement.as_str().to_owned(),
            tags: others.join(","),
            time: parsed
                .timestamp
                .map(|nanos| UnixMicros(nanos.div_euclid(1_000))),
            fields: fields
                .map(|(key, value)| (key.as_str().to_owned(), own(value)))
                .collect(),
        }
    }
}

/// The parser quotes the whole rest of the input, line breaks included.
fn one_line(message: &str) -> String {
    let line = message.replace(char::is_control, " ");
    line.chars().take(160).collect()
}

fn own(value: &FieldValue<'_>) -> Value {
    match value {
        FieldValue::I64(value) => Value::Int(*value),
        FieldValue::U64(value) => Value::Uint(*value),
        FieldValue::F64(value) => Value::Float(*value),
        FieldValue::Boolean(value) => Value::Bool(*value),
        FieldValue::String(value) => Value::Text(shortened(value.as_str())),
    }
}

fn shortened(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT - '…'.len_utf8())
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    format!("{}…", &text[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn point(line: &str) -> Point {
        Point::parse(line.as_bytes()).unwrap().unwrap()
    }

    #[test]
    fn a_line_is_a_machine_a_source_tags_a_time_and_fields() {
        let point = point("tcp,vm=a,port=80 open=3i 1700000000000000000");
        assert_eq!(
            (
                point.vm.as_str(),
                point.source.as_str(),
                point.tags.as_str()
            ),
            ("a", "tcp", "port=80")
        );
        assert_eq!(point.time, Some(UnixMicros(1_700_000_000_000_000)));
        assert_eq!(point.fields, [("open".to_owned(), Value::Int(3))]);
    }

    #[test]
    fn points_with_every_escape_and_type_are_points() {
        for line in [
            "m v=1",
            "m,a=b v=1i,w=2u,x=t,y=\"a \\\"b\\\", c\" 1700000000000000000",
            "my\\ source\\,x,tag\\ key=a\\=b,vm=caf\u{e9} live\\ bytes=1e300",
        ] {
            point(line);
        }
    }

    #[test]
    fn blank_lines_and_comments_are_nothing() {
        for line in ["", " ", "#", "# m v=1"] {
            assert_eq!(Point::parse(line.as_bytes()), Ok(None), "{line:?}");
        }
    }

    #[test]
    fn what_servers_reject_is_unparsable_and_says_why_in_one_line() {
        for line in [
            &b"m"[..],
            b"m,vm=a",
            b"m v",
            b"m v=",
            b"m v=nan(1",
            b"m v=9223372036854775808i",
            b"m v=1i notatime",
            b",a=b v=1",
            b"m v=\"open",
            b"m v=\"caf\xe9\"",
            b"m v=1\nm v=2",
        ] {
            let Err(why) = Point::parse(line) else {
                panic!("{:?} was taken", String::from_utf8_lossy(line));
            };
            assert!(!why.is_empty() && !why.contains('\n') && why.chars().count() <= 160);
        }
    }

    #[test]
    fn tags_are_one_text_whatever_their_order() {
        let one = point("m,b=2,vm=x,a=1 v=1");
        assert_eq!((one.tags.as_str(), one.vm.as_str()), ("a=1,b=2", "x"));
        assert_eq!(one, point("m,a=1,b=2,vm=x v=1"));
    }

    #[test]
    fn every_type_is_kept_exactly() {
        let point =
            point("m a=-9223372036854775808i,b=18446744073709551615u,c=1.5,d=f,e=\"x \\\"y\\\"\"");
        let values: Vec<Value> = point.fields.into_iter().map(|field| field.1).collect();
        assert_eq!(
            values,
            [
                Value::Int(i64::MIN),
                Value::Uint(u64::MAX),
                Value::Float(1.5),
                Value::Bool(false),
                Value::Text("x \"y\"".to_owned()),
            ]
        );
    }

    #[test]
    fn a_long_text_is_shortened_between_characters() {
        let long = "é".repeat(MAX_TEXT);
        let point = point(&format!("m v=\"{long}\""));
        let Value::Text(text) = &point.fields[0].1 else {
            panic!("{point:?}");
        };
        assert!(text.len() <= MAX_TEXT && text.ends_with("é…"), "{text}");
    }

    #[test]
    fn times_before_1970_round_down() {
        assert_eq!(point("m v=1 -1").time, Some(UnixMicros(-1)));
    }

    proptest! {
        #[test]
        fn a_point_is_what_the_parser_takes_whole_and_once(
            line in prop::collection::vec(prop::sample::select(&b"m,=\" \\vi1tu\xc3\xa9\n#"[..]), 0..24),
        ) {
            let taken = core::str::from_utf8(&line).is_ok_and(|text| {
                let all: Vec<_> = parse_lines(text).collect();
                all.len() == 1 && all[0].is_ok()
            });
            prop_assert_eq!(Point::parse(&line).is_ok_and(|point| point.is_some()), taken);
        }
    }
}
