//! `heap_profiler`'s words and bytes on loom's atomics.

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

    /// Sees everything that was stored before the value was [published](Self::publish).
    pub fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// A load without order, of what somebody else's published word says is there.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A store without order, before something is published.
    pub fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::AcqRel);
    }

    /// Returns the value before.
    pub fn fetch_add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::AcqRel)
    }

    /// Returns what the value is if it is not `current`.
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
