//! What heap profilers add to their allocators: a mixed workload, all in one run, in turns. `scripts/bench.sh` ends with it; alone:
//!
//! ```text
//! export RUSTFLAGS="-C force-frame-pointers=yes"
//! cargo build --release --target-dir target/compare-heap --manifest-path monitoring/compare-heap/plain-mimalloc/Cargo.toml
//! cargo run --release --target-dir target/compare-heap --manifest-path monitoring/compare-heap/Cargo.toml
//! ```
//!
//! Each case is a process of its own, because most of the others have one state for a whole process, or are told their settings when it
//! starts. With an argument the program is such a process; without, it is the one that starts them and gives them turns.

#![deny(unsafe_code)]

mod cases;
#[path = "../../benches/heap/counting.rs"]
#[expect(unsafe_code, reason = "is an allocator")]
mod counting;
mod others;
mod ours;
mod pin;
#[path = "../../benches/heap/program.rs"]
#[expect(
    unsafe_code,
    reason = "asks where code and the stack are, and the processor for its clock"
)]
mod program;
mod recorded;
mod table;
#[path = "../../benches/heap/talc.rs"]
#[expect(unsafe_code, reason = "hands over raw memory")]
mod talc;

use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1) {
        Some(name) => cases::run(&name),
        None => table::print(),
    };
    if let Err(error) = result {
        // Where the process that gives turns reads it, unless nobody reads any more.
        let _ = writeln!(io::stdout(), "{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
