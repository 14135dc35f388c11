//! Walks the stack by frame pointers. Everything in the image, kernel and `core` included, is built with them.
//!
//! A frame is two words: the caller's frame pointer, then the return address. A saved frame pointer of 0 is not a safe end: a
//! recycled stack may hold garbage there. So the walk ends at a return address outside the image's code, checks that before it
//! follows the frame pointer, and demands frame pointers that are aligned, grow, and stay near.

/// More frames than this are not reported. Deep recursion is the usual cause, and its innermost frames tell it.
pub const MAX_FRAMES: usize = 64;
/// No frame of a sane stack is larger; a pointer further away is garbage.
const MAX_FRAME_BYTES: usize = 1 << 20;

/// Return addresses from the innermost frame outwards, at most [`MAX_FRAMES`].
///
/// `frame` is a frame pointer (rbp) to start at, `in_image` says whether an address is code of the image, `read` reads a word of
/// the stack, `None` where that is not possible. Costs two reads a frame; allocates nothing.
pub fn walk(
    frame: usize,
    in_image: impl Fn(usize) -> bool,
    read: impl Fn(usize) -> Option<usize>,
) -> impl Iterator<Item = usize> {
    let mut next = Some(frame);
    core::iter::from_fn(move || {
        let frame = next?;
        next = None;
        if frame == 0 || !frame.is_multiple_of(align_of::<usize>()) {
            return None;
        }
        let caller = read(frame)?;
        let address = read(frame.checked_add(size_of::<usize>())?)?;
        if !in_image(address) {
            return None;
        }
        if caller > frame && caller - frame <= MAX_FRAME_BYTES {
            next = Some(caller);
        }
        Some(address)
    })
    .take(MAX_FRAMES)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: usize = 0x1000;

    /// A stack as words from `BASE` on; addresses 100..200 are code.
    fn addresses(stack: &[usize], frame: usize) -> Vec<usize> {
        let read = |at: usize| stack.get(at.checked_sub(BASE)? / 8).copied();
        walk(frame, |address| (100..200).contains(&address), read).collect()
    }

    #[test]
    fn every_frame_is_seen_up_to_the_first_address_outside_the_image() {
        let stack = [
            BASE + 16,
            101,
            BASE + 40,
            102,
            7,
            BASE + 56,
            103,
            BASE + 72,
            0,
        ];
        assert_eq!(addresses(&stack, BASE), [101, 102, 103]);
    }

    #[test]
    fn a_frame_pointer_that_does_not_grow_ends_the_walk() {
        assert_eq!(addresses(&[BASE, 101], BASE), [101]);
        assert_eq!(addresses(&[0, 101], BASE), [101]);
        assert_eq!(addresses(&[BASE - 16, 101], BASE), [101]);
    }

    #[test]
    fn a_frame_pointer_that_is_not_aligned_or_too_far_is_not_followed() {
        assert_eq!(addresses(&[BASE + 17, 101, 0, 102], BASE), [101]);
        assert_eq!(addresses(&[BASE + (2 << 20), 101], BASE), [101]);
        assert_eq!(addresses(&[0, 101], 0), []);
        assert_eq!(addresses(&[0, 101], usize::MAX - 7), []);
    }

    #[test]
    fn a_word_that_cannot_be_read_ends_the_walk() {
        assert_eq!(addresses(&[BASE + 16, 101], BASE), [101]);
    }

    #[test]
    fn no_more_than_the_limit_is_reported() {
        let stack: Vec<usize> = (0..1000).flat_map(|n| [BASE + 16 * (n + 1), 150]).collect();
        assert_eq!(addresses(&stack, BASE).len(), MAX_FRAMES);
    }
}
