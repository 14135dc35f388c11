//! A table of functions, files and lines for the addresses of a program's own code.
//!
//! For every return address, the table has the functions that contain the call: the linker's function, and the functions that
//! were inlined into it. The tool `symbols` writes the table after linking. It is read-only data of the image. So an image can name
//! the frames of a trace, a panic or a command without its ELF file.
//!
//! | task | start with |
//! |---|---|
//! | name an address | [`Symbols::parse`], then [`Symbols::frames`] |
//! | make a table | `write::write`, with the feature `write` |
//!
//! The reader reads the table in place. It allocates nothing and takes no lock, so a lookup may run anywhere: in a panic, in an
//! interrupt handler, inside an allocator. It never panics, whatever the bytes are. A damaged table is an [`Error`]; if a table is
//! inconsistent, the affected addresses are unknown.
//!
//! Features: `write` adds the writer, which needs `alloc`. Without it the crate has only the reader. MSRV: Rust 1.91.
//!
//! # What is known
//! * At a **call** (the last byte of a call instruction, which is a return address minus 1): all frames with their lines.
//! * Elsewhere in a function: its name, and at its first byte also the file. A table of all rows ([`Coverage::All`]) has all frames
//!   for every address.
//! * Outside of functions: nothing.
//!
//! # Format, version 3
//! Fixed numbers are little-endian. All others are *varints* of at most 32 bits: seven bits a byte, the lowest first, and the
//! highest bit of a byte is set if another byte follows (LEB128).
//!
//! ```text
//!  0  "SYM" 3     magic and version                      76  what follows the header, without gaps:
//!  4  u32         bytes of the table                     ┌───────────┬───────────────────────────────────────────┐
//!  8  u64         checksum of all that follows           │ files     │ list of TEXT                              │
//! 16  20 B        build id, zeros behind a short one     │ functions │ list of TEXT FILE FIRST                   │
//! 36  u8          bytes of the build id                  │ rows      │ list of GAP FRAME LINE                    │
//! 37  u8          1: a row holds up to the next one,     │ frames    │ OUTER FUNCTION, and LINE if OUTER is not 0│
//!                 0: at its address only                 └───────────┴───────────────────────────────────────────┘
//! 38  u16         0                                      list   START for each group, then the groups
//! 40  u64         the address that addresses count from  START  u32, where the group begins behind the last START
//! 48  3 × 2 u32   of each list the number of its         group  16 items, the last group of a list maybe fewer
//!                 items, and the bytes of its groups
//! 72  u32         bytes of the frames
//! ```
//!
//! **Lists** find an item by its number, counted from 0. An item is stored as its difference from the item before. The first item of
//! a group is stored in full. So a lookup reads half a group on average.
//!
//! **Texts** are sorted. TEXT is the number of bytes that the text shares with the text before, the number of other bytes, and
//! these other bytes in UTF-8.
//!
//! **Functions** have a name, the number of their FILE, and FIRST: the smallest of their lines in the table, 0 if there is none. LINE
//! of a function is 0 if it is not known, otherwise its distance from FIRST plus 1. The same name in two files is two functions.
//!
//! **Frames** are a tree: a frame is a function that is inlined into the frame OUTER at the LINE of the latter. OUTER is the number of
//! bytes from the beginning of the outer frame's record to this record. It is 0 for the linker's function.
//!
//! **Rows** are sorted by their addresses. GAP is the distance from the row before (of the first in a group: from the address that
//! addresses count from). FRAME is the innermost frame, as the difference from that of the row before (of the first: from 0), where
//! 0, −1, 1, −2, … are written as 0, 1, 2, 3, …. The number of a frame is the offset of its record plus 1. It is 0 for a row that
//! begins a range of unknown addresses. LINE is the line in the innermost frame's function.
//!
//! # Example
//! ```
//! use symbol_table::{Error, Scratch, Symbols};
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
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "write")]
extern crate alloc;

mod header;
mod lists;
mod reader;
mod varint;
#[cfg(feature = "write")]
pub mod write;

use core::fmt;

pub use header::{Coverage, Error};
pub use reader::{Scratch, Symbols};

/// The most frames of a chain; the writer cuts longer ones. The deepest in the demo image has 36.
pub const FRAMES_MAX: usize = 64;
/// The most bytes of a name or a path; the writer cuts longer ones.
pub const TEXT_MAX: usize = 255;
/// Items of a group: a lookup reads half a group, and a group costs 4 bytes and its first item in full.
const GROUP: usize = 16;

/// One function of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frame<'a> {
    /// The function with its path: `alloc::vec::Vec::push`, `app::main::{closure#0}`. Without generic arguments. Empty if the compiler
    /// gives none; an inlined one without its path if the image has line tables only.
    pub function: &'a str,
    /// The file, relative to the workspace, package or library that it belongs to: `app/src/main.rs`, `core/src/fmt/mod.rs`. Empty
    /// if it is not known: between two calls.
    pub file: &'a str,
    /// The line of the call, in the innermost function the line of the code. Lines count from 1; 0 if it is not known: not at a
    /// call, or code that the compiler ascribes to a file but to no line of it.
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

#[cfg(test)]
extern crate std;
#[cfg(test)]
mod tests;
