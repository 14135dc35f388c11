//! Images whose tables refer to the same bytes again and again: they are refused before they take gigabytes.

use std::fs;
use std::path::Path;
use std::process::Command;

use symbols::dwarf::{ReadError, read};

/// Links an image whose units all have the same line table: `.debug_line` of DWARF 4, `.debug_info` of DWARF 5.
fn image(name: &str, units: usize, rows: usize) -> Vec<u8> {
    let source = format!(
        r#"
    .globl _start
    .text
_start:
    .rept {rows} + 16
    nop
    .endr
    .section .debug_abbrev
    .byte 1, 0x11, 0, 0x10, 0x17, 0, 0, 0
    .section .debug_info
    .rept {units}
    .long 13
    .short 5
    .byte 1, 8
    .long 0
    .byte 1
    .long 0
    .endr
    .section .debug_line
    .long end - version
version:
    .short 4
    .long program - header
header:
    .byte 1, 1, 1, -5, 14, 13
    .byte 0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1
    .byte 0
    .asciz "a.c"
    .byte 0, 0, 0, 0
program:
    .byte 0, 9, 2
    .quad _start
    .rept {rows}
    .byte 32
    .endr
    .byte 0, 1, 1
end:
"#
    );
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let source_path = path.with_extension("s");
    fs::write(&source_path, source).expect("room");
    let status = Command::new("cc")
        .args(["-nostdlib", "-static", "-o"])
        .args([&path, &source_path])
        .status();
    assert!(
        status
            .expect("a C compiler: Rust needs one to link")
            .success()
    );
    fs::read(&path).expect("it was linked")
}

#[test]
fn one_unit_has_its_line_table() {
    let spans = read(&image("one-unit", 1, 3_000)).expect("spans");
    assert!(
        spans.files.iter().any(|file| file.ends_with("a.c")),
        "{:?}",
        spans.files
    );
}

#[test]
fn a_line_table_of_many_units_is_refused_once_it_is_larger_than_the_image() {
    let error = read(&image("many-units", 3_000, 3_000)).expect_err("9 million rows");
    assert!(matches!(error, ReadError::TooLarge), "{error}");
}
