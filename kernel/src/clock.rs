//! The clocks: monotonic time since boot, and the wall clock.
//!
//! Both count the time stamp counter at the frequency that the kernel was told (`-freq`) or measured. Under QEMU's TCG give it with
//! `-freq`: a measurement under load was off by up to 50 %. The clocks may be read in any context, also with interrupts masked and
//! inside the allocator. A reading costs some 30 ns.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::{rtc, sys};

/// The kernel's clock when the application started. The time stamp counter may count since the host booted.
static START: AtomicU64 = AtomicU64::new(0);

/// The time that the core had been halted by then, in ticks.
static IDLE_AT_START: AtomicU64 = AtomicU64::new(0);

pub(crate) fn init() {
    IDLE_AT_START.store(sys::sys_idle_ticks(), Ordering::Relaxed);
    START.store(sys::sys_ticks_micros(), Ordering::Relaxed);
}

/// Returns the microseconds since the image's entry. Monotonic.
pub fn micros() -> u64 {
    sys::sys_ticks_micros() - START.load(Ordering::Relaxed)
}

/// Returns the nanoseconds since the Unix epoch, in steps of a microsecond. It never runs backwards.
///
/// The date at boot comes from the machine's RTC in whole seconds, so it may lag by up to a second; uhyve gives it exactly. From
/// then on it runs with [`micros`], and [`advance`] moves it forward. Without an RTC it starts in 1970.
pub fn unix_nanos() -> i64 {
    let micros = sys::sys_unix_micros().saturating_add(ADVANCED.load(Ordering::Relaxed));
    i64::try_from(micros.saturating_mul(1000)).unwrap_or(i64::MAX)
}

/// The time that [`advance`] has added to the kernel's date, in microseconds.
static ADVANCED: AtomicU64 = AtomicU64::new(0);

/// Moves [`unix_nanos`] forward, because the clock of a machine that was paused is behind when it goes on.
pub fn advance(micros: u64) {
    ADVANCED.fetch_add(micros, Ordering::Relaxed);
}

/// Returns the seconds since the Unix epoch as the machine's RTC has them now. Returns `None` where there is no RTC, and for the
/// few milliseconds of each second in which it is updated. Costs some 50 µs.
///
/// QEMU 7.2 starts its RTC with the whole second of the host's time. So the RTC lags behind the host by the fraction of a second at
/// which QEMU was started (seen by asking QEMU: QMP, `rtc-time`).
pub fn rtc_seconds() -> Option<i64> {
    if sys::sys_dated_by_rtc() {
        rtc::read()
    } else {
        None
    }
}

/// Returns the frequency of the time stamp counter in MHz.
pub fn frequency_mhz() -> u16 {
    sys::sys_frequency_mhz()
}

/// Returns the microseconds that the core was halted since the image's entry. Monotonic, and never more than [`micros`]: for the
/// rest of that time the core was busy.
///
/// Both count the same ticks, so shares of the two do not drift. The kernel stamps the counter right before it halts, and again
/// first thing in the interrupt that ends the halt (`kernel/patches/0004-idle.patch`). So a running task reads a sum of whole
/// intervals.
///
/// Measured under QEMU's TCG against a task that spins by the clock for 0, 10, 25, 50, 75, 90 and 100 % of each 20 ms: busy was 0
/// to 0.8 points more than the task spun, which is the cost of waking up.
pub fn idle_micros() -> u64 {
    let ticks = sys::sys_idle_ticks() - IDLE_AT_START.load(Ordering::Relaxed);
    ticks / u64::from(frequency_mhz()).max(1)
}

/// Converts a time of [`micros`] to the form that the kernel's functions take. A time more than 35 years away is brought that near,
/// because the kernel multiplies it by the counter's frequency.
pub(crate) fn deadline(micros: u64) -> u64 {
    const FURTHEST: u64 = 1 << 50;
    START.load(Ordering::Relaxed).saturating_add(micros).min(FURTHEST)
}
