//! The built-in sources, which every image has.
//!
//! `sources/declared.rs` declares them. They are registered like all others, so that they are switched by name and by
//! tag. The monitoring task reads their values at the beginning of an interval, all at once: a [`Readings`].
//!
//! To add a field: a row in `declared.rs`, and its value in [`Readings`] if that does not have it yet. To add a source:
//! an entry there. `cargo test -p agent --test sources` says which files to accept, and how.
//!
//! Names of fields state their unit where it is not a plain number: `_bytes`, `_us` (microseconds). Counters count
//! since boot; reading does not reset them. A type never changes: InfluxDB fixes a field's type at its first value.
//! `docs/METRICS.md` is the table of all of them.

pub mod clock;
// A table: one row a line.
#[rustfmt::skip]
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

/// Facts about the image's build. An empty text is not sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Image {
    /// Version of the application.
    pub version: &'static str,
    /// The build id that the linker gave the image, in hexadecimal.
    pub build: &'static str,
    /// Version of the kernel.
    pub kernel: &'static str,
}

/// The state of the monitoring.
#[derive(Clone, Copy, Debug, Default)]
pub struct Own {
    /// Counts of lines, by outcome.
    pub lines: Counts,
    /// Lines that wait or are in flight.
    pub lines_waiting: usize,
    /// Values that the encoder changed or left out.
    pub encoded: EncodeCounts,
    /// Intervals without an emission.
    pub intervals_missed: u64,
    /// Turns of the loop.
    pub turns: u64,
    /// Duration of the last turn.
    pub turn_last: Micros,
    /// Duration of the longest turn since the last interval.
    pub turn_max: Micros,
    /// The time that 99 of 100 turns since the last interval did not exceed.
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
    /// Records whose target has no place among these sources.
    pub log_refused: u64,
    /// Frames and addresses.
    pub frames: FrameCounts,
    /// Frames that the device dropped.
    pub nic_dropped: u64,
    /// Sockets by state.
    pub sockets: SocketCounts,
    /// Established connections that a peer reset; only those of the emitter.
    pub resets: u64,
    /// The monitoring.
    pub own: Own,
    /// The time since boot.
    pub uptime: Micros,
    /// The time of boot.
    pub boot: UnixNanos,
    /// Facts about the build.
    pub image: Image,
    /// The values that only the machine knows.
    pub machine: Machine,
}

/// The values that only the machine knows, at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Machine {
    /// The load of the core.
    pub load: Load,
    /// The comparison of the wall clock with the real-time clock.
    pub clock: Watch,
    /// Interrupts since boot.
    pub interrupts: Interrupts,
}

/// Interrupts since boot, on all cores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interrupts {
    /// All interrupts, without the processor's exceptions.
    pub all: u64,
    /// Interrupts of the kernel's timer.
    pub timer: u64,
    /// Interrupts of the monitoring's network card, and of devices that share its line.
    pub card: u64,
}

/// The stack use of a task.
#[derive(Clone, Copy, Debug)]
pub struct StackUse {
    /// Size of the stack, in bytes.
    pub size_bytes: u64,
    /// The largest part that was in use at one time, in bytes.
    pub high_water_bytes: u64,
}

impl Readings {
    /// Returns a value of the heap, or `None` if the heap cannot report its size.
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

    /// Returns a value of the wall clock's comparison, or `None` before the first look.
    fn clock<T>(&self, figure: fn(&Watch) -> T) -> Option<T> {
        let watch = &self.machine.clock;
        watch.lead_ms().map(|_| figure(watch))
    }
}

/// Registers the built-in sources, and those of the machine if `with_machine`. If the application has taken a name, the
/// built-in source stays off and is counted; the application's source replaces it.
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

/// Adds the fields of this built-in source; adds none for another source. Cost: a few stores; allocates nothing.
pub fn tell(source: &Source, readings: &Readings, fields: &mut FieldList<'_>) {
    let built_in = ALL.iter().chain(OF_THE_MACHINE);
    if let Some(built_in) = built_in.copied().find(|it| ptr::eq(it.source(), source)) {
        built_in.tell(readings, fields);
    }
}

/// Returns the share of the free bytes that is not in the largest block, in thousandths.
fn fragmentation_permille(free: u64, largest: u64) -> u64 {
    let scattered = u128::from(free.saturating_sub(largest)) * 1_000;
    (scattered / u128::from(free.max(1))) as u64
}

#[cfg(test)]
mod tests;
