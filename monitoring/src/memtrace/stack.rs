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
        let mut free = CODES_MAX;
        for frame in frames {
            if free == 0 {
                next.codes[0] = code::OUTER_DROPPED as u32;
                break;
            }
            free -= 1;
            next.codes[free] = legal(frame);
        }
        if free == CODES_MAX {
            free -= 1;
            next.codes[free] = code::UNKNOWN as u32;
        }
        next.len = CODES_MAX - free;
        next.len
    }

    /// The next stack, and how many of its outermost codes are those of the last.
    #[inline]
    pub(super) fn next(&self) -> (&[u32], usize) {
        let (last, next) = (
            self.pair[self.last].as_slice(),
            self.pair[1 - self.last].as_slice(),
        );
        let common = last.iter().zip(next).take_while(|(a, b)| a == b).count();
        (next, common)
    }

    /// The next stack was written.
    #[inline]
    pub(super) const fn accept(&mut self) {
        self.last = 1 - self.last;
    }
}

/// Codes of 0 are the cache's empty slots, and the cache has 32 bits for each.
#[inline]
fn legal(frame: u64) -> u32 {
    const UNKNOWN: u32 = code::UNKNOWN as u32;
    const OUTSIDE: u32 = code::OUTSIDE as u32;
    u32::try_from(frame).map_or(OUTSIDE, |code| if code == 0 { UNKNOWN } else { code })
}
