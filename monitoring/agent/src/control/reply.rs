//! One reply: a line, handed over in as many pieces as the connection takes.

use core::fmt::{self, Write};

use super::answer::Managed;
use super::listing::Listing;
use network::bounds::REPLY_MAX;

/// The reply has no room for another piece until some bytes are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// Replaces the rest of a piece that does not fit even an empty buffer.
const CUT: &str = "…";

/// One reply. A short reply is written whole. A [`Listing`] is written piece by piece, as the client takes the pieces
/// before. So a client that does not read needs no memory, and a reply may be of any length.
#[derive(Debug)]
pub struct Reply<'a> {
    bytes: &'a mut [u8],
    len: usize,
    taken: usize,
    listing: Option<Listing>,
}

impl<'a> Reply<'a> {
    /// Creates an empty reply in this memory.
    ///
    /// # Panics
    /// If the memory is smaller than [`REPLY_MAX`].
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        assert!(bytes.len() >= REPLY_MAX);
        Self {
            bytes,
            len: 0,
            taken: 0,
            listing: None,
        }
    }

    /// Replaces the reply by one line. A text that is too long becomes an error that says so: a client could not tell
    /// half a reply from a whole one.
    pub fn set(&mut self, text: fmt::Arguments<'_>) {
        self.clear();
        if self.piece(format_args!("{text}\n")).is_err() {
            let fits = self.piece(format_args!("error: reply too long\n"));
            debug_assert!(fits.is_ok());
        }
    }

    /// Replaces the reply by an error. An error that is too long is cut and ends in `…`.
    pub fn set_error(&mut self, error: &dyn fmt::Display) {
        self.clear();
        self.write_cut(format_args!("error: {error}"), "\n");
    }

    /// Replaces the reply by one line. A text that is too long is cut and ends in `…`.
    pub fn set_cut(&mut self, text: fmt::Arguments<'_>) {
        self.clear();
        self.write_cut(text, "\n");
    }

    /// Replaces the reply by a line that begins with this text and continues with a listing.
    pub fn begin(&mut self, text: fmt::Arguments<'_>, listing: Listing) {
        self.clear();
        let fits = self.piece(text);
        debug_assert!(fits.is_ok(), "the text is too long: {text}");
        self.listing = Some(listing);
    }

    /// Adds a piece, whole or not at all.
    pub(super) fn piece(&mut self, piece: fmt::Arguments<'_>) -> Result<(), Full> {
        let before = self.len;
        self.write_fmt(piece).map_err(|_| {
            self.len = before;
            Full
        })
    }

    /// Adds a piece. A piece that is longer than the whole memory is cut and ends in `…`.
    pub(super) fn piece_or_cut(&mut self, piece: fmt::Arguments<'_>) -> Result<(), Full> {
        if self.len > 0 {
            return self.piece(piece);
        }
        self.write_cut(piece, "");
        Ok(())
    }

    /// Writes as much of a piece as fits into an empty buffer, then `end`.
    fn write_cut(&mut self, piece: fmt::Arguments<'_>, end: &str) {
        let mut room = Room {
            left: self.bytes.len() - CUT.len() - end.len(),
            reply: self,
            cut: false,
        };
        let _ = room.write_fmt(piece);
        let cut = if room.cut { CUT } else { "" };
        let fits = self.piece(format_args!("{cut}{end}"));
        debug_assert!(fits.is_ok(), "the end fits");
    }

    /// Discards the reply.
    pub const fn clear(&mut self) {
        self.len = 0;
        self.taken = 0;
        self.listing = None;
    }

    /// Returns the bytes to hand over: the rest of the reply, or its next part. They are empty once the reply is
    /// complete. `names` are the names in the command.
    pub fn ready(&mut self, managed: &Managed<'_>, names: &str) -> &[u8] {
        while self.taken == self.len {
            let Some(mut listing) = self.listing.take() else {
                break;
            };
            (self.len, self.taken) = (0, 0);
            self.listing = listing.go_on(managed, names, self).map(|()| listing);
        }
        &self.bytes[self.taken..self.len]
    }

    /// Marks `count` bytes as handed over.
    pub fn take(&mut self, count: usize) {
        self.taken = (self.taken + count).min(self.len);
    }

    /// Returns `true` if the whole reply is handed over.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.taken == self.len && self.listing.is_none()
    }
}

impl Write for Reply<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

/// Writes what fits and discards the rest.
struct Room<'r, 'a> {
    reply: &'r mut Reply<'a>,
    left: usize,
    cut: bool,
}

impl Write for Room<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let fits = text.floor_char_boundary(self.left);
        self.cut |= fits < text.len();
        self.left = if self.cut { 0 } else { self.left - fits };
        self.reply.write_str(&text[..fits])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_does_not_fit_is_an_error_that_says_so() {
        let mut memory = [0; REPLY_MAX];
        let mut reply = Reply::new(&mut memory);
        reply.set(format_args!("{:1$}", "", REPLY_MAX - 1));
        assert_eq!(reply.len, REPLY_MAX);
        reply.set(format_args!("{:1$}", "", REPLY_MAX));
        assert_eq!(&reply.bytes[..reply.len], b"error: reply too long\n");
    }

    #[test]
    fn an_error_that_names_a_long_text_is_cut_and_shows_it() {
        let mut memory = [0; REPLY_MAX];
        let mut reply = Reply::new(&mut memory);
        for len in [REPLY_MAX - 11, REPLY_MAX - 10, 3 * REPLY_MAX] {
            let text = "x".repeat(len);
            reply.set_error(&text);
            let shown = if len == REPLY_MAX - 11 {
                format!("error: {text}\n")
            } else {
                format!("error: {}…\n", &text[..REPLY_MAX - 11])
            };
            assert_eq!(&reply.bytes[..reply.len], shown.as_bytes());
        }
    }

    #[test]
    fn a_piece_is_written_whole_or_not_at_all() {
        let mut memory = [0; REPLY_MAX];
        let mut reply = Reply::new(&mut memory);
        assert_eq!(
            reply.piece(format_args!("{:1$}", "", REPLY_MAX - 2)),
            Ok(())
        );
        assert_eq!(reply.piece(format_args!("a{}", "bc")), Err(Full));
        assert_eq!(reply.len, REPLY_MAX - 2);
        assert_eq!(reply.piece_or_cut(format_args!("abc")), Err(Full));
        assert_eq!(reply.piece_or_cut(format_args!("ab")), Ok(()));
    }

    #[test]
    fn a_piece_that_fits_nowhere_is_cut_at_a_character_and_shows_it() {
        let mut memory = [0; REPLY_MAX];
        let mut reply = Reply::new(&mut memory);
        let long = "é".repeat(REPLY_MAX);
        assert_eq!(reply.piece_or_cut(format_args!("{long},{long}")), Ok(()));
        let text = str::from_utf8(&reply.bytes[..reply.len]).unwrap();
        assert_eq!(text, format!("{}…", "é".repeat((REPLY_MAX - 3) / 2)));
    }
}
