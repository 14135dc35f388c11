//! Decimal digits of integers, written directly to their destination.
//!
//! A formatter with a separate buffer spends more time copying than dividing: digits that were just stored one by one
//! cannot be loaded as a word before the stores are complete. This code makes up to eight digits in one register and
//! stores them from there.

/// The most bytes of an `i64`: a sign and 19 digits.
pub(super) const MAX_LEN: usize = 20;

const EIGHT_DIGITS: u64 = 100_000_000;

/// Writes `value` to the front of `out` and returns the number of bytes, at most [`MAX_LEN`]. Later bytes are not
/// changed.
#[inline(always)]
pub(super) fn write(value: i64, out: &mut [u8]) -> usize {
    let mut len = 0;
    if value < 0 {
        out[0] = b'-';
        len = 1;
    }
    let rest = value.unsigned_abs();
    if rest < EIGHT_DIGITS {
        return len + write_head(rest, &mut out[len..]);
    }
    let (upper, lower) = (rest / EIGHT_DIGITS, rest % EIGHT_DIGITS);
    if upper < EIGHT_DIGITS {
        len += write_head(upper, &mut out[len..]);
    } else {
        len += write_head(upper / EIGHT_DIGITS, &mut out[len..]);
        write_eight(upper % EIGHT_DIGITS, &mut out[len..len + 8]);
        len += 8;
    }
    write_eight(lower, &mut out[len..len + 8]);
    len + 8
}

/// Writes eight digits, with leading zeros.
#[inline(always)]
fn write_eight(value: u64, out: &mut [u8]) {
    out.copy_from_slice(&(eight_digits(value) | ASCII_ZEROS).to_le_bytes());
}

/// Writes one to eight digits without leading zeros.
#[inline(always)]
fn write_head(value: u64, out: &mut [u8]) -> usize {
    let digits = eight_digits(value);
    // The last digit is written even if it is zero. Its byte is the highest.
    let zeros = ((digits | (1 << 56)).trailing_zeros() / 8) as usize;
    let ascii = (digits | ASCII_ZEROS) >> (zeros * 8);
    let len = 8 - zeros;
    let out = &mut out[..len];
    // Two pieces from both ends, which may overlap, so that exactly `len` bytes are stored.
    if let Some(room) = out.first_chunk_mut() {
        *room = (ascii as u32).to_le_bytes();
        if let Some(room) = out.last_chunk_mut() {
            *room = ((ascii >> ((len - 4) * 8)) as u32).to_le_bytes();
        }
    } else {
        out[len - 1] = (ascii >> ((len - 1) * 8)) as u8;
        out[len / 2] = (ascii >> (len / 2 * 8)) as u8;
        out[0] = ascii as u8;
    }
    len
}

const ASCII_ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);

/// Returns the digits of a number below 10^8, one per byte, the first digit in the lowest byte.
///
/// Splits into halves three times, in all lanes at once. The factors are reciprocals: 10486 / 2^20 is 1 / 100 to the
/// precision that four digits need, and 103 / 2^10 is 1 / 10 to that of two. Source of the scheme: P. Khuong, "How to
/// print integers really fast" (2017). The test below tries the factors exhaustively.
#[inline(always)]
const fn eight_digits(value: u64) -> u64 {
    let fours = (value / 10_000) | ((value % 10_000) << 32);
    let hundreds = ((fours * 10_486) >> 20) & 0x0000_007f_0000_007f;
    let twos = hundreds | ((fours - hundreds * 100) << 16);
    let tens = ((twos * 103) >> 10) & 0x000f_000f_000f_000f;
    tens | ((twos - tens * 10) << 8)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: i64) -> String {
        let mut out = [0xa5; MAX_LEN + 8];
        let len = write(value, &mut out);
        assert!(
            out[len..].iter().all(|byte| *byte == 0xa5),
            "written beyond {value}"
        );
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn every_four_digits_come_out_right_in_either_half() {
        for four in 0..10_000_u64 {
            for value in [four, four * 10_000, four * 10_000 + 9_999] {
                let digits = (eight_digits(value) | ASCII_ZEROS).to_le_bytes();
                assert_eq!(str::from_utf8(&digits), Ok(format!("{value:08}").as_str()));
            }
        }
    }

    #[test]
    fn numbers_of_every_length_read_back() {
        for value in [0, i64::MIN, i64::MAX, i64::MIN + 1] {
            assert_eq!(written(value), value.to_string());
        }
        let mut power = 1_i64;
        for _ in 0..19 {
            for value in [
                power - 1,
                power,
                power + 1,
                power.saturating_mul(9),
                power / 7 * 5,
            ] {
                assert_eq!(written(value), value.to_string());
                assert_eq!(written(-value), (-value).to_string());
            }
            power = power.saturating_mul(10);
        }
    }
}
