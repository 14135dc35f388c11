//! Starts and delays tasks, and reads their stacks' high-water marks. There is one core, and interrupts and tasks of a higher
//! priority preempt a task.
//!
//! There is no periodic tick. A task runs until it sleeps or yields, or until an interrupt makes a task of higher priority ready.
//! Tasks of the same priority take turns only where they yield or sleep.

use core::time::Duration;

use crate::{clock, stack, sys};

pub use crate::stack::{MAX_STACKS, StackUse, WatchError};

/// The priority of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Priority {
    /// Runs only when no other task wants the core.
    Low = 1,
    /// The priority of the application's tasks, the main task included.
    Normal = 2,
    /// Runs before the application's tasks. It must sleep most of the time, or it starves them.
    High = 3,
}

/// Starts a task with its own stack. The task ends when `entry` returns. A ready task of a higher priority runs at once.
///
/// `stack_bytes` is rounded up to pages, and to 32 KiB at least. Below the stack lies a page that faults. The kernel adds 128 KiB
/// for its own stacks. The kernel panics if there is no memory for them.
pub fn spawn(priority: Priority, stack_bytes: usize, entry: fn()) {
    unsafe extern "C" fn trampoline(entry: usize) {
        // SAFETY: `spawn` passes a `fn()` and nothing else.
        let entry = unsafe { core::mem::transmute::<usize, fn()>(entry) };
        entry();
        // The kernel unmaps the stack of a task that has ended.
        stack::forget_own();
    }
    const ANY_CORE: isize = -1;
    // SAFETY: `trampoline` gets the argument that it expects, and a `fn()` may run on any task.
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

/// Lets other tasks of the same or a higher priority run.
pub fn yield_now() {
    sys::sys_yield();
}

/// Sleeps at least this long and never spins. It wakes 50–180 µs late under QEMU's TCG.
pub fn sleep(duration: Duration) {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    sleep_until(clock::micros().saturating_add(micros));
}

/// Sleeps until the clock says `micros` ([`clock::micros`]) and never spins.
pub fn sleep_until(micros: u64) {
    sys::sys_sleep_until(clock::deadline(micros));
}

/// Makes [`stacks`] report the calling task's stack under this name until the task ends.
///
/// # Errors
/// Fails if the task's stack or the name is watched already, or if [`MAX_STACKS`] are watched.
pub fn watch_stack(name: &'static str) -> Result<(), WatchError> {
    stack::watch_own(name)
}

/// Returns the high-water mark of each watched stack.
///
/// Each item reads at most 64 KiB of the part of a stack that seemed unused so far: about 50 µs under QEMU's TCG, with interrupts
/// masked for 4 KiB at a time. A larger stack is read in several calls; use that happens meanwhile is seen after one more pass. May
/// be called from any task. Allocates nothing.
pub fn stacks() -> impl Iterator<Item = StackUse> {
    stack::watched()
}
