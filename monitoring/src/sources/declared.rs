//! Names, units and meanings of the built-in sources.

use crate::line::Field;
use crate::metrics::{FieldDef, FieldKind, Metric, Origin, RegisterError, Registry, Source};

/// The built-in sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BuiltIn {
    /// The application's heap.
    Memory,
    /// What is left of it.
    HeapFree,
    /// Lines of the log.
    Log,
    /// Since when, and what.
    Uptime,
    /// The network card.
    NetVirtio,
    /// Connections.
    Tcp,
    /// The monitoring itself.
    Monitoring,
}

impl BuiltIn {
    /// All, in the order in which they are sent.
    pub const ALL: [Self; 7] = [
        Self::Memory,
        Self::HeapFree,
        Self::Log,
        Self::Uptime,
        Self::NetVirtio,
        Self::Tcp,
        Self::Monitoring,
    ];

    /// Its declaration.
    #[must_use]
    pub const fn declared(self) -> &'static Declared {
        &DECLARED[self as usize]
    }

    /// Registers all of them.
    ///
    /// # Errors
    /// The first [`RegisterError`], if an application has taken a name: that source is off then, the others are on.
    pub fn register_all(registry: &'static Registry) -> Result<(), RegisterError> {
        let mut result = Ok(());
        for source in Self::ALL {
            result = result.and(registry.register(source.declared()));
        }
        result
    }
}

/// A source whose values the monitoring task knows.
#[derive(Debug)]
pub struct Declared {
    built_in: BuiltIn,
    source: Source,
    fields: &'static [FieldDef],
}

impl Metric for Declared {
    fn source(&self) -> &Source {
        &self.source
    }

    fn fields(&self) -> &[FieldDef] {
        self.fields
    }

    fn origin(&self) -> Origin {
        Origin::Monitor(self.built_in)
    }

    /// Its values come from [`Readings`](super::Readings).
    fn sample(&self, _: &mut dyn FnMut(&[Field<'_>])) {}
}

const fn declare(
    built_in: BuiltIn,
    name: &'static str,
    doc: &'static str,
    fields: &'static [FieldDef],
) -> Declared {
    Declared {
        built_in,
        source: Source::new(name, doc),
        fields,
    }
}

static DECLARED: [Declared; 7] = [
    declare(
        BuiltIn::Memory,
        "memory",
        "the application's heap: what was allocated and freed since boot, what lives, what is left",
        &MEMORY,
    ),
    declare(
        BuiltIn::HeapFree,
        "heap-free",
        "the free part of the heap, and how scattered it is",
        &HEAP_FREE,
    ),
    declare(
        BuiltIn::Log,
        "log",
        "lines of the log since boot, by level",
        &LOG,
    ),
    declare(
        BuiltIn::Uptime,
        "uptime",
        "since when the image runs, and what it was built from",
        &UPTIME,
    ),
    Declared {
        built_in: BuiltIn::NetVirtio,
        source: Source::new(
            "net-virtio",
            "the network card of the monitoring, since boot",
        )
        .tagged(&[("interface", "net0")]),
        fields: &NET_VIRTIO,
    },
    declare(
        BuiltIn::Tcp,
        "tcp",
        "connections of the monitoring: those of the control and the memtrace port, and the one to the receiver",
        &TCP,
    ),
    declare(
        BuiltIn::Monitoring,
        "monitoring",
        "the monitoring itself: what it sent and lost, what its loop costs, who was connected",
        &MONITORING,
    ),
];

pub(super) const MEMORY: [FieldDef; 11] = [
    FieldDef::u64("allocations", "blocks", "blocks allocated since boot"),
    FieldDef::u64("frees", "blocks", "blocks freed since boot"),
    FieldDef::u64("allocated_bytes", "bytes", "bytes allocated since boot"),
    FieldDef::u64("freed_bytes", "bytes", "bytes freed since boot"),
    FieldDef::u64("live_bytes", "bytes", "bytes allocated now"),
    FieldDef::u64("live_blocks", "blocks", "blocks allocated now"),
    FieldDef::u64(
        "peak_live_bytes",
        "bytes",
        "the most bytes allocated at one time",
    ),
    FieldDef::u64(
        "failed_allocations",
        "calls",
        "allocations that were refused",
    ),
    FieldDef::u64(
        "heap_size_bytes",
        "bytes",
        "bytes that the heap manages, if it can tell",
    ),
    FieldDef::u64(
        "free_bytes",
        "bytes",
        "bytes not in use, if the heap can tell",
    ),
    FieldDef::u64(
        "largest_free_bytes",
        "bytes",
        "the largest block that can be allocated, if the heap can tell",
    ),
];

pub(super) const HEAP_FREE: [FieldDef; 3] = [
    FieldDef::u64(
        "free_bytes",
        "bytes",
        "bytes not in use, if the heap can tell",
    ),
    FieldDef::u64(
        "largest_block_bytes",
        "bytes",
        "the largest block that can be allocated, if the heap can tell",
    ),
    FieldDef::u64(
        "fragmentation_permille",
        "thousandths",
        "share of the free bytes that is not in the largest block, if the heap can tell",
    ),
];

pub(super) const LOG: [FieldDef; 6] = [
    FieldDef::u64("errors", "lines", "lines at the level error"),
    FieldDef::u64("warnings", "lines", "lines at the level warning"),
    FieldDef::u64("infos", "lines", "lines at the level info"),
    FieldDef::u64("debugs", "lines", "lines at the levels debug and trace"),
    FieldDef::u64("sources", "sources", "sources whose level can be set"),
    FieldDef::u64(
        "sources_refused",
        "records",
        "records whose target has no place among the sources",
    ),
];

pub(super) const UPTIME: [FieldDef; 5] = [
    FieldDef::u64("seconds", "seconds", "time since boot"),
    FieldDef::new(
        "boot_time_s",
        FieldKind::I64,
        "seconds since 1970",
        "when the image was booted, by the clock at the first interval",
    ),
    FieldDef::new("version", FieldKind::Text, "", "version of the application"),
    FieldDef::new(
        "build",
        FieldKind::Text,
        "",
        "identity of the build, if it is known",
    ),
    FieldDef::new(
        "kernel",
        FieldKind::Text,
        "",
        "version of the kernel, if it is known",
    ),
];

pub(super) const NET_VIRTIO: [FieldDef; 5] = [
    FieldDef::u64(
        "received_bytes",
        "bytes",
        "bytes of frames taken from the card",
    ),
    FieldDef::u64("received_packets", "frames", "frames taken from the card"),
    FieldDef::u64(
        "transmitted_bytes",
        "bytes",
        "bytes of frames given to the card",
    ),
    FieldDef::u64("transmitted_packets", "frames", "frames given to the card"),
    FieldDef::u64(
        "dropped_packets",
        "frames",
        "frames that the card or its driver dropped",
    ),
];

pub(super) const TCP: [FieldDef; 8] = [
    FieldDef::u64("listening", "sockets", "sockets that wait for a connection"),
    FieldDef::u64("opening", "connections", "connections in the handshake"),
    FieldDef::u64(
        "established",
        "connections",
        "connections open on both sides",
    ),
    FieldDef::u64(
        "closing",
        "connections",
        "connections of which one side has closed",
    ),
    FieldDef::u64(
        "time_wait",
        "connections",
        "connections that wait for stray segments",
    ),
    FieldDef::u64("accepted", "connections", "connections accepted since boot"),
    FieldDef::u64(
        "refused",
        "connections",
        "connections refused since boot because all places were taken",
    ),
    FieldDef::u64(
        "reset",
        "connections",
        "connections to the receiver that it reset since boot",
    ),
];

pub(super) const MONITORING: [FieldDef; 45] = [
    FieldDef::u64(
        "lines_sent",
        "lines",
        "lines that left in a datagram or were acknowledged",
    ),
    FieldDef::u64(
        "lines_lost",
        "lines",
        "lines that are known to be lost, whatever the cause",
    ),
    FieldDef::u64(
        "lines_lost_queue_full",
        "lines",
        "the oldest lines, dropped because new ones did not fit",
    ),
    FieldDef::u64("lines_lost_too_long", "lines", "lines that fit no datagram"),
    FieldDef::u64(
        "lines_in_doubt",
        "lines",
        "lines acknowledged shortly before their connection broke",
    ),
    FieldDef::u64(
        "lines_resent",
        "lines",
        "lines sent again because a connection broke",
    ),
    FieldDef::u64(
        "lines_waiting",
        "lines",
        "lines that wait or are on the way now",
    ),
    FieldDef::u64("sent_bytes", "bytes", "bytes of the lines that were sent"),
    FieldDef::u64("datagrams_sent", "datagrams", "datagrams that left"),
    FieldDef::u64(
        "connections",
        "connections",
        "connections opened to the receiver",
    ),
    FieldDef::u64(
        "connections_lost",
        "connections",
        "of those, the ones that broke",
    ),
    FieldDef::u64(
        "connect_failures",
        "attempts",
        "attempts to connect that failed",
    ),
    FieldDef::u64(
        "values_clamped",
        "values",
        "values moved into the protocol's range",
    ),
    FieldDef::u64(
        "values_left_out",
        "values",
        "values that the protocol cannot say",
    ),
    FieldDef::u64(
        "intervals_missed",
        "intervals",
        "intervals for which nothing was sent",
    ),
    FieldDef::u64("turns", "turns", "turns of the monitoring loop"),
    FieldDef::u64("turn_last_us", "µs", "how long the last turn took"),
    FieldDef::u64(
        "turn_p99_us",
        "µs",
        "99 of 100 turns since the last interval took at most this",
    ),
    FieldDef::u64(
        "turn_max_us",
        "µs",
        "how long the longest turn since the last interval took",
    ),
    FieldDef::u64(
        "frames_received",
        "frames",
        "frames taken from the network card",
    ),
    FieldDef::u64(
        "frames_dropped",
        "frames",
        "frames that the network card dropped",
    ),
    FieldDef::u64(
        "addresses_lost",
        "addresses",
        "times that the address was lost",
    ),
    FieldDef::u64(
        "leases_refused",
        "leases",
        "answers of a DHCP server that are no use",
    ),
    FieldDef::u64(
        "dhcp_dropped",
        "messages",
        "DHCP messages beyond the rate at which they are taken",
    ),
    FieldDef::u64(
        "control_open",
        "connections",
        "connections of the control port now",
    ),
    FieldDef::u64(
        "control_accepted",
        "connections",
        "connections of the control port that were opened",
    ),
    FieldDef::u64(
        "control_refused",
        "connections",
        "connections of the control port that were refused because all places were taken",
    ),
    FieldDef::u64(
        "control_denied",
        "connections",
        "connections of the control port that were refused because of their address",
    ),
    FieldDef::u64(
        "control_commands",
        "commands",
        "commands that were answered",
    ),
    FieldDef::u64(
        "control_idle_closed",
        "connections",
        "connections closed because nothing moved on them",
    ),
    FieldDef::u64(
        "control_auth_failures",
        "connections",
        "connections of the control port that did not begin with the token",
    ),
    FieldDef::u64("uptime_us", "µs", "time since boot"),
    FieldDef::u64("sources", "sources", "sources that are registered"),
    FieldDef::u64(
        "sources_refused",
        "sources",
        "sources whose name is taken, or for which there is no place",
    ),
    FieldDef::u64("series", "series", "series of pushed points now"),
    FieldDef::u64(
        "series_refused",
        "points",
        "points without a place for their series, or not as declared",
    ),
    FieldDef::u64(
        "series_expired",
        "series",
        "series not updated any more, or switched off",
    ),
    FieldDef::u64(
        "tracing",
        "clients",
        "clients that get a trace of the heap now",
    ),
    FieldDef::u64("traces", "traces", "traces of the heap that were begun"),
    FieldDef::u64("trace_bytes", "bytes", "bytes of those traces"),
    FieldDef::u64("trace_allocations", "blocks", "sampled blocks in them"),
    FieldDef::u64("trace_frees", "blocks", "frees of those blocks in them"),
    FieldDef::u64(
        "samples_lost",
        "blocks",
        "sampled blocks for which there was no room; traces have their totals",
    ),
    FieldDef::u64(
        "trace_refused",
        "connections",
        "clients of the memtrace port that got no trace, because another one had it",
    ),
    FieldDef::u64(
        "held_bytes",
        "bytes",
        "all memory that monitoring holds; it does not grow",
    ),
];
