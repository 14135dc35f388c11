//! The one lock of the registry and of the kinds that need one.
//!
//! Both tasks of the application and the monitoring task of higher priority touch what is behind it. On Hermit
//! it masks interrupts, so that no task is preempted while it holds it; it is held for a bounded number of
//! comparisons and one copy, never while a line is encoded.

/// A value that is accessed by one task at a time.
#[cfg(target_os = "hermit")]
pub(crate) type Lock<T> = kernel::sync::IrqLock<T>;

/// A value that is accessed by one thread at a time. Threads of the host run on, so spinning ends.
#[cfg(not(target_os = "hermit"))]
pub(crate) type Lock<T> = spin::lock_api::Mutex<T>;
