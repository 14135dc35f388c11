//! Reads an image's DWARF and ELF symbol table, and writes names and lines into a compact table in the image itself.
//!
//! ```text
//! ELF ── dwarf ──▶ spans ─┐
//!  │  (names, paths)      ├─▶ table ── image::embed ──▶ ELF
//!  └──── calls ───────────┘
//! ```
//! The crate `symbol-table` has the format, the reader and the writer of the table.
//!
//! A table has only calls, because a stack has only return addresses. So it is a quarter of the size of a table of all addresses.
#![deny(unsafe_code)]

pub mod calls;
pub mod dwarf;
pub mod image;
pub mod names;
pub mod paths;
pub mod spans;
pub mod table;
