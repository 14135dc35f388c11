//! What every image tells: the built-in sources.
//!
//! They are declared here and registered like all others, so that they are switched by name and by tag. Their
//! values are read by the monitoring task at the beginning of an interval, all at once: a [`Readings`].
//!
//! Names of fields say their unit where it is not a plain number: `_bytes`, `_us` (microseconds). Counters count
//! since boot and are never reset by being read. A type stays as it is: InfluxDB fixes a field's type at its
//! first value. `docs/METRICS.md` is the table of all of them.

pub mod clock;
mod declared;
pub mod machine;

pub use self::declared::{BuiltIn, Declared};

use crate::control::ControlCounts;
use crate::control::ProfilerState;
use crate::emit::EncodeCounts;
use crate::heap::HeapStats;
use crate::line::Value;
use crate::logging::Lines;
use crate::metrics::{FieldList, SeriesCounts};
use crate::net::outbox::Counts;
use crate::net::stack::{FrameCounts, SocketCounts};
use crate::net::tcp::ListenCounts;
use crate::time::{Micros, UnixNanos};

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
}

impl Readings {
    /// Adds the fields of one source. A few stores; allocates nothing.
    pub fn read(&self, source: BuiltIn, fields: &mut FieldList<'_>) {
        match source {
            BuiltIn::Memory => self.memory(fields),
            BuiltIn::HeapFree => self.heap_free(fields),
            BuiltIn::Log => {
                let Lines {
                    errors,
                    warnings,
                    infos,
                    debugs,
                } = self.log;
                let (sources, refused) = (self.log_sources as u64, self.log_refused);
                numbers(
                    fields,
                    &declared::LOG,
                    [errors, warnings, infos, debugs, sources, refused],
                );
            }
            BuiltIn::Uptime => self.uptime(fields),
            BuiltIn::NetVirtio => numbers(
                fields,
                &declared::NET_VIRTIO,
                [
                    self.frames.bytes_received,
                    self.frames.frames_received,
                    self.frames.bytes_sent,
                    self.frames.frames_sent,
                    self.nic_dropped,
                ],
            ),
            BuiltIn::Tcp => self.tcp(fields),
            BuiltIn::Monitoring => self.monitoring(fields),
        }
    }

    fn memory(&self, fields: &mut FieldList<'_>) {
        let heap = &self.heap;
        let [always @ .., size, free, largest] = &declared::MEMORY;
        let always: &[_; declared::MEMORY.len() - 3] = always;
        numbers(
            fields,
            always,
            [
                heap.allocations,
                heap.frees,
                heap.allocated_bytes,
                heap.freed_bytes,
                heap.live_bytes,
                heap.live_blocks,
                heap.peak_bytes,
                heap.failed,
            ],
        );
        if heap.size_bytes > 0 {
            fields.add(size.name, Value::U64(heap.size_bytes));
            fields.add(free.name, Value::U64(heap.free_bytes));
        }
        if let Some(bytes) = heap.largest_free_bytes {
            fields.add(largest.name, Value::U64(bytes));
        }
    }

    /// No field, and so no line, if the heap cannot tell.
    fn heap_free(&self, fields: &mut FieldList<'_>) {
        if self.heap.size_bytes == 0 {
            return;
        }
        let free = self.heap.free_bytes;
        let [free_bytes, largest_block_bytes, fragmentation] = &declared::HEAP_FREE;
        fields.add(free_bytes.name, Value::U64(free));
        if let Some(largest) = self.heap.largest_free_bytes {
            fields.add(largest_block_bytes.name, Value::U64(largest));
            fields.add(
                fragmentation.name,
                Value::U64(fragmentation_permille(free, largest)),
            );
        }
    }

    fn uptime(&self, fields: &mut FieldList<'_>) {
        let [seconds, boot_time, version, build, kernel] = &declared::UPTIME;
        fields.add(seconds.name, Value::U64(self.uptime.as_secs()));
        fields.add(boot_time.name, Value::I64(self.boot.0 / 1_000_000_000));
        for (field, text) in [
            (version, self.image.version),
            (build, self.image.build),
            (kernel, self.image.kernel),
        ] {
            if !text.is_empty() {
                fields.add(field.name, Value::Str(text));
            }
        }
    }

    fn tcp(&self, fields: &mut FieldList<'_>) {
        let (sockets, control, trace) = (
            &self.sockets,
            &self.own.connections,
            &self.own.trace_connections,
        );
        numbers(
            fields,
            &declared::TCP,
            [
                sockets.listening,
                sockets.opening,
                sockets.established,
                sockets.closing,
                sockets.time_wait,
                control.accepted + trace.accepted,
                control.refused + trace.refused,
                self.resets,
            ],
        );
    }

    fn monitoring(&self, fields: &mut FieldList<'_>) {
        let own = &self.own;
        numbers(
            fields,
            &declared::MONITORING,
            [
                own.lines.lines_sent,
                own.lines.lines_lost(),
                own.lines.lost_queue_full,
                own.lines.lost_too_long,
                own.lines.lines_in_doubt,
                own.lines.lines_resent,
                own.lines_waiting as u64,
                own.lines.bytes_sent,
                own.lines.datagrams_sent,
                own.lines.connections,
                own.lines.connections_lost,
                own.lines.connect_failures,
                own.encoded.values_clamped,
                own.encoded.values_left_out,
                own.intervals_missed,
                own.turns,
                own.turn_last.0,
                own.turn_p99.0,
                own.turn_max.0,
                self.frames.frames_received,
                self.nic_dropped,
                self.frames.addresses_lost,
                self.frames.leases_refused,
                self.frames.dhcp_dropped,
                own.connections.open,
                own.connections.accepted,
                own.connections.refused,
                own.connections.denied,
                own.control.commands,
                own.control.idle_closed,
                own.control.auth_failures,
                self.uptime.0,
                own.sources as u64,
                own.sources_refused,
                own.series.series,
                own.series.refused,
                own.series.expired,
                u64::from(own.profiler.tracing),
                own.profiler.counts.traces,
                own.profiler.counts.bytes,
                own.profiler.counts.allocs,
                own.profiler.counts.frees,
                own.profiler.lost,
                own.profiler.refused,
                own.held_bytes as u64,
            ],
        );
    }
}

/// Adds a number for every declared field.
fn numbers<const N: usize>(
    fields: &mut FieldList<'_>,
    declared: &[crate::metrics::FieldDef; N],
    values: [u64; N],
) {
    fields.add_all(declared, values.map(Value::U64));
}

/// The share of the free bytes that is not in the largest block, in thousandths.
fn fragmentation_permille(free: u64, largest: u64) -> u64 {
    let scattered = u128::from(free.saturating_sub(largest)) * 1_000;
    (scattered / u128::from(free.max(1))) as u64
}

#[cfg(test)]
mod tests;
