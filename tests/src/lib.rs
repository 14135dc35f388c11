//! Boots images under QEMU and uses them as a person would: what the tests in `tests/boot` are made of.
//!
//! | module | what it is |
//! |---|---|
//! | [`image`] | where the images are |
//! | [`gate`] | how many guests run at a time |
//! | [`boot`] | a guest from the description to its end |
//! | [`symbols`] | addresses of a backtrace to functions and lines |
//! | [`metrics`] | the receiving side of metrics, with real sockets on loopback |
//! | [`control`] | a client of the control port |
//! | [`trace`] | a client of the memtrace port, and a trace that was read |
//! | [`qmp`] | commands to QEMU itself |
//! | [`wire`] | the other end of the guest's network cable: Ethernet frames by hand |
//! | [`measure`] | medians, the processor time of a process, reported figures |
//!
//! Nothing here sleeps: everything waits for a line, a datagram or an end, and gives up at a deadline.
#![deny(unsafe_code)]

pub mod boot;
pub mod control;
pub mod gate;
pub mod image;
pub mod measure;
pub mod metrics;
pub mod qmp;
pub mod symbols;
pub mod trace;
pub mod wire;

use core::time::Duration;

/// How long any single wait may take. A guest boots in 0.2 s under TCG on a quiet machine; this is for a busy one.
pub const DEADLINE: Duration = Duration::from_secs(60);
