//! Walks a stack by frame pointers. All code in the image is built with them, kernel and `core` included.
//!
//! ```text
//!            ┌────────────────────┐ ◀─ frame of the caller's caller
//!   frame+8  │ return address     │ ── must be in the image's code, or the walk ends here
//!   frame    │ frame of the caller│ ── followed only if it is above, aligned and near
//!            └────────────────────┘
//! ```
//! A saved frame pointer of 0 does not mark the end reliably: a recycled stack may hold garbage there. So the walk ends at a return
//! address outside the image's code, and it checks that address before it follows the frame pointer.
//!
//! The caller passes the function that reads memory. A panic reads carefully, because anything may be broken; the heap profiler
//! reads as fast as it can. The walk may run inside an allocator. No features. Needs Rust 1.91.
#![no_std]
#![forbid(unsafe_code)]

/// The largest frame of a sane stack, in bytes; a pointer further away is garbage.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// The number of low bits that are 0 in an aligned address.
const ALIGN_BITS: u32 = align_of::<usize>().trailing_zeros();

/// A frame: the caller's frame pointer and the return address.
pub type Frame = [usize; 2];

/// Returns the return addresses from the innermost frame outwards.
///
/// `frame` is the frame pointer to start at (`rbp`, `x29`). `in_image` says whether an address is in the image's code. `read`
/// returns the two words at an address, or `None` where they cannot be read; the walk passes it only aligned addresses.
///
/// Frame pointers only grow, so the walk ends after at most as many steps as the readable memory above `frame` has frames. Take no
/// more addresses than there is room for. The walk costs one `read` per frame and allocates nothing.
///
/// ```
/// // Two frames at 0x1000 and 0x1010; 150 and 151 are code.
/// let stack = [[0x1010_usize, 150], [0, 151]];
/// let read = |at: usize| stack.get((at - 0x1000) / 16).copied();
/// let addresses = unwind::walk(0x1000, |address| (100..200).contains(&address), read);
/// assert!(addresses.eq([150, 151]));
/// ```
#[inline(always)]
pub fn walk(
    frame: usize,
    in_image: impl Fn(usize) -> bool,
    mut read: impl FnMut(usize) -> Option<Frame>,
) -> impl Iterator<Item = usize> {
    // The difference of an aligned frame to the aligned one below it, in words less one, is below the limit. For a frame that is
    // not aligned, not above or not near, the same formula gives a larger number. So one comparison and one branch are enough, and
    // the processor reads on while it compares.
    let is_far = |frame: usize, inner: usize| {
        let words = frame.wrapping_sub(inner).rotate_right(ALIGN_BITS);
        words.wrapping_sub(1) >= MAX_FRAME_BYTES >> ALIGN_BITS
    };
    let mut next = frame;
    // A first frame that cannot be one is compared with itself; it is not above itself, so the walk ends at once.
    let is_frame = frame != 0 && frame.is_multiple_of(align_of::<usize>());
    let mut inner = frame.wrapping_sub(if is_frame { align_of::<usize>() } else { 0 });
    core::iter::from_fn(move || {
        let frame = next;
        if is_far(frame, inner) {
            return None;
        }
        if let Some([caller, address]) = read(frame)
            && in_image(address)
        {
            (inner, next) = (frame, caller);
            return Some(address);
        }
        inner = frame;
        None
    })
}

#[cfg(test)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const BASE: usize = 0x1000;

    /// Walks a stack given as words from `BASE` on; addresses 100..200 are code.
    fn addresses(stack: &[usize], frame: usize) -> Vec<usize> {
        let read = |at: usize| {
            let word = at.checked_sub(BASE)? / 8;
            stack.get(word..word + 2)?.try_into().ok()
        };
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
}
