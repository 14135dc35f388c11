//! Walks the stack of a panic for return addresses, by the rules of the crate `unwind`, which the heap profiler uses too.

/// The largest number of frames that is reported. Most long backtraces come from deep recursion, and the innermost frames show it.
pub const MAX_FRAMES: usize = 64;

/// Returns the return addresses from the innermost frame outwards, at most [`MAX_FRAMES`]; see [`unwind::walk`].
pub fn walk(
    frame: usize,
    in_image: impl Fn(usize) -> bool,
    read: impl Fn(usize) -> Option<usize>,
) -> impl Iterator<Item = usize> {
    let read = move |frame: usize| {
        let address = frame.checked_add(size_of::<usize>())?;
        Some([read(frame)?, read(address)?])
    };
    unwind::walk(frame, in_image, read).take(MAX_FRAMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_than_the_limit_is_reported() {
        const BASE: usize = 0x1000;
        let stack: Vec<usize> = (0..1000).flat_map(|n| [BASE + 16 * (n + 1), 150]).collect();
        let read = |at: usize| stack.get(at.checked_sub(BASE)? / 8).copied();
        let addresses = walk(BASE, |address| (100..200).contains(&address), read);
        assert_eq!(addresses.count(), MAX_FRAMES);
    }
}
