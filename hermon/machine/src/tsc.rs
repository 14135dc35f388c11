//! The frequency of this machine's time stamp counter.
//!
//! The host measures it, because under TCG the guest's `rdtsc` is the host's counter plus an offset (QEMU,
//! softmmu/cpu-timers.c: `cpu_get_ticks` adds to `cpu_get_host_ticks`), and so it is under KVM unless it is scaled. The
//! guest would calibrate it against an emulated PIT, which was measured at 2,076 to 3,893 MHz for a counter of 2,596 MHz
//! when the host was busy. `cpu MHz` in /proc/cpuinfo is the core's present clock, not the counter's.

use core::time::Duration;
use std::thread;
use std::time::Instant;

/// The time for which the counter is watched. One reading is off by some 100 ns at worst, so 20 ms give 10 ppm, far below the
/// 1 MHz that the kernel's `-freq` resolves.
const WATCH: Duration = Duration::from_millis(20);

/// Readings at either end, of which the least disturbed counts: enough to see one that was not preempted.
const READINGS: usize = 16;

/// The counter's frequency in MHz, rounded; `None` where there is no such counter or the figure is absurd.
///
/// Takes 20 ms of wall time, next to no CPU time.
pub fn mhz() -> Option<u16> {
    let (from, start) = reading()?;
    thread::sleep(WATCH);
    let (to, end) = reading()?;
    frequency(to.wrapping_sub(from), end.duration_since(start))
}

/// Whole MHz for so many ticks in so much time. Counters of PCs run at 500 MHz to 10 GHz; anything else is a fault.
fn frequency(ticks: u64, elapsed: Duration) -> Option<u16> {
    let nanos = elapsed.as_nanos();
    let mhz = (u128::from(ticks) * 1000 + nanos / 2).checked_div(nanos)?;
    u16::try_from(mhz)
        .ok()
        .filter(|mhz| (500..=10_000).contains(mhz))
}

/// The counter, and the time halfway between two readings of the clock around it.
#[cfg(target_arch = "x86_64")]
#[expect(
    unsafe_code,
    reason = "the counter is read by an intrinsic of the architecture"
)]
fn reading() -> Option<(u64, Instant)> {
    (0..READINGS)
        .map(|_| {
            let before = Instant::now();
            // SAFETY: every x86-64 processor has `rdtsc`, and Linux leaves it to user space (CR4.TSD is clear).
            let ticks = unsafe { core::arch::x86_64::_rdtsc() };
            let width = before.elapsed();
            (width, ticks, before + width / 2)
        })
        .min_by_key(|&(width, ..)| width)
        .map(|(_, ticks, at)| (ticks, at))
}

#[cfg(not(target_arch = "x86_64"))]
fn reading() -> Option<(u64, Instant)> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_over_time_are_rounded_to_whole_megahertz() {
        assert_eq!(frequency(51_922_920, Duration::from_millis(20)), Some(2596));
        assert_eq!(frequency(51_930_001, Duration::from_millis(20)), Some(2597));
    }

    #[test]
    fn an_absurd_figure_is_none() {
        assert_eq!(frequency(1, Duration::ZERO), None);
        assert_eq!(frequency(20_000, Duration::from_millis(20)), None);
        assert_eq!(frequency(u64::MAX, Duration::from_millis(20)), None);
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn two_measurements_agree_within_one_megahertz() {
        let (first, second) = (mhz().expect("x86-64"), mhz().expect("x86-64"));
        assert!(first.abs_diff(second) <= 1, "{first} and {second}");
    }
}
