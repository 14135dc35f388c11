//! The lock around what tasks of the application and the monitoring task both change.

/// A value that one task accesses at a time.
///
/// On Hermit it masks interrupts, so that no task is preempted while it holds the lock: a task of higher priority that waited for it
/// would wait permanently. Hold it for a bounded number of comparisons and one copy, and call nothing that enables interrupts.
#[cfg(target_os = "hermit")]
pub type Lock<T> = kernel::sync::IrqLock<T>;

/// A value that one thread accesses at a time. A thread of the host that waits spins; the holder runs on meanwhile.
#[cfg(not(target_os = "hermit"))]
pub type Lock<T> = spin::lock_api::Mutex<T>;
