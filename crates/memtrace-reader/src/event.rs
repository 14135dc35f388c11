//! Events, as they are handed out.

use core::fmt;

use crate::positions::{Position, Table};

/// Where a block lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// The minor heap, or what the writer calls so.
    Minor,
    /// The major heap.
    Major,
    /// Outside the heap.
    External,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub struct Event<'t> {
    /// Of its first byte in the stream.
    pub offset: usize,
    /// Microseconds since 1970.
    pub time: u64,
    /// Microseconds since the trace began.
    pub since_start: u64,
    /// What.
    pub kind: Kind<'t>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Kind<'t> {
    /// A code was defined. Nothing happened in the program.
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
    /// How many of its words were sampled, at least one.
    pub samples: u64,
    /// Where it lies.
    pub source: Source,
    /// How many of the outermost frames are those of the alloc event before.
    pub common_prefix: usize,
    /// How many codewords the other frames took.
    pub codewords: u16,
    /// Where it was allocated.
    pub stack: Stack<'t>,
}

/// A stack: codes, the outermost first, at least one, and what they stand for.
#[derive(Clone, Copy)]
pub struct Stack<'t> {
    pub(crate) codes: &'t [u64],
    pub(crate) table: &'t Table,
}

impl<'t> Stack<'t> {
    /// The codes, the outermost first.
    #[must_use]
    pub const fn codes(&self) -> &'t [u64] {
        self.codes
    }

    /// The frames, the outermost first.
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

/// A code and what it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'t> {
    /// The code: an address, as a rule.
    pub code: u64,
    /// The outermost first, inlined ones behind it. Empty if the writer knew nothing.
    pub positions: &'t [Position],
}
