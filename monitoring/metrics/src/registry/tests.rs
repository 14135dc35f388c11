use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::line::Tag;
use crate::{Counter, FieldDef, Points};

fn registry() -> &'static Registry {
    leaked()
}

fn counter(name: &'static str, tags: &'static [Tag<'static>]) -> &'static Counter {
    Box::leak(Box::new(Counter::new(name, "a test").tags(tags)))
}

fn on(registry: &Registry, name: &str) -> bool {
    registry.find(name).expect("registered").active
}

#[test]
fn a_name_is_given_once() {
    let registry = registry();
    let first = counter("a", &[]);
    registry.register(first).unwrap();
    assert_eq!(
        registry.register(first),
        Ok(()),
        "registering again is not an error"
    );
    let second = counter("a", &[]);
    let error = registry.register(second).unwrap_err();
    assert_eq!(error, RegisterError::NameTaken("a"));
    assert_eq!(error.to_string(), "\"a\": another source has this name");
    second.add(1);
    assert_eq!(
        (second.get(), registry.refused()),
        (0, 1),
        "the second source stays off"
    );
    registry.enable_all();
    second.add(1);
    assert_eq!((second.get(), registry.len()), (0, 1));
    assert_eq!(
        registry.register(counter("", &[])),
        Err(RegisterError::NoName)
    );
}

#[test]
fn the_number_of_sources_is_bounded() {
    let registry = registry();
    for number in 0..SOURCES_MAX {
        let name = Box::leak(format!("s{number}").into_boxed_str());
        registry.register(counter(name, &[])).unwrap();
    }
    let error = registry.register(counter("more", &[])).unwrap_err();
    assert_eq!(error.to_string(), "\"more\": more than 128 sources");
    assert_eq!(registry.entries().count(), SOURCES_MAX);
}

#[test]
fn a_source_with_more_tags_than_a_line_has_is_refused() {
    static MANY: [Tag<'static>; MAX_TAGS] = [("t", "v"); MAX_TAGS];
    let registry = registry();
    let error = registry.register(counter("a", &MANY)).unwrap_err();
    assert_eq!(error.to_string(), "\"a\": more than 15 tags");
    assert_eq!(registry.register(counter("b", &MANY[1..])), Ok(()));
}

#[test]
fn a_source_that_is_off_counts_nothing() {
    let registry = registry();
    let hits = counter("hits", &[]);
    registry.register(hits).unwrap();
    hits.add(1);
    registry.disable("hits").unwrap();
    hits.add(10);
    registry.enable("hits").unwrap();
    hits.add(100);
    assert_eq!(hits.get(), 101);
}

#[test]
fn what_is_said_about_one_source_holds_until_something_is_said_about_all() {
    let registry = registry();
    registry.register(counter("a", &[("http", "1")])).unwrap();
    registry.register(counter("b", &[("http", "2")])).unwrap();
    registry.disable_all();
    registry.enable("a").unwrap();
    registry.enable_tag("http").unwrap();
    registry.disable("b").unwrap();
    registry.disable_tag("http").unwrap();
    assert_eq!((on(registry, "a"), on(registry, "b")), (true, false));
    registry.enable_tag("http").unwrap();
    assert!(!on(registry, "b"), "a tag does not undo the switch");
    registry.enable_all();
    assert!(on(registry, "b"), "all does");
    assert_eq!(registry.find("b").and_then(|entry| entry.explicit), None);
    assert_eq!(
        registry.enabled_tags().collect::<Vec<_>>(),
        ["http"],
        "the tag stays on"
    );
}

#[test]
fn a_source_that_comes_later_follows_the_rules_in_force() {
    let registry = registry();
    registry.register(counter("a", &[("http", "1")])).unwrap();
    registry.disable_all();
    registry.enable_tag("http").unwrap();
    registry.register(counter("b", &[("http", "2")])).unwrap();
    registry.register(counter("c", &[("dns", "2")])).unwrap();
    static FIELDS: [FieldDef; 1] = [FieldDef::u64("n", "", "a number")];
    static LABELLED: Points<2, 1> = Points::new("d", "a test", &["dns", "http"], FIELDS);
    registry.register(&LABELLED).unwrap();
    let active: Vec<_> = registry
        .entries()
        .filter(|entry| entry.active)
        .map(|entry| entry.metric.source().name())
        .collect();
    assert_eq!(active, ["a", "b", "d"]);
    assert!(!registry.all());
}

#[test]
fn unknown_names_are_errors_and_change_nothing() {
    let registry = registry();
    registry.register(counter("a", &[("http", "x")])).unwrap();
    let errors = [
        registry.enable("b").unwrap_err().to_string(),
        registry.disable("http").unwrap_err().to_string(),
        registry.enable_tag("x").unwrap_err().to_string(),
        registry.disable_tag("a\n").unwrap_err().to_string(),
    ];
    assert_eq!(
        errors,
        [
            "unknown source: b",
            "unknown source: http",
            "unknown source: x",
            "unknown source: a\\n"
        ]
    );
    assert!(on(registry, "a"));
}

#[test]
fn the_number_of_tags_that_are_on_is_bounded() {
    let registry = registry();
    for number in 0..=ENABLED_TAGS_MAX {
        let tag: &'static str = Box::leak(format!("t{number}").into_boxed_str());
        let tags: &'static [Tag<'static>] = Box::leak(Box::new([(tag, "v")]));
        registry.register(counter(tag, tags)).unwrap();
        let enabled = registry.enable_tag(tag);
        assert_eq!(enabled.is_ok(), number < ENABLED_TAGS_MAX);
    }
    let error = registry.enable_tag("t32").unwrap_err().to_string();
    assert_eq!(error, "more than 32 tags on: tag:t32");
    registry.disable_tag("t0").unwrap();
    registry.enable_tag("t32").unwrap();
}

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const TAGS: [&str; 3] = ["x", "y", "z"];
/// Which tags each of the sources has.
static TAGGED: [&[Tag<'static>]; 4] = [
    &[],
    &[("x", "1")],
    &[("x", "1"), ("y", "2")],
    &[("z", "1"), ("z", "2")],
];

#[derive(Clone, Copy, Debug)]
enum Call {
    Register(usize),
    All(bool),
    Tag(usize, bool),
    Source(usize, bool),
}

fn call() -> impl Strategy<Value = Call> {
    prop_oneof![
        (0..NAMES.len()).prop_map(Call::Register),
        any::<bool>().prop_map(Call::All),
        (0..TAGS.len(), any::<bool>()).prop_map(|(tag, on)| Call::Tag(tag, on)),
        (0..NAMES.len(), any::<bool>()).prop_map(|(source, on)| Call::Source(source, on)),
    ]
}

/// The rules of the documentation, written with sets.
#[derive(Default)]
struct Oracle {
    off: bool,
    tags: BTreeSet<&'static str>,
    explicit: BTreeMap<usize, bool>,
    registered: BTreeSet<usize>,
}

impl Oracle {
    fn has(&self, source: usize, tag: &str) -> bool {
        TAGGED[source].iter().any(|(name, _)| *name == tag)
    }

    fn is_on(&self, source: usize) -> bool {
        let by_rule = !self.off || self.tags.iter().any(|tag| self.has(source, tag));
        self.explicit.get(&source).copied().unwrap_or(by_rule)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn switches_follow_the_rules(calls in prop::collection::vec(call(), 0..40)) {
        let registry = registry();
        let counters: Vec<_> = NAMES.iter().zip(TAGGED).map(|(name, tags)| counter(name, tags)).collect();
        let mut oracle = Oracle::default();
        for call in calls {
            match call {
                Call::Register(source) => {
                    prop_assert_eq!(registry.register(counters[source]), Ok(()));
                    oracle.registered.insert(source);
                }
                Call::All(on) => {
                    if on { registry.enable_all() } else { registry.disable_all() }
                    oracle.off = !on;
                    oracle.explicit.clear();
                    if !on { oracle.tags.clear() }
                }
                Call::Tag(tag, on) => {
                    let name = TAGS[tag];
                    let known = oracle.registered.iter().any(|source| oracle.has(*source, name));
                    let result = if on { registry.enable_tag(name) } else { registry.disable_tag(name) };
                    prop_assert_eq!(result.is_ok(), known);
                    if known && on { oracle.tags.insert(name); }
                    if known && !on { oracle.tags.remove(name); }
                }
                Call::Source(source, on) => {
                    let name = NAMES[source];
                    let result = if on { registry.enable(name) } else { registry.disable(name) };
                    prop_assert_eq!(result.is_ok(), oracle.registered.contains(&source));
                    if result.is_ok() { oracle.explicit.insert(source, on); }
                }
            }
            for source in &oracle.registered {
                // Compares the registry's answer, and the effect on a use of the source.
                prop_assert_eq!(on(registry, NAMES[*source]), oracle.is_on(*source));
                let before = counters[*source].get();
                counters[*source].add(1);
                prop_assert_eq!(counters[*source].get() - before, u64::from(oracle.is_on(*source)));
            }
        }
    }
}
