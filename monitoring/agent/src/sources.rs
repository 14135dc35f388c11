//! What every image tells: the built-in sources.
//!
//! They are declared in `sources/declared.rs` and registered like all others, so that they are switched by name and by tag. Their
//! values are read by the monitoring task at the beginning of an interval, all at once: a [`Readings`].
//!
//! To add a field: a row in `declared.rs`, and its value in [`Readings`] if that has it not yet. To add a source: an entry there.
//! `cargo test -p agent --test sources` says which files to accept, and how.
//!
//! Names of fields say their unit where it is not a plain number: `_bytes`, `_us` (microseconds). Counters count
//! since boot and are never reset by being read. A type stays as it is: InfluxDB fixes a field's type at its
//! first value. `docs/METRICS.md` is the table of all of them.

pub mod clock;
mod declared;
mod load;

use core::ptr;

use heap_profiler::HeapStats;
use logging::Lines;
use metrics::{FieldList, Registry, SeriesCounts, Source};
use network::outbox::Counts;
use network::stack::{FrameCounts, SocketCounts};
use network::tcp::ListenCounts;
use units::{Micros, UnixNanos};

use self::clock::Watch;
pub use self::declared::{ALL, BuiltIn, OF_THE_MACHINE, TASKS, push_task};
pub use self::load::{Load, LoadMeter};
use crate::control::ControlCounts;
use crate::emit::EncodeCounts;
use crate::trace::ProfilerState;

/// What an image tells about its making. An empty text is not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Version of the application.
    pub version: &'static str,
    /// Identity of this very build: the build id that the linker gave the image, in hexadecimal.
    pub build: &'static str,
    /// Version of the kernel.
    pub kernel: &'static str,
}

/// How the monitoring itself is doing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    /// What became of lines.
    pub lines: Counts,
    /// Lines that wait or are on the way.
    pub lines_waiting: usize,
    /// What the encoder changed.
    pub encoded: EncodeCounts,
    /// Intervals without an emission.
    pub intervals_missed: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// How long the last turn took.
    pub turn_last: Micros,
    /// How long the longest turn since the last interval took.
    pub turn_max: Micros,
    /// 99 of 100 turns since the last interval took at most this.
    pub turn_p99: Micros,
    /// Connections of the control port.
    pub connections: ListenCounts,
    /// Commands of the control port.
    pub control: ControlCounts,
    /// Sources that are registered.
    pub sources: usize,
    /// Sources that could not be registered.
    pub sources_refused: u64,
    /// Series of the sources that push points.
    pub series: SeriesCounts,
    /// Connections of the memtrace port.
    pub trace_connections: ListenCounts,
    /// The heap profiler.
    pub profiler: ProfilerState,
    /// All memory that monitoring holds, in bytes.
    pub held_bytes: usize,
}

/// The values of all built-in sources at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Readings {
    /// The application's heap.
    pub heap: HeapStats,
    /// Lines printed.
    pub log: Lines,
    /// Sources of log records.
    pub log_sources: usize,
    /// Records whose target has no place among them.
    pub log_refused: u64,
    /// Frames and addresses.
    pub frames: FrameCounts,
    /// Frames that the device dropped.
    pub nic_dropped: u64,
    /// Sockets by state.
    pub sockets: SocketCounts,
    /// Established connections that a peer reset, those of the emitter only.
    pub resets: u64,
    /// The monitoring itself.
    pub own: Own,
    /// Since boot.
    pub uptime: Micros,
    /// When the image was booted.
    pub boot: UnixNanos,
    /// What was built.
    pub image: Image,
    /// What only the machine knows.
    pub machine: Machine,
}

/// What only the machine knows, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// How busy the core is.
    pub load: Load,
    /// The wall clock beside the real-time clock.
    pub clock: Watch,
    /// Interrupts since boot.
    pub interrupts: Interrupts,
}

/// Interrupts since boot, on all cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interrupts {
    /// All but the exceptions of the processor.
    pub all: u64,
    /// Those of the kernel's timer.
    pub timer: u64,
    /// Those of the monitoring's network card, with what shares its line.
    pub card: u64,
}

/// How much of its stack a task has used.
#[derive(Clone, Copy, Debug)]
pub struct StackUse {
    /// Size of the stack, in bytes.
    pub size_bytes: u64,
    /// The most that was in use at once, in bytes.
    pub high_water_bytes: u64,
}

impl Readings {
    /// A figure of the heap, which it has only if it can tell its size.
    fn sized(&self, bytes: u64) -> Option<u64> {
        (self.heap.size_bytes > 0).then_some(bytes)
    }

    fn largest_free(&self) -> Option<u64> {
        self.heap.largest_free_bytes.and_then(|it| self.sized(it))
    }

    fn fragmentation_permille(&self) -> Option<u64> {
        let largest = self.largest_free()?;
        Some(fragmentation_permille(self.heap.free_bytes, largest))
    }

    /// A figure of the wall clock, once it was looked at.
    fn clock<T>(&self, figure: fn(&Watch) -> T) -> Option<T> {
        let watch = &self.machine.clock;
        watch.lead_ms().map(|_| figure(watch))
    }
}

/// Registers the built-in sources, those of the machine if there is one. A name that the application has taken is off and counted: its
/// own is as good.
pub fn register(registry: &'static Registry, with_machine: bool) {
    if with_machine {
        for source in OF_THE_MACHINE {
            let _ = registry.register(*source);
        }
        let _ = registry.register(&TASKS);
    }
    for source in ALL {
        let _ = registry.register(*source);
    }
}

/// Adds the fields of the built-in source with this head; none if it is not one. A few stores; allocates nothing.
pub fn tell(source: &Source, readings: &Readings, fields: &mut FieldList<'_>) {
    let built_in = ALL.iter().chain(OF_THE_MACHINE);
    if let Some(built_in) = built_in.copied().find(|it| ptr::eq(it.source(), source)) {
        built_in.tell(readings, fields);
    }
}

/// The share of the free bytes that is not in the largest block, in thousandths.
fn fragmentation_permille(free: u64, largest: u64) -> u64 {
    let scattered = u128::from(free.saturating_sub(largest)) * 1_000;
    (scattered / u128::from(free.max(1))) as u64
}

#[cfg(test)]
mod tests;
