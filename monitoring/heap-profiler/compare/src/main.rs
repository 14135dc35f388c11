//! The cost that heap profilers add to their allocators: a mixed workload, all in one run, in turns. `scripts/bench.sh`
//! ends with it. To run it alone:
//!
//! ```text
//! export RUSTFLAGS="-C force-frame-pointers=yes"
//! cargo build --release --target-dir target/compare-heap --manifest-path
//! monitoring/heap-profiler/compare/plain-mimalloc/Cargo.toml
//! cargo run --release --target-dir target/compare-heap --manifest-path monitoring/heap-profiler/compare/Cargo.toml
//! ```
//!
//! Each case is a separate process, because most of the others have one state per process or read their settings at its
//! start. With an argument the program is such a process. Without one it starts the processes and gives them turns.

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
        // The process that gives turns reads this, unless it has ended.
        let _ = writeln!(io::stdout(), "{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
