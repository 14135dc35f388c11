//! Reads traces in memtrace's format, versions 1, 2 and 3, and checks every rule of it.
//!
//! memtrace's own readers skip a packet that looks odd, print a line and end successfully. This crate is for judging the writer of
//! a trace: it returns the first broken rule as an [`Error`] with the offset of the byte that broke it. For a trace whose end is
//! cut off, [`whole`] finds the end of its last whole packet.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let file = std::fs::read("x.ctf")?;
//! let mut trace = memtrace_reader::Trace::new(&file[..memtrace_reader::whole(&file).end])?;
//! while let Some(event) = trace.next_event()? {
//!     println!("{}", event.as_dumped());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! It shares no code with any writer. Source: facts of the format as found in memtrace 0.2.3 and its development version of 2024
//! (version 3), by reading and by experiment. No features. Needs Rust 1.91 and std.
//!
//! **Stricter than memtrace's readers**: it is an error if a header contradicts another one, an id is collected twice, a stack is
//! empty, a code is not defined or has its highest bit set, or a common prefix is longer than the stack before. The last one
//! happens in traces of OCaml programs whose stacks were too deep for memtrace's writer.

#![forbid(unsafe_code)]

mod backtrace;
mod bytes;
mod decoder;
mod dump;
mod error;
mod event;
mod header;
mod positions;
mod text;
mod trace;

pub use backtrace::FRAMES_MAX;
pub use decoder::{Decoder, Info, Progress};
pub use dump::{DumpError, Dumped, dump};
pub use error::{Error, Fault};
pub use event::{Alloc, Event, Frame, Kind, Source, Stack};
pub use header::{CONTENT_MAX, Check, Header, Packet, Packets, Rest, Whole, packets, whole};
pub use positions::Position;
pub use text::Text;
pub use trace::Trace;
