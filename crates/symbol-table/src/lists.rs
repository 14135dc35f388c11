//! Lists of items in groups, and texts as items.

use crate::header::{Error, Size};
use crate::varint::Cursor;
use crate::{GROUP, TEXT_MAX};

/// The parts after the header that are not read yet.
pub(crate) struct Parts<'a>(pub(crate) &'a [u8]);

impl<'a> Parts<'a> {
    pub(crate) fn take(&mut self, bytes: usize, part: &'static str) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Error::Part(part))?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn list(&mut self, size: Size, part: &'static str) -> Result<List<'a>, Error> {
        let groups = (size.items as usize).div_ceil(GROUP);
        let starts = groups.checked_mul(4).ok_or(Error::Part(part))?;
        Ok(List {
            starts: self.take(starts, part)?.as_chunks().0,
            groups: self.take(size.bytes as usize, part)?,
        })
    }
}

/// A list in a table.
pub(crate) struct List<'a> {
    /// The offset of each group in `groups`.
    pub(crate) starts: &'a [[u8; 4]],
    groups: &'a [u8],
}

impl<'a> List<'a> {
    /// Returns the items of the group that begins here, and all that follow.
    pub(crate) fn from(&self, start: &[u8; 4]) -> Option<Cursor<'a>> {
        let start = u32::from_le_bytes(*start) as usize;
        self.groups.get(start..).map(Cursor)
    }

    /// Returns the item with this number: a text that is followed by `N` numbers.
    pub(crate) fn text<const N: usize>(&self, number: u32, text: &mut Text) -> Option<[u32; N]> {
        let number = number as usize;
        let mut cursor = self.from(self.starts.get(number / GROUP)?)?;
        text.len = 0;
        let mut numbers = [0; N];
        for _ in 0..=number % GROUP {
            let shared = cursor.number()? as usize;
            let added = cursor.number()? as usize;
            text.replace(shared, cursor.bytes(added)?)?;
            for number in &mut numbers {
                *number = cursor.number()?;
            }
        }
        Some(numbers)
    }
}

/// A buffer in which a text is assembled.
pub(crate) struct Text {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Text {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; TEXT_MAX],
            len: 0,
        }
    }

    /// Keeps the first `shared` bytes and appends others. Returns `None` if there are fewer bytes, or no room.
    fn replace(&mut self, shared: usize, added: &[u8]) -> Option<()> {
        if shared > self.len {
            return None;
        }
        self.len = shared + added.len();
        self.bytes.get_mut(shared..self.len)?.copy_from_slice(added);
        Some(())
    }

    /// Returns the text, or an empty one if it is not UTF-8.
    pub(crate) fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        str::from_utf8(bytes).unwrap_or_default()
    }
}
