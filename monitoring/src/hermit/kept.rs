//! What outlives a panic in the monitoring task.
//!
//! ```text
//!  spawn ──▶ run ──▶ turns ──▶ panic: printed by the kernel's handler, the stack is emptied ──┐
//!             ▲                                                                               ▼
//!             └──── begin_again: card reset, trace ended, at most RESTARTS_MAX in WITHIN ◀────┘
//!                                       └─▶ too often: monitoring stays off, the application runs on
//! ```
//!
//! A panic that the kernel contains ([`kernel::panic::contain`]) leaves everything that the task shares whole:
//!
//! | state | why it is whole |
//! |---|---|
//! | registry, series, levels, counters, the heap and its profile's settings | atomics, and locks that mask interrupts: a panic under one is not contained |
//! | the blocks alive, for `--heap-profile on` | a spin lock; if it is still held, the machine ends |
//! | the profile's session | it is stopped; the next trace starts a new one |
//! | the monitor with its sockets and queues | dropped and made anew, in the same memory |
//! | the card and its rings | reset; all buffers are taken back, in the same memory |
//! | blocks of the heap that the abandoned functions owned | lost |
#![expect(
    unsafe_code,
    reason = "the memory of abandoned calls is used again, see `kernel::panic::contain`"
)]

use core::cell::UnsafeCell;
use core::fmt;
use core::mem::MaybeUninit;

use kernel::sync::IrqLock;
use kernel::task::Priority;
use kernel::virtio::{Nic, NicError};
use kernel::{Exit, clock, panic, task};

use agent::config::Config;
use agent::monitor::Monitor;
use agent::restarts::{Restarts, TooOften};
use agent::sources::Image;
use agent::storage::Storage;
use agent::trace::Trace;
use heap_profiler::{HeapProfile, HeapSource};
use units::Micros;

use super::STACK_BYTES;

/// The parts that outlive a panic in the task, and those that each beginning needs.
pub struct Kept {
    pub config: Config,
    pub heap: &'static dyn HeapSource,
    pub profile: &'static dyn HeapProfile,
    pub nic: Nic,
    /// The memory of each monitor, one after the other. Copies of it are given away, so it is hidden from the compiler.
    storage: MaybeUninit<Storage<'static>>,
    /// The facts about the image, once the task has begun.
    pub image: Option<Image>,
    /// Outside the stack, for its trace service, whose memory cannot be taken twice.
    pub monitor: Option<Monitor<'static>>,
}

/// The place of [`Kept`].
struct Place(UnsafeCell<Option<Kept>>);

// SAFETY: `spawn` writes it before the task begins, and after that only the task uses it.
unsafe impl Sync for Place {}

static KEPT: Place = Place(UnsafeCell::new(None));
static RUN: IrqLock<Option<fn(&'static mut Kept)>> = IrqLock::new(None);
static RESTARTS: IrqLock<Restarts> = IrqLock::new(Restarts::new());

/// Starts the task with these parts. It calls `run`, and calls it again after a panic. Call it once.
///
/// # Panics
/// If it is called twice.
pub fn spawn(kept: Kept, run: fn(&'static mut Kept)) {
    assert!(RUN.lock().replace(run).is_none(), "started twice");
    // SAFETY: the assertion lets one caller come here, and the task begins afterwards.
    unsafe { *KEPT.0.get() = Some(kept) };
    // SAFETY: nothing outside refers to the task's stack while a function of the application runs there; docs/USING.md asks polled
    // functions and log sinks for the same. `begin_again` looks at the only lock that is not an `IrqLock`.
    task::spawn(Priority::High, STACK_BYTES, || unsafe {
        panic::contain(enter)
    });
}

fn enter() {
    let run = *RUN.lock();
    // SAFETY: only the task calls this function, and it begins again after it has abandoned the call before. So there is one
    // reference at a time.
    if let (Some(run), Some(kept)) = (run, unsafe { &mut *KEPT.0.get() }) {
        run(kept);
    }
}

impl Kept {
    /// Collects the parts before the first beginning.
    pub fn new<H: HeapSource + HeapProfile>(
        config: Config,
        heap: &'static H,
        nic: Nic,
        storage: Storage<'static>,
    ) -> Self {
        Self {
            config,
            heap,
            profile: heap,
            nic,
            storage: MaybeUninit::new(storage),
            image: None,
            monitor: None,
        }
    }

    /// Returns the memory for the next monitor, after the one before is dropped.
    ///
    /// # Panics
    /// If there is a monitor.
    pub fn storage(&mut self) -> Storage<'static> {
        assert!(self.monitor.is_none(), "the memory is in use");
        // SAFETY: the monitor that had this memory is gone, and so is everything that an abandoned call made of it.
        let storage = unsafe { self.storage.as_ptr().read() };
        storage.emptied()
    }

    /// Prepares everything for another beginning after a panic. Returns the trace service and the number of restarts, or the
    /// reason why monitoring stays off.
    pub fn begin_again(&mut self) -> Result<(Option<Trace<'static>>, u64), Off> {
        self.nic.stop();
        let mut trace = self.monitor.take().and_then(Monitor::into_trace);
        if trace.as_mut().is_some_and(|trace| !trace.begin_again()) {
            kernel::println!(
                "monitoring: the panic left the heap profile locked, the machine ends"
            );
            kernel::exit(Exit::Failure);
        }
        let restarts = RESTARTS.lock().begin(Micros(clock::micros()));
        let restarts = restarts.map_err(Off::TooOften)?;
        // SAFETY: the tokens of the card are on the abandoned stack.
        unsafe { self.nic.restart() }.map_err(Off::Nic)?;
        kernel::println!("monitoring: begins again after a panic in its task, restart {restarts}");
        Ok((trace, restarts))
    }
}

/// The reason why monitoring stays off after a panic.
pub enum Off {
    TooOften(TooOften),
    Nic(NicError),
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooOften(error) => error.fmt(f),
            Self::Nic(error) => write!(f, "off after a panic in its task, {error}"),
        }
    }
}
