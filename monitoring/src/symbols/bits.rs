//! Bits of a byte string, the highest of a byte first.

/// A position in a string of bits.
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    /// In bits.
    at: usize,
}

impl<'a> Bits<'a> {
    /// Bits of one `take` or `peek`, at most: a window of 32 bits that begins anywhere in its first byte.
    pub(super) const MOST: u32 = 25;

    /// Bits of one `take_wide`, at most: a window of 64 bits that begins anywhere in its first byte.
    pub(super) const MOST_WIDE: u32 = 57;

    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at }
    }

    /// The next 32 bits, of which the first [`Bits::MOST`] are right. Behind the end there are zeros.
    #[inline]
    fn window(&self) -> u32 {
        let at = self.at / 8;
        let word = match self.bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(&bytes) => u32::from_be_bytes(bytes),
            None => {
                let mut bytes = [0; 4];
                for (to, from) in bytes.iter_mut().zip(self.bytes.iter().skip(at)) {
                    *to = *from;
                }
                u32::from_be_bytes(bytes)
            }
        };
        word << (self.at % 8)
    }

    /// The next `count` bits without taking them; 1 to [`Bits::MOST`].
    #[inline]
    pub(super) fn peek(&self, count: u32) -> u32 {
        debug_assert!((1..=Self::MOST).contains(&count));
        self.window() >> (32 - count)
    }

    #[inline]
    pub(super) fn skip(&mut self, count: u32) {
        self.at = self.at.saturating_add(count as usize);
    }

    /// The next `count` bits; none of none. At most 32.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> u32 {
        match count {
            0 => 0,
            1..=Self::MOST => {
                let bits = self.peek(count);
                self.skip(count);
                bits
            }
            _ => {
                let high = self.take(count - 16);
                high << 16 | self.take(16)
            }
        }
    }

    /// The next `count` bits in one read; at most [`Bits::MOST_WIDE`].
    #[inline]
    pub(super) fn take_wide(&mut self, count: u32) -> u64 {
        debug_assert!(count <= Self::MOST_WIDE);
        let word = match self
            .bytes
            .get(self.at / 8..)
            .and_then(|rest| rest.first_chunk())
        {
            Some(&bytes) => u64::from_be_bytes(bytes) << (self.at % 8),
            // Near the end.
            None => {
                let (first, second) = (count.min(32), count.saturating_sub(32));
                return u64::from(self.take(first)) << second | u64::from(self.take(second));
            }
        };
        self.skip(count);
        // Of 0 bits there is nothing.
        word.checked_shr(u64::BITS - count).unwrap_or(0)
    }

    /// Whether more was taken than there is.
    pub(super) fn overrun(&self) -> bool {
        self.at > self.bytes.len().saturating_mul(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_from_the_highest_on() {
        let mut bits = Bits::new(&[0b1010_0000, 0xff, 0x12, 0x34, 0x56], 0);
        assert_eq!(
            (bits.take(1), bits.take(2), bits.take(0), bits.take(5)),
            (1, 1, 0, 0)
        );
        assert_eq!(bits.peek(12), 0xff1);
        assert_eq!(bits.take(32), 0xff12_3456);
        assert!(!bits.overrun());
    }

    #[test]
    fn a_wide_read_takes_the_same_bits() {
        let bytes: Vec<u8> = (0..24_u8)
            .map(|at| at.wrapping_mul(37).wrapping_add(11))
            .collect();
        for start in 0..200 {
            for count in 0..=Bits::MOST_WIDE {
                let (mut wide, mut narrow) = (Bits::new(&bytes, start), Bits::new(&bytes, start));
                let high = narrow.take(count / 2);
                let low = count - count / 2;
                let expected = u64::from(high) << low | u64::from(narrow.take(low));
                assert_eq!(wide.take_wide(count), expected, "{count} bits at {start}");
                assert_eq!(wide.overrun(), narrow.overrun());
            }
        }
    }

    #[test]
    fn behind_the_end_there_are_zeros() {
        let mut bits = Bits::new(&[0xff], 4);
        assert_eq!(bits.take(8), 0xf0);
        assert!(bits.overrun());
        assert_eq!(Bits::new(&[], usize::MAX).peek(25), 0);
    }
}
