//! What is measured: the built-in sources.
//!
//! Names of fields say their unit where it is not a plain number: `_bytes`, `_us` (microseconds). Counters count
//! since boot and are never reset by being read. All values are integers and stay so: InfluxDB fixes a field's
//! type at its first value.

use crate::emit::EncodeCounts;
use crate::heap::HeapStats;
use crate::line::{Field, Value};
use crate::net::control::ControlCounts;
use crate::net::outbox::Counts;
use crate::net::stack::FrameCounts;
use crate::net::tcp::ListenCounts;
use crate::time::Micros;

/// Most fields of one source. What fits a line of 1,432 bytes at about 35 bytes a field.
pub const FIELDS_MAX: usize = 40;

/// Something that can be measured.
pub trait Source {
    /// Name of the measurement.
    fn name(&self) -> &'static str;

    /// What it tells, in one sentence.
    fn doc(&self) -> &'static str;

    /// Adds the values of now. Bounded work; allocates nothing.
    fn read(&self, fields: &mut FieldList<'_>);
}

/// Fields of one point, in fixed memory.
#[derive(Debug)]
pub struct FieldList<'a> {
    fields: [Field<'a>; FIELDS_MAX],
    len: usize,
}

impl<'a> FieldList<'a> {
    /// No field.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            fields: [const {
                Field {
                    key: "",
                    value: Value::Bool(false),
                }
            }; FIELDS_MAX],
            len: 0,
        }
    }

    /// Adds a field, unless there are [`FIELDS_MAX`] already: the tests hold every source below that.
    pub fn add(&mut self, key: &'a str, value: Value<'a>) {
        if let Some(field) = self.fields.get_mut(self.len) {
            *field = Field { key, value };
            self.len += 1;
        } else {
            debug_assert!(false, "no room for field {key}");
        }
    }

    /// The fields, in the order in which they were added.
    #[must_use]
    pub fn as_slice(&self) -> &[Field<'a>] {
        &self.fields[..self.len]
    }
}

impl Default for FieldList<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The source `memory`: the application's heap.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// A reading of the heap.
    pub stats: HeapStats,
}

impl Source for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn doc(&self) -> &'static str {
        "the application's heap: what was allocated and freed since boot, what lives, what is left"
    }

    fn read(&self, fields: &mut FieldList<'_>) {
        let HeapStats {
            allocations,
            frees,
            allocated_bytes,
            freed_bytes,
            live_bytes,
            live_blocks,
            peak_bytes,
            failed,
            size_bytes,
            free_bytes,
            largest_free_bytes,
        } = self.stats;
        for (key, value) in [
            ("allocations", allocations),
            ("frees", frees),
            ("allocated_bytes", allocated_bytes),
            ("freed_bytes", freed_bytes),
            ("live_bytes", live_bytes),
            ("live_blocks", live_blocks),
            ("peak_live_bytes", peak_bytes),
            ("failed_allocations", failed),
            ("heap_size_bytes", size_bytes),
            ("free_bytes", free_bytes),
        ] {
            fields.add(key, Value::U64(value));
        }
        if let Some(largest) = largest_free_bytes {
            fields.add("largest_free_bytes", Value::U64(largest));
        }
    }
}

/// The source `monitoring`: how the monitoring itself is doing.
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
    /// How long the longest turn since the last emission took.
    pub turn_max: Micros,
    /// Frames and addresses.
    pub frames: FrameCounts,
    /// Frames that the device dropped.
    pub nic_dropped: u64,
    /// Connections of the control port.
    pub connections: ListenCounts,
    /// Commands of the control port.
    pub control: ControlCounts,
    /// Since boot.
    pub uptime: Micros,
}

impl Source for Own {
    fn name(&self) -> &'static str {
        "monitoring"
    }

    fn doc(&self) -> &'static str {
        "the monitoring itself: what it sent and lost, what its loop costs, who was connected"
    }

    fn read(&self, fields: &mut FieldList<'_>) {
        for (key, value) in [
            ("lines_sent", self.lines.lines_sent),
            ("lines_lost", self.lines.lines_lost()),
            ("lines_lost_queue_full", self.lines.lost_queue_full),
            ("lines_lost_too_long", self.lines.lost_too_long),
            ("lines_in_doubt", self.lines.lines_in_doubt),
            ("lines_resent", self.lines.lines_resent),
            ("lines_waiting", self.lines_waiting as u64),
            ("sent_bytes", self.lines.bytes_sent),
            ("datagrams_sent", self.lines.datagrams_sent),
            ("connections", self.lines.connections),
            ("connections_lost", self.lines.connections_lost),
            ("connect_failures", self.lines.connect_failures),
            ("values_clamped", self.encoded.values_clamped),
            ("values_left_out", self.encoded.values_left_out),
            ("intervals_missed", self.intervals_missed),
            ("turns", self.turns),
            ("turn_last_us", self.turn_last.0),
            ("turn_max_us", self.turn_max.0),
            ("frames_received", self.frames.frames_received),
            ("frames_dropped", self.nic_dropped),
            ("addresses_lost", self.frames.addresses_lost),
            ("leases_refused", self.frames.leases_refused),
            ("dhcp_dropped", self.frames.dhcp_dropped),
            ("control_open", self.connections.open),
            ("control_accepted", self.connections.accepted),
            ("control_refused", self.connections.refused),
            ("control_commands", self.control.commands),
            ("control_idle_closed", self.control.idle_closed),
            ("uptime_us", self.uptime.0),
        ] {
            fields.add(key, Value::U64(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{VM_NAME_MAX, parse_vm};
    use crate::emit::emit;
    use crate::net::bounds::{ON_THE_WAY_BYTES, QUEUE_BYTES};
    use crate::net::outbox::Outbox;
    use crate::time::UnixNanos;

    const MAX: u64 = i64::MAX as u64;

    fn largest() -> (Memory, Own) {
        let stats = HeapStats {
            allocations: MAX,
            frees: MAX,
            allocated_bytes: MAX,
            freed_bytes: MAX,
            live_bytes: MAX,
            live_blocks: MAX,
            peak_bytes: MAX,
            failed: MAX,
            size_bytes: MAX,
            free_bytes: MAX,
            largest_free_bytes: Some(MAX),
        };
        let own = Own {
            lines: Counts {
                lines_sent: MAX,
                bytes_sent: MAX,
                datagrams_sent: MAX,
                lost_queue_full: MAX - 1,
                lost_too_long: 1,
                lines_resent: MAX,
                lines_in_doubt: MAX,
                connections: MAX,
                connections_lost: MAX,
                connect_failures: MAX,
            },
            lines_waiting: MAX as usize,
            encoded: EncodeCounts {
                values_clamped: MAX,
                values_left_out: MAX,
            },
            intervals_missed: MAX,
            turns: MAX,
            turn_last: Micros(MAX),
            turn_max: Micros(MAX),
            frames: FrameCounts {
                frames_received: MAX,
                addresses_lost: MAX,
                leases_refused: MAX,
                dhcp_dropped: MAX,
            },
            nic_dropped: MAX,
            connections: ListenCounts {
                accepted: MAX,
                refused: MAX,
                open: MAX,
            },
            control: ControlCounts {
                commands: MAX,
                idle_closed: MAX,
            },
            uptime: Micros(MAX),
        };
        (Memory { stats }, own)
    }

    #[test]
    fn the_largest_values_and_the_longest_name_fit_a_line() {
        let mut memory = [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]];
        let [waiting, on_the_way] = &mut memory;
        let mut outbox = Outbox::new(waiting, on_the_way);
        let mut counts = EncodeCounts::default();
        let name = ",".repeat(VM_NAME_MAX);
        let name = parse_vm(&name).expect("a name");
        let (memory, own) = largest();
        emit(
            &[&memory, &own],
            name.as_str(),
            Some(UnixNanos(2_000_000_000_000_000_000)),
            &mut outbox,
            &mut counts,
        );
        assert_eq!(outbox.lines_waiting(), 2, "{:?}", outbox.counts());
        assert_eq!(
            counts,
            EncodeCounts::default(),
            "nothing was clamped or left out"
        );
    }

    #[test]
    fn no_source_names_a_field_twice() {
        let (memory, own) = largest();
        for source in [&memory as &dyn Source, &own] {
            let mut fields = FieldList::new();
            source.read(&mut fields);
            let keys: std::collections::BTreeSet<_> =
                fields.as_slice().iter().map(|field| field.key).collect();
            assert_eq!(keys.len(), fields.as_slice().len(), "{}", source.name());
            assert!(!source.doc().is_empty());
        }
    }

    #[test]
    fn a_heap_that_cannot_tell_its_largest_block_has_no_such_field() {
        let (mut memory, _) = largest();
        memory.stats.largest_free_bytes = None;
        let mut fields = FieldList::new();
        memory.read(&mut fields);
        assert_eq!(fields.as_slice().len(), 10);
        assert!(
            fields
                .as_slice()
                .iter()
                .all(|field| field.key != "largest_free_bytes")
        );
    }
}
