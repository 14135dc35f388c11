//! The reader. It goes from an address to its row, from the row to its frames, and from the frames to their texts.

use crate::header::{Coverage, Error, Header};
use crate::lists::{List, Parts, Text};
use crate::varint::Cursor;
use crate::{FRAMES_MAX, Frame, GROUP};

/// A symbol table. See the [crate](crate).
pub struct Symbols<'a> {
    header: Header<'a>,
    files: List<'a>,
    functions: List<'a>,
    rows: List<'a>,
    frames: &'a [u8],
}

/// Memory for a lookup: a chain of frames, a name and a path; about 1 KiB.
pub struct Scratch {
    /// The frames of the address that was looked up last, innermost first.
    chain: [Place; FRAMES_MAX],
    length: usize,
    /// Only the outermost function is known.
    between_calls: bool,
    function: Text,
    file: Text,
}

impl Scratch {
    /// Creates memory that is enough for any lookup.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chain: [Place {
                function: 0,
                line: 0,
            }; FRAMES_MAX],
            length: 0,
            between_calls: false,
            function: Text::new(),
            file: Text::new(),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

/// A row.
#[derive(Clone, Copy, Default)]
struct Row {
    /// The distance from the table's base address.
    address: u32,
    frame: u32,
    line: u32,
}

/// The number of a function, and a line in it as the table stores it.
#[derive(Clone, Copy)]
struct Place {
    function: u32,
    line: u32,
}

impl<'a> Symbols<'a> {
    /// Returns the table at the beginning of `bytes`. Bytes after the table are ignored.
    ///
    /// # Errors
    /// [`Error`] if it is not a table, or is damaged. If a table with a correct checksum is inconsistent, the affected addresses are
    /// unknown.
    ///
    /// # Cost
    /// One pass for the checksum: 32 µs for 176 KB. It takes no memory and no lock.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let (header, parts) = Header::parse(bytes)?;
        let mut parts = Parts(parts);
        Ok(Self {
            files: parts.list(header.files, "files")?,
            functions: parts.list(header.functions, "functions")?,
            rows: parts.list(header.rows, "rows")?,
            frames: parts.take(header.frame_bytes as usize, "frames")?,
            header,
        })
    }

    /// Returns the linker's build id of the image that the table was made for. It is empty if the image has none.
    #[must_use]
    pub fn build_id(&self) -> &'a [u8] {
        self.header.build_id
    }

    /// Calls `each` with every frame at `address`, outermost first and inlined functions last. Returns the number of frames: 0 if
    /// nothing is known, or if the table is inconsistent there.
    ///
    /// `address` is the address of an instruction's byte: for a return address, subtract 1.
    ///
    /// Costs the search of a group, at most 16 rows, and two texts per frame: 0.12 µs per frame. May run anywhere: it takes no lock
    /// and no memory.
    pub fn frames(
        &self,
        address: u64,
        scratch: &mut Scratch,
        each: &mut dyn FnMut(Frame<'_>),
    ) -> usize {
        let count = self.look_up(address, scratch);
        for index in 0..count {
            each(self.frame(index, scratch).unwrap_or_default());
        }
        count
    }

    /// Looks up an address, like [`frames`](Self::frames). Returns the number of frames; [`frame`](Self::frame) returns each.
    pub fn look_up(&self, address: u64, scratch: &mut Scratch) -> usize {
        scratch.length = 0;
        let Some((row, is_exact)) = self.row(address) else {
            return 0;
        };
        scratch.between_calls = !is_exact && self.header.coverage == Coverage::Calls;
        scratch.length = self.chain(row, &mut scratch.chain).unwrap_or(0);
        if scratch.between_calls {
            scratch.length.min(1)
        } else {
            scratch.length
        }
    }

    /// Returns a frame of the address that was looked up last with this scratch. The index 0 is the outermost frame; after the
    /// innermost one it returns `None`.
    pub fn frame<'s>(&self, index: usize, scratch: &'s mut Scratch) -> Option<Frame<'s>> {
        let Scratch {
            chain,
            length,
            between_calls,
            function,
            file,
        } = scratch;
        let place = *chain[..*length].iter().rev().nth(index)?;
        if !*between_calls {
            return Some(self.text_of(place, function, file));
        }
        // Between two calls: the outermost function is the same, where in it and in which file is unknown.
        (index == 0).then(|| Frame {
            function: self.text_of(place, function, file).function,
            ..Frame::default()
        })
    }

    /// Returns the last row at or before an address, and whether it is the row of that address.
    fn row(&self, address: u64) -> Option<(Row, bool)> {
        let wanted = u32::try_from(address.checked_sub(self.header.base)?).ok()?;
        let begins = |start: &[u8; 4]| self.rows.from(start)?.number();
        let after = self
            .rows
            .starts
            .partition_point(|start| begins(start).is_some_and(|first| first <= wanted));
        let mut items = self
            .rows
            .from(self.rows.starts.get(after.checked_sub(1)?)?)?;
        let mut row = Row::default();
        for _ in 0..GROUP {
            // The last group ends where the list does.
            let Some(gap) = items.number() else {
                break;
            };
            let address = row.address.checked_add(gap)?;
            if address > wanted {
                break;
            }
            row = Row {
                address,
                frame: items.changed(row.frame)?,
                line: items.number()?,
            };
        }
        Some((row, row.address == wanted))
    }

    /// Writes the frames of a row, innermost first, and returns their number. Each record is before the one that refers to it, so the
    /// chain ends.
    fn chain(&self, row: Row, chain: &mut [Place; FRAMES_MAX]) -> Option<usize> {
        let mut at = row.frame.checked_sub(1)?;
        let mut line = row.line;
        for (length, place) in chain.iter_mut().enumerate() {
            let mut record = Cursor(self.frames.get(at as usize..)?);
            let outer = record.number()?;
            let function = record.number()?;
            *place = Place { function, line };
            if outer == 0 {
                return Some(length + 1);
            }
            line = record.number()?;
            at = at.checked_sub(outer)?;
        }
        None
    }

    /// Returns a frame, or an empty one if the table is inconsistent.
    fn text_of<'t>(&self, place: Place, function: &'t mut Text, file: &'t mut Text) -> Frame<'t> {
        let Some([its_file, first]) = self.functions.text(place.function, function) else {
            return Frame::default();
        };
        let path = match self.files.text(its_file, file) {
            Some([]) => file.as_str(),
            None => "",
        };
        Frame {
            function: function.as_str(),
            file: path,
            line: place
                .line
                .checked_sub(1)
                .and_then(|over| first.checked_add(over))
                .unwrap_or(0),
        }
    }
}
