//! Names and lines for an image: from its DWARF and symbol table into a compact table that lies in the image itself.
//!
//! ```text
//! ELF ── dwarf ──▶ spans ─┐
//!  │  (names, paths)      ├─▶ table ── image::embed ──▶ ELF
//!  └──── calls ───────────┘
//! ```
//! The crate `symbol-table` has the format, the reader and the writer of the table.
//!
//! A table tells of calls only, because it is for stacks: a stack holds return addresses. That makes it a quarter of what all
//! addresses would take.
#![deny(unsafe_code)]

pub mod calls;
pub mod dwarf;
pub mod image;
pub mod names;
pub mod paths;
pub mod spans;
pub mod table;
