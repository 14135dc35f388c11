//! The workload of every process in the comparison, and how a process receives its turns.
#![expect(unsafe_code, reason = "calls allocators")]

#[path = "../../../benches/heap/mixed.rs"]
mod mixed;

use core::alloc::GlobalAlloc;
use std::io::{self, Read, Write};
use std::time::Instant;

use mixed::Mixed;

pub use mixed::BLOCKS;

/// Replaced blocks per timed turn. A turn is so short that a scheduler leaves most turns undisturbed.
pub const TURN: usize = 2_000;
/// Calls from the turn to the allocator, so that stacks are as deep as those of a small program.
pub const DEPTH: usize = 12;

/// Runs a turn for each byte of the input, and writes its nanoseconds per replaced block as a line. Returns at the end
/// of the input. After each turn `between` does the work of a profile's consumer, which is not timed.
///
/// # Errors
/// Those of reading and writing.
pub fn serve(heap: &impl GlobalAlloc, between: &mut dyn FnMut()) -> io::Result<()> {
    let mut mixed = Mixed::new(heap);
    let (mut turns, mut times) = (io::stdin().lock(), io::stdout().lock());
    while turns.read(&mut [0])? == 1 {
        // Not timed: refills the caches, which other processes have used.
        mixed.replace(heap, TURN, DEPTH);
        let start = Instant::now();
        mixed.replace(heap, TURN, DEPTH);
        let nanos = start.elapsed().as_secs_f64() * 1e9 / TURN as f64;
        between();
        writeln!(times, "{nanos}")?;
        times.flush()?;
    }
    Ok(())
}
