//! One point of line protocol, as the rest of the tool sees it.

use core::fmt;

use influxdb_line_protocol::{FieldValue, parse_lines};

/// Microseconds since 1970, UTC. Fits the years that matter, and a JavaScript number holds it exactly.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMicros(pub i64);

/// The value of a field, as exact as it arrived.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
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
    pub fn number(&self) -> Option<f64> {
        match *self {
            Self::Int(value) => Some(value as f64),
            Self::Uint(value) => Some(value as f64),
            Self::Float(value) => Some(value),
            Self::Bool(value) => Some(value.into()),
            Self::Text(_) => None,
        }
    }

    /// Whether it is a whole number: only those count things.
    pub fn is_whole(&self) -> bool {
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
pub const MAX_TEXT: usize = 256;

/// A point: the machine, the source, its other tags, and the fields' values.
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
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
    /// Reads one line, without its end; `None` if it is not one point (see [`crate::judge::judge`], which says why).
    ///
    /// Cost: linear in the line. Texts longer than [`MAX_TEXT`] are shortened, with an ellipsis.
    ///
    /// ```
    /// use hermon::point::{Point, UnixMicros, Value};
    /// let point = Point::parse(b"tcp,vm=a,port=80 open=3i 1700000000000000000").unwrap();
    /// assert_eq!((point.vm.as_str(), point.source.as_str(), point.tags.as_str()), ("a", "tcp", "port=80"));
    /// assert_eq!(point.time, Some(UnixMicros(1_700_000_000_000_000)));
    /// assert_eq!(point.fields, [("open".to_owned(), Value::Int(3))]);
    /// ```
    pub fn parse(line: &[u8]) -> Option<Self> {
        let mut lines = parse_lines(core::str::from_utf8(line).ok()?);
        let parsed = lines.next()?.ok()?;
        if lines.next().is_some() {
            return None;
        }
        let mut vm = String::new();
        let mut others = Vec::new();
        for (key, value) in parsed.series.tag_set.iter().flatten() {
            if key.as_str() == "vm" {
                value.as_str().clone_into(&mut vm);
            } else {
                others.push((key.as_str(), value.as_str()));
            }
        }
        others.sort_unstable();
        let mut tags = String::new();
        for (key, value) in others {
            if !tags.is_empty() {
                tags.push(',');
            }
            tags.push_str(key);
            tags.push('=');
            tags.push_str(value);
        }
        let fields = parsed
            .field_set
            .iter()
            .map(|(key, value)| (key.as_str().to_owned(), own(value)))
            .collect();
        Some(Self {
            vm,
            source: parsed.series.measurement.as_str().to_owned(),
            tags,
            time: parsed
                .timestamp
                .map(|nanos| UnixMicros(nanos.div_euclid(1_000))),
            fields,
        })
    }
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
    use crate::judge::{Verdict, judge};
    use proptest::prelude::*;

    #[test]
    fn tags_are_one_text_whatever_their_order() {
        let one = Point::parse(b"m,b=2,vm=x,a=1 v=1").unwrap();
        let other = Point::parse(b"m,a=1,b=2,vm=x v=1").unwrap();
        assert_eq!((one.tags.as_str(), one.vm.as_str()), ("a=1,b=2", "x"));
        assert_eq!(one, other);
    }

    #[test]
    fn every_type_is_kept_exactly() {
        let point = Point::parse(
            b"m a=-9223372036854775808i,b=18446744073709551615u,c=1.5,d=f,e=\"x \\\"y\\\"\"",
        )
        .unwrap();
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
        let point = Point::parse(format!("m v=\"{long}\"").as_bytes()).unwrap();
        let Value::Text(text) = &point.fields[0].1 else {
            panic!("{point:?}");
        };
        assert!(text.len() <= MAX_TEXT && text.ends_with("é…"), "{text}");
    }

    #[test]
    fn times_before_1970_round_down() {
        assert_eq!(
            Point::parse(b"m v=1 -1").unwrap().time,
            Some(UnixMicros(-1))
        );
    }

    proptest! {
        #[test]
        fn what_the_judge_calls_a_point_is_one(
            line in prop::collection::vec(prop::sample::select(&b"m,=\" \\vi1tu\xc3\xa9\n#"[..]), 0..24),
        ) {
            prop_assert_eq!(Point::parse(&line).is_some(), judge(&line) == Verdict::Point);
        }
    }
}
