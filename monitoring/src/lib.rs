//! Monitoring for Hermit unikernels: what a running image tells about itself.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod config;
pub mod control;
pub mod counter;
pub mod emit;
pub mod heap;
#[cfg(target_os = "hermit")]
pub mod hermit;
pub mod levels;
pub mod line;
pub mod logging;
pub mod memtrace;
pub mod metrics;
pub mod monitor;
pub mod net;
mod one_line;
pub mod sources;
pub mod time;
pub mod trace;

pub use symbol_table as symbols;
