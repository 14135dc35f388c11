//! Reads the kernel's counts of interrupts.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::sys;

/// The first vector that is not an exception of the processor (Intel SDM, volume 3, 6.2).
const FIRST: u8 = 32;
/// The kernel's timer (`hermit-kernel`, `src/arch/x86_64/kernel/apic.rs`, `TIMER_INTERRUPT_NUMBER`).
const TIMER: u8 = 123;

/// One bit per vector that a driver of ours has claimed.
static CLAIMED: [AtomicU64; 4] = [const { AtomicU64::new(0) }; 4];

/// Interrupts since boot, on all cores. Each number only grows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupts {
    /// All interrupts except the processor's exceptions.
    pub all: u64,
    /// The interrupts of the kernel's timer.
    pub timer: u64,
    /// The interrupts of monitoring's network card, and of devices that share its line.
    pub card: u64,
}

/// Returns the current counts. Costs some 230 loads, with interrupts masked in turns.
pub fn counts() -> Interrupts {
    let claimed = (FIRST..=u8::MAX).filter(|&vector| {
        let bits = CLAIMED[usize::from(vector / 64)].load(Ordering::Relaxed);
        bits & 1 << (vector % 64) != 0
    });
    Interrupts {
        all: sys::sys_irq_count(FIRST, u8::MAX),
        timer: sys::sys_irq_count(TIMER, TIMER),
        card: claimed.map(|vector| sys::sys_irq_count(vector, vector)).sum(),
    }
}

/// Claims the vector: from now on it wakes the task that waits for the card.
pub(crate) fn claim(vector: u8) {
    CLAIMED[usize::from(vector / 64)].fetch_or(1 << (vector % 64), Ordering::Relaxed);
    sys::sys_irq_claim(vector);
}
