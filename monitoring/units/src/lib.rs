//! Units of time as types, and text on one line, for all crates of the monitoring.
//!
//! | to represent | use |
//! |---|---|
//! | a time since boot, or a span | [`Micros`] |
//! | a time of day that leaves the image | [`UnixNanos`] |
//! | the time of both clocks at one moment | [`Now`] |
//! | a foreign text in a reply or a line of the log | [`OneLine`] |
//!
//! This crate reads no clock: code that needs the time takes it as an argument. Everything is a plain value and may be
//! used inside an allocator. No features. Needs Rust 1.91.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

mod one_line;
mod time;

pub use self::one_line::OneLine;
pub use self::time::{Micros, Now, UnixNanos};
