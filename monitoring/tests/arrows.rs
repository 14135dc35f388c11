//! Dependencies point down: between the workspace's packages, as Cargo knows them, and between the modules of the
//! larger packages.

#[path = "../../hermon/tests/common/floors.rs"]
mod floors;

use std::collections::{BTreeMap, BTreeSet};
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
        "agent",
        &[
            "seed", "restarts", "config", "door", "trace", "control", "emit", "sources", "storage",
            "monitor",
        ],
    ),
    (
        "metrics",
        &[
            "line",
            "fields",
            "registry",
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
        "network",
        &[
            "address", "bounds", "random", "stream", "ring", "outbox", "datagram", "push", "tcp",
            "stack",
        ],
    ),
];

/// Folders whose files know the module around them: a source knows its registry, and the registry its sources.
const TOGETHER: &[&str] = &[
    "metrics/src/registry/",
    "metrics/src/line/",
    "network/src/address/",
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

#[test]
fn modules_name_lower_modules_only() {
    for (package, order) in MODULES {
        let package = Path::new(env!("CARGO_MANIFEST_DIR")).join(package);
        let mut up = floors::arrows_up(&package.join("src"), order);
        up.retain(|line| !TOGETHER.iter().any(|it| line.contains(it)) || !line.contains("super::"));
        assert_eq!(
            up,
            Vec::<String>::new(),
            "MODULES in monitoring/tests/arrows.rs has the order"
        );
    }
}
