use std::fs;

use super::graph::{MAX_DEPTH, MAX_NODES};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// Returns the value of each path of names, without the root.
fn paths(profile: &FlameGraph) -> BTreeMap<String, f64> {
    let path = |mut at: usize| {
        let mut names = Vec::new();
        while at != 0 {
            let node = profile.nodes[at];
            assert!(node.parent < at, "a parent stands before its children");
            names.push(profile.names[node.name].as_str());
            at = node.parent;
        }
        names.reverse();
        names.join(";")
    };
    (1..profile.nodes.len())
        .map(|at| (path(at), profile.nodes[at].value))
        .collect()
}

fn expected(rows: &[(&str, f64)]) -> BTreeMap<String, f64> {
    rows.iter()
        .map(|&(path, value)| (path.to_owned(), value))
        .collect()
}

const SPEEDSCOPE: &str = r#"{
    "$schema": "https://www.speedscope.app/file-format-schema.json",
    "shared": {"frames": [{"name": "main", "file": "main.rs", "line": 1}, {"name": "work"}]},
    "activeProfileIndex": INDEX,
    "profiles": [
        {"type": "sampled", "name": "a", "unit": "bytes", "startValue": 0, "endValue": 4,
         "samples": [[0, 1], [0]], "weights": [3, 1]},
        {"type": "evented", "name": "b", "unit": "none", "startValue": 0, "endValue": 4, "events": [
            {"type": "O", "frame": 0, "at": 0}, {"type": "O", "frame": 1, "at": 1},
            {"type": "C", "frame": 1, "at": 4}, {"type": "C", "frame": 0, "at": 4}]}
    ]
}"#;

#[test]
fn stacks_with_a_common_beginning_share_it() {
    let profile = FlameGraph::read("x", "a;b;c 2\na;b 1\r\n\nwith space;d 1.5\n").unwrap();
    let rows = [
        ("a", 3.0),
        ("a;b", 3.0),
        ("a;b;c", 2.0),
        ("with space", 1.5),
        ("with space;d", 1.5),
    ];
    assert_eq!(paths(&profile), expected(&rows));
    assert_eq!((profile.nodes[0].value, profile.left_out), (4.5, 0.0));
}

#[test]
fn both_forms_of_speedscope_are_read() {
    let rows = expected(&[("main", 4.0), ("main;work", 3.0)]);
    for (index, unit) in [("0", "bytes"), ("1", "")] {
        let document = SPEEDSCOPE.replace("INDEX", index);
        let profile = FlameGraph::read("x", &document).unwrap();
        assert_eq!(
            (paths(&profile), profile.unit.as_str()),
            (rows.clone(), unit)
        );
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (document, error) in [
        (
            "a;b 1\nno value\n",
            "line 2 is no folded stack: \"no value\"",
        ),
        ("a -1", "line 1 is no folded stack: \"a -1\""),
        ("a inf", "line 1 is no folded stack: \"a inf\""),
        (" 1", "line 1 is no folded stack: \" 1\""),
        (
            &SPEEDSCOPE.replace("INDEX", "2"),
            "this is no document of speedscope: there is no profile 2",
        ),
        (
            &SPEEDSCOPE.replace("INDEX", "0").replace("[0, 1]", "[0, 7]"),
            "this is no document of speedscope: there is no frame 7",
        ),
        (
            &SPEEDSCOPE.replace("INDEX", "0").replace("[3, 1]", "[3]"),
            "this is no document of speedscope: 2 samples have 1 weights",
        ),
    ] {
        assert_eq!(
            FlameGraph::read("x", document).unwrap_err().to_string(),
            error
        );
    }
    let error = FlameGraph::read("x", "{}").unwrap_err().to_string();
    assert!(
        error.starts_with("this is no document of speedscope: missing field"),
        "{error}"
    );
}

#[test]
fn a_tree_that_is_too_large_or_too_deep_tells_what_it_left_out() {
    let wide: String = (0..MAX_NODES + 10).map(|n| format!("f{n} 1\n")).collect();
    let profile = FlameGraph::read("x", &wide).unwrap();
    assert_eq!(profile.nodes.len(), MAX_NODES);
    assert_eq!(
        (profile.nodes[0].value, profile.left_out),
        ((MAX_NODES + 10) as f64, 11.0)
    );
    let deep = format!("{} 1\n", vec!["f"; 2 * MAX_DEPTH].join(";"));
    let profile = FlameGraph::read("x", &deep).unwrap();
    assert_eq!(profile.nodes.len(), MAX_DEPTH + 2);
    assert_eq!(profile.names.last().map(String::as_str), Some("(deeper)"));
}

#[test]
fn a_file_is_read_anew_each_time() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("heap.folded");
    assert!(FlameFile::open(path.clone()).is_err());
    fs::write(&path, "a 1\n").unwrap();
    let file = FlameFile::open(path.clone()).unwrap();
    fs::write(&path, "a 2\n").unwrap();
    let profile = file.read().unwrap();
    assert_eq!(
        (profile.name.as_str(), profile.nodes[0].value),
        ("heap.folded", 2.0)
    );
}

proptest! {
    #[test]
    fn every_frame_has_the_sum_of_the_stacks_that_begin_with_it(
        stacks in prop::collection::vec((prop::collection::vec(0_u8..3, 1..5), 0_u32..100), 0..20),
    ) {
        let text = |stack: &[u8]| stack.iter().map(u8::to_string).collect::<Vec<_>>().join(";");
        let document: String = stacks.iter().map(|(stack, value)| format!("{} {value}\n", text(stack))).collect();
        let profile = FlameGraph::read("x", &document).unwrap();
        for (path, value) in paths(&profile) {
            let sum: u32 = stacks
                .iter()
                .filter(|(stack, _)| format!("{};", text(stack)).starts_with(&format!("{path};")))
                .map(|(_, value)| value)
                .sum();
            prop_assert_eq!(f64::from(sum), value);
        }
    }
}
