//! Where the parts of a line go: into the caller's buffer, or only into its length.

use super::decimal;
use super::escape::{Escaped, Kind, Place, name_byte, text_byte};

/// Takes the parts of a line in order.
pub(super) trait Sink {
    /// Bytes as they are.
    fn raw(&mut self, bytes: &[u8]);
    /// Decimal digits, with a sign if negative, and one more byte.
    fn integer(&mut self, value: i64, after: u8);
    /// The measurement, escaped.
    fn measurement(&mut self, name: &str);
    /// A tag key, tag value or field key, escaped, with one byte in front of it.
    fn name(&mut self, before: u8, name: &str);
    /// A text, escaped and between quotes.
    fn text(&mut self, text: &str);
}

/// Only counts, for the rare case that it is not certain that a line fits.
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

/// Writes. The caller has made sure that the line fits; were that wrong, the check in [`copy`] would
/// stop the program before a byte beyond the buffer is written.
pub(super) struct Buffer<'a> {
    out: &'a mut [u8],
    /// Bytes written.
    pub(super) len: usize,
    /// Whether a name was not just copied.
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

    /// Copies the bytes if nothing in them is special; else what was copied does not count.
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

/// Writes a name byte by byte and returns how many bytes that took. Not a method: a reference to the buffer's
/// own state would keep that state out of the registers on the fast path.
#[cold]
fn escape_name(name: &[u8], place: Place, out: &mut [u8]) -> usize {
    (0..name.len()).fold(0, |len, at| {
        len + put(name_byte(name, at, place), &mut out[len..])
    })
}

/// The same for a text.
#[cold]
fn escape_text(text: &[u8], out: &mut [u8]) -> usize {
    text.iter()
        .fold(0, |len, byte| len + put(text_byte(*byte), &mut out[len..]))
}

fn put(escaped: Escaped, out: &mut [u8]) -> usize {
    let at = usize::from(escaped.escape);
    // Overwritten by the next line if there is nothing to escape.
    out[0] = b'\\';
    out[at] = escaped.byte;
    at + 1
}

/// Copies `from` to `to`, which are equally long, and says whether nothing in it is special.
///
/// Names are short, often shorter than a call of `memcpy` takes. So there is no loop over single bytes: the
/// two ends are copied as pieces of a fixed size, which may overlap.
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

/// The same for what is worth a call.
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

/// Copies the first and the last `N` bytes and returns them; nothing if there are fewer.
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
