use super::*;

fn field<'a>(key: &'a str, value: Value<'a>) -> Field<'a> {
    Field { key, value }
}

const ONE: Field<'static> = Field {
    key: "v",
    value: Value::I64(1),
};

fn encoded(point: &Point<'_>) -> (String, Encoded) {
    let mut out = [0xa5; 4096];
    let encoded = encode(point, &mut out).unwrap();
    (
        String::from_utf8(out[..encoded.len].to_vec()).unwrap(),
        encoded,
    )
}

fn line(measurement: &str, tags: &[Tag<'_>], fields: &[Field<'_>]) -> String {
    encoded(&Point {
        measurement,
        tags,
        fields,
        timestamp: None,
    })
    .0
}

fn named(name: &str) -> [String; 3] {
    [
        line(name, &[], &[ONE]),
        line("m", &[(name, name)], &[ONE]),
        line("m", &[], &[field(name, Value::Bool(true))]),
    ]
}

fn value(value: Value<'_>) -> String {
    let line = line("m", &[], &[field("v", value)]);
    line.strip_prefix("m v=")
        .unwrap()
        .strip_suffix('\n')
        .unwrap()
        .to_string()
}

#[test]
fn comma_space_and_equals_are_escaped_where_they_separate() {
    assert_eq!(
        named("a,b"),
        ["a\\,b v=1i\n", "m,a\\,b=a\\,b v=1i\n", "m a\\,b=true\n"]
    );
    assert_eq!(
        named("a b"),
        ["a\\ b v=1i\n", "m,a\\ b=a\\ b v=1i\n", "m a\\ b=true\n"]
    );
    assert_eq!(
        named("a=b"),
        ["a=b v=1i\n", "m,a\\=b=a\\=b v=1i\n", "m a\\=b=true\n"]
    );
    assert_eq!(
        named("a\"b"),
        ["a\"b v=1i\n", "m,a\"b=a\"b v=1i\n", "m a\"b=true\n"]
    );
}

#[test]
fn a_control_character_in_a_name_becomes_a_dash() {
    for control in ["\n", "\r", "\t", "\0", "\x0b", "\x0c", "\x1b", "\x7f"] {
        let name = format!("a{control}b");
        assert_eq!(
            named(&name),
            ["a-b v=1i\n", "m,a-b=a-b v=1i\n", "m a-b=true\n"],
            "{control:?}"
        );
    }
}

#[test]
fn a_backslash_stays_where_no_parser_takes_it_for_an_escape() {
    assert_eq!(
        named("C:\\dir"),
        [
            "C:\\dir v=1i\n",
            "m,C:\\dir=C:\\dir v=1i\n",
            "m C:\\dir=true\n"
        ]
    );
    for (name, key) in [
        ("a\\", "a/"),
        ("a\\\\", "a//"),
        ("a\\,", "a/\\,"),
        ("a\\ ", "a/\\ "),
        ("a\\\n", "a/-"),
        ("a\\\"", "a/\""),
    ] {
        assert_eq!(
            line("m", &[(name, name)], &[ONE]),
            format!("m,{key}={key} v=1i\n"),
            "{name:?}"
        );
    }
    assert_eq!(line("a\\=", &[], &[ONE]), "a/= v=1i\n");
}

#[test]
fn a_measurement_never_makes_a_comment_of_the_line() {
    assert_eq!(line("#", &[], &[ONE]), "- v=1i\n");
    assert_eq!(line("##a", &[], &[ONE]), "-#a v=1i\n");
    assert_eq!(
        line("a long name with #", &[("#k", "#v")], &[ONE]),
        "a\\ long\\ name\\ with\\ #,#k=#v v=1i\n"
    );
}

#[test]
fn utf8_is_kept() {
    assert_eq!(
        line(
            "größe",
            &[("città", "東京 1")],
            &[field("é", Value::Str("naïve 漢字"))]
        ),
        "größe,città=東京\\ 1 é=\"naïve 漢字\"\n"
    );
}

#[test]
fn a_text_escapes_quotes_and_backslashes_and_has_no_line_ends() {
    assert_eq!(value(Value::Str("")), "\"\"");
    assert_eq!(value(Value::Str("a\"b\\c")), "\"a\\\"b\\\\c\"");
    assert_eq!(value(Value::Str("ends in \\")), "\"ends in \\\\\"");
    assert_eq!(
        value(Value::Str("1\n2\r\n3\x0c4\x1b[m\x7f\0")),
        "\"1 2  3 4 [m  \""
    );
    assert_eq!(value(Value::Str("a\tb, c = d")), "\"a\tb, c = d\"");
}

#[test]
fn integers_carry_an_i() {
    assert_eq!(value(Value::I64(0)), "0i");
    assert_eq!(value(Value::I64(i64::MIN)), "-9223372036854775808i");
    assert_eq!(value(Value::U64(i64::MAX as u64)), "9223372036854775807i");
    assert_eq!(
        [value(Value::Bool(true)), value(Value::Bool(false))],
        ["true", "false"]
    );
}

#[test]
fn an_unsigned_value_beyond_the_range_is_clamped_and_counted() {
    let fields = [
        field("a", Value::U64(u64::MAX)),
        field("b", Value::U64(1 << 63)),
        field("c", Value::U64(7)),
    ];
    let (line, encoded) = encoded(&Point {
        measurement: "m",
        tags: &[],
        fields: &fields,
        timestamp: None,
    });
    assert_eq!(
        line,
        "m a=9223372036854775807i,b=9223372036854775807i,c=7i\n"
    );
    assert_eq!((encoded.clamped, encoded.left_out), (2, 0));
}

#[test]
fn floats_have_the_shortest_digits_that_read_back() {
    for (float, text) in [
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (123_456_789.25, "123456789.25"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.5e300, "1.5e+300"),
        (5e-324, "5e-324"),
        (-f64::MIN_POSITIVE, "-2.2250738585072014e-308"),
        (f64::MAX, "1.7976931348623157e+308"),
    ] {
        assert_eq!(value(Value::F64(float)), text);
        assert_eq!(text.parse::<f64>().unwrap().to_bits(), float.to_bits());
    }
}

#[test]
fn values_that_are_no_numbers_are_left_out_and_counted() {
    let fields = [
        field("a", Value::F64(f64::NAN)),
        ONE,
        field("b", Value::F64(f64::INFINITY)),
        field("c", Value::F64(f64::NEG_INFINITY)),
    ];
    let (line, encoded) = encoded(&Point {
        measurement: "m",
        tags: &[],
        fields: &fields,
        timestamp: None,
    });
    assert_eq!((line.as_str(), encoded.left_out), ("m v=1i\n", 3));
}

#[test]
fn a_point_without_measurement_or_sendable_field_is_not_sent() {
    let nan = [field("a", Value::F64(f64::NAN)), field("", Value::I64(1))];
    for (measurement, fields, left_out) in
        [("m", &[][..], 0), ("m", &nan[..], 2), ("", &[ONE][..], 1)]
    {
        let point = Point {
            measurement,
            tags: &[("k", "v")],
            fields,
            timestamp: Some(UnixNanos(1)),
        };
        assert_eq!(
            encode(&point, &mut []),
            Ok(Encoded {
                len: 0,
                clamped: 0,
                left_out
            })
        );
    }
}

#[test]
fn empty_keys_and_empty_tag_values_are_never_written() {
    let tags = [("a", ""), ("", "x"), ("b", "y"), ("", "")];
    let fields = [field("", Value::I64(2)), ONE];
    let (line, encoded) = encoded(&Point {
        measurement: "m",
        tags: &tags,
        fields: &fields,
        timestamp: None,
    });
    assert_eq!((line.as_str(), encoded.left_out), ("m,b=y v=1i\n", 2));
}

#[test]
fn tags_are_sorted_by_key_bytewise() {
    assert_eq!(
        line(
            "m",
            &[("b", "1"), ("é", "2"), ("B", "3"), ("a", "4"), ("aa", "5")],
            &[ONE]
        ),
        "m,B=3,a=4,aa=5,b=1,é=2 v=1i\n"
    );
}

#[test]
fn the_last_of_several_tags_with_one_key_wins() {
    let tags = [("k", "1"), ("a", "x"), ("k", "2"), ("k", "")];
    let (line, encoded) = encoded(&Point {
        measurement: "m",
        tags: &tags,
        fields: &[ONE],
        timestamp: None,
    });
    assert_eq!((line.as_str(), encoded.left_out), ("m,a=x,k=2 v=1i\n", 1));
}

#[test]
fn the_last_sendable_of_several_fields_with_one_key_wins() {
    let fields = [
        field("k\n", Value::I64(1)),
        field("j", Value::I64(2)),
        field("k\t", Value::I64(3)),
        field("k-", Value::F64(f64::NAN)),
    ];
    let (line, encoded) = encoded(&Point {
        measurement: "m",
        tags: &[],
        fields: &fields,
        timestamp: None,
    });
    assert_eq!((line.as_str(), encoded.left_out), ("m j=2i,k-=3i\n", 2));
}

#[test]
fn tags_beyond_the_limit_are_left_out_and_counted() {
    let keys: Vec<String> = (0..MAX_TAGS + 3)
        .map(|at| format!("k{at:02}"))
        .rev()
        .collect();
    let tags: Vec<Tag<'_>> = keys.iter().map(|key| (key.as_str(), "x")).collect();
    let (line, encoded) = encoded(&Point {
        measurement: "m",
        tags: &tags,
        fields: &[ONE],
        timestamp: None,
    });
    assert_eq!(encoded.left_out, 3);
    assert_eq!(line.matches('=').count(), MAX_TAGS + 1);
    assert!(
        line.starts_with("m,k03=x,k04=x,"),
        "the first tags given are kept: {line}"
    );
}

#[test]
fn a_timestamp_is_moved_into_the_databases_range_and_counted() {
    for (nanos, text, clamped) in [
        (0, "0", 0),
        (-1, "-1", 0),
        (i64::MAX - 1, "9223372036854775806", 0),
        (i64::MAX, "9223372036854775806", 1),
        (i64::MIN + 2, "-9223372036854775806", 0),
        (i64::MIN, "-9223372036854775806", 1),
    ] {
        let point = Point {
            measurement: "m",
            tags: &[],
            fields: &[ONE],
            timestamp: Some(UnixNanos(nanos)),
        };
        let (line, encoded) = encoded(&point);
        assert_eq!(
            (line, encoded.clamped),
            (format!("m v=1i {text}\n"), clamped)
        );
    }
}

#[test]
fn a_buffer_that_is_too_small_is_not_touched() {
    let fields = [
        field("long key", Value::Str("a\\b")),
        field("x", Value::F64(-1.5e-7)),
        field("y", Value::U64(u64::MAX)),
    ];
    let point = Point {
        measurement: "#m",
        tags: &[("z", "1"), ("a b", "c\\")],
        fields: &fields,
        timestamp: Some(UnixNanos(12)),
    };
    let expected = encoded(&point).0;
    for size in 0..expected.len() {
        let mut out = vec![0xa5; size];
        assert_eq!(encode(&point, &mut out), Err(Full));
        assert!(
            out.iter().all(|byte| *byte == 0xa5),
            "changed at size {size}"
        );
    }
    let mut out = vec![0; expected.len()];
    assert_eq!(encode(&point, &mut out).unwrap().len, expected.len());
    assert_eq!(out, expected.as_bytes());
}
