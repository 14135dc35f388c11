//! Updates of one word in memory that an interrupt cannot divide.
//!
//! Each update is one instruction, and a barrier for the compiler. On x86-64 a core sees its own accesses in order, and
//! other cores see its stores in order. So each update has acquire and release order: for one core without a bus lock
//! ([`ONE_CORE`]), for several with it.

use core::sync::atomic::{AtomicU8, AtomicU64};

use crate::ONE_CORE;

/// Adds `n`, wrapping around at 2^64.
#[inline(always)]
pub fn add(word: &AtomicU64, n: u64) {
    if ONE_CORE {
        unlocked::add(word, n);
    } else {
        locked::add(word, n);
    }
}

/// Adds `n`, wrapping around at 2^8.
#[inline(always)]
pub fn add_byte(byte: &AtomicU8, n: u8) {
    if ONE_CORE {
        unlocked::add_byte(byte, n);
    } else {
        locked::add_byte(byte, n);
    }
}

/// Adds `n` and returns the previous value.
#[inline(always)]
pub fn fetch_add(word: &AtomicU64, n: u64) -> u64 {
    if ONE_CORE {
        unlocked::fetch_add(word, n)
    } else {
        locked::fetch_add(word, n)
    }
}

/// Stores `new` if the value is `current`.
///
/// # Errors
/// The actual value, if it is not `current`; then nothing is changed.
#[inline(always)]
pub fn compare_exchange(word: &AtomicU64, current: u64, new: u64) -> Result<(), u64> {
    if ONE_CORE {
        unlocked::compare_exchange(word, current, new)
    } else {
        locked::compare_exchange(word, current, new)
    }
}

#[cfg(all(target_arch = "x86_64", not(miri)))]
#[expect(
    unsafe_code,
    reason = "Rust has no read-modify-write that is atomic for one core only"
)]
mod unlocked {
    use core::arch::asm;
    use core::sync::atomic::{AtomicU8, AtomicU64};

    #[inline(always)]
    pub(super) fn add(word: &AtomicU64, n: u64) {
        // SAFETY: the pointer comes from a reference, so it is valid and aligned for the instruction. The instruction
        // reads and writes only these eight bytes, each access undivided, as a relaxed load and a relaxed store of the
        // atomic would. It does not use the stack.
        unsafe {
            asm!("add qword ptr [{word}], {n}", word = in(reg) word.as_ptr(), n = in(reg) n, options(nostack));
        }
    }

    #[inline(always)]
    pub(super) fn add_byte(byte: &AtomicU8, n: u8) {
        // SAFETY: as in `add`, for one byte.
        unsafe {
            asm!("add byte ptr [{byte}], {n}", byte = in(reg) byte.as_ptr(), n = in(reg_byte) n, options(nostack));
        }
    }

    /// Adds `n` and returns the previous value.
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

    /// Stores `new` if the value is `current`; otherwise returns the actual value.
    #[inline(always)]
    pub(super) fn compare_exchange(word: &AtomicU64, current: u64, new: u64) -> Result<(), u64> {
        let before: u64;
        // SAFETY: as in `add`. The instruction writes in either case; if the values differ, it writes the old value.
        unsafe {
            asm!(
                "cmpxchg qword ptr [{word}], {new}",
                word = in(reg) word.as_ptr(),
                new = in(reg) new,
                inout("rax") current => before,
                options(nostack),
            );
        }
        if before == current {
            Ok(())
        } else {
            Err(before)
        }
    }
}

/// A replacement that is never called: [`ONE_CORE`] is false here.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
use self::locked as unlocked;

mod locked {
    use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    #[inline(always)]
    pub(super) fn add(word: &AtomicU64, n: u64) {
        word.fetch_add(n, Ordering::AcqRel);
    }

    #[inline(always)]
    pub(super) fn add_byte(byte: &AtomicU8, n: u8) {
        byte.fetch_add(n, Ordering::AcqRel);
    }

    #[inline(always)]
    pub(super) fn fetch_add(word: &AtomicU64, n: u64) -> u64 {
        word.fetch_add(n, Ordering::AcqRel)
    }

    #[inline(always)]
    pub(super) fn compare_exchange(word: &AtomicU64, current: u64, new: u64) -> Result<(), u64> {
        word.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire)
            .map(drop)
    }
}

#[cfg(test)]
mod tests {
    use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};

    use super::*;

    /// Values at which a carry, a sign or a wrap-around could go wrong.
    const AWKWARD: [u64; 7] = [0, 1, 2, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];

    /// Returns the result of `update` and the value that it leaves behind.
    fn applied<T>(value: u64, update: impl FnOnce(&AtomicU64) -> T) -> (T, u64) {
        let word = AtomicU64::new(value);
        let returned = update(&word);
        (returned, word.load(Ordering::Relaxed))
    }

    #[test]
    fn an_unlocked_update_does_what_the_locked_one_does() {
        for value in AWKWARD {
            for n in AWKWARD {
                assert_eq!(
                    applied(value, |word| unlocked::add(word, n)),
                    applied(value, |word| locked::add(word, n))
                );
                assert_eq!(
                    applied(value, |word| unlocked::fetch_add(word, n)),
                    applied(value, |word| locked::fetch_add(word, n))
                );
                for new in AWKWARD {
                    assert_eq!(
                        applied(value, |word| unlocked::compare_exchange(word, n, new)),
                        applied(value, |word| locked::compare_exchange(word, n, new))
                    );
                }
            }
        }
    }

    #[test]
    fn an_update_of_a_byte_leaves_its_neighbours_alone() {
        let bytes = [const { AtomicU8::new(7) }; 3];
        unlocked::add_byte(&bytes[1], 250);
        locked::add_byte(&bytes[1], 1);
        assert_eq!(bytes.map(AtomicU8::into_inner), [7, 2, 7]);
    }
}
