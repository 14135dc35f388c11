//! The Hermit kernel and safe access to the machine it runs on.
//!
//! `build.rs` builds and patches the kernel itself. This crate contains safe Rust over its system calls, the boot stub that lets
//! QEMU boot the image directly, and the driver of monitoring's network card.
//!
//! | module | purpose |
//! |---|---|
//! | [`boot`] | the stub between `qemu -kernel` and Hermit's `_start` |
//! | `entry` | the way from Hermit's entry point into the application: `entry!`, arguments, environment, exit |
//! | `panic` | message, location and backtrace, then exit with failure |
//! | [`backtrace`] | walks frame pointers |
//! | `clock`, `task`, `entropy`, `heap` | time, tasks, random numbers, the memory for the heap |
//! | `rtc` | the date of the machine's real-time clock |
//! | `image` | the image's build id and symbol table |
//! | `interrupts` | counts of interrupts |
//! | `stack` | high-water marks of stacks |
//! | `memory` | physical addresses of mapped memory |
//! | `sync` | a lock that masks interrupts |
//! | `console` | text to the serial port |
//! | `virtio` | the network card as a smoltcp `phy::Device`, with the interrupt it waits on |
//!
//! On the host only the portable parts are compiled, for their tests.
#![cfg_attr(not(test), no_std)]

#[cfg(all(target_os = "hermit", feature = "std"))]
extern crate std;

pub mod backtrace;
pub mod boot;
// The kernel's module: see build.rs.
#[cfg(test)]
mod lines;
#[cfg(any(target_os = "hermit", test))]
mod rtc;
#[cfg(any(target_os = "hermit", test))]
mod stack;
// Outside `on_hermit`, because they export macros.
#[cfg(target_os = "hermit")]
pub mod console;
#[cfg(target_os = "hermit")]
mod entry;
pub mod virtio;

/// Declares items that need the kernel.
macro_rules! on_hermit {
    ($($item:item)*) => { $(#[cfg(target_os = "hermit")] $item)* };
}

on_hermit! {
    pub mod clock;
    mod cpu;
    pub mod entropy;
    pub mod heap;
    pub mod image;
    pub mod interrupts;
    pub mod memory;
    pub mod panic;
    pub mod sync;
    mod sys;
    pub mod task;

    /// Version of the Hermit kernel in the image.
    pub const HERMIT_VERSION: &str = env!("HERMIT_VERSION");

    #[cfg(feature = "std")]
    pub use entry::attach;
    pub use entry::{Exit, args, exit, start, variables};
}
