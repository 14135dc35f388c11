//! Boots images under QEMU and uses them as a person would. The tests in `tests/boot` use these modules.
//!
//! | module | purpose |
//! |---|---|
//! | [`image`] | finds the images |
//! | [`gate`] | limits the number of guests that run at a time |
//! | [`boot`] | boots a guest, listens to its console, waits for its end |
//! | [`symbols`] | turns addresses of a backtrace into functions and lines |
//! | [`metrics`] | the receiving side of metrics, with real sockets on loopback |
//! | [`control`] | a client of the control port |
//! | [`trace`] | a client of the memtrace port, and the traces it reads |
//! | [`qmp`] | commands to QEMU itself |
//! | [`wire`] | the other end of the guest's network cable: Ethernet frames by hand |
//! | [`cable`] | a hostile host on the guest's network, alone or beside QEMU's own network |
//! | [`measure`] | medians, the processor time of a process, reported figures |
//!
//! No function here sleeps. Each waits for a line, a datagram or an end, and gives up at a deadline.
#![deny(unsafe_code)]

pub mod boot;
pub mod cable;
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

/// The limit of any single wait, so that a test that hangs ends. A guest boots in 0.2 s under TCG on a quiet machine; beside busy
/// loops, at the lowest priority, everything takes a hundred times as long.
pub const DEADLINE: Duration = Duration::from_secs(900);
