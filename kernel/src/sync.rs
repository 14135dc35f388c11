//! A lock that masks interrupts while it is held.
//!
//! One core, preempted by priority: if a NORMAL task held a plain spin lock when the HIGH monitoring task woke, that would spin for
//! ever. Whatever both touch is behind this lock, for a short, bounded time. While it is held nothing may be called that enables
//! interrupts, and every system call of the kernel does (see `kernel/src/sys.rs`).

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lock_api::{GuardNoSend, RawMutex};
use spin::mutex::SpinMutex;

/// A mutex that masks interrupts while it is held, for `lock_api`. Several may be held at a time and released in any order:
/// interrupts come back with the last one.
///
/// The spin lock inside is never contended on one core. On several it would exclude the others, but the nesting below is counted
/// for one core only.
pub struct RawIrqLock(SpinMutex<()>);

/// A value behind a [`RawIrqLock`].
pub type IrqLock<T> = lock_api::Mutex<RawIrqLock, T>;

/// How many of these locks this core holds, and whether interrupts were enabled before the first. Accessed with interrupts masked.
static HELD: AtomicUsize = AtomicUsize::new(0);
static ENABLED_BEFORE: AtomicBool = AtomicBool::new(false);

// SAFETY: the lock inside is exclusive, and `unlock` is called by the holder.
unsafe impl RawMutex for RawIrqLock {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "lock_api's way to make a lock in a const"
    )]
    const INIT: Self = Self(SpinMutex::new(()));
    /// The interrupt flag belongs to the core.
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        enter();
        core::mem::forget(self.0.lock());
    }

    fn try_lock(&self) -> bool {
        enter();
        let taken = self.0.try_lock().map(core::mem::forget).is_some();
        if !taken {
            leave();
        }
        taken
    }

    unsafe fn unlock(&self) {
        // SAFETY: the caller holds the lock; its guard was forgotten in `lock` or `try_lock`.
        unsafe { self.0.force_unlock() };
        leave();
    }

    fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

fn enter() {
    let enabled = mask();
    let held = HELD.load(Ordering::Relaxed);
    if held == 0 {
        ENABLED_BEFORE.store(enabled, Ordering::Relaxed);
    }
    HELD.store(held + 1, Ordering::Relaxed);
}

fn leave() {
    let held = HELD.load(Ordering::Relaxed) - 1;
    HELD.store(held, Ordering::Relaxed);
    if held == 0 && ENABLED_BEFORE.load(Ordering::Relaxed) {
        // SAFETY: interrupts were enabled before the first lock was taken, and none is held now.
        unsafe { asm!("sti", options(nostack)) };
    }
}

/// Masks interrupts and tells whether they were enabled.
pub(crate) fn mask() -> bool {
    /// RFLAGS.IF.
    const INTERRUPTS: u64 = 1 << 9;
    let flags: u64;
    // SAFETY: the kernel runs applications in ring 0, where the flag may be changed. No `nomem`: what follows must not move before.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & INTERRUPTS != 0
}
