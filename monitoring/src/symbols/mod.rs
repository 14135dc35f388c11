//! Names of functions, files and lines for addresses of the image's own code.
//!
//! A table in the image says, for every return address, which functions the call is in: the function that the linker knows and
//! those that were inlined into it. It is written after linking by the host's tool `symbols`, lies in the image as read-only data,
//! and is read where it lies: nothing is unpacked, allocated or locked, so that a lookup works in a panic.
//!
//! # What is known
//! * At a **call** (the last byte of a call instruction, that is a return address less 1): all frames with their lines.
//! * Elsewhere in a function: its name, and at its first byte also the file. A table that was written with all rows knows every
//!   address like a call.
//! * Outside of functions: nothing.
//!
//! # Format, version 2
//! Numbers are little-endian. Bits of a byte are taken from the highest on.
//!
//! ```text
//!  0  "SYM" 2          magic and version                    ┌── what follows the header, without gaps ───────────────┐
//!  4  u32  bytes of the table                               │ codes      6 × 20 u16, then the symbols of the first 5 │
//!  8  u64  checksum of all that follows                     │ functions  bits: name, file, usual line                │
//! 16  20 B build id of the image, zeros behind a short one  │ guesses    bits: functions                             │
//! 36  u8   bytes of the build id                            │ dictionary u16 ends of its pieces, pieces              │
//! 37  u8   1: rows hold up to the next row, 0: at one byte  │ names      u24 starts of groups, groups of 16 texts    │
//! 38  u8   bits of a name's number                          │ files      the same                                    │
//! 39  u8   bits of a file's number                          │ blocks     u32 first addresses, u24 starts of rows     │
//! 40  u8   bits of a line                                   │ rows       bits, each block from a new byte on         │
//! 41  5 u8 symbols of the codes GAP, POP, PUSH, CHANGE, LINE└────────────────────────────────────────────────────────┘
//! 46  u8   pieces of the dictionary
//! 47  u8   bits of a guess's number; 0: there are no guesses
//! 48  u64  the address that addresses count from
//! 56  u32  × 9: functions, names, files, rows; bytes of the dictionary, of the names' and the files' groups, of the rows; 0
//! ```
//!
//! **Rows** stand in blocks of 16, in the order of their addresses. A row is told as what changes in a chain of frames:
//!
//! ```text
//! row    GAP  POP  [CHANGE]  PUSH  (callee LINE) × PUSH          callee  outermost  FUNCTION
//! first             of a block:  PUSH  (callee LINE) × PUSH              else       1  or  0 FUNCTION
//! ```
//! GAP is the distance from the row before; the first one's address is in the index, and its chain begins empty. POP frames are
//! taken off. If one is left, the line of the last changes by CHANGE (0, −1, 1, −2, … in the order of the numbers 0, 1, 2, 3, …).
//! Then PUSH functions follow, each with its line: 0 for none, else 1 more than the change from the function's usual line.
//! A row without frames begins a stretch of which nothing is known.
//!
//! **Guesses.** What is inlined at a line is nearly always the same function; so a callee is one bit if it is what the guess at the
//! hash of its caller's name, file and line says (`Symbols::guess` in `rows.rs`).
//!
//! **Codes** are canonical Huffman codes of at most 20 bits: 20 numbers say how many symbols have codes of 1, 2, … bits; shorter
//! codes come first. Functions are numbered in that order; of the other codes the symbols are listed. They stand for numbers: a
//! symbol below 48 for itself, 48 + k for 47 + 2^k plus the k bits that follow.
//!
//! **Texts** of a group, sorted: `u8` bytes shared with the text before, `u8` bytes that follow, and these: from 0x20 to 0x7f
//! themselves, from 1 to 0x1f and from 0x80 on a piece of the dictionary, 0 the next byte as it is.
//!
//! # Example
//! ```
//! use monitoring::symbols::{Error, Scratch, Symbols};
//!
//! fn print(table: &[u8], return_address: u64) -> Result<(), Error> {
//!     let symbols = Symbols::parse(table)?;
//!     let mut scratch = Scratch::new();
//!     symbols.frames(return_address - 1, &mut scratch, &mut |frame| {
//!         println!("{} at {}:{}", frame.function, frame.file, frame.line);
//!     });
//!     Ok(())
//! }
//! # assert_eq!(print(b"", 1), Err(Error::Short(0)));
//! ```

mod bits;
mod code;
mod rows;
mod table;
mod text;

use core::fmt;

pub use rows::FRAMES_MAX;
pub use table::{Error, Symbols};
pub use text::TEXT_MAX;

/// One function of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The function with its path: `alloc::vec::Vec::push`, `app::main::{closure#0}`. Without generic arguments. Empty if the compiler
    /// gives none; an inlined one without its path if the image has line tables only.
    pub function: &'a str,
    /// The file, relative to the workspace, package or library that it belongs to: `app/src/main.rs`, `core/src/fmt/mod.rs`. Empty
    /// if none is known: between two calls.
    pub file: &'a str,
    /// The line of the call, of the innermost function the line of the code; from 1, and 0 if none is known: not at a call, or
    /// code that the compiler ascribes to a file but to no line of it.
    pub line: u32,
}

impl fmt::Display for Frame<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.function.is_empty() {
            "?"
        } else {
            self.function
        })?;
        match (self.file, self.line) {
            ("", _) => Ok(()),
            (file, 0) => write!(f, " at {file}"),
            (file, line) => write!(f, " at {file}:{line}"),
        }
    }
}

/// Room for a lookup: a chain, a name and a path, about 1 KiB. What it holds between lookups means nothing.
pub struct Scratch {
    chain: rows::Chain,
    function: text::Text,
    file: text::Text,
}

impl Scratch {
    /// Room for any lookup.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            chain: rows::Chain::new(),
            function: text::Text::new(),
            file: text::Text::new(),
        }
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Symbols<'_> {
    /// Tells `each` the frames at `address`, outermost first and inlined functions last, and returns how many; none if nothing is
    /// known, or if the table contradicts itself there.
    ///
    /// `address` is that of an instruction's byte: for a return address, give one less.
    ///
    /// Costs the search of a block, at most 16 rows, and two texts per frame: 0.4 µs per frame on a current core. May run
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
        if self.chain(address, &mut scratch.chain).is_none() {
            scratch.chain.clear();
        }
        scratch.chain.places().len()
    }

    /// Returns a frame of the address that was looked up last with this scratch: at 0 the outermost one, `None` behind the innermost
    /// one.
    pub fn frame<'s>(&self, index: usize, scratch: &'s mut Scratch) -> Option<Frame<'s>> {
        let Scratch {
            chain,
            function,
            file,
        } = scratch;
        let place = chain.places().get(index)?;
        let Some(it) = self.function(place.function) else {
            return Some(Frame::default());
        };
        Some(Frame {
            function: self.name(it.name, function),
            file: if chain.is_between_calls() {
                ""
            } else {
                self.file(it.file, file)
            },
            line: place.line,
        })
    }
}

#[cfg(test)]
mod tests;
