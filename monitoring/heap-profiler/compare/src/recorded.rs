//! The record that a process reports at its end. A profiler that is off by mistake, or without stacks, would look fast.

use std::io;

/// Prints the depth of the deepest recorded stack.
///
/// # Errors
/// If there is no stack, or if it has fewer frames than there were calls.
pub fn frames(depths: impl Iterator<Item = usize>) -> io::Result<()> {
    let deepest = depths.max().unwrap_or(0);
    ensure(
        deepest >= workload::DEPTH,
        &format!("its deepest stack has {deepest} frames: built without frame pointers?"),
    )?;
    println!("{deepest} frames");
    Ok(())
}

/// Checks a condition.
///
/// # Errors
/// If it does not hold.
pub fn ensure(holds: bool, otherwise: &str) -> io::Result<()> {
    if holds {
        Ok(())
    } else {
        Err(io::Error::other(otherwise))
    }
}
