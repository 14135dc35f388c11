//! The positions that codes stand for.

use core::fmt;
use std::collections::HashMap;

use crate::bytes::Bytes;
use crate::error::{Error, Fault};
use crate::text::Text;

/// The number of names that each list keeps, and the place that means a new name.
const PLACES: usize = 31;

/// A position in the source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The function.
    pub function: Text,
    /// The file.
    pub file: Text,
    /// The line, at most 1,048,575.
    pub line: u32,
    /// The first column, at most 255.
    pub column: u32,
    /// The last column, at most 1,023.
    pub end_column: u32,
}

/// Writes the position as memtrace's tools do: `function@file:line:first-last`.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}@{}:{}:{}-{}",
            self.function, self.file, self.line, self.column, self.end_column
        )
    }
}

/// Names, latest first.
#[derive(Debug)]
struct Recent<T>(Vec<T>);

impl<T> Default for Recent<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Recent<T> {
    /// Moves the entry at `place` to the front, or an entry that `new` makes if the place is [`PLACES`].
    fn at(
        &mut self,
        place: u8,
        bytes: &mut Bytes<'_>,
        new: impl FnOnce(Text) -> T,
    ) -> Result<&mut T, Error> {
        let entry = if usize::from(place) == PLACES {
            self.0.truncate(PLACES - 1);
            new(Text::new(bytes.text()?))
        } else if usize::from(place) < self.0.len() {
            self.0.remove(place.into())
        } else {
            return bytes.fault(Fault::NoSuchName {
                place,
                known: self.0.len(),
            });
        };
        self.0.insert(0, entry);
        Ok(&mut self.0[0])
    }
}

/// The names that one domain keeps.
#[derive(Debug, Default)]
pub(crate) struct Names(Recent<(Text, Recent<Text>)>);

/// The defined codes. All domains share one table.
#[derive(Debug, Default)]
pub(crate) struct Table {
    positions: HashMap<u64, Box<[Position]>>,
    memory: usize,
}

impl Table {
    pub(crate) fn get(&self, code: u64) -> Option<&[Position]> {
        self.positions.get(&code).map(|positions| &**positions)
    }

    /// Returns the bytes that the definitions hold, with their names.
    pub(crate) const fn memory(&self) -> usize {
        self.memory
    }

    /// Reads a definition's fields and returns its code.
    pub(crate) fn define(
        &mut self,
        bytes: &mut Bytes<'_>,
        names: &mut Names,
    ) -> Result<u64, Error> {
        let start = bytes.clone();
        let code = bytes.u64()?;
        if code >> 63 != 0 {
            return start.fault(Fault::CodeTooLarge(code));
        }
        let count = bytes.u8()?;
        let positions: Box<[Position]> = (0..count)
            .map(|_| position(bytes, names))
            .collect::<Result<_, _>>()?;
        match self.positions.get(&code) {
            Some(known) if **known != *positions => {
                return start.fault(Fault::DefinedDifferently(code));
            }
            Some(_) => {}
            None => {
                // A name may be shared; it is counted here as if it were not, up to what the definition has in the file.
                let names = bytes_between(&start, bytes);
                self.memory += ENTRY_BYTES + size_of_val(&*positions) + names;
                self.positions.insert(code, positions);
            }
        }
        Ok(code)
    }
}

/// The bytes of a place in the table, with room to grow.
const ENTRY_BYTES: usize = 64;

fn bytes_between(start: &Bytes<'_>, end: &Bytes<'_>) -> usize {
    end.offset() - start.offset()
}

fn position(bytes: &mut Bytes<'_>, names: &mut Names) -> Result<Position, Error> {
    let word = bytes.u48()?;
    let field = |at: u32, bits: u32| (word >> at) as u32 & ((1 << bits) - 1);
    let (file, functions) = names
        .0
        .at(field(38, 5) as u8, bytes, |name| (name, Recent::default()))?;
    let function = functions.at(field(43, 5) as u8, bytes, |name| name)?;
    Ok(Position {
        function: function.clone(),
        file: file.clone(),
        line: field(0, 20),
        column: field(20, 8),
        end_column: field(28, 10),
    })
}
