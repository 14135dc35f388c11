use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::registry::leaked;
use crate::{FieldDef, FieldKind, Points, RegisterError, Registry};

static FIELDS: [FieldDef; 2] = [
    FieldDef::u64("n", "", "a number"),
    FieldDef::new("x", FieldKind::F64, "", "another"),
];

type Two = Points<2, 2>;

fn source(name: &'static str) -> (&'static Registry, &'static Two) {
    let registry = leaked();
    let points: &'static Two =
        Box::leak(Box::new(Points::new(name, "a test", &["a", "b"], FIELDS)));
    assert_eq!(registry.register(points), Ok::<(), RegisterError>(()));
    (registry, points)
}

fn push(points: &'static Two, a: &str, b: &str, n: u64) {
    points.push([a, b], [Value::U64(n), Value::F64(0.5)]);
}

/// Returns the tag values and the number of every series that would be sent.
fn all(cache: &SeriesCache) -> BTreeMap<(String, String), u64> {
    let mut found = BTreeMap::new();
    let mut from = 0;
    loop {
        match cache.look(from) {
            Look::End => return found,
            Look::Nothing(next) => from = next,
            Look::Series(series, next) => {
                from = next;
                let labels: Vec<_> = series.labels().collect();
                assert_eq!((labels[0].0, labels[1].0), ("a", "b"));
                let fields: Vec<_> = series.fields().collect();
                assert_eq!(fields[1].value, Value::F64(0.5));
                let Value::U64(n) = fields[0].value else {
                    panic!("{fields:?}")
                };
                let key = (labels[0].1.to_owned(), labels[1].1.to_owned());
                assert_eq!(found.insert(key, n), None, "a series twice");
            }
        }
    }
}

#[test]
fn the_last_point_of_a_series_is_kept() {
    let (registry, points) = source("s");
    push(points, "x", "y", 1);
    push(points, "xy", "", 2);
    push(points, "x", "y", 3);
    let found = all(registry.series());
    let key = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(
        found,
        BTreeMap::from([(key("x", "y"), 3), (key("xy", ""), 2)])
    );
}

#[test]
fn the_memory_is_known_beforehand() {
    assert_eq!(SeriesCache::BYTES, 346_160);
}

#[test]
fn one_series_too_many_is_refused_and_counted_and_the_others_stay() {
    let (registry, points) = source("s");
    for number in 0..SERIES_MAX + 3 {
        push(points, &format!("value {number}"), "b", number as u64);
    }
    let counts = registry.series().counts();
    assert_eq!((counts.series, counts.refused), (SERIES_MAX as u64, 3));
    push(points, "value 7", "b", 70);
    let found = all(registry.series());
    assert_eq!(found.len(), SERIES_MAX);
    assert_eq!(found[&("value 7".to_owned(), "b".to_owned())], 70);
    assert!(!found.contains_key(&("value 1024".to_owned(), "b".to_owned())));
}

#[test]
fn tag_values_that_are_too_long_are_refused_and_counted() {
    let (registry, points) = source("s");
    let fits = "é".repeat(31);
    push(points, &fits, "", 1);
    push(points, &fits, "x", 1);
    push(points, "", &"x".repeat(300), 1);
    let counts = registry.series().counts();
    assert_eq!((counts.series, counts.refused), (1, 2));
    assert_eq!(all(registry.series())[&(fits, String::new())], 1);
}

#[test]
fn a_series_that_is_not_updated_is_sent_for_so_many_intervals_and_no_more() {
    let (registry, points) = source("s");
    let cache = registry.series();
    // The number of the interval wraps around.
    let first = u32::MAX - 2;
    cache.begin(first);
    push(points, "old", "", 1);
    for interval in 1..=EXPIRY_DEFAULT {
        cache.begin(first.wrapping_add(interval));
        push(points, "new", "", 2);
        assert_eq!(all(cache).len(), 2, "interval {interval}");
    }
    cache.begin(first.wrapping_add(EXPIRY_DEFAULT + 1));
    assert_eq!(all(cache).len(), 1);
    assert_eq!(
        cache.counts(),
        SeriesCounts {
            series: 1,
            refused: 0,
            expired: 1
        }
    );
    cache.set_expiry(1);
    cache.begin(first.wrapping_add(EXPIRY_DEFAULT + 2));
    assert!(all(cache).is_empty());
}

#[test]
fn a_source_that_is_switched_off_loses_its_series() {
    let (registry, points) = source("s");
    push(points, "x", "y", 1);
    registry.disable("s").unwrap();
    assert!(all(registry.series()).is_empty());
    push(points, "x", "y", 2);
    registry.enable("s").unwrap();
    assert!(all(registry.series()).is_empty(), "a stale value came back");
    assert_eq!(registry.series().counts().expired, 1);
}

#[test]
fn series_whose_hashes_collide_are_told_apart_up_to_a_bound() {
    let (registry, points) = source("s");
    let head = |value: &str| {
        let labels = Labels::pack(&[value, ""]).unwrap();
        hash("s", labels.packed()) as usize % SERIES_MAX
    };
    let colliding: Vec<String> = (0..)
        .map(|number| format!("v{number}"))
        .filter(|value| head(value) == 5)
        .take(CHAIN_MAX + 2)
        .collect();
    for (number, value) in colliding.iter().enumerate() {
        push(points, value, "", number as u64);
    }
    let counts = registry.series().counts();
    assert_eq!((counts.series, counts.refused), (CHAIN_MAX as u64, 2));
    for (number, value) in colliding[..CHAIN_MAX].iter().enumerate() {
        assert_eq!(
            all(registry.series())[&(value.clone(), String::new())],
            number as u64
        );
    }
}

#[derive(Clone, Debug)]
enum Step {
    Push(u8, u64),
    Interval,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u8..30, any::<u64>()).prop_map(|(series, n)| Step::Push(series, n)),
        1 => Just(Step::Interval),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_cache_is_a_map_whose_entries_expire(steps in prop::collection::vec(step(), 0..200)) {
        const AWKWARD: [&str; 6] = ["", ",", "=", "\n", "\0", "é"];
        let (registry, points) = source("s");
        let cache = registry.series();
        cache.set_expiry(2);
        // The oracle: a map from tag values to number and interval of the last point.
        let mut oracle: BTreeMap<(String, String), (u64, u32)> = BTreeMap::new();
        let mut interval = 0;
        for step in steps {
            match step {
                Step::Push(series, n) => {
                    let (a, b) = (AWKWARD[usize::from(series) % 6], AWKWARD[usize::from(series) / 6]);
                    push(points, a, b, n);
                    oracle.insert((a.to_owned(), b.to_owned()), (n, interval));
                }
                Step::Interval => {
                    interval += 1;
                    cache.begin(interval);
                    oracle.retain(|_, (_, updated)| interval - *updated <= 2);
                    let expected: BTreeMap<_, _> =
                        oracle.iter().map(|(key, (n, _))| (key.clone(), *n)).collect();
                    prop_assert_eq!(all(cache), expected);
                    prop_assert_eq!(cache.counts().series, oracle.len() as u64);
                }
            }
        }
    }
}
