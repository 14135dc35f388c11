//! Reads traces in memtrace's format, versions 1, 2 and 3, and checks every rule of it.
//!
//! memtrace's own readers skip a packet that they find odd, print a line and end successfully. This one is for
//! judging who wrote a trace: the first broken rule is an [`Error`] with the offset of the byte that broke it.
//! For a trace whose end is cut off, [`whole`] finds where its last whole packet ends.
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
//! Shares no code with any writer. Source: facts of the format as found in memtrace 0.2.3 and its development
//! version of 2024 (version 3), by reading and by experiment.
//!
//! **Stricter than memtrace's readers**: a header that contradicts another one, an id that is collected twice, a
//! stack that is empty, a code that is not defined or has its highest bit set, and a common prefix longer than
//! the stack before are errors. The last one happens in traces of OCaml programs whose stacks were too deep for
//! memtrace's writer.

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

pub use decoder::{Decoder, Info, Progress};
pub use dump::{DumpError, Dumped, dump};
pub use error::{Error, Fault};
pub use event::{Alloc, Event, Frame, Kind, Source, Stack};
pub use header::{CONTENT_MAX, Check, Header, Packet, Packets, Rest, Whole, packets, whole};
pub use positions::Position;
pub use text::Text;
pub use trace::Trace;
