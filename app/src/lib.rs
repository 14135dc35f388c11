//! The demo image of the workspace: a deterministic workload that monitors itself.
//!
//! This library is the part that needs no kernel, so that the host can test it: the arguments ([`args`]) and the workloads
//! ([`workload`]). The image itself is the binary `app`; its source, `image.rs`, is short and meant to be copied.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod args;
pub mod random;
pub mod workload;
