//! The Hermit kernel and what we ask of the machine it runs on.
//!
//! The kernel itself is built and patched by `build.rs`; this crate is the safe Rust over its system calls, the boot stub that
//! makes the image boot by itself, and the network card that monitoring owns.
//!
//! | module | what |
//! |---|---|
//! | [`boot`] | the stub between `qemu -kernel` and Hermit's `_start` |
//! | `entry` | from Hermit's entry into the application: `entry!`, arguments, environment, exit |
//! | `panic` | message, location and backtrace, then exit with failure |
//! | [`backtrace`] | walks frame pointers |
//! | `clock`, `task`, `entropy`, `heap` | the machine, one noun each |
//! | `rtc` | the date as the machine's real-time clock has it |
//! | `image` | the image's build id and symbol table |
//! | `interrupts` | how many there were |
//! | `stack` | how deep a stack was ever used |
//! | `memory` | what is mapped, and where |
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
#[cfg(any(target_os = "hermit", test))]
mod rtc;
#[cfg(any(target_os = "hermit", test))]
mod stack;
// Outside of `on_hermit`, because they export macros.
#[cfg(target_os = "hermit")]
pub mod console;
#[cfg(target_os = "hermit")]
mod entry;
pub mod virtio;

/// Declares what needs the kernel underneath.
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
