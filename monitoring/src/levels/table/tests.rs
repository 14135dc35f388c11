use std::collections::BTreeMap;
use std::thread;

use proptest::prelude::*;

use super::*;

fn applied(table: &Table, text: &str) {
    table.apply(&Levels::parse(text).unwrap()).unwrap();
}

fn table(text: &str) -> Table {
    let table = Table::new(Level::Info);
    applied(&table, text);
    table
}

fn listed(table: &Table) -> String {
    let mut list = format!("*:{}", table.default_level());
    table.for_each(&mut |target, level| list += &format!(",{target}:{level}"));
    list
}

#[test]
fn the_nearest_ancestor_decides() {
    let table = table("warning,a:error,a::b:debug,a::b::c:quiet");
    for (target, level) in [
        ("a", Level::Error),
        ("a::x", Level::Error),
        ("a::b", Level::Debug),
        ("a::b::x", Level::Debug),
        ("a::b::c", Level::Quiet),
        ("a::b::c::d", Level::Quiet),
        ("a::b::cd", Level::Debug),
        ("a::bc", Level::Error),
        ("ab", Level::Warning),
        ("a:", Level::Warning),
        ("a:b", Level::Warning),
        ("", Level::Warning),
        ("x::a", Level::Warning),
    ] {
        assert_eq!(table.level(target), level, "{target}");
    }
}

#[test]
fn only_what_is_named_is_changed() {
    let table = table("dns:debug");
    applied(&table, "tcp:error");
    assert_eq!(listed(&table), "*:info,dns:debug,tcp:error");
    applied(&table, "dns:quiet");
    assert_eq!(listed(&table), "*:info,dns:quiet,tcp:error");
}

#[test]
fn a_level_for_everyone_takes_single_levels_away() {
    let table = table("dns:debug,tcp:error");
    applied(&table, "udp:app,*:warning");
    assert_eq!(listed(&table), "*:warning,udp:app");
    applied(&table, "trace");
    assert_eq!(listed(&table), "*:trace");
}

#[test]
fn the_last_of_several_items_for_one_target_wins() {
    assert_eq!(
        listed(&table("a:info,b:error,a:debug,warning,quiet")),
        "*:quiet,a:debug,b:error"
    );
}

#[test]
fn the_highest_level_is_known() {
    let table = Table::new(Level::Error);
    assert_eq!(table.max(), Level::Error);
    applied(&table, "a:debug,b:quiet");
    assert_eq!(table.max(), Level::Debug);
    applied(&table, "a:app");
    assert_eq!(table.max(), Level::Error);
}

#[test]
fn a_list_with_one_target_too_many_changes_nothing() {
    let full: Vec<String> = (0..MAX_TARGETS).map(|at| format!("t{at}:debug")).collect();
    let full = full.join(",");
    let table = table(&full);
    let before = listed(&table);
    let more = Levels::parse("t0:error,one_more:info").unwrap();
    let error = table.apply(&more).unwrap_err();
    assert_eq!(error, ApplyError::TooMany("one_more"));
    assert_eq!(
        error.to_string(),
        "\"one_more\": more than 32 targets have levels of their own"
    );
    assert_eq!(listed(&table), before);
    applied(&table, "t0:error,t31:info");
    assert_eq!(
        (table.level("t0"), table.level("t31"), table.level("t30")),
        (Level::Error, Level::Info, Level::Debug)
    );
}

#[test]
fn a_target_that_is_too_long_changes_nothing() {
    let longest = "x".repeat(MAX_TARGET_LEN);
    let table = table(&format!("{longest}:debug"));
    assert_eq!(
        (table.level(&longest), table.level(&format!("{longest}x"))),
        (Level::Debug, Level::Info)
    );
    assert_eq!(table.level(&format!("{longest}::y")), Level::Debug);
    let text = format!("a:error,{longest}x:error");
    let error = table.apply(&Levels::parse(&text).unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("\"{longest}x\": log target longer than 64 bytes")
    );
    assert_eq!(listed(&table), format!("*:info,{longest}:debug"));
}

#[test]
fn a_second_change_at_the_same_time_is_refused() {
    let table = Table::new(Level::Info);
    table.changing.store(true, Ordering::Relaxed);
    let error = table.apply(&Levels::parse("debug").unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the log levels are being changed by another task"
    );
    assert_eq!(table.level("a"), Level::Info);
}

#[test]
fn a_reader_never_sees_half_a_change() {
    // Each setting gives all names one level; a torn reading would mix two, or find a name cut.
    const NAMES: [&str; 3] = ["short", "a::module::path::of::some::length", "another::one"];
    let setting = |level: Level| NAMES.map(|name| format!("{name}:{level}")).join(",");
    let table = table(&setting(Level::Debug));
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..20_000 {
                let level = if round % 2 == 0 {
                    Level::Error
                } else {
                    Level::Debug
                };
                applied(&table, &format!("{level},{}", setting(level)));
            }
        });
        while !writer.is_finished() {
            let levels = table.read(|half| {
                let (default, len) = half.head();
                (
                    len,
                    default,
                    half.entries.each_ref().map(|entry| entry.head().0),
                )
            });
            assert_eq!(levels.0, NAMES.len());
            assert!(
                levels.2[..NAMES.len()]
                    .iter()
                    .all(|level| *level == levels.2[0]),
                "{levels:?}"
            );
            table.for_each(&mut |name, _| assert!(NAMES.contains(&name), "{name}"));
        }
    });
}

/// What the table should say, the slow and obvious way.
#[derive(Default)]
struct Oracle {
    default: Option<Level>,
    own: BTreeMap<String, Level>,
}

impl Oracle {
    fn apply(&mut self, levels: &Levels<'_>) {
        if levels.iter().any(|item| item.target.is_none()) {
            self.own.clear();
        }
        for item in levels {
            match item.target {
                Some(target) => drop(self.own.insert(target.to_string(), item.level)),
                None => self.default = Some(item.level),
            }
        }
    }

    fn level(&self, target: &str) -> Level {
        let mut path: Vec<&str> = target.split("::").collect();
        while !path.is_empty() {
            if let Some(level) = self.own.get(&path.join("::")) {
                return *level;
            }
            path.pop();
        }
        self.default.unwrap_or(Level::Info)
    }
}

proptest! {
    #[test]
    fn the_table_agrees_with_the_oracle(
        lists in prop::collection::vec(prop::collection::vec(("(\\*|[ab](::[ab]){0,3})", 0_u8..7), 1..5), 1..6),
        targets in prop::collection::vec("[ab](::[abc]){0,4}", 1..8),
    ) {
        let (table, mut oracle) = (Table::new(Level::Info), Oracle::default());
        for list in lists {
            let items: Vec<String> = list.iter().map(|(target, level)| format!("{target}:{}", Level::from_index(*level))).collect();
            let text = items.join(",");
            let levels = Levels::parse(&text).unwrap();
            table.apply(&levels).unwrap();
            oracle.apply(&levels);
            for target in &targets {
                prop_assert_eq!(table.level(target), oracle.level(target), "{} after {}", target, text);
            }
        }
    }
}
