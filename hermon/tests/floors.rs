//! The modules of the tool use only modules below them.

#[path = "common/floors.rs"]
mod floors;

use std::fs;
use std::path::Path;

#[test]
fn modules_use_only_those_below_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // From low to high. A module that needs one above it must move above it, or the part that it needs must move below.
    let list = [
        "exit", "meaning", "point", "format", "dropped", "alive", "receive", "said", "tally",
        "outlet", "show", "store", "database", "recorder", "live", "terminal", "ending", "address",
        "proof", "control", "progress", "capture", "taker", "view", "web", "desk", "watch", "run",
        "report", "convert", "trace", "ctl", "manual", "cli",
    ];
    assert_eq!(floors::arrows_up(&src, &list), Vec::<String>::new());
}

#[test]
fn an_arrow_that_points_up_and_a_module_without_a_floor_are_found() {
    let folder = tempfile::TempDir::new().unwrap();
    let src = folder.path();
    fs::create_dir(src.join("low")).unwrap();
    for (file, text) in [
        ("lib.rs", "mod low;\nmod high;\n"),
        ("low.rs", "//! Of crate::high.\nuse super::high::B;\n"),
        (
            "low/inner.rs",
            "use super::{Low, other::O};\nfn f() {\n    crate::high::g(crate::low::A);\n}\n",
        ),
        ("low/other.rs", "use super::inner::f;\n"),
        ("high.rs", "use crate::{low, odd::C};\nuse crate::Root;\n"),
        (
            "odd.rs",
            "#[cfg(test)]\nmod tests {\n    use crate::high::B;\n}\n",
        ),
    ] {
        fs::write(src.join(file), text).unwrap();
    }
    let mut found: Vec<String> = floors::arrows_up(src, &["low", "high"])
        .iter()
        .map(|line| line.replace(&format!("{}/", src.display()), ""))
        .collect();
    found.sort();
    assert_eq!(
        found,
        [
            "high.rs:1: use crate::{low, odd::C};",
            "high.rs:2: use crate::Root;",
            "low.rs:2: use super::high::B;",
            "low/inner.rs:1: use super::{Low, other::O};",
            "low/inner.rs:3: crate::high::g(crate::low::A);",
            "odd.rs: has no floor",
        ]
    );
}
