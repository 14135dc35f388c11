//! The shell on Hermit: a network card, a task, two clocks and the log around [`Monitor`].
//!
//! ```text
//!  start ─▶ take memory, find the card ──▶ a HIGH task: turn ─▶ log events ─▶ sleep until a frame or a deadline
//!                        │                                ▲                              │
//!                        ▼                                └──────────────────────────────┘
//!           no card: an error, and the application runs on
//! ```
//!
//! A panic in the task, for example of a polled source of the application, abandons the turn: the task begins again with a new
//! [`Monitor`], and the application runs on. See `kept.rs`.

mod kept;
mod machine;
mod profile;

use core::fmt;
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;

use kernel::virtio::{Nic, NicError};
use kernel::{clock, console, entropy, task};

use self::kept::Kept;
use agent::Seed;
use agent::config::Config;
use agent::monitor::{Event, Monitor, Next, Subject};
use agent::sources::Image;
use agent::storage::{OutOfMemory, Storage};
use agent::trace::Trace;
use heap_profiler::{HeapProfile, HeapSource};
use logging::{Level, LogSource};
use units::{Micros, Now, UnixNanos};

/// Stack of the task, in bytes. At most 48 KiB were in use (source `tasks`, `mixed` over UDP). The rest is for the log,
/// whose sinks belong to the application, and for the functions of polled sources.
const STACK_BYTES: usize = 128 * 1024;

/// Shortest and longest rest between two turns while work is waiting. In between, the rest is as long as the turn, so
/// that other tasks get at least half of the core. A yield would give them nothing, because this task has the higher
/// priority. The kernel's sleep is at least 50 µs late, so a shorter rest would have no effect.
const REST_MIN: Duration = Duration::from_micros(50);
const REST_MAX: Duration = Duration::from_millis(1);

/// Events of one turn that are logged after it: a line on a serial port takes longer than the turn, and frames should
/// not wait for it. Further events are logged at once.
const EVENTS: usize = 8;

/// The source of the kernel's log. The kernel prints its records; this source sets only their level. It logs warnings
/// at boot, whatever the default level is.
static KERNEL: LogSource = LogSource::new("hermit", "the kernel's own log")
    .at(Level::Warning)
    .followed_by(set_kernel_level);

fn set_kernel_level(level: Level) {
    console::set_kernel_log_level(level.filter());
}

/// The reason why monitoring did not start. The application can run on without it.
///
/// ```
/// use monitoring::hermit::StartError;
/// assert_eq!(StartError::Twice.to_string(), "monitoring: off, it was started before");
/// ```
#[derive(Debug)]
pub enum StartError {
    /// There is no usable network card.
    Nic(NicError),
    /// There is not enough memory.
    Memory(OutOfMemory),
    /// Monitoring was started before.
    Twice,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("monitoring: off, ")?;
        match self {
            Self::Nic(error) => error.fmt(f),
            Self::Memory(error) => error.fmt(f),
            Self::Twice => f.write_str("it was started before"),
        }
    }
}

impl core::error::Error for StartError {}

static STARTED: AtomicBool = AtomicBool::new(false);

/// `true` while a client gets a trace, or while the trace's end is in flight.
static TRACING: AtomicBool = AtomicBool::new(false);
/// `true` when the application is about to end.
static FINISHING: AtomicBool = AtomicBool::new(false);

/// The time in which a client can take the end of its trace when the application ends.
const FINISH: Duration = Duration::from_secs(6);
/// The time between two looks at [`TRACING`].
const FINISH_LOOK: Duration = Duration::from_millis(2);

/// Ends the trace before the machine ends: a client that gets a trace receives the rest of it and its end. Call it
/// before the exit. It waits at most six seconds for the client; without a client it does not wait.
///
/// ```ignore
/// monitoring::hermit::finish();
/// kernel::Exit::Success
/// ```
pub fn finish() {
    FINISHING.store(true, Ordering::Relaxed);
    let end = clock::micros() + FINISH.as_micros() as u64;
    while TRACING.load(Ordering::Relaxed) && clock::micros() < end {
        task::sleep(FINISH_LOOK);
    }
}

/// Starts monitoring in a new task, above all tasks of the application. Call it once, from any task.
///
/// # Errors
/// [`StartError`]: its text is one line for the log; then nothing was started.
///
/// ```ignore
/// use monitoring::config::Config;
///
/// if let Err(error) = monitoring::hermit::start(Config::default(), &HEAP) {
///     log::error!("{error}");
/// }
/// ```
pub fn start<H: HeapSource + HeapProfile>(
    config: Config,
    heap: &'static H,
) -> Result<(), StartError> {
    if STARTED.swap(true, Ordering::Relaxed) {
        return Err(StartError::Twice);
    }
    logging::declare(&[&KERNEL]);
    let (storage, nic) =
        parts(config.trace_bytes).inspect_err(|_| STARTED.store(false, Ordering::Relaxed))?;
    kept::spawn(Kept::new(config, heap, nic, storage), run);
    Ok(())
}

/// Takes the memory, then the card: a card that was found keeps the kernel's memory permanently.
fn parts(trace_bytes: usize) -> Result<(Storage<'static>, Nic), StartError> {
    let storage = Storage::take_with(trace_bytes).map_err(StartError::Memory)?;
    let nic = Nic::find().map_err(StartError::Nic)?;
    Ok((storage, nic))
}

/// Runs the loop. Returns only if monitoring stays off. It is called again after a panic.
fn run(kept: &'static mut Kept) {
    TRACING.store(false, Ordering::Relaxed);
    let seed = Seed::of_samples(&entropy::samples());
    let begun = match kept.image {
        None => Ok((begin(kept, &seed), 0)),
        Some(_) => kept.begin_again(),
    };
    let (trace, restarts) = match begun {
        Ok(begun) => begun,
        Err(off) => {
            // Not by the log: its sink belongs to the application and may be what panics.
            kernel::println!("monitoring: {off}");
            return;
        }
    };
    let storage = kept.storage();
    let Kept {
        config,
        heap,
        nic,
        image,
        monitor,
        ..
    } = kept;
    let mac = nic.mac();
    let monitor = monitor.insert(Monitor::new(
        config,
        Subject {
            image: image.unwrap_or_default(),
            trace,
            machine: Some(machine::read),
            restarts,
            ..Subject::new(*heap)
        },
        storage,
        nic,
        mac,
        &seed,
        now(),
    ));
    let mut looks_due = Micros::ZERO;
    loop {
        // Before the turn's time is taken, because the look may move the wall clock.
        let mono = Micros(clock::micros());
        if mono >= looks_due {
            looks_due = mono + config.interval;
            machine::look_at_stacks();
            machine::look_at_clock();
        }
        let began = now();
        if FINISHING.load(Ordering::Relaxed) {
            monitor.end_trace();
        }
        let mut events = [None; EVENTS];
        let mut room = events.iter_mut();
        let next = monitor.turn(began, nic, &mut |event| match room.next() {
            Some(place) => *place = Some(event),
            None => tell(event),
        });
        let took = Micros(clock::micros()) - began.mono;
        monitor.after_turn(took, nic.dropped());
        TRACING.store(monitor.is_tracing(), Ordering::Relaxed);
        nic.flush();
        events.into_iter().flatten().for_each(tell);
        if let Some(news) = nic.news() {
            log::warn!(target: "monitoring", "monitoring: {news}");
        }
        match next {
            Next::Again => task::sleep(took.as_duration().clamp(REST_MIN, REST_MAX)),
            Next::At(Micros::MAX) => nic.wait(None, monitor.is_active()),
            Next::At(deadline) => nic.wait(Some(deadline.0), monitor.is_active()),
        }
    }
}

/// Takes what the task needs for its first beginning.
fn begin(kept: &mut Kept, seed: &Seed) -> Option<Trace<'static>> {
    log::info!(target: "monitoring", "monitoring: starting, network card: {}", kept.nic.interrupt());
    if let Err(error) = task::watch_stack("monitoring") {
        log::warn!(target: "monitoring", "monitoring: {error}");
    }
    let image = *kept.image.insert(Image {
        version: kept.config.version,
        build: profile::build_id(),
        kernel: kernel::HERMIT_VERSION,
    });
    profile::take(&kept.config, &image, kept.profile, seed).unwrap_or_else(|error| {
        log::warn!(target: "monitoring", "monitoring: {error}");
        None
    })
}

fn now() -> Now {
    Now {
        mono: Micros(clock::micros()),
        unix: UnixNanos(clock::unix_nanos()),
    }
}

fn tell(event: Event) {
    let level = if event.is_warning() {
        log::Level::Warn
    } else {
        log::Level::Info
    };
    log::log!(target: "monitoring", level, "{event}");
}
