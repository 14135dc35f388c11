//! Walks over stacks that the test lays out on its own stack.

use core::hint::black_box;

use super::*;
use crate::odds::{STEP, mix};

const CODE: Range<usize> = 0x1_0000_0000..0x2_0000_0000;

fn machine(readable: fn(usize) -> bool) -> Machine {
    Machine {
        code: CODE,
        readable,
        ticks: || 0,
    }
}

/// Returns the distances of a walk from a stack below the caller's.
#[inline(never)]
fn walked(frame: usize, machine: &Machine) -> (Vec<u32>, bool) {
    let mut stack = Stack::new();
    black_box(&mut stack).walk(frame, machine);
    let mut frames: Vec<u32> = stack
        .pairs()
        .iter()
        .flat_map(|pair| [*pair as u32, (*pair >> 32) as u32])
        .collect();
    frames.truncate(stack.frames);
    (frames, stack.truncated)
}

/// `N` frames of 4 words, the n-th with the return address n, then the end.
struct Laid<const N: usize>([[usize; 4]; N]);

impl<const N: usize> Laid<N> {
    fn lay(&mut self) -> usize {
        let start = self.0.as_ptr().expose_provenance();
        for n in 0..N {
            let address = if n + 1 < N { CODE.start + n } else { 0 };
            self.0[n] = [start + (n + 1) * 32, address, 77, 78];
        }
        start
    }
}

#[test]
fn all_frames_up_to_the_first_address_outside_the_code_are_seen_innermost_first() {
    fn count<const N: usize>() {
        let mut laid = Laid([[0; 4]; N]);
        let frame = laid.lay();
        let (frames, truncated) = walked(frame, &machine(|_| true));
        black_box(&laid.0);
        let expected: Vec<u32> = (0..N as u32 - 1).collect();
        assert_eq!((frames, truncated), (expected, false));
    }
    count::<1>();
    count::<2>();
    count::<3>();
    count::<18>();
    count::<128>();
    count::<129>();
}

#[test]
fn of_more_frames_than_there_is_room_for_the_outermost_are_left_out() {
    let mut laid = Laid([[0; 4]; 130]);
    let frame = laid.lay();
    let (frames, truncated) = walked(frame, &machine(|_| true));
    black_box(&laid.0);
    assert_eq!((frames, truncated), ((0..128).collect(), true));
}

#[test]
fn the_first_and_the_last_byte_of_the_code_are_inside() {
    let mut laid = Laid([[0; 4]; 4]);
    let frame = laid.lay();
    laid.0[0][1] = CODE.end - 1;
    laid.0[1][1] = CODE.start;
    laid.0[2][1] = CODE.end;
    assert_eq!(walked(frame, &machine(|_| true)).0, [u32::MAX, 0]);
    laid.0[1][1] = CODE.start - 1;
    assert_eq!(walked(frame, &machine(|_| true)).0, [u32::MAX]);
    black_box(&laid.0);
}

#[test]
fn a_page_that_cannot_be_read_ends_the_walk() {
    // 64 frames of 128 bytes are two pages.
    let mut words = [0usize; 64 * 16];
    let start = words.as_ptr().expose_provenance();
    for n in 0..64 {
        words[n * 16] = start + (n + 1) * 128;
        words[n * 16 + 1] = if n < 63 { CODE.start + n } else { 0 };
    }
    let (all, _) = walked(start, &machine(|_| true));
    assert_eq!(all.len(), 63);
    let (known, _) = walked(start, &machine(|_| false));
    // The walk knows its own page; the test's frames begin there or after it.
    assert!(known.len() < 40, "{}", known.len());
    assert_eq!(known[..], all[..known.len()]);
    black_box(&words);
}

#[test]
fn whatever_the_register_and_the_stack_hold_nothing_else_is_read() {
    let mut state = 5u64;
    for round in 0..20_000 {
        let mut words = [0usize; 32];
        let start = words.as_ptr().expose_provenance();
        for word in &mut words {
            state = mix(state.wrapping_add(STEP));
            *word = match state % 5 {
                0 => 0,
                1 => start + (state >> 8) as usize % 300,
                2 => CODE.start + (state >> 32) as usize,
                3 => start.wrapping_add((state >> 8) as usize),
                _ => state as usize,
            };
        }
        let frame = match round % 4 {
            0 => start + round % 200,
            1 => start,
            2 => state as usize,
            _ => [0, usize::MAX, usize::MAX - 7, 8][round / 4 % 4],
        };
        // The walk would read a page above only after a check, which fails here.
        let (frames, truncated) = walked(frame, &machine(|_| false));
        assert!(frames.len() <= 512 && !truncated);
        black_box(&words);
    }
}
