//! Reads and writes numbers of variable length.

/// Bytes that are read from the beginning.
#[derive(Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

impl<'a> Cursor<'a> {
    /// Returns the next `count` bytes, or `None` if there are fewer.
    pub(crate) fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// Returns the next varint, or `None` if it does not end or has more than 32 bits.
    #[inline]
    pub(crate) fn number(&mut self) -> Option<u32> {
        let mut number = 0;
        for shift in (0..u32::BITS).step_by(7) {
            let (&byte, rest) = self.0.split_first()?;
            self.0 = rest;
            let bits = u32::from(byte & 0x7f);
            if bits << shift >> shift != bits {
                return None;
            }
            number |= bits << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    /// Reads the next varint as a difference. Returns its sum with `number`, or `None` also if the sum needs more than 32 bits.
    #[inline]
    pub(crate) fn changed(&mut self, number: u32) -> Option<u32> {
        let change = self.number()?;
        number.checked_add_signed((change >> 1) as i32 ^ -((change & 1) as i32))
    }
}

/// Returns the number that is written for the difference from `from` to `to`. Both are below 2^31, so it has 32 bits.
#[cfg(feature = "write")]
pub(crate) fn change(from: u32, to: u32) -> u32 {
    let change = to.wrapping_sub(from) as i32;
    (change << 1 ^ change >> 31) as u32
}

/// Appends a varint.
#[cfg(feature = "write")]
pub(crate) fn put(mut number: u32, out: &mut alloc::vec::Vec<u8>) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use super::*;

    #[test]
    fn a_number_is_read_as_it_was_written() {
        for (number, bytes) in [
            (0, &[0][..]),
            (127, &[0x7f]),
            (128, &[0x80, 1]),
            (300, &[0xac, 2]),
            (u32::MAX, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        ] {
            let mut out = Vec::new();
            put(number, &mut out);
            assert_eq!(out, bytes);
            out.push(9);
            let mut cursor = Cursor(&out);
            assert_eq!((cursor.number(), cursor.0), (Some(number), &[9][..]));
        }
    }

    #[test]
    fn a_number_that_does_not_end_or_is_too_large_is_refused() {
        for bytes in [
            &[][..],
            &[0x80],
            &[0xff, 0xff, 0xff, 0xff, 0x1f],
            &[0xff, 0xff, 0xff, 0xff, 0x8f, 0],
        ] {
            assert_eq!(Cursor(bytes).number(), None, "{bytes:x?}");
        }
    }

    #[test]
    fn a_difference_leads_from_one_number_to_the_other() {
        let numbers = [0, 1, 2, 1000, (1 << 31) - 1];
        for (from, to) in numbers
            .iter()
            .flat_map(|&from| numbers.map(|to| (from, to)))
        {
            let mut out = Vec::new();
            put(change(from, to), &mut out);
            assert_eq!(Cursor(&out).changed(from), Some(to), "{from} to {to}");
        }
        assert_eq!(
            [(5, 5), (5, 4), (5, 6), (5, 3)].map(|(from, to)| change(from, to)),
            [0, 1, 2, 3]
        );
        assert_eq!(Cursor(&[1]).changed(0), None);
    }
}
