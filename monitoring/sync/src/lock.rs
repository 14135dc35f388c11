//! The lock around data that tasks of the application and the monitoring task both change.

/// A lock around a value: one task accesses it at a time.
///
/// On Hermit it masks interrupts, so that a task is not preempted while it holds the lock. Otherwise a task of higher
/// priority could wait for it forever. Hold it for a bounded number of comparisons and one copy, and call nothing that
/// enables interrupts.
#[cfg(target_os = "hermit")]
pub type Lock<T> = kernel::sync::IrqLock<T>;

/// A lock around a value: one thread accesses it at a time. A waiting thread of the host spins while the holder runs
/// on.
#[cfg(not(target_os = "hermit"))]
pub type Lock<T> = spin::lock_api::Mutex<T>;
