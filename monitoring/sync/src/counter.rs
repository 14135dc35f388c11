//! Counters that only grow.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::word;

/// A number that only grows, in a unit that its owner names. Wraps around at 2^64.
///
/// Can be used inside the allocator, in interrupt handlers and in any task. Memory model: the value is accessed by
/// relaxed atomic loads and by the one instruction of [`word::add`]. For Rust, that is at least a relaxed load and a
/// relaxed store of the same aligned word.
///
/// ```
/// # use sync::Counter;
/// static FRAMES: Counter = Counter::new();
/// FRAMES.add(2);
/// FRAMES.add(1);
/// assert_eq!(FRAMES.get(), 3);
/// ```
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Creates a counter at 0.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Adds `n`. One instruction.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        word::add(&self.0, n);
    }

    /// Returns the count. One load; the value does not change.
    #[must_use]
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_counts_and_wraps() {
        let counter = Counter::new();
        counter.add(5);
        counter.add(0);
        assert_eq!(counter.get(), 5);
        counter.add(u64::MAX);
        assert_eq!(counter.get(), 4);
    }
}
