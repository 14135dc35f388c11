//! Dependencies point down: between the workspace's packages, as Cargo knows them, and between the modules of the
//! larger packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// The workspace's packages, floor by floor from the lowest. A package depends only on lower floors.
const FLOORS: &[&[&str]] = &[
    &[
        "units",
        "unwind",
        "symbol-table",
        "memtrace-writer",
        "memtrace-reader",
    ],
    &["kernel", "symbols"],
    &["sync"],
    &["heap-profiler", "logging", "metrics", "network"],
    &["agent"],
    &["monitoring"],
    &["app", "minimal", "with-std"],
    &["guest"],
    &["hermon-amounts"],
    &["hermon-machine", "hermon-heap"],
    &["hermon"],
    &["tests"],
];

/// Packages of the host's side, which see what a user sees, and the workspace's packages that they may depend on.
const HOST: &[(&str, &[&str])] = &[
    ("hermon-amounts", &[]),
    ("hermon-machine", &["hermon-amounts"]),
    (
        "hermon-heap",
        &["hermon-amounts", "memtrace-reader", "symbols"],
    ),
    (
        "hermon",
        &[
            "hermon-amounts",
            "hermon-heap",
            "hermon-machine",
            "memtrace-reader",
        ],
    ),
    ("tests", &["hermon-machine", "memtrace-reader"]),
];

/// Modules of larger packages, from the lowest. A module names only lower ones.
const MODULES: &[(&str, &[&str])] = &[
    (
        "monitoring/agent",
        &[
            "config", "trace", "control", "emit", "sources", "storage", "monitor",
        ],
    ),
    (
        "monitoring/metrics",
        &[
            "line",
            "fields",
            "source",
            "series",
            "registry",
            "plan",
            "counter",
            "declared",
            "gauge",
            "histogram",
            "keyed",
            "points",
            "polled",
            "timer",
        ],
    ),
    (
        "monitoring/network",
        &[
            "address", "value", "bounds", "ring", "outbox", "datagram", "push", "tcp", "stack",
        ],
    ),
];

/// Modules that may name each other, because they are one thing in several files.
const TOGETHER: &[(&str, &[&str])] = &[
    (
        "monitoring/metrics",
        &["source", "series", "registry", "plan"],
    ),
    ("monitoring/network", &["address", "value"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the workspace's packages, each with those that it needs for its build.
fn packages() -> BTreeMap<String, BTreeSet<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or("cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let names: BTreeSet<_> = packages.iter().map(|it| text(&it["name"])).collect();
    let needs = |package: &Value| {
        let dependencies = package["dependencies"].as_array().expect("dependencies");
        dependencies
            .iter()
            .filter(|it| it["kind"] != "dev")
            .map(|it| text(&it["name"]))
            .filter(|name| names.contains(name))
            .collect()
    };
    packages
        .iter()
        .map(|it| (text(&it["name"]), needs(it)))
        .collect()
}

fn floor_of(package: &str) -> usize {
    let floor = FLOORS.iter().position(|floor| floor.contains(&package));
    floor.unwrap_or_else(|| {
        panic!("{package} has no floor: name it in FLOORS, monitoring/tests/arrows.rs")
    })
}

#[test]
fn packages_depend_on_lower_floors_only() {
    for (package, needs) in packages() {
        let floor = floor_of(&package);
        for needed in needs {
            assert!(
                floor_of(&needed) < floor,
                "{package} depends on {needed}, which is not on a lower floor (FLOORS, monitoring/tests/arrows.rs)"
            );
        }
    }
}

#[test]
fn the_host_s_side_sees_what_a_user_sees() {
    let packages = packages();
    for (package, may) in HOST {
        for needed in &packages[*package] {
            assert!(
                may.contains(&needed.as_str()),
                "{package} depends on {needed}, which is not visible to users"
            );
        }
    }
}

/// Returns the names of modules after `crate::`, and after `super::` in files directly in `src`.
fn named(text: &str, at_top: bool) -> BTreeSet<String> {
    let code = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: String = code.flat_map(|line| [line, "\n"]).collect();
    let prefixes: &[&str] = if at_top {
        &["crate::", "super::"]
    } else {
        &["crate::"]
    };
    let behind = |prefix| code.split(prefix).skip(1);
    let word = |rest: &str| {
        rest.chars()
            .take_while(|c| c.is_ascii_lowercase() || *c == '_')
            .collect()
    };
    prefixes
        .iter()
        .flat_map(|prefix| behind(*prefix))
        .map(word)
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
    {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

#[test]
fn modules_name_lower_modules_only() {
    for (package, order) in MODULES {
        let src = root().join(package).join("src");
        let mut files = Vec::new();
        sources(&src, &mut files);
        assert!(
            files.len() >= order.len(),
            "{package}: {} files",
            files.len()
        );
        for file in files {
            let inside = file.strip_prefix(&src).expect("below src");
            let module = inside.components().next().expect("a name");
            let module = module
                .as_os_str()
                .to_str()
                .expect("text")
                .trim_end_matches(".rs");
            if module == "lib" {
                continue;
            }
            let place = |name: &str| order.iter().position(|it| *it == name);
            let own = place(module).unwrap_or_else(|| {
                panic!("{package}: the module {module} has no place in MODULES, monitoring/tests/arrows.rs")
            });
            let together = TOGETHER
                .iter()
                .filter(|(of, _)| of == package)
                .map(|(_, it)| *it);
            let group: Vec<_> = together
                .filter(|it| it.contains(&module))
                .flatten()
                .collect();
            let text = fs::read_to_string(&file).expect("text");
            for name in named(&text, inside.components().count() == 1) {
                let lower = place(&name).is_none_or(|it| it <= own);
                assert!(
                    lower || group.contains(&&name.as_str()),
                    "{}: names {name}, which is above {module} (MODULES, monitoring/tests/arrows.rs)",
                    file.display()
                );
            }
        }
    }
}
