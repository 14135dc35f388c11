//! Units of time as types, and text on one line: the words that all crates of the monitoring share.
//!
//! | to say | use |
//! |---|---|
//! | a time since boot, or a span | [`Micros`] |
//! | a time of day that leaves the image | [`UnixNanos`] |
//! | what both clocks said at one moment | [`Now`] |
//! | a foreign text in a reply or a line of the log | [`OneLine`] |
//!
//! No clock is read here: code that needs the time takes it as an argument. Plain values; everything may be used inside an allocator.
//! No features. Needs Rust 1.91.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

mod one_line;
mod time;

pub use self::one_line::OneLine;
pub use self::time::{Micros, Now, UnixNanos};
