//! Time: monotonic since boot, and the wall clock.
//!
//! Both count the time stamp counter at the frequency that the kernel was told (`-freq`) or measured: under QEMU's TCG say it, a
//! measurement under load was off by up to 50 %. They may be read in any context, also with interrupts masked and inside the
//! allocator; a reading costs some 30 ns.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// What the kernel's clock read when the application started. The time stamp counter may count since the host booted.
static START: AtomicU64 = AtomicU64::new(0);

pub(crate) fn init() {
    START.store(sys::sys_ticks_micros(), Ordering::Relaxed);
}

/// Microseconds since the image's entry. Monotonic.
pub fn micros() -> u64 {
    sys::sys_ticks_micros() - START.load(Ordering::Relaxed)
}

/// Nanoseconds since the Unix epoch, in steps of a microsecond.
///
/// The date at boot comes from the machine's RTC in whole seconds (from uhyve exactly), so it may lag behind by up to a second;
/// from then on it runs with [`micros`] and never backwards.
pub fn unix_nanos() -> i64 {
    i64::try_from(sys::sys_unix_micros() * 1000).unwrap_or(i64::MAX)
}

/// Frequency of the time stamp counter in MHz.
pub fn frequency_mhz() -> u16 {
    sys::sys_frequency_mhz()
}

/// Microseconds that the core has been halted since boot: what is left is the time it was busy.
pub fn idle_micros() -> u64 {
    sys::sys_idle_ticks() / u64::from(frequency_mhz()).max(1)
}

/// A time of [`micros`] as the kernel's functions take it; a time further away than 35 years is brought that near, because the
/// kernel multiplies it by the counter's frequency.
pub(crate) fn deadline(micros: u64) -> u64 {
    const FURTHEST: u64 = 1 << 50;
    START.load(Ordering::Relaxed).saturating_add(micros).min(FURTHEST)
}
