//! The kinds of sources as an application uses them: in the image's registry, from their first use on.

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::BTreeMap;

use metrics::line::{Point, Value, encode};
use metrics::{
    self, Counter, FieldDef, FieldKind, FloatGauge, Gauge, Histogram, KEY_BYTES_MAX, KEYS_MAX,
    KeyedCounter, Metric, OTHER, Points, Polled, TOTAL, Timer,
};
use proptest::prelude::*;

/// Returns the fields of one line, with numbers and text as text.
fn fields(metric: &dyn Metric) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut lines = 0;
    metric.sample(&mut |fields| {
        lines += 1;
        for field in fields {
            let text = match field.value {
                Value::I64(value) => value.to_string(),
                Value::U64(value) => value.to_string(),
                Value::F64(value) => value.to_string(),
                Value::Bool(value) => value.to_string(),
                Value::Str(value) => value.to_owned(),
            };
            assert_eq!(
                found.insert(field.key.to_owned(), text),
                None,
                "{field:?} twice"
            );
            if let Some(declared) = metric.fields().iter().find(|known| known.name == field.key) {
                assert!(
                    declared.kind.takes(&field.value),
                    "{field:?} is not as declared"
                );
            }
        }
    });
    assert_eq!(lines, 1);
    found
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into()
}

#[test]
fn a_source_registers_itself_at_its_first_use() {
    static USED: Counter = Counter::new("used", "a test").unit("uses");
    assert!(metrics::registry().find("used").is_none());
    USED.add(2);
    let entry = metrics::registry().find("used").expect("registered");
    assert!(entry.active);
    assert_eq!(entry.metric.fields()[0].unit, "uses");
    assert_eq!(fields(&USED), map([("count", "2")]));
}

#[test]
fn a_clash_of_names_leaves_the_second_source_off_and_is_counted() {
    static FIRST: Gauge = Gauge::new("clash", "a test");
    static SECOND: FloatGauge = FloatGauge::new("clash", "another");
    let before = metrics::registry().refused();
    FIRST.set(1);
    SECOND.set(0.5);
    SECOND.set(1.5);
    assert_eq!((FIRST.get(), SECOND.get()), (1, 0.0));
    assert_eq!(metrics::registry().refused(), before + 1, "counted once");
}

#[test]
fn gauges_tell_the_value_of_now() {
    static LEVEL: Gauge = Gauge::new("level", "a test").tags(&[("tank", "a")]);
    static SHARE: FloatGauge = FloatGauge::new("share", "a test");
    LEVEL.set(-5);
    LEVEL.add(2);
    SHARE.set(0.25);
    assert_eq!(fields(&LEVEL), map([("value", "-3")]));
    assert_eq!(fields(&SHARE), map([("value", "0.25")]));
    metrics::registry()
        .disable_tag("tank")
        .expect("it is known");
    metrics::registry().disable("level").expect("it is known");
    LEVEL.set(100);
    LEVEL.add(1);
    assert_eq!(LEVEL.get(), -2, "a gauge that is off still adds");
}

#[test]
fn a_histogram_tells_all_since_boot_and_the_spread_of_the_last_interval() {
    static SIZES: Histogram = Histogram::new("sizes", "a test").unit("bytes");
    for value in 1..=10 {
        SIZES.record(value);
    }
    let first = map([
        ("count", "10"),
        ("sum", "55"),
        ("mean", "5.5"),
        ("p50", "5"),
        ("p90", "9"),
        ("p99", "10"),
        ("max", "10"),
    ]);
    assert_eq!(fields(&SIZES), first);
    assert_eq!(
        fields(&SIZES),
        map([("count", "10"), ("sum", "55")]),
        "there are no new values"
    );
    SIZES.record(3);
    let third = map([
        ("count", "11"),
        ("sum", "58"),
        ("mean", "3"),
        ("p50", "3"),
        ("p90", "3"),
        ("p99", "3"),
        ("max", "3"),
    ]);
    assert_eq!(fields(&SIZES), third, "old values are not included");
    let units: Vec<_> = SIZES.fields().iter().map(|field| field.unit).collect();
    assert_eq!(
        units,
        [
            "values", "bytes", "bytes", "bytes", "bytes", "bytes", "bytes"
        ]
    );
}

#[test]
fn keys_that_have_no_place_are_counted_as_other() {
    static KEYED: KeyedCounter = KeyedCounter::new("keyed", "a test");
    for key in ["", OTHER, TOTAL, &"x".repeat(KEY_BYTES_MAX + 1)] {
        KEYED.add(key, 1);
    }
    assert_eq!((KEYED.other(), KEYED.total()), (4, 4));
    for number in 0..KEYS_MAX + 2 {
        KEYED.add(&format!("key {number}"), 10);
    }
    KEYED.add("key 3", 1);
    assert_eq!(
        (KEYED.get("key 3"), KEYED.get("key 32"), KEYED.other()),
        (11, 0, 24)
    );
    let all = fields(&KEYED);
    assert_eq!(all.len(), KEYS_MAX + 2);
    assert_eq!(
        (&*all["key 31"], &*all["other"], &*all["total"]),
        ("10", "24", "345")
    );
}

#[test]
fn a_timer_returns_what_the_work_returns_and_tells_how_it_ended() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    fn clock() -> Duration {
        Duration::from_nanos(NOW.load(Ordering::Relaxed))
    }
    static WORK: Timer = Timer::new("work", "a test", clock);
    assert_eq!(
        fields(&WORK),
        map([("ok", "0"), ("errors", "0")]),
        "before the first run"
    );
    let work = |nanos: u64, result: Result<u8, &'static str>| {
        WORK.run(|| {
            NOW.fetch_add(nanos, Ordering::Relaxed);
            result
        })
    };
    assert_eq!(work(7, Ok(1)), Ok(1));
    assert_eq!(work(12, Err("broken")), Err("broken"));
    let expected = map([
        ("duration_ns", "12"),
        ("status", "error"),
        ("ok", "1"),
        ("errors", "1"),
        ("p50_ns", "7"),
        ("p90_ns", "12"),
        ("p99_ns", "12"),
        ("max_ns", "12"),
    ]);
    assert_eq!(fields(&WORK), expected);
    // The clock goes back.
    let result = WORK.run(|| {
        NOW.store(0, Ordering::Relaxed);
        Ok::<_, ()>(())
    });
    assert_eq!(result, Ok(()));
    assert_eq!(fields(&WORK)["duration_ns"], "0");
    metrics::registry().disable("work").expect("it is known");
    assert_eq!(
        work(5, Ok(2)),
        Ok(2),
        "the work runs while the source is off"
    );
    assert_eq!(fields(&WORK)["ok"], "2");
}

#[test]
fn a_polled_source_is_asked() {
    static FIELDS: [FieldDef; 2] = [
        FieldDef::u64("open", "files", "open files"),
        FieldDef::new("full", FieldKind::Bool, "", "whether there is no room"),
    ];
    static FILES: Polled = Polled::new("files", "a test", &FIELDS, |fields| {
        fields.add_all(&FIELDS, [Value::U64(3), Value::Bool(false)]);
    });
    metrics::register(&FILES).expect("a new name");
    assert_eq!(fields(&FILES), map([("open", "3"), ("full", "false")]));
}

#[test]
#[cfg_attr(debug_assertions, should_panic(expected = "not as declared"))]
fn a_point_of_another_type_is_refused() {
    static TYPED: Points<1, 1> = Points::new(
        "typed",
        "a test",
        &["a"],
        [FieldDef::u64("n", "", "a number")],
    );
    let before = metrics::registry().series().counts();
    TYPED.push(["x"], [Value::I64(1)]);
    let after = metrics::registry().series().counts();
    assert_eq!(
        (after.series, after.refused),
        (before.series, before.refused + 1)
    );
}

#[test]
fn a_point_is_not_made_while_its_source_is_off() {
    static LAZY: Points<1, 1> = Points::new(
        "lazy",
        "a test",
        &["a"],
        [FieldDef::u64("n", "", "a number")],
    );
    let mut made = 0;
    let mut push = |n| {
        LAZY.push_with(|| {
            made += 1;
            (["x"], [Value::U64(n)])
        });
    };
    push(1);
    metrics::registry().disable("lazy").expect("it is known");
    push(2);
    metrics::registry().enable("lazy").expect("it is known");
    push(3);
    assert_eq!(made, 2);
}

#[test]
fn counters_are_exact_whichever_threads_use_keys() {
    static SHARED: KeyedCounter = KeyedCounter::new("shared", "a test");
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..1_000 {
                    SHARED.add(["a", "b", "c"][(thread + round) % 3], 1);
                }
            });
        }
    });
    let each = SHARED.get("a") + SHARED.get("b") + SHARED.get("c");
    assert_eq!((each, SHARED.total(), SHARED.other()), (4_000, 4_000, 0));
}

/// The number of cases so far.
static CASE: AtomicU64 = AtomicU64::new(0);

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 16, ..ProptestConfig::default() })]

    #[test]
    fn keys_of_any_text_are_counted_and_make_legal_lines(
        keys in prop::collection::vec(
            prop::collection::vec(prop::sample::select(&[',', ' ', '=', '"', '\\', '\n', '\0', 'é', 'a']), 0..12), 1..80),
    ) {
        // The registry has a limited number of places, and each case needs one.
        let number = CASE.fetch_add(1, Ordering::Relaxed);
        let name: &'static str = Box::leak(format!("any text {number}").into_boxed_str());
        let keyed: &'static KeyedCounter = Box::leak(Box::new(KeyedCounter::new(name, "a test")));
        prop_assert_eq!(metrics::register(keyed), Ok(()));
        let mut oracle: BTreeMap<String, u64> = BTreeMap::new();
        for key in &keys {
            let key = String::from_iter(key);
            keyed.add(&key, 1);
            *oracle.entry(key).or_default() += 1;
        }
        let mut told = 0;
        for (key, count) in &oracle {
            let got = keyed.get(key);
            prop_assert!(got == *count || got == 0, "{key:?}");
            told += got;
        }
        prop_assert_eq!(told + keyed.other(), keys.len() as u64);
        keyed.sample(&mut |fields| {
            let point = Point { measurement: "m", tags: &[], fields, timestamp: None };
            let mut buffer = [0; 8_192];
            let encoded = encode(&point, &mut buffer).expect("it fits");
            let text = str::from_utf8(&buffer[..encoded.len]).expect("text");
            assert_eq!(text.lines().count(), 1);
            influxdb_line_protocol::parse_lines(text).next().expect("a line").expect("a legal one");
        });
    }
}
