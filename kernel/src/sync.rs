//! A lock that masks interrupts while it is held.
//!
//! One core, preempted by priority: if a NORMAL task held a plain spin lock when the HIGH monitoring task woke, that would spin for
//! ever. Whatever both touch is behind this lock, for a short, bounded time. While it is held nothing may be called that enables
//! interrupts, and every system call of the kernel does (see `kernel/src/sys.rs`).

use core::arch::asm;
use core::sync::atomic::{AtomicBool, Ordering};

use lock_api::{GuardNoSend, RawMutex};
use spin::mutex::SpinMutex;

/// A mutex that masks interrupts while it is held, for `lock_api`.
///
/// The spin lock inside is never contended on one core; it makes the lock right on several.
pub struct RawIrqLock {
    lock: SpinMutex<()>,
    /// Whether interrupts were enabled when the lock was taken. Accessed by the holder only.
    enabled: AtomicBool,
}

/// A value behind a [`RawIrqLock`].
pub type IrqLock<T> = lock_api::Mutex<RawIrqLock, T>;

// SAFETY: `lock` is exclusive (spin's is), and `unlock` is called by the holder.
unsafe impl RawMutex for RawIrqLock {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "lock_api's way to make a lock in a const"
    )]
    const INIT: Self = Self {
        lock: SpinMutex::new(()),
        enabled: AtomicBool::new(false),
    };
    /// The interrupt flag belongs to the core.
    type GuardMarker = GuardNoSend;

    fn lock(&self) {
        let enabled = mask();
        core::mem::forget(self.lock.lock());
        self.enabled.store(enabled, Ordering::Relaxed);
    }

    fn try_lock(&self) -> bool {
        let enabled = mask();
        let taken = self.lock.try_lock().map(core::mem::forget).is_some();
        if taken {
            self.enabled.store(enabled, Ordering::Relaxed);
        } else {
            restore(enabled);
        }
        taken
    }

    unsafe fn unlock(&self) {
        let enabled = self.enabled.load(Ordering::Relaxed);
        // SAFETY: the caller holds the lock; its guard was forgotten in `lock` or `try_lock`.
        unsafe { self.lock.force_unlock() };
        restore(enabled);
    }

    fn is_locked(&self) -> bool {
        self.lock.is_locked()
    }
}

/// Masks interrupts and tells whether they were enabled.
fn mask() -> bool {
    /// RFLAGS.IF.
    const INTERRUPTS: u64 = 1 << 9;
    let flags: u64;
    // SAFETY: the kernel runs applications in ring 0, where the flag may be changed. No `nomem`: what follows must not move before.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & INTERRUPTS != 0
}

fn restore(enabled: bool) {
    if enabled {
        // SAFETY: as in `mask`; the caller had them enabled before.
        unsafe { asm!("sti", options(nostack)) };
    }
}
