//! The events of a trace.

use core::fmt;

use crate::positions::{Position, Table};

/// The place of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The minor heap, or the place that the writer calls so.
    Minor,
    /// The major heap.
    Major,
    /// Outside the heap.
    External,
}

/// An event of a trace.
#[derive(Clone, Debug)]
pub struct Event<'t> {
    /// The offset of its first byte in the stream.
    pub offset: usize,
    /// Microseconds since 1970.
    pub time: u64,
    /// Microseconds since the trace began.
    pub since_start: u64,
    /// The kind of event, with its data.
    pub kind: Kind<'t>,
}

/// The kind of an event, with its data.
#[derive(Clone, Debug)]
pub enum Kind<'t> {
    /// A code was defined. The program did nothing.
    Location(Frame<'t>),
    /// A block was sampled.
    Alloc(Alloc<'t>),
    /// A block moved to the major heap.
    Promote(u64),
    /// A block was freed.
    Collect(u64),
}

/// A sampled block.
#[derive(Clone, Debug)]
pub struct Alloc<'t> {
    /// Its id.
    pub id: u64,
    /// Its size in words.
    pub length: u64,
    /// The number of its sampled words, at least one.
    pub samples: u64,
    /// Its place.
    pub source: Source,
    /// The number of outermost frames that it shares with the last alloc event.
    pub common_prefix: usize,
    /// The number of codewords for the other frames.
    pub codewords: u16,
    /// The stack of its allocation.
    pub stack: Stack<'t>,
}

/// A stack: at least one code, outermost frame first, and the positions of the codes.
#[derive(Clone, Copy)]
pub struct Stack<'t> {
    pub(crate) codes: &'t [u64],
    pub(crate) table: &'t Table,
}

impl<'t> Stack<'t> {
    /// Returns the codes, outermost frame first.
    #[must_use]
    pub const fn codes(&self) -> &'t [u64] {
        self.codes
    }

    /// Returns the frames, outermost first.
    pub fn frames(
        &self,
    ) -> impl DoubleEndedIterator<Item = Frame<'t>> + ExactSizeIterator + use<'t> {
        let Self { codes, table } = *self;
        codes.iter().map(|code| Frame {
            code: *code,
            positions: table.get(*code).unwrap_or_default(),
        })
    }
}

impl fmt::Debug for Stack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.frames()).finish()
    }
}

/// A code and its positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'t> {
    /// The code, as a rule an address.
    pub code: u64,
    /// The positions, outermost first, then inlined ones. Empty if the writer did not know them.
    pub positions: &'t [Position],
}
