//! A lock that masks interrupts while it is held.
//!
//! There is one core, and tasks are preempted by priority. If a NORMAL task held a plain spin lock when the HIGH monitoring task
//! woke, that task would spin forever. So all state that both use is behind this lock, for a short, bounded time. While the lock is
//! held, nothing may be called that enables interrupts; every system call of the kernel does (see `kernel/src/sys.rs`).

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lock_api::{GuardNoSend, RawMutex};

/// A mutex for `lock_api` that masks interrupts while it is held. Several may be held at a time and released in any order:
/// releasing the last one enables interrupts again.
///
/// It works for one core only. With interrupts masked no other task runs there, so a plain flag says whether the lock is held, and
/// taking it needs no locked instruction, which would cost more than the rest. A task that finds the lock held holds it itself and
/// would wait forever: that is a panic.
pub struct RawIrqLock(AtomicBool);

/// A value behind a [`RawIrqLock`].
pub type IrqLock<T> = lock_api::Mutex<RawIrqLock, T>;

/// The number of these locks that this core holds, and whether interrupts were enabled before the first. Accessed with interrupts
/// masked.
static HELD: AtomicUsize = AtomicUsize::new(0);
static ENABLED_BEFORE: AtomicBool = AtomicBool::new(false);

// SAFETY: from `enter` to `leave` neither another task nor an interrupt handler runs. So nothing comes between the check of the
// flag and its change, and a caller that finds it set does not get the lock. The holder calls `unlock`.
unsafe impl RawMutex for RawIrqLock {
    #[expect(
        clippy::declare_interior_mutable_const,
        reason = "lock_api's way to make a lock in a const"
    )]
    const INIT: Self = Self(AtomicBool::new(false));
    /// The interrupt flag belongs to the core.
    type GuardMarker = GuardNoSend;

    #[inline]
    fn lock(&self) {
        enter();
        if self.is_locked() {
            taken_twice();
        }
        self.0.store(true, Ordering::Relaxed);
    }

    #[inline]
    fn try_lock(&self) -> bool {
        enter();
        let free = !self.is_locked();
        if free {
            self.0.store(true, Ordering::Relaxed);
        } else {
            leave();
        }
        free
    }

    #[inline]
    unsafe fn unlock(&self) {
        self.0.store(false, Ordering::Relaxed);
        leave();
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

#[cold]
#[inline(never)]
fn taken_twice() -> ! {
    panic!("a lock is taken again by its holder")
}

#[inline]
fn enter() {
    let enabled = mask();
    let held = HELD.load(Ordering::Relaxed);
    if held == 0 {
        ENABLED_BEFORE.store(enabled, Ordering::Relaxed);
    }
    HELD.store(held + 1, Ordering::Relaxed);
}

#[inline]
fn leave() {
    let held = HELD.load(Ordering::Relaxed) - 1;
    HELD.store(held, Ordering::Relaxed);
    if held == 0 && ENABLED_BEFORE.load(Ordering::Relaxed) {
        // SAFETY: interrupts were enabled before the first lock was taken, and no lock is held now. No `nomem`: earlier accesses
        // must not move behind it.
        unsafe { asm!("sti", options(nostack)) };
    }
}

/// Returns whether this core holds one of these locks. Call it with interrupts masked.
pub(crate) fn is_any_held() -> bool {
    HELD.load(Ordering::Relaxed) > 0
}

/// Enables interrupts.
pub(crate) fn unmask() {
    // SAFETY: the kernel runs applications in ring 0, where the flag may be changed. No `nomem`: earlier accesses must not move
    // behind it.
    unsafe { asm!("sti", options(nostack)) };
}

/// Masks interrupts and returns whether they were enabled.
pub(crate) fn mask() -> bool {
    /// RFLAGS.IF.
    const INTERRUPTS: u64 = 1 << 9;
    let flags: u64;
    // SAFETY: the kernel runs applications in ring 0, where the flag may be changed. No `nomem`: later accesses must not move
    // before it.
    unsafe { asm!("pushfq", "pop {}", "cli", out(reg) flags) };
    flags & INTERRUPTS != 0
}
