//! Walks a stack by frame pointers. Everything in the image, kernel and `core` included, is built with them.
//!
//! ```text
//!            ┌────────────────────┐ ◀─ frame of the caller's caller
//!   frame+8  │ return address     │ ── must be code of the image, or the walk ends here
//!   frame    │ frame of the caller│ ── followed only if it is above, aligned and near
//!            └────────────────────┘
//! ```
//! A saved frame pointer of 0 is not a safe end: a recycled stack may hold garbage there. So the walk ends at a return address outside
//! the image's code and looks at that before it follows the frame pointer.
//!
//! What differs between users is an argument: a panic reads memory with care for whatever may be broken, the heap profiler
//! as fast as it can.
#![no_std]
#![forbid(unsafe_code)]

/// No frame of a sane stack is larger, in bytes; a pointer further away is garbage.
pub const MAX_FRAME_BYTES: usize = 1 << 20;

/// Bits of an address that are 0 in an aligned one.
const ALIGN_BITS: u32 = align_of::<usize>().trailing_zeros();

/// A frame: the caller's frame pointer and the return address.
pub type Frame = [usize; 2];

/// Return addresses from the innermost frame outwards.
///
/// `frame` is a frame pointer to start at (`rbp`, `x29`), `in_image` says whether an address is code of the image, `read` reads the two
/// words at an address, `None` where that is not possible; it is asked for aligned addresses only. Frame pointers only grow, so the walk
/// ends: after at most as many steps as the readable memory above `frame` has frames. Take no more of them than there is room for. Costs
/// one `read` a frame; allocates nothing.
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
    // An aligned frame is above an aligned one and near by so many words, less one; all that is not so is a larger number. One comparison,
    // and a branch: the processor reads on while it is being compared.
    let is_far = |frame: usize, inner: usize| {
        let words = frame.wrapping_sub(inner).rotate_right(ALIGN_BITS);
        words.wrapping_sub(1) >= MAX_FRAME_BYTES >> ALIGN_BITS
    };
    let mut next = frame;
    // A first frame that cannot be one is its own inner one, which is not above.
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

    /// A stack as words from `BASE` on; addresses 100..200 are code.
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
