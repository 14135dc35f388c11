//! What every process of the comparison does with its allocator, and how it is told to.
#![expect(unsafe_code, reason = "calls allocators")]

#[path = "../../../benches/heap/mixed.rs"]
mod mixed;

use core::alloc::GlobalAlloc;
use std::io::{self, Read, Write};
use std::time::Instant;

use mixed::Mixed;

pub use mixed::BLOCKS;

/// Replaced blocks whose time is taken. So short that a scheduler leaves most turns undisturbed.
pub const TURN: usize = 2_000;
/// Calls from the turn to the allocator, so that stacks are as deep as those of a small program.
pub const DEPTH: usize = 12;

/// Takes a turn and writes its nanoseconds per replaced block as a line for each byte that comes in; returns when none come any more.
/// After each turn `between` does what the consumer of a profile does: it takes no part in the time.
///
/// # Errors
/// As reading and writing.
pub fn serve(heap: &impl GlobalAlloc, between: &mut dyn FnMut()) -> io::Result<()> {
    let mut mixed = Mixed::new(heap);
    let (mut turns, mut times) = (io::stdin().lock(), io::stdout().lock());
    while turns.read(&mut [0])? == 1 {
        // Not timed: brings back to the caches what other processes have driven out.
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
