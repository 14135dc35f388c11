//! The demo image of the workspace: deterministic workloads that monitoring watches.
//!
//! This library is the part that needs no kernel, so that the host can test it: the arguments ([`args`]) and the workloads
//! ([`workload`]). The image itself is the binary `app`. Its source, `image.rs`, is short and meant to be copied.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod args;
pub mod random;
pub mod workload;
