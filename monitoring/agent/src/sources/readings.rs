//! The values of the built-in sources, read at one moment.

use heap_profiler::HeapStats;
use logging::Lines;
use metrics::SeriesCounts;
use network::outbox::Counts;
use network::stack::{FrameCounts, SocketCounts};
use network::tcp::ListenCounts;
use units::{Micros, UnixNanos};

use super::clock::Watch;
use super::load::Load;
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
    /// Restarts after panics of the monitoring task, since boot.
    pub restarts: u64,
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
    /// Lines of the console that were lost since boot.
    pub console_lines_lost: u64,
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
    pub(super) fn sized(&self, bytes: u64) -> Option<u64> {
        (self.heap.size_bytes > 0).then_some(bytes)
    }

    pub(super) fn largest_free(&self) -> Option<u64> {
        self.heap.largest_free_bytes.and_then(|it| self.sized(it))
    }

    pub(super) fn fragmentation_permille(&self) -> Option<u64> {
        let largest = self.largest_free()?;
        Some(fragmentation_permille(self.heap.free_bytes, largest))
    }

    /// Returns a value of the wall clock's comparison, or `None` before the first look.
    pub(super) fn clock<T>(&self, figure: fn(&Watch) -> T) -> Option<T> {
        let watch = &self.machine.clock;
        watch.lead_ms().map(|_| figure(watch))
    }
}

/// Returns the share of the free bytes that is not in the largest block, in thousandths.
pub(super) fn fragmentation_permille(free: u64, largest: u64) -> u64 {
    let scattered = u128::from(free.saturating_sub(largest)) * 1_000;
    (scattered / u128::from(free.max(1))) as u64
}
