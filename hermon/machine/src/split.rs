//! Bytes into lines, however the bytes are cut on their way, in bounded memory.

/// The longest line that is kept, in bytes without its end. A point of this product and a line of a console are a few
/// hundred bytes, other senders' points some thousand; a sender that never ends its line must not cost more than this.
pub const MAX_LINE: usize = 64 * 1024;

/// A piece that came out of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    /// A whole line without its end (`\n` or `\r\n`). May be empty.
    Line(&'a [u8]),
    /// A line longer than [`MAX_LINE`] was left out; its number of bytes, its `\n` not counted.
    TooLong(u64),
}

/// Collects bytes until a line is whole.
///
/// Holds at most [`MAX_LINE`] bytes. A longer line is skipped to its end and told as [`Piece::TooLong`], so that the
/// line after it is whole again.
///
/// ```
/// use hermon_machine::split::{Piece, Splitter};
/// let mut lines = Vec::new();
/// let mut splitter = Splitter::default();
/// for bytes in [&b"memory live"[..], b"=1i\nmonitoring"] {
///     splitter.feed(bytes, |piece| {
///         if let Piece::Line(line) = piece {
///             lines.push(line.to_vec());
///         }
///     });
/// }
/// assert_eq!(lines, [b"memory live=1i"]);
/// assert_eq!(splitter.rest(), b"monitoring");
/// ```
#[derive(Debug, Default)]
pub struct Splitter {
    kept: Vec<u8>,
    /// Bytes of the line under way that were thrown away because it is too long.
    skipped: u64,
}

impl Splitter {
    /// Takes more bytes and gives every line that they complete to `each`, in order.
    ///
    /// Cost: linear in `bytes`. A line that lies whole inside `bytes` is not copied.
    pub fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(Piece<'_>)) {
        while let Some(end) = bytes.iter().position(|&byte| byte == b'\n') {
            let (head, tail) = (&bytes[..end], &bytes[end + 1..]);
            bytes = tail;
            if self.kept.is_empty() && self.skipped == 0 && head.len() <= MAX_LINE {
                each(Piece::Line(without_carriage_return(head)));
                continue;
            }
            self.keep(head);
            if self.skipped > 0 {
                each(Piece::TooLong(self.skipped));
            } else {
                each(Piece::Line(without_carriage_return(&self.kept)));
            }
            self.skipped = 0;
            self.kept.clear();
        }
        self.keep(bytes);
    }

    /// The beginning of a line whose end has not come yet; empty after a whole line and within one that is too long.
    pub fn rest(&self) -> &[u8] {
        &self.kept
    }

    /// Returns whether there is a line whose end has not come yet.
    pub fn is_cut(&self) -> bool {
        !self.kept.is_empty() || self.skipped > 0
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.skipped > 0 || self.kept.len() + bytes.len() > MAX_LINE {
            self.skipped += (self.kept.len() + bytes.len()) as u64;
            self.kept.clear();
        } else {
            self.kept.extend_from_slice(bytes);
        }
    }
}

fn without_carriage_return(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, PartialEq)]
    enum Owned {
        Line(Vec<u8>),
        TooLong(u64),
    }

    fn split(chunks: &[&[u8]]) -> (Vec<Owned>, Vec<u8>) {
        let mut splitter = Splitter::default();
        let mut pieces = Vec::new();
        for chunk in chunks {
            splitter.feed(chunk, |piece| {
                pieces.push(match piece {
                    Piece::Line(line) => Owned::Line(line.to_vec()),
                    Piece::TooLong(bytes) => Owned::TooLong(bytes),
                });
            });
        }
        (pieces, splitter.rest().to_vec())
    }

    #[test]
    fn the_longest_line_is_kept_and_one_byte_more_is_skipped_whole() {
        for cut in [1, 7, MAX_LINE, MAX_LINE + 1] {
            let mut bytes = vec![b'a'; MAX_LINE];
            bytes.push(b'\n');
            bytes.extend(vec![b'b'; MAX_LINE + 1]);
            bytes.extend(b"\nc\n");
            let chunks: Vec<&[u8]> = bytes.chunks(cut).collect();
            let (pieces, rest) = split(&chunks);
            assert_eq!(
                pieces,
                [
                    Owned::Line(vec![b'a'; MAX_LINE]),
                    Owned::TooLong(MAX_LINE as u64 + 1),
                    Owned::Line(vec![b'c']),
                ]
            );
            assert!(rest.is_empty());
        }
    }

    #[test]
    fn an_endless_line_is_cut_and_takes_no_more_memory_than_the_bound() {
        let mut splitter = Splitter::default();
        for _ in 0..64 {
            splitter.feed(&[b'x'; 4096], |piece| {
                panic!("no line has ended: {piece:?}")
            });
            assert!(splitter.kept.len() <= MAX_LINE);
        }
        assert!(splitter.is_cut());
        assert!(splitter.kept.capacity() <= 2 * MAX_LINE);
    }

    proptest! {
        #[test]
        fn lines_do_not_depend_on_how_the_bytes_were_cut(
            bytes in prop::collection::vec(prop::sample::select(&b"\n\r\0 ,=\"\\a\xc3"[..]), 0..200),
            cuts in prop::collection::vec(0usize..200, 0..20),
        ) {
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.sort_unstable();
            let mut chunks = Vec::new();
            let mut from = 0;
            for cut in cuts {
                chunks.push(&bytes[from..cut]);
                from = cut;
            }
            chunks.push(&bytes[from..]);

            // The oracle has all bytes at once.
            let mut expected: Vec<&[u8]> = bytes.split(|&byte| byte == b'\n').collect();
            let rest = expected.pop().unwrap_or_default();
            let expected: Vec<Owned> = expected
                .into_iter()
                .map(|line| Owned::Line(if line.ends_with(b"\r") { &line[..line.len() - 1] } else { line }.to_vec()))
                .collect();
            prop_assert_eq!(split(&chunks), (expected, rest.to_vec()));
        }
    }
}
