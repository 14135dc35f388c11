//! The words and bytes of `heap_profiler` on loom's atomics.

use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering};

/// Eight bytes.
#[derive(Debug)]
pub(crate) struct Word(AtomicU64);

/// One byte.
#[derive(Debug)]
pub(crate) struct Byte(AtomicU8);

impl Word {
    pub fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Loads the value, and sees everything that was stored before it was [published](Self::publish).
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// Loads without order. Used for data that another task's published word covers.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Stores without order. Used before a word is published.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::AcqRel);
    }

    /// Adds, and returns the previous value.
    pub fn fetch_add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::AcqRel)
    }

    /// Replaces `current` by `new`. Otherwise returns the actual value.
    pub fn compare_exchange(&self, current: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

impl Byte {
    pub fn new(value: u8) -> Self {
        Self(AtomicU8::new(value))
    }

    pub fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    pub fn set(&self, value: u8) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, n: u8) {
        self.0.fetch_add(n, Ordering::AcqRel);
    }
}
