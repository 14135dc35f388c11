//! A small trace, byte for byte. After a change that is meant: `ACCEPT=1 cargo test -p memtrace-writer --test memtrace accepted`.

use core::fmt::Write as _;
use std::path::PathBuf;

use memtrace_writer::code;

use crate::program::{Happening, Names, Program, Random, run};
use crate::tracer::{Tracer, info};

fn accept(name: &str, actual: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(&path, actual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        expected,
        actual,
        "{} is out of date. If the change is meant, accept it: ACCEPT=1 cargo test -p memtrace-writer --test memtrace accepted",
        path.display()
    );
}

/// Writes an offset and 32 bytes per line.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (line, bytes) in bytes.chunks(32).enumerate() {
        write!(text, "{:06x}:", 32 * line).expect("text");
        for byte in bytes {
            write!(text, " {byte:02x}").expect("text");
        }
        text.push('\n');
    }
    text
}

#[test]
fn a_small_trace_is_the_accepted_one() {
    let mut random = Random(3);
    let program = Program::odd(1, &mut random);
    let mut happenings = run(&program, 16, &mut random);
    happenings.push(Happening::Alloc(4_000, 3, [code::LOST_RING_FULL].into()));
    happenings.push(Happening::Alloc(1, 1, [].into()));
    let mut tracer = Tracer::new(&info(), Names::default());
    tracer.happen(&happenings[..12]);
    tracer.happen(&happenings[12..]);
    let mut text = Vec::new();
    memtrace_reader::dump(&tracer.stream, &mut text).expect("a trace");
    accept("memtrace.hex", &hex(&tracer.stream));
    accept("memtrace.txt", str::from_utf8(&text).expect("text"));
}
