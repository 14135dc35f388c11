//! Words and bytes in memory that tasks, interrupts and (with the feature `smp`) cores share.
//!
//! The operations are those of [`crate::counter::word`]; under `--cfg loom` they are loom's, so that the ring and the live
//! set can be run through all interleavings.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU8, AtomicU64, Ordering};

#[cfg(not(loom))]
use crate::counter::word;

/// Eight bytes.
#[derive(Debug)]
#[repr(transparent)]
pub(super) struct Word(AtomicU64);

/// One byte.
#[derive(Debug)]
pub(super) struct Byte(AtomicU8);

impl Word {
    #[cfg(not(loom))]
    pub(super) const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    #[cfg(loom)]
    pub(super) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Sees everything that was stored before the value was [published](Self::publish).
    #[inline(always)]
    pub(super) fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    #[inline(always)]
    pub(super) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }

    /// A load without order, of what somebody else's published word says is there.
    #[inline(always)]
    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// A store without order, before something is published.
    #[inline(always)]
    pub(super) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[cfg(not(loom))]
    #[inline(always)]
    pub(super) fn add(&self, n: u64) {
        word::add(&self.0, n);
    }

    /// Returns the value before.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(super) fn fetch_add(&self, n: u64) -> u64 {
        word::fetch_add(&self.0, n)
    }

    /// Returns what the value is if it is not `current`.
    #[cfg(not(loom))]
    #[inline(always)]
    pub(super) fn compare_exchange(&self, current: u64, new: u64) -> Result<(), u64> {
        word::compare_exchange(&self.0, current, new)
    }
}

#[cfg(loom)]
impl Word {
    pub(super) fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::AcqRel);
    }

    pub(super) fn fetch_add(&self, n: u64) -> u64 {
        self.0.fetch_add(n, Ordering::AcqRel)
    }

    pub(super) fn compare_exchange(&self, current: u64, new: u64) -> Result<(), u64> {
        self.0
            .compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

impl Byte {
    #[cfg(not(loom))]
    pub(super) const fn new(value: u8) -> Self {
        Self(AtomicU8::new(value))
    }

    #[cfg(loom)]
    pub(super) fn new(value: u8) -> Self {
        Self(AtomicU8::new(value))
    }

    #[inline(always)]
    pub(super) fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn set(&self, value: u8) {
        self.0.store(value, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn add(&self, n: u8) {
        #[cfg(not(loom))]
        word::add_byte(&self.0, n);
        #[cfg(loom)]
        self.0.fetch_add(n, Ordering::AcqRel);
    }
}
