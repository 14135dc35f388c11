//! Words and bytes that tasks, interrupts and cores share. Runs inside the allocator: each operation is one
//! instruction.
//!
//! `tests/loom/word.rs` has the same types on loom's atomics, to run the ring and the live set through all
//! interleavings.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use sync::word;

/// Eight bytes.
#[derive(Debug)]
#[repr(transparent)]
pub(crate) struct Word(AtomicU64);

/// One byte.
#[derive(Debug)]
pub(crate) struct Byte(AtomicU8);

impl Word {
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Loads the value, and sees everything that was stored before it was [published](Self::publish).
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Loads without order. Used for data that another task's published word covers.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Stores without order. Used before a word is published.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub fn add(&self, n: u64) {
        word::add(&self.0, n);
    }

    /// Adds, and returns the previous value.
    #[inline(always)]
    pub fn fetch_add(&self, n: u64) -> u64 {
        word::fetch_add(&self.0, n)
    }

    /// Replaces `current` by `new`. Otherwise returns the actual value.
    #[inline(always)]
    pub fn compare_exchange(&self, current: u64, new: u64) -> Result<(), u64> {
        word::compare_exchange(&self.0, current, new)
    }
}

impl Byte {
    pub const fn new(value: u8) -> Self {
        Self(AtomicU8::new(value))
    }

    #[inline(always)]
    pub fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: u8) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub fn add(&self, n: u8) {
        word::add_byte(&self.0, n);
    }
}
