//! The reader: from an address to its row, from there to its frames, and from these to their texts.

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

/// Room for a lookup: a chain, a name and a path, about 1 KiB.
pub struct Scratch {
    /// The places of the address that was looked up last, innermost first.
    chain: [Place; FRAMES_MAX],
    length: usize,
    /// Only the outermost function is known.
    between_calls: bool,
    function: Text,
    file: Text,
}

impl Scratch {
    /// Room for any lookup.
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

/// The numbers of a row.
#[derive(Clone, Copy, Default)]
struct Row {
    /// The distance from the address that addresses count from.
    address: u32,
    frame: u32,
    line: u32,
}

/// The number of a function, and a line in it as the table tells it.
#[derive(Clone, Copy)]
struct Place {
    function: u32,
    line: u32,
}

impl<'a> Symbols<'a> {
    /// Returns the table that `bytes` begin with; what follows it does not matter.
    ///
    /// # Errors
    /// If it is not a table, or is damaged. A table that is wrong although its checksum is right makes addresses unknown, no more.
    ///
    /// # Cost
    /// One pass for the checksum: 32 µs for 176 KB. Neither memory nor locks.
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

    /// The build id of the image that the table was made for, as the linker made it; empty if it made none.
    #[must_use]
    pub fn build_id(&self) -> &'a [u8] {
        self.header.build_id
    }

    /// Tells `each` the frames at `address`, outermost first and inlined functions last, and returns how many there are: 0 if
    /// nothing is known, or if the table contradicts itself there.
    ///
    /// `address` is that of an instruction's byte: for a return address, give one less.
    ///
    /// Costs the search of a group, at most 16 rows, and two texts per frame: 0.12 µs per frame on a current core. May run
    /// anywhere: it takes no lock and no memory.
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

    /// Looks an address up, as [`frames`](Self::frames), and returns how many frames there are. [`frame`](Self::frame) tells them.
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

    /// Returns a frame of the address that was looked up last with this scratch: at 0 the outermost one, `None` behind the innermost
    /// one.
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

    /// The last row that is not behind an address, and whether the address is the row's.
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

    /// Writes the places of a row, innermost first, and returns how many there are. Each record lies before the last one, so that the chain ends.
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

    /// The frame at a place; an empty one if the table contradicts itself.
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
