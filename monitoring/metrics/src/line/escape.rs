//! What a byte of a name or of a text turns into on the line.
//!
//! Substitutions replace one byte by one byte, so that a length never depends on them; escapes put a
//! backslash in front. The rules and their reasons are in the documentation of [`super`].

use core::cmp::Ordering;

/// Stands for a control character in a name. Not `_`: names that begin with it are reserved by InfluxDB 2.
const CONTROL_IN_NAME: u8 = b'-';
/// Stands for a backslash that could not be told from an escape.
const BACKSLASH_IN_NAME: u8 = b'/';
/// Stands for the `#` that would make a comment of the line.
const HASH_IN_FRONT: u8 = b'-';
/// Stands for a control character in a text.
const CONTROL_IN_TEXT: u8 = b' ';

/// Where a name stands; the measurement has rules of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Measurement,
    Key,
}

/// One byte of output and whether a backslash goes in front of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Escaped {
    pub(super) escape: bool,
    pub(super) byte: u8,
}

fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// The byte at `at` of a name after substitution, before escaping.
fn substitute(name: &[u8], at: usize) -> u8 {
    match name[at] {
        b'\\' if !stays_a_backslash(name.get(at + 1)) => BACKSLASH_IN_NAME,
        byte if is_control(byte) => CONTROL_IN_NAME,
        byte => byte,
    }
}

/// A backslash is itself for every parser only in front of a byte that none of them lets it escape.
fn stays_a_backslash(next: Option<&u8>) -> bool {
    match next {
        None | Some(b',' | b'=' | b' ' | b'"' | b'\\') => false,
        Some(&byte) => !is_control(byte),
    }
}

/// The byte at `at` of a name. `at` must be inside.
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

/// A byte of a text between quotes.
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

/// The order of two keys as they will be read: byte by byte, after substitution.
pub(super) fn compare_keys(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    for (at, bytes) in left.iter().zip(right).enumerate() {
        // What becomes of a backslash depends on the byte after it, so equal ones may differ.
        if bytes.0 != bytes.1 || *bytes.0 == b'\\' {
            let order = substitute(left, at).cmp(&substitute(right, at));
            if order.is_ne() {
                return order;
            }
        }
    }
    left.len().cmp(&right.len())
}

/// Whether two keys will be read as the same.
pub(super) fn same_key(left: &str, right: &str) -> bool {
    left.len() == right.len() && compare_keys(left, right).is_eq()
}

/// What bytes are copied to.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Raw,
    Name,
    Text,
}

impl Kind {
    /// Whether one of the eight bytes of `word` may not be copied as it is. A measurement's `=` and leading
    /// `#` are looked at by the caller.
    ///
    /// Every byte is tested at once in its own high bit: `byte - limit` sets it below the limit, `byte ^ x`
    /// is below 1 only for `x`, and `byte + 1` sets it for 7F. What a borrow or carry does to the next byte
    /// does not matter: it comes from a byte that is special, or from FF, which UTF-8 does not have. Source:
    /// S. E. Anderson, "Bit Twiddling Hacks", "determine if a word has a byte less than n".
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
