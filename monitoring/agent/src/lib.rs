//! The monitoring of one image, on any machine: built-in sources, control port, heap traces, emission, and the loop
//! around them.
//!
//! ```text
//!  config ─▶ Monitor::turn ─┬─ emit ──▶ outbox ──▶ network       sources: what every image tells
//!                           ├─ control: commands ◀─▶ replies
//!                           └─ trace: records ──▶ packets
//! ```
//!
//! | to | start at |
//! |---|---|
//! | add a built-in source | [`sources`] |
//! | add a control command | [`control`] |
//! | follow a sample to the socket | [`trace`] |
//! | see when each service runs | [`monitor`] |
//!
//! The loop has no clock, no device, no log and no allocation: time is an argument, and it reports with events. The
//! crate `monitoring` is the shell on Hermit. No features. Needs Rust 1.91. Nothing here may run inside an allocator.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod config;
pub mod control;
pub mod door;
pub mod emit;
pub mod monitor;
pub mod restarts;
mod seed;
pub mod sources;
pub mod storage;
pub mod trace;

pub use self::seed::Seed;
