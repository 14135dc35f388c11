//! A lock that masks interrupts while it is held.
//!
//! One core, preempted by priority: if a NORMAL task held a plain spin lock when the HIGH monitoring task woke, that would spin for
//! ever. Whatever both touch is behind this lock, for a short, bounded time. While it is held nothing may be called that enables
//! interrupts, and every system call of the kernel does (see `kernel/src/sys.rs`).

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use lock_api::{GuardNoSend, RawMutex};

/// A mutex that masks interrupts while it is held, for `lock_api`. Several may be held at a time and released in any order:
/// interrupts come back with the last one.
///
/// For one core: with interrupts masked nobody else runs there, so a plain flag says whether it is held, and taking it needs no
/// locked instruction, which costs more than the rest. Whoever finds it held holds it itself, and would wait for ever: that is a panic.
pub struct RawIrqLock(AtomicBool);

/// A value behind a [`RawIrqLock`].
pub type IrqLock<T> = lock_api::Mutex<RawIrqLock, T>;

/// How many of these locks this core holds, and whether interrupts were enabled before the first. Accessed with interrupts masked.
static HELD: AtomicUsize = AtomicUsize::new(0);
static ENABLED_BEFORE: AtomicBool = AtomicBool::new(false);

// SAFETY: from `enter` to `leave` no other task runs, nor an interrupt: nobody comes between the look at the flag and its change, and
// who finds it set does not get the lock. `unlock` is called by the holder.
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
        // SAFETY: interrupts were enabled before the first lock was taken, and none is held now. No `nomem`: what came before must not
        // move behind.
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
