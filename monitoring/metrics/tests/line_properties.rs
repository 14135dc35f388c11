//! The line encoder against parsers that share no code with it: the crate `influxdb-line-protocol`, and a simple
//! implementation of the rules in the encoder's documentation.

use std::collections::BTreeMap;

use influxdb_line_protocol::{FieldValue, parse_lines};
use metrics::line::{Encoded, Field, Full, MAX_TAGS, Point, Value, encode};
use proptest::prelude::*;
use units::UnixNanos;

/// Text over an alphabet in which every character has caused errors in some parser.
fn awkward(most: usize) -> impl Strategy<Value = String> {
    const ALPHABET: &[char] = &[
        ',', ' ', '=', '"', '\\', '\n', '\r', '\t', '\0', '\x0b', '\x0c', '\x7f', '#', 'é', '漢',
        'a', 'b', '1', '/', '-',
    ];
    prop::collection::vec(prop::sample::select(ALPHABET), 0..most).prop_map(String::from_iter)
}

/// Long plain text with at most one awkward character, so that it occurs at every position of a machine word.
fn mostly_plain() -> impl Strategy<Value = String> {
    ("[a-z_]{0,40}", awkward(2), "[a-z_]{0,40}")
        .prop_map(|(front, middle, back)| front + &middle + &back)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![awkward(8), mostly_plain()]
}

#[derive(Clone, Debug)]
enum Owned {
    I64(i64),
    U64(u64),
    F64(f64),
    Bool(bool),
    Str(String),
}

impl Owned {
    fn borrowed(&self) -> Value<'_> {
        match self {
            Self::I64(value) => Value::I64(*value),
            Self::U64(value) => Value::U64(*value),
            Self::F64(value) => Value::F64(*value),
            Self::Bool(value) => Value::Bool(*value),
            Self::Str(value) => Value::Str(value),
        }
    }
}

fn value() -> impl Strategy<Value = Owned> {
    const SPECIAL: &[f64] = &[
        f64::NAN,
        f64::INFINITY,
        f64::NEG_INFINITY,
        0.0,
        -0.0,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        1e16,
    ];
    prop_oneof![
        any::<i64>().prop_map(Owned::I64),
        (0..64_u32, any::<i64>()).prop_map(|(shift, value)| Owned::I64(value >> shift)),
        any::<u64>().prop_map(Owned::U64),
        any::<u64>().prop_map(|bits| Owned::F64(f64::from_bits(bits))),
        prop::sample::select(SPECIAL).prop_map(Owned::F64),
        any::<bool>().prop_map(Owned::Bool),
        prop_oneof![awkward(12), mostly_plain()].prop_map(Owned::Str),
    ]
}

#[derive(Clone, Debug)]
struct Made {
    measurement: String,
    tags: Vec<(String, String)>,
    fields: Vec<(String, Owned)>,
    timestamp: Option<i64>,
}

impl Made {
    fn encode(&self, out: &mut [u8]) -> Result<Encoded, Full> {
        let tags: Vec<_> = self
            .tags
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        let fields: Vec<_> = self
            .fields
            .iter()
            .map(|(key, value)| Field {
                key,
                value: value.borrowed(),
            })
            .collect();
        let timestamp = self.timestamp.map(UnixNanos);
        encode(
            &Point {
                measurement: &self.measurement,
                tags: &tags,
                fields: &fields,
                timestamp,
            },
            out,
        )
    }

    fn line(&self) -> (Encoded, String) {
        let mut out = vec![0; 16 << 10];
        let encoded = self.encode(&mut out).expect("16 KiB are enough");
        out.truncate(encoded.len);
        (encoded, String::from_utf8(out).expect("text stays text"))
    }
}

fn point() -> impl Strategy<Value = Made> {
    let tags = prop::collection::vec((name(), name()), 0..6);
    let many_tags = prop::collection::vec(("[a-z]{1,2}", "[a-z]{0,2}"), 0..40);
    let fields = prop::collection::vec((name(), value()), 0..6);
    let timestamp = prop::option::of(prop_oneof![
        any::<i64>(),
        prop::sample::select(&[i64::MIN, i64::MAX, 0, -1][..])
    ]);
    (
        name(),
        prop_oneof![4 => tags, 1 => many_tags],
        fields,
        timestamp,
    )
        .prop_map(|(measurement, tags, fields, timestamp)| Made {
            measurement,
            tags,
            fields,
            timestamp,
        })
}

/// Applies the documented substitutions, one character at a time.
fn substituted(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let change = |(at, char): (usize, &char)| match char {
        char if char.is_ascii_control() => '-',
        '\\' => match chars.get(at + 1) {
            None => '/',
            Some(next) if next.is_ascii_control() || ",= \"\\".contains(*next) => '/',
            Some(_) => '\\',
        },
        char => *char,
    };
    chars.iter().enumerate().map(change).collect()
}

fn expected_measurement(name: &str) -> String {
    let name = substituted(name);
    name.strip_prefix('#')
        .map_or(name.clone(), |rest| format!("-{rest}"))
}

/// Returns the remaining tags by key, and the number of those left out.
fn expected_tags(made: &Made) -> (BTreeMap<String, String>, usize) {
    let (mut tags, mut left_out) = (BTreeMap::new(), 0);
    for (key, value) in made.tags.iter().filter(|(_, value)| !value.is_empty()) {
        let key = substituted(key);
        let is_one_too_many = !tags.contains_key(&key) && tags.len() == MAX_TAGS;
        let is_dropped = key.is_empty() || is_one_too_many;
        if is_dropped || tags.insert(key, substituted(value)).is_some() {
            left_out += 1;
        }
    }
    (tags, left_out)
}

/// Returns the remaining fields in order, and the numbers of those left out and clamped.
fn expected_fields(made: &Made) -> (Vec<(String, FieldValue<'static>)>, usize, usize) {
    let (mut fields, mut clamped) = (Vec::new(), 0);
    for (key, value) in made.fields.iter().rev() {
        let key = substituted(key);
        let value = match value {
            Owned::I64(value) => FieldValue::I64(*value),
            Owned::U64(value) => FieldValue::I64(i64::try_from(*value).unwrap_or(i64::MAX)),
            Owned::F64(value) if value.is_finite() => FieldValue::F64(*value),
            Owned::F64(_) => continue,
            Owned::Bool(value) => FieldValue::Boolean(*value),
            Owned::Str(text) => {
                let one_line = |char: char| {
                    if char.is_ascii_control() && char != '\t' {
                        ' '
                    } else {
                        char
                    }
                };
                let text: String = text.chars().map(one_line).collect();
                FieldValue::String(Box::leak(text.into_boxed_str())[..].into())
            }
        };
        if key.is_empty() || fields.iter().any(|(other, _)| *other == key) {
            continue;
        }
        fields.push((key, value));
    }
    // Only clamped fields that remain are counted: the last of each key.
    let mut seen: Vec<String> = Vec::new();
    for (key, value) in made.fields.iter().rev() {
        let sendable = !key.is_empty() && !matches!(value, Owned::F64(value) if !value.is_finite());
        if sendable && !seen.contains(&substituted(key)) {
            seen.push(substituted(key));
            clamped += usize::from(matches!(value, Owned::U64(value) if *value > i64::MAX as u64));
        }
    }
    fields.reverse();
    let left_out = made.fields.len() - fields.len();
    (fields, left_out, clamped)
}

fn bits(value: &FieldValue<'_>) -> u64 {
    if let FieldValue::F64(value) = value {
        value.to_bits()
    } else {
        0
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn what_is_parsed_is_what_was_given(made in point()) {
        let (encoded, line) = made.line();
        let (fields, fields_left_out, fields_clamped) = expected_fields(&made);
        if made.measurement.is_empty() || fields.is_empty() {
            prop_assert_eq!(encoded, Encoded { len: 0, clamped: 0, left_out: made.fields.len() as u32 });
            return Ok(());
        }
        prop_assert!(line.ends_with('\n') && line.matches('\n').count() == 1, "one line: {:?}", line);
        prop_assert!(!line.contains(['\r', '\0', '\x0b', '\x0c', '\x7f']), "{:?}", line);

        let mut parsed = parse_lines(&line);
        let point = parsed.next().expect("not a comment, not empty");
        let point = point.map_err(|error| TestCaseError::fail(format!("{line:?}: {error}")))?;
        prop_assert!(parsed.next().is_none(), "{:?}", line);

        prop_assert_eq!(point.series.measurement.as_str(), expected_measurement(&made.measurement));
        let (tags, tags_left_out) = expected_tags(&made);
        let found: Vec<_> = point.series.tag_set.iter().flatten().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        prop_assert_eq!(found, Vec::from_iter(tags), "sorted by key, each once");
        prop_assert_eq!(point.field_set.len(), fields.len());
        for ((key, value), (expected_key, expected)) in point.field_set.iter().zip(&fields) {
            prop_assert_eq!(key.as_str(), expected_key);
            prop_assert_eq!(value, expected);
            prop_assert_eq!(bits(value), bits(expected), "exact to the sign of zero");
        }
        let timestamp = made.timestamp.map(|nanos| nanos.clamp(i64::MIN + 2, i64::MAX - 1));
        prop_assert_eq!(point.timestamp, timestamp);
        prop_assert_eq!(encoded.left_out as usize, fields_left_out + tags_left_out);
        prop_assert_eq!(encoded.clamped as usize, fields_clamped + usize::from(timestamp != made.timestamp));
    }
}

proptest! {
    #[test]
    fn two_lines_in_a_row_stay_two(first in point(), second in point()) {
        let text = first.line().1 + &second.line().1;
        let expected = text.matches('\n').count();
        let parsed: Result<Vec<_>, _> = parse_lines(&text).collect();
        prop_assert_eq!(parsed.map_err(|error| TestCaseError::fail(format!("{text:?}: {error}")))?.len(), expected);
    }

    #[test]
    fn every_buffer_that_is_too_small_is_left_alone(made in point()) {
        let (encoded, line) = made.line();
        for size in 0..encoded.len {
            let mut out = vec![0xa5; size];
            prop_assert_eq!(made.encode(&mut out), Err(Full));
            prop_assert!(out.iter().all(|byte| *byte == 0xa5), "changed at {}", size);
        }
        let mut out = vec![0; encoded.len];
        prop_assert_eq!(made.encode(&mut out), Ok(encoded));
        prop_assert_eq!(String::from_utf8(out), Ok(line));
    }
}
