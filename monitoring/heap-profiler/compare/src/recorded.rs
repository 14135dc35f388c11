//! What a process says at its end. A profiler that is off by mistake, or without stacks, would look fast.

use std::io;

/// Prints how deep the deepest of the recorded stacks is.
///
/// # Errors
/// There is none, or it has fewer frames than there were calls.
pub fn frames(depths: impl Iterator<Item = usize>) -> io::Result<()> {
    let deepest = depths.max().unwrap_or(0);
    ensure(
        deepest >= workload::DEPTH,
        &format!("its deepest stack has {deepest} frames: built without frame pointers?"),
    )?;
    println!("{deepest} frames");
    Ok(())
}

/// # Errors
/// It does not hold.
pub fn ensure(holds: bool, otherwise: &str) -> io::Result<()> {
    if holds {
        Ok(())
    } else {
        Err(io::Error::other(otherwise))
    }
}
