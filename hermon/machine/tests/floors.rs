//! Arrows between the modules of this crate point down.

#[path = "../../tests/common/floors.rs"]
mod floors;

#[test]
fn modules_use_only_those_below_them() {
    let src = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    // From low to high. A module that needs one above it belongs above it, or what it needs belongs below.
    let list = [
        "offspring",
        "split",
        "tsc",
        "ports",
        "append",
        "qemu",
        "application",
        "guest",
        "probe",
    ];
    assert_eq!(floors::arrows_up(&src, &list), Vec::<String>::new());
}
