//! Counters for the allocator's path: one unlocked instruction per update.
//!
//! A bus-locked addition costs about 4 ns; four of them made an allocation and its free 16 ns slower. On one
//! core the lock is not needed: an interrupt, and with it every change of task, comes between two
//! instructions, never inside one. So on x86-64 an update is a single `add` or `xadd` in memory without the
//! `lock` prefix.
//!
//! * **One core**, whatever preempts whatever: every count is exact.
//! * **Several cores** need the feature `smp`, which makes every update a locked one. Without it two cores
//!   that update at once may lose a count; it is never undefined behaviour (see [`Counter`]).
//! * **Other architectures** than x86-64 always use atomic read-modify-write operations.

use core::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, in a unit that its owner names. Wraps around at 2^64.
///
/// May be used inside the allocator, from interrupts and from any task. Memory model: the value is accessed by
/// relaxed atomic loads and by the one instruction described in the [module](self), which for Rust is a
/// relaxed load and a relaxed store of the same aligned word; no reference to a plain integer exists.
///
/// ```
/// # use monitoring::counter::Counter;
/// static FRAMES: Counter = Counter::new();
/// FRAMES.add(2);
/// FRAMES.add(1);
/// assert_eq!(FRAMES.get(), 3);
/// ```
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// A counter at 0.
    #[must_use]
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Counts `n` more. One instruction.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        word::add(&self.0, n);
    }

    /// What has been counted. One load; the value does not change by it.
    #[must_use]
    #[inline(always)]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that grows and shrinks, and the highest it has ever been.
///
/// The same rules as for [`Counter`]. The peak is exact under preemption too: every addition gets the value
/// it has made from the same instruction, and the peak is only ever raised.
///
/// ```
/// # use monitoring::counter::Gauge;
/// static LIVE_BYTES: Gauge = Gauge::new();
/// LIVE_BYTES.add(100);
/// LIVE_BYTES.sub(40);
/// assert_eq!((LIVE_BYTES.get(), LIVE_BYTES.peak()), (60, 100));
/// ```
#[derive(Debug, Default)]
pub struct Gauge {
    value: AtomicU64,
    peak: AtomicU64,
}

impl Gauge {
    /// A gauge at 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            value: AtomicU64::new(0),
            peak: AtomicU64::new(0),
        }
    }

    /// Adds `n`, and raises the peak if there was never as much. One instruction, one load, one comparison;
    /// on a new peak also a compare-and-exchange loop, which a preemption can make go round again.
    #[inline(always)]
    pub fn add(&self, n: u64) {
        let value = word::fetch_add(&self.value, n).wrapping_add(n);
        if value > self.peak.load(Ordering::Relaxed) {
            self.raise(value);
        }
    }

    /// Takes `n` away, which must have been added before. One instruction.
    #[inline(always)]
    pub fn sub(&self, n: u64) {
        word::add(&self.value, n.wrapping_neg());
    }

    /// The value now. One load.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }

    /// The highest value ever. One load.
    #[must_use]
    pub fn peak(&self) -> u64 {
        self.peak.load(Ordering::Relaxed)
    }

    /// A task may be preempted between looking and raising, and another may raise the peak further in the
    /// meantime: the exchange then fails, and the lower value is not stored over the higher one. New peaks
    /// are rare, so this one may be locked.
    #[cold]
    fn raise(&self, value: u64) {
        self.peak.fetch_max(value, Ordering::Relaxed);
    }
}

/// Updates of one word by an unlocked instruction.
#[cfg(all(target_arch = "x86_64", not(feature = "smp"), not(miri)))]
#[expect(
    unsafe_code,
    reason = "Rust has no read-modify-write that is atomic for one core only"
)]
mod word {
    use core::arch::asm;
    use core::sync::atomic::AtomicU64;

    #[inline(always)]
    pub(super) fn add(word: &AtomicU64, n: u64) {
        // SAFETY: the pointer comes from a reference and is valid and aligned for the instruction, which
        // reads and writes these eight bytes only, in one piece each, as a relaxed load and a relaxed store
        // of the atomic would. It leaves the stack alone.
        unsafe {
            asm!("add qword ptr [{word}], {n}", word = in(reg) word.as_ptr(), n = in(reg) n, options(nostack));
        }
    }

    #[inline(always)]
    pub(super) fn fetch_add(word: &AtomicU64, n: u64) -> u64 {
        let before;
        // SAFETY: as in `add`.
        unsafe {
            asm!(
                "xadd qword ptr [{word}], {n}",
                word = in(reg) word.as_ptr(),
                n = inout(reg) n => before,
                options(nostack),
            );
        }
        before
    }
}

/// Updates of one word that are atomic for all cores.
#[cfg(not(all(target_arch = "x86_64", not(feature = "smp"), not(miri))))]
mod word {
    use core::sync::atomic::{AtomicU64, Ordering};

    #[inline(always)]
    pub(super) fn add(word: &AtomicU64, n: u64) {
        word.fetch_add(n, Ordering::Relaxed);
    }

    #[inline(always)]
    pub(super) fn fetch_add(word: &AtomicU64, n: u64) -> u64 {
        word.fetch_add(n, Ordering::Relaxed)
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

    #[test]
    fn a_gauge_remembers_its_peak() {
        let gauge = Gauge::new();
        gauge.add(10);
        gauge.add(5);
        gauge.sub(12);
        gauge.add(11);
        assert_eq!((gauge.get(), gauge.peak()), (14, 15));
        gauge.add(2);
        assert_eq!((gauge.get(), gauge.peak()), (16, 16));
        gauge.sub(16);
        assert_eq!((gauge.get(), gauge.peak()), (0, 16));
    }
}
