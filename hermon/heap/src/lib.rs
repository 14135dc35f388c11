//! Reads heap traces in the format of memtrace, reports on them and writes them for other tools. Knows no network.
//!
//! | task | where one starts |
//! |---|---|
//! | a trace in a file, added up by stack, with names | [`named::Named::read`] |
//! | who allocates, what is alive, what grows, and how sure that is | [`report::Report`] |
//! | what one trace has more of than another | [`report::Comparison`] |
//! | pprof, folded stacks, flame graph, dhat, speedscope, heaptrack, a repaired trace | [`convert::write`] |
//! | a tree of frames for a page, of a trace or of another tool's document | [`flame::FlameGraph`] |
//! | packet by packet, event by event | [`stream::Stream`], [`events::Trace`] |
//!
//! ```no_run
//! use hermon_heap::{named::Named, profile::Settings, report::Report};
//!
//! let settings = Settings::default();
//! let named = Named::read("web.ctf".as_ref(), None, &settings)?;
//! println!("{}", Report::new(&named, &settings, false, 10));
//! # Ok::<(), hermon_heap::named::ReadError>(())
//! ```
//!
//! A trace is read in one pass, in memory for its distinct stacks and its live blocks; its events are not kept.
//! The feature `clap` makes [`convert::Format`] and [`convert::Value`] values of a command line. Needs Rust 1.91. Runs on the host,
//! never in an image.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

pub mod convert;
pub mod estimate;
pub mod events;
pub mod flame;
mod histogram;
pub mod named;
mod names;
pub mod profile;
pub mod report;
pub mod stream;
pub mod temporary;
mod tree;
mod weight;
