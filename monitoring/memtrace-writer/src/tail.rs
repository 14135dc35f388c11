//! The tail of a stack: the codes from some frame to the innermost one.

use super::stack::CODES_MAX;

/// What each place of a stack counts for in the hashes of its tails, the innermost last: powers of an odd constant (Knuth,
/// TAOCP 2, 3.3.4, table 1, line 16), so that no frame's product waits for the one before.
const WEIGHTS: [u32; CODES_MAX] = {
    let mut weights = [0x9E37_79B1_u32; CODES_MAX];
    let mut at = CODES_MAX - 1;
    while at > 0 {
        weights[at - 1] = weights[at].wrapping_mul(1_664_525);
        at -= 1;
    }
    weights
};

/// A tail with its hash. Two tails may have one hash; whoever uses it compares, or can bear it.
#[derive(Clone, Copy)]
pub(super) struct Tail<'a> {
    pub(super) codes: &'a [u32],
    /// Of the tail that begins at each code: the sum of codes times weights.
    sums: &'a [u32],
}

impl<'a> Tail<'a> {
    /// The tail that begins at `from` in a stack that ends where `codes` does, and sums of the same place.
    #[inline]
    pub(super) fn new(
        codes: &'a [u32; CODES_MAX],
        sums: &'a mut [u32; CODES_MAX],
        from: usize,
    ) -> Self {
        let codes = &codes[from..];
        let places = codes.iter().zip(&mut sums[from..]).zip(&WEIGHTS[from..]);
        let mut sum = 0_u32;
        for ((code, place), weight) in places.rev() {
            sum = sum.wrapping_add(code.wrapping_mul(*weight));
            *place = sum;
        }
        Self {
            codes,
            sums: &sums[from..],
        }
    }

    /// The tail that begins so many codes further in.
    #[inline]
    pub(super) fn skip(self, count: usize) -> Self {
        Self {
            codes: &self.codes[count..],
            sums: &self.sums[count..],
        }
    }

    /// 32 bits, of which the high ones are the best mixed.
    #[inline]
    pub(super) fn hash(&self) -> u32 {
        let sum = self.sums.first().copied().unwrap_or_default();
        (sum ^ sum >> 15).wrapping_mul(0x9E37_79B1)
    }
}
