//! The replacement of each byte of a name or of a text on the line.
//!
//! Substitutions replace one byte by one byte, so they never change a length. Escapes add a backslash in front. The
//! rules and their reasons are in the documentation of [`super`].

use core::cmp::Ordering;

/// Replaces a control character in a name. Not `_`: InfluxDB 2 reserves names that begin with it.
const CONTROL_IN_NAME: u8 = b'-';
/// Replaces a backslash that would look like an escape.
const BACKSLASH_IN_NAME: u8 = b'/';
/// Replaces the `#` that would make the line a comment.
const HASH_IN_FRONT: u8 = b'-';
/// Replaces a control character in a text.
const CONTROL_IN_TEXT: u8 = b' ';

/// The place of a name. The measurement has different rules.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Measurement,
    Key,
}

/// One byte of output, and `true` if a backslash precedes it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Escaped {
    pub(super) escape: bool,
    pub(super) byte: u8,
}

fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// Returns the byte at `at` of a name after substitution, before escaping.
fn substitute(name: &[u8], at: usize) -> u8 {
    match name[at] {
        b'\\' if !stays_a_backslash(name.get(at + 1)) => BACKSLASH_IN_NAME,
        byte if is_control(byte) => CONTROL_IN_NAME,
        byte => byte,
    }
}

/// Returns `true` if every parser keeps a backslash before this byte: no parser lets the backslash escape it.
fn stays_a_backslash(next: Option<&u8>) -> bool {
    match next {
        None | Some(b',' | b'=' | b' ' | b'"' | b'\\') => false,
        Some(&byte) => !is_control(byte),
    }
}

/// Returns the byte at `at` of a name. `at` must be inside the name.
pub(super) fn name_byte(name: &[u8], at: usize, place: Place) -> Escaped {
    let byte = substitute(name, at);
    let measurement = place == Place::Measurement;
    if measurement && at == 0 && byte == b'#' {
        return Escaped {
            escape: false,
            byte: HASH_IN_FRONT,
        };
    }
    let escape = match byte {
        b',' | b' ' => true,
        b'=' => !measurement,
        _ => false,
    };
    Escaped { escape, byte }
}

/// Returns a byte of a text between quotes.
pub(super) fn text_byte(byte: u8) -> Escaped {
    match byte {
        b'"' | b'\\' => Escaped { escape: true, byte },
        b'\t' => Escaped {
            escape: false,
            byte,
        },
        _ if is_control(byte) => Escaped {
            escape: false,
            byte: CONTROL_IN_TEXT,
        },
        _ => Escaped {
            escape: false,
            byte,
        },
    }
}

/// Compares two keys as parsers will read them: byte by byte, after substitution.
pub(super) fn compare_keys(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    for (at, bytes) in left.iter().zip(right).enumerate() {
        // The byte after a backslash decides its substitution, so two equal backslashes may differ.
        if bytes.0 != bytes.1 || *bytes.0 == b'\\' {
            let order = substitute(left, at).cmp(&substitute(right, at));
            if order.is_ne() {
                return order;
            }
        }
    }
    left.len().cmp(&right.len())
}

/// Returns `true` if parsers will read two keys as the same.
pub(super) fn same_key(left: &str, right: &str) -> bool {
    left.len() == right.len() && compare_keys(left, right).is_eq()
}

/// The destination of copied bytes.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Raw,
    Name,
    Text,
}

impl Kind {
    /// Returns `true` if one of the bytes must not be copied as it is. The caller checks a measurement's `=` and
    /// leading `#`.
    ///
    /// Tests all bytes at once, each in its high bit: `byte - limit` sets it below the limit, `byte ^ x` is below 1
    /// only for `x`, and `byte + 1` sets it for 7F. A borrow or carry into the next byte does no harm: it comes from a
    /// byte that is special, or from FF, which UTF-8 does not contain. Source: S. E. Anderson, "Bit Twiddling Hacks",
    /// "determine if a word has a byte less than n".
    #[inline(always)]
    pub(super) fn has_special<const N: usize>(self, bytes: &[u8; N]) -> bool {
        let in_name = |byte: u8| {
            (byte <= b' ') | (byte == b',') | (byte == b'=') | (byte == b'\\') | (byte == 0x7f)
        };
        let in_text = |byte: u8| (byte < b' ') | (byte == b'"') | (byte == b'\\') | (byte == 0x7f);
        match self {
            Self::Raw => false,
            Self::Name => {
                bytes
                    .iter()
                    .fold(0_u8, |found, &byte| found | u8::from(in_name(byte)))
                    != 0
            }
            Self::Text => {
                bytes
                    .iter()
                    .fold(0_u8, |found, &byte| found | u8::from(in_text(byte)))
                    != 0
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_special_exactly_if_one_of_its_bytes_is() {
        for place in 0..8 {
            for byte in 0..=254_u8 {
                for filler in [b'!', b'~', 0x80, 0xfe] {
                    let mut bytes = [filler; 8];
                    bytes[place] = byte;
                    let in_name = byte <= b' ' || matches!(byte, b',' | b'=' | b'\\' | 0x7f);
                    assert_eq!(
                        Kind::Name.has_special(&bytes),
                        in_name,
                        "{byte:#x} at {place} in {filler:#x}"
                    );
                    let in_text = byte < b' ' || matches!(byte, b'"' | b'\\' | 0x7f);
                    assert_eq!(
                        Kind::Text.has_special(&bytes),
                        in_text,
                        "{byte:#x} at {place} in {filler:#x}"
                    );
                }
            }
        }
    }

    #[test]
    fn keys_that_will_read_the_same_are_the_same() {
        assert!(same_key("a\n", "a\r"));
        assert!(same_key("a\\", "a/"));
        assert!(!same_key("a\\b", "a/b"));
        assert!(!same_key("a", "ab"));
        assert_eq!(compare_keys("a\n", "a."), Ordering::Less);
        assert_eq!(compare_keys("a\\", "a-"), Ordering::Greater);
        assert_eq!(compare_keys("a", "a\0"), Ordering::Less);
    }
}
