//! Data that tasks, interrupts and cores share: counters, words, and a lock.
//!
//! | to | use | cost |
//! |---|---|---|
//! | count events | [`Counter`] | one instruction an update |
//! | change a word that others change too | [`word`] | one instruction |
//! | change several words at once | [`Lock`] | interrupts are masked while it is held (Hermit), or a spin lock (host) |
//!
//! # One core or several
//! A bus-locked addition costs about 4 ns; four of them made an allocation and its free 16 ns slower. A program that
//! runs on one core does not need the bus lock: an interrupt, and with it every change of task, comes between two
//! instructions, never inside one.
//!
//! * By default every update is an atomic read-modify-write operation, correct on any number of cores.
//! * With the feature `one-core` an update on x86-64 is one instruction without the `lock` prefix. On one core every
//!   count stays exact, in any order of preemption. Two cores that update at once would lose counts; that is never
//!   undefined behaviour. Enable the feature only if you know the number of cores: the crate `monitoring` does so for
//!   images of the one-core kernel. Other architectures ignore the feature.
//!
//! [`ONE_CORE`] says which of the two was built. Counters and words can be used inside an allocator and in interrupt
//! handlers; the lock can be used there only with bounded work. Needs Rust 1.91.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

mod counter;
mod lock;
pub mod word;

pub use self::counter::Counter;
pub use self::lock::Lock;

/// `true` if updates have no bus lock, because the program runs on one core.
pub const ONE_CORE: bool = cfg!(all(feature = "one-core", target_arch = "x86_64", not(miri)));

/// Orders a store before a later load of another word. One core sees its own accesses in order, so there it restricts
/// only the compiler.
#[inline(always)]
pub fn store_load_fence() {
    use core::sync::atomic::{Ordering, compiler_fence, fence};
    if ONE_CORE {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}
