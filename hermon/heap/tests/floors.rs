//! The modules of this crate use only modules below them.

#[path = "../../tests/common/floors.rs"]
mod floors;

#[test]
fn modules_use_only_those_below_them() {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // From low to high. A module that needs one above it must move above it, or the part that it needs must move below.
    let list = [
        "whole",
        "stream",
        "events",
        "tree",
        "weight",
        "histogram",
        "estimate",
        "temporary",
        "profile",
        "names",
        "named",
        "report",
        "convert",
        "flame",
    ];
    assert_eq!(floors::arrows_up(&src, &list), Vec::<String>::new());
}
