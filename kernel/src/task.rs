//! Tasks: one core, preempted by interrupts and by tasks of a higher priority.
//!
//! There is no periodic tick: a task runs until it sleeps, yields, or an interrupt makes a task of higher priority ready. Tasks of
//! one priority take turns only where they yield or sleep.

use core::time::Duration;

use crate::{clock, stack, sys};

pub use crate::stack::{MAX_STACKS, StackUse, WatchError};

/// How urgent a task is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// Only when nobody else wants the core.
    Low = 1,
    /// The application's tasks; the main task is one.
    Normal = 2,
    /// Before the application's: must sleep most of the time, or it starves them.
    High = 3,
}

/// Starts a task with a stack of its own; it ends when `entry` returns. A ready task of a higher priority runs at once.
///
/// `stack_bytes` is rounded up to pages, 32 KiB at least; below the stack lies a page that faults. The kernel adds 128 KiB for
/// its own stacks. Panics in the kernel if there is no memory for them.
pub fn spawn(priority: Priority, stack_bytes: usize, entry: fn()) {
    unsafe extern "C" fn trampoline(entry: usize) {
        // SAFETY: `spawn` passes a `fn()` and nothing else.
        let entry = unsafe { core::mem::transmute::<usize, fn()>(entry) };
        entry();
        // The kernel unmaps the stack of a task that has ended.
        stack::forget_own();
    }
    const ANY_CORE: isize = -1;
    // SAFETY: `trampoline` takes what is passed to it here, and a `fn()` may run on any task.
    unsafe {
        sys::sys_spawn2(
            trampoline,
            entry as usize,
            priority as u8,
            stack_bytes,
            ANY_CORE,
        );
    }
    yield_now();
}

/// Lets others of the same or a higher priority run.
pub fn yield_now() {
    sys::sys_yield();
}

/// Sleeps at least this long; never spins. Late by 50–180 µs under QEMU's TCG.
pub fn sleep(duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    sleep_until(clock::micros().saturating_add(micros));
}

/// Sleeps until the clock says `micros` ([`clock::micros`]); never spins.
pub fn sleep_until(micros: u64) {
    sys::sys_sleep_until(clock::deadline(micros));
}

/// From now on [`stacks`] tells how much of the calling task's stack was ever used, under this name, until the task ends.
///
/// # Errors
/// If the task's stack or the name is watched already, or if there are [`MAX_STACKS`].
pub fn watch_stack(name: &'static str) -> Result<(), WatchError> {
    stack::watch_own(name)
}

/// How much of each watched stack was ever used.
///
/// Each item reads at most 64 KiB of the part of a stack that seemed unused so far: about 50 µs under QEMU's TCG, with interrupts masked
/// for 4 KiB at a time. A larger stack is read in several calls, and what was used in the meantime is known after one more pass. May be
/// called from any task; allocates nothing.
pub fn stacks() -> impl Iterator<Item = StackUse> {
    stack::watched()
}
