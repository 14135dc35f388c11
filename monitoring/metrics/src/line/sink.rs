//! The destinations of a line's parts: the caller's buffer, or only a count of bytes.

use super::decimal;
use super::escape::{Escaped, Kind, Place, name_byte, text_byte};

/// Takes the parts of a line in order.
pub(super) trait Sink {
    /// Takes bytes as they are.
    fn raw(&mut self, bytes: &[u8]);
    /// Takes an integer, written in decimal digits with a sign if negative, and one more byte.
    fn integer(&mut self, value: i64, after: u8);
    /// Takes the measurement, and escapes it.
    fn measurement(&mut self, name: &str);
    /// Takes a tag key, tag value or field key, escapes it, and puts one byte in front.
    fn name(&mut self, before: u8, name: &str);
    /// Takes a text, escapes it, and puts it between quotes.
    fn text(&mut self, text: &str);
}

/// Counts bytes only, for the rare case that the line may not fit.
#[derive(Default)]
pub(super) struct Length(pub(super) usize);

impl Length {
    fn escaped(&mut self, name: &str, place: Place) {
        let bytes = name.as_bytes();
        let escapes = (0..bytes.len())
            .filter(|&at| name_byte(bytes, at, place).escape)
            .count();
        self.0 += bytes.len() + escapes;
    }
}

impl Sink for Length {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    fn integer(&mut self, value: i64, _after: u8) {
        self.0 += decimal::write(value, &mut [0; decimal::MAX_LEN]) + 1;
    }

    fn measurement(&mut self, name: &str) {
        self.escaped(name, Place::Measurement);
    }

    fn name(&mut self, _before: u8, name: &str) {
        self.0 += 1;
        self.escaped(name, Place::Key);
    }

    fn text(&mut self, text: &str) {
        let escapes = text.bytes().filter(|&byte| text_byte(byte).escape).count();
        self.0 += text.len() + escapes + 2;
    }
}

/// Writes to a buffer. The caller has checked that the line fits. If that were wrong, the check in [`copy`] would stop
/// the program before a byte beyond the buffer is written.
pub(super) struct Buffer<'a> {
    out: &'a mut [u8],
    /// Bytes written.
    pub(super) len: usize,
    /// `true` if a name needed more than a copy.
    pub(super) escaped: bool,
}

impl<'a> Buffer<'a> {
    pub(super) fn new(out: &'a mut [u8]) -> Self {
        Self {
            out,
            len: 0,
            escaped: false,
        }
    }

    #[inline(always)]
    fn push(&mut self, byte: u8) {
        self.out[self.len] = byte;
        self.len += 1;
    }

    /// Copies the bytes and returns `true` if none of them is special. Otherwise the copy does not count.
    #[inline(always)]
    fn copy(&mut self, bytes: &[u8], kind: Kind) -> bool {
        let plain = copy(bytes, &mut self.out[self.len..][..bytes.len()], kind);
        if plain {
            self.len += bytes.len();
        }
        plain
    }

    #[inline(always)]
    fn name_at(&mut self, place: Place, name: &str) {
        let comment = place == Place::Measurement && name.starts_with('#');
        if comment || !self.copy(name.as_bytes(), Kind::Name) {
            self.escaped = true;
            self.len += escape_name(name.as_bytes(), place, &mut self.out[self.len..]);
        }
    }
}

impl Sink for Buffer<'_> {
    #[inline(always)]
    fn raw(&mut self, bytes: &[u8]) {
        self.copy(bytes, Kind::Raw);
    }

    #[inline(always)]
    fn integer(&mut self, value: i64, after: u8) {
        self.len += decimal::write(value, &mut self.out[self.len..]);
        self.push(after);
    }

    #[inline(always)]
    fn measurement(&mut self, name: &str) {
        self.name_at(Place::Measurement, name);
    }

    #[inline(always)]
    fn name(&mut self, before: u8, name: &str) {
        self.push(before);
        self.name_at(Place::Key, name);
    }

    #[inline(always)]
    fn text(&mut self, text: &str) {
        self.push(b'"');
        if !self.copy(text.as_bytes(), Kind::Text) {
            self.len += escape_text(text.as_bytes(), &mut self.out[self.len..]);
        }
        self.push(b'"');
    }
}

/// Writes a name byte by byte and returns the number of bytes. Not a method: a reference to the buffer's state would
/// keep that state out of the registers on the fast path.
#[cold]
fn escape_name(name: &[u8], place: Place, out: &mut [u8]) -> usize {
    (0..name.len()).fold(0, |len, at| {
        len + put(name_byte(name, at, place), &mut out[len..])
    })
}

/// Writes a text in the same way.
#[cold]
fn escape_text(text: &[u8], out: &mut [u8]) -> usize {
    text.iter()
        .fold(0, |len, byte| len + put(text_byte(*byte), &mut out[len..]))
}

fn put(escaped: Escaped, out: &mut [u8]) -> usize {
    let at = usize::from(escaped.escape);
    // The next store overwrites this if there is nothing to escape.
    out[0] = b'\\';
    out[at] = escaped.byte;
    at + 1
}

/// Copies `from` to `to`, which have the same length. Returns `true` if no byte is special.
///
/// Names are short; many take less time to copy than a call of `memcpy`. So there is no loop over single bytes: the two
/// ends are copied as pieces of a fixed size, which may overlap.
#[inline(always)]
fn copy(from: &[u8], to: &mut [u8], kind: Kind) -> bool {
    if from.len() > 16 {
        return copy_long(from, to, kind);
    }
    if let Some((first, last)) = copy_ends::<8>(from, to) {
        return !(kind.has_special(first) | kind.has_special(last));
    }
    if let Some((first, last)) = copy_ends::<4>(from, to) {
        return !(kind.has_special(first) | kind.has_special(last));
    }
    if let Some((first, last)) = copy_ends::<2>(from, to) {
        return !(kind.has_special(first) | kind.has_special(last));
    }
    if let ([only], [room]) = (from, to) {
        *room = *only;
        return !kind.has_special(&[*only]);
    }
    true
}

/// Does the same for lengths that are worth a call.
#[inline(never)]
fn copy_long(from: &[u8], to: &mut [u8], kind: Kind) -> bool {
    to.copy_from_slice(from);
    let (words, _) = from.as_chunks::<16>();
    let last = from
        .last_chunk::<16>()
        .is_some_and(|last| kind.has_special(last));
    !words
        .iter()
        .fold(last, |special, word| special | kind.has_special(word))
}

/// Copies the first and the last `N` bytes and returns them; returns `None` if there are fewer.
#[inline(always)]
fn copy_ends<'f, const N: usize>(
    from: &'f [u8],
    to: &mut [u8],
) -> Option<(&'f [u8; N], &'f [u8; N])> {
    let (first, last) = (from.first_chunk()?, from.last_chunk()?);
    *to.first_chunk_mut()? = *first;
    *to.last_chunk_mut()? = *last;
    Some((first, last))
}
