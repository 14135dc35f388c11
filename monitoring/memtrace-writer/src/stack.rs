//! A stack as the codec wants it: 32-bit codes, the outermost first, with the one before it beside it.

use super::{FRAMES_MAX, code};

/// Frames with the mark that some were dropped.
pub(super) const CODES_MAX: usize = FRAMES_MAX + 1;

/// Filled from the end, because stacks are unwound from the innermost frame.
struct Codes {
    codes: [u32; CODES_MAX],
    len: usize,
}

impl Codes {
    const EMPTY: Self = Self {
        codes: [0; CODES_MAX],
        len: 0,
    };

    fn as_slice(&self) -> &[u32] {
        &self.codes[CODES_MAX - self.len..]
    }
}

/// The stack of the last alloc event, and that of the one in the making.
pub(super) struct Stacks {
    pair: [Codes; 2],
    /// Which of the pair is the last event's.
    last: usize,
}

impl Stacks {
    pub(super) const fn new() -> Self {
        Self {
            pair: [Codes::EMPTY; 2],
            last: 0,
        }
    }

    pub(super) const fn clear(&mut self) {
        self.pair[self.last].len = 0;
    }

    /// Takes a stack, the innermost frame first, as the next. Returns how many codes it has, at least one.
    #[inline]
    pub(super) fn take(&mut self, frames: impl IntoIterator<Item = u64>) -> usize {
        let next = &mut self.pair[1 - self.last];
        let mut frames = frames.into_iter();
        let mut len = 0;
        for (place, frame) in next.codes.iter_mut().rev().zip(&mut frames) {
            *place = legal(frame);
            len += 1;
        }
        if len == 0 {
            next.codes[CODES_MAX - 1] = code::UNKNOWN as u32;
            len = 1;
        } else if len == CODES_MAX && frames.next().is_some() {
            next.codes[0] = code::OUTER_DROPPED as u32;
        }
        next.len = len;
        len
    }

    /// The next stack, and how many of its outermost codes are those of the last.
    #[inline]
    pub(super) fn next(&self) -> (&[u32], usize) {
        let (last, next) = (&self.pair[self.last], &self.pair[1 - self.last]);
        let pairs = last.as_slice().iter().zip(next.as_slice());
        let common = pairs.take_while(|(a, b)| a == b).count();
        (next.as_slice(), common)
    }

    /// The next stack was written.
    #[inline]
    pub(super) const fn accept(&mut self) {
        self.last = 1 - self.last;
    }
}

/// Codes of 0 are the cache's empty slots, and the cache has 32 bits for each.
#[inline]
const fn legal(frame: u64) -> u32 {
    match frame {
        0 => code::UNKNOWN as u32,
        0x1_0000_0000.. => code::OUTSIDE as u32,
        frame => frame as u32,
    }
}
