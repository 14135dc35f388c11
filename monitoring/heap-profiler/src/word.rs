//! Words and bytes that tasks, interrupts and cores share. Runs inside the allocator: each operation is one instruction.
//!
//! `tests/loom/word.rs` has the same types on loom's atomics, for a run of the ring and the live set through all interleavings.

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

    /// Sees everything that was stored before the value was [published](Self::publish).
    #[inline(always)]
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// A load without order, of what somebody else's published word says is there.
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A store without order, before something is published.
    #[inline(always)]
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub fn add(&self, n: u64) {
        word::add(&self.0, n);
    }

    /// Returns the value before.
    #[inline(always)]
    pub fn fetch_add(&self, n: u64) -> u64 {
        word::fetch_add(&self.0, n)
    }

    /// Returns what the value is if it is not `current`.
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
