use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::levels::Unsettled;

fn applied(table: &Table, text: &str) {
    let levels = Levels::parse(text).unwrap();
    table.apply(&levels, Unknown::Enter).unwrap();
}

fn refused(table: &Table, text: &str) -> String {
    let levels = Levels::parse(text).unwrap();
    let before = listed(table);
    let error = table.apply(&levels, Unknown::Refuse).unwrap_err();
    assert_eq!(listed(table), before, "nothing is changed");
    error.to_string()
}

fn empty() -> Table {
    Table::new(Level::Info, |_| {})
}

fn table(text: &str) -> Table {
    let table = empty();
    applied(&table, text);
    table
}

fn listed(table: &Table) -> String {
    let mut list = format!("*:{}", table.default_level());
    for source in table.sources() {
        list += &format!(",{}:{}", source.name(), source.level);
    }
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
    assert_eq!(listed(&table), "*:warning,dns:warning,tcp:warning,udp:app");
    applied(&table, "trace");
    assert_eq!(listed(&table), "*:trace,dns:trace,tcp:trace,udp:trace");
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
    let table = Table::new(Level::Error, |_| {});
    assert_eq!(table.max(), Level::Error);
    applied(&table, "a:debug,b:quiet");
    assert_eq!(table.max(), Level::Debug);
    applied(&table, "a:app");
    assert_eq!(table.max(), Level::Error);
}

#[test]
fn a_list_with_one_target_too_many_changes_nothing() {
    let full: Vec<String> = (0..MAX_SEEN).map(|at| format!("t{at}:debug")).collect();
    let table = table(&full.join(","));
    let before = listed(&table);
    let more = Levels::parse("t0:error,one_more:info").unwrap();
    let error = table.apply(&more, Unknown::Enter).unwrap_err();
    assert_eq!(error, ApplyError::TooMany("one_more"));
    assert_eq!(
        error.to_string(),
        "\"one_more\": more than 48 log sources that are not declared"
    );
    assert_eq!(listed(&table), before);
    applied(&table, "t0:error,t31:info,t31:info");
    assert_eq!(
        (table.level("t0"), table.level("t31"), table.level("t30")),
        (Level::Error, Level::Info, Level::Debug)
    );
}

#[test]
fn a_new_target_counts_once_however_often_it_is_named() {
    let names: Vec<String> = (0..MAX_SEEN).map(|at| format!("t{at}:debug")).collect();
    let list = [&names[..], &names[..]].concat().join(",");
    assert_eq!(table(&list).len(), MAX_SEEN);
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
    let levels = Levels::parse(&text).unwrap();
    let error = table.apply(&levels, Unknown::Enter).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("\"{longest}x\": log source longer than 64 bytes")
    );
    assert_eq!(listed(&table), format!("*:info,{longest}:debug"));
}

#[test]
fn an_unknown_source_changes_nothing_unless_it_is_above_a_known_one() {
    let table = table("info,a::b:debug");
    assert_eq!(
        refused(&table, "a::b:error,a::c:info"),
        "unknown source: a::c"
    );
    assert_eq!(refused(&table, "a::b::c:info"), "unknown source: a::b::c");
    assert_eq!(refused(&table, "error,\"\t:info"), "unknown source: \"\\t");
    let above = Levels::parse("a:error").unwrap();
    table.apply(&above, Unknown::Refuse).unwrap();
    assert_eq!(listed(&table), "*:info,a::b:debug,a:error");
    assert_eq!(table.level("a::c"), Level::Error);
}

#[test]
fn a_target_becomes_a_source_when_it_is_seen_and_has_the_level_it_had() {
    let table = table("info,a:error,a::b::c:debug");
    for (target, level) in [
        ("a::b", Level::Error),
        ("a::b::c", Level::Debug),
        ("a::b::c::d", Level::Debug),
        ("x", Level::Info),
    ] {
        assert_eq!(table.see(target), level);
        assert_eq!(table.level(target), level);
    }
    let expected = "*:info,a:error,a::b::c:debug,a::b:error,a::b::c::d:debug,x:info";
    assert_eq!(listed(&table), expected);
    // The level of the new source in the middle applies to the sources below that have no own level.
    applied(&table, "a::b:warning");
    assert_eq!(table.level("a::b::x"), Level::Warning);
    assert_eq!(table.level("a::b::c::d"), Level::Debug);
}

#[test]
fn what_is_seen_leaves_room_for_declarations_and_the_rest_is_counted() {
    static DECLARED: LogSource = LogSource::new("declared", "one").at(Level::Debug);
    let table = empty();
    for number in 0..MAX_SEEN + 5 {
        assert_eq!(table.see(&format!("t{number}")), Level::Info);
    }
    assert_eq!((table.len(), table.refused()), (MAX_SEEN, 5));
    assert_eq!(table.see(&"x".repeat(MAX_TARGET_LEN + 1)), Level::Info);
    assert_eq!(table.see(""), Level::Info);
    assert_eq!(table.refused(), 7);
    table.declare(&DECLARED);
    assert_eq!(
        (table.len(), DECLARED.level()),
        (MAX_SEEN + 1, Ok(Level::Debug))
    );
}

#[test]
fn a_declared_source_follows_its_level_and_tells_its_follower() {
    static TOLD: Mutex<Vec<Level>> = Mutex::new(Vec::new());
    static SOURCE: LogSource = LogSource::new("a::b", "one")
        .at(Level::Warning)
        .followed_by(|level| TOLD.lock().unwrap().push(level));
    let table = table("info,a:debug");
    assert_eq!(SOURCE.level(), Err(Unsettled::New));
    table.declare(&SOURCE);
    table.declare(&SOURCE);
    assert_eq!(SOURCE.level(), Ok(Level::Warning));
    applied(&table, "a:error,a::b:trace");
    applied(&table, "a:quiet");
    assert_eq!(SOURCE.level(), Ok(Level::Trace));
    applied(&table, "info,a:error");
    assert_eq!(SOURCE.level(), Ok(Level::Error), "its ancestor's");
    assert_eq!(
        *TOLD.lock().unwrap(),
        [Level::Warning, Level::Trace, Level::Error]
    );
    assert!(table.source(1).unwrap().declared && !table.source(0).unwrap().declared);
}

#[test]
fn a_level_given_before_the_declaration_is_kept() {
    static SOURCE: LogSource = LogSource::new("hermit", "one").at(Level::Warning);
    let table = table("error,hermit:trace");
    table.declare(&SOURCE);
    assert_eq!(SOURCE.level(), Ok(Level::Trace));
}

#[test]
fn a_second_source_of_a_name_and_one_without_a_place_are_looked_up() {
    static ONE: LogSource = LogSource::new("a", "one");
    static TWO: LogSource = LogSource::new("a", "two");
    let table = empty();
    table.declare(&ONE);
    table.declare(&TWO);
    assert_eq!(
        (ONE.level(), TWO.level()),
        (Ok(Level::Info), Err(Unsettled::ByName))
    );
    assert_eq!(table.len(), 1);
    for number in 1..MAX_SOURCES + 1 {
        let name = Box::leak(format!("s{number}").into_boxed_str());
        table.declare(Box::leak(Box::new(LogSource::new(name, "many"))));
    }
    assert_eq!((table.len(), table.refused()), (MAX_SOURCES, 1));
}

#[test]
fn readers_and_writers_at_the_same_time_see_whole_names_and_levels_that_were_set() {
    const NAMES: [&str; 3] = ["short", "a::module::path::of::some::length", "another::one"];
    let setting = |level: Level| NAMES.map(|name| format!("{name}:{level}")).join(",");
    let table = table(&setting(Level::Debug));
    thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 0..20_000 {
                let level = [Level::Error, Level::Debug][round % 2];
                applied(&table, &format!("{level},{}", setting(level)));
            }
        });
        while !writer.is_finished() {
            for source in table.sources() {
                assert!(NAMES.contains(&source.name()), "{}", source.name());
                assert!(matches!(source.level, Level::Error | Level::Debug));
            }
        }
    });
}

#[test]
fn the_highest_level_is_published_after_each_change() {
    static MAX: Mutex<Vec<Level>> = Mutex::new(Vec::new());
    let table = Table::new(Level::Info, |max| MAX.lock().unwrap().push(max));
    applied(&table, "a:debug");
    applied(&table, "error");
    assert_eq!(*MAX.lock().unwrap(), [Level::Debug, Level::Error]);
}

/// The rules of the table, implemented in the slow and obvious way.
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
        let (table, mut oracle) = (empty(), Oracle::default());
        for list in lists {
            let items: Vec<String> = list.iter().map(|(target, level)| format!("{target}:{}", Level::from_index(*level))).collect();
            let text = items.join(",");
            let levels = Levels::parse(&text).unwrap();
            table.apply(&levels, Unknown::Enter).unwrap();
            oracle.apply(&levels);
            for (at, target) in targets.iter().enumerate() {
                // `see` makes half of them sources, which must make no difference.
                let level = if at % 2 == 0 { table.see(target) } else { table.level(target) };
                prop_assert_eq!(level, table.level(target));
                prop_assert_eq!(table.level(target), oracle.level(target), "{} after {}", target, text);
            }
        }
    }
}
