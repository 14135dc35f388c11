//! Reads heap traces in the format of memtrace, reports on them and writes them for other tools. Knows no network.
//!
//! | to | use |
//! |---|---|
//! | read a trace in a file, added up by stack, with names | [`named::Named::read`] |
//! | report which functions allocate, what is alive, what grows, with intervals | [`report::Report`] |
//! | compare two traces | [`report::Comparison`] |
//! | write pprof, folded stacks, flame graph, dhat, speedscope, heaptrack, a repaired trace | [`convert::write`] |
//! | get a tree of frames for a page, from a trace or another tool's document | [`flame::FlameGraph`] |
//! | read packet by packet, event by event | [`stream::Stream`], [`events::events`] |
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
//! A trace is read in one pass, in memory for its distinct stacks and its live blocks; its events are not kept. The
//! feature `clap` makes [`convert::Format`] and [`convert::Value`] values of a command line. Needs Rust 1.91. Runs on
//! the host, never in an image.
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
mod whole;
