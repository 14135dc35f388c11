//! The declarations of the built-in sources: one row per field, with its name, unit, meaning, and the expression of its
//! value.
//!
//! To add a field, add a row. To add a source, add a `Declared` and name it in one of the two lists. The values come
//! from [`Readings`].

use metrics::{Declared, Points, Row, Told};

use super::clock::Watch;
use super::readings::{Readings, StackUse};

/// A source whose values are read from [`Readings`].
pub type BuiltIn = dyn Told<Readings>;

/// The sources of every image, in the order in which they are sent.
pub static ALL: &[&BuiltIn] = &[
    &MEMORY,
    &HEAP_FREE,
    &LOG,
    &UPTIME,
    &NET_VIRTIO,
    &TCP,
    &MONITORING,
];

/// The sources of an image whose shell knows the machine, see [`Machine`](super::Machine).
pub static OF_THE_MACHINE: &[&BuiltIn] = &[&CPU, &CLOCK, &IRQ];

static MEMORY: Declared<Readings, 11> = Declared::new(
    "memory",
    "the application's heap: memory allocated and freed since boot, memory in use, memory left",
    [
        Row::u64("allocations", "blocks", "blocks allocated since boot", |it| it.heap.allocations),
        Row::u64("frees", "blocks", "blocks freed since boot", |it| it.heap.frees),
        Row::u64("allocated_bytes", "bytes", "bytes allocated since boot", |it| it.heap.allocated_bytes),
        Row::u64("freed_bytes", "bytes", "bytes freed since boot", |it| it.heap.freed_bytes),
        Row::u64("live_bytes", "bytes", "bytes allocated now", |it| it.heap.live_bytes),
        Row::u64("live_blocks", "blocks", "blocks allocated now", |it| it.heap.live_blocks),
        Row::u64("peak_live_bytes", "bytes", "the largest number of bytes allocated at one time", |it| it.heap.peak_bytes),
        Row::u64("failed_allocations", "calls", "allocations that were refused", |it| it.heap.failed),
        Row::maybe_u64("heap_size_bytes", "bytes", "bytes that the heap manages, if it can report them", |it| it.sized(it.heap.size_bytes)),
        Row::maybe_u64("free_bytes", "bytes", "bytes not in use, if the heap can report them", |it| it.sized(it.heap.free_bytes)),
        Row::maybe_u64("largest_free_bytes", "bytes", "the largest block that can be allocated, if the heap can report it",
            |it| it.heap.largest_free_bytes),
    ],
);

static HEAP_FREE: Declared<Readings, 3> = Declared::new(
    "heap-free",
    "the free part of the heap, and its fragmentation",
    [
        Row::maybe_u64("free_bytes", "bytes", "bytes not in use, if the heap can report them", |it| it.sized(it.heap.free_bytes)),
        Row::maybe_u64("largest_block_bytes", "bytes", "the largest block that can be allocated, if the heap can report it",
            |it| it.largest_free()),
        Row::maybe_u64("fragmentation_permille", "thousandths", "share of the free bytes that is not in the largest block, if the heap can report it",
            |it| it.fragmentation_permille()),
    ],
);

static LOG: Declared<Readings, 7> = Declared::new(
    "log",
    "lines of the log since boot, by level",
    [
        Row::u64("errors", "lines", "lines at the level error", |it| it.log.errors),
        Row::u64("warnings", "lines", "lines at the level warning", |it| it.log.warnings),
        Row::u64("infos", "lines", "lines at the level info", |it| it.log.infos),
        Row::u64("debugs", "lines", "lines at the levels debug and trace", |it| it.log.debugs),
        Row::u64("sources", "sources", "sources whose level can be set", |it| it.log_sources as u64),
        Row::u64("sources_refused", "records", "records whose target has no place among the sources", |it| it.log_refused),
        Row::u64("console_lines_lost", "lines", "lines of the console that were lost because nobody read it", |it| it.machine.console_lines_lost),
    ],
);

static UPTIME: Declared<Readings, 5> = Declared::new(
    "uptime",
    "the time since boot, and the versions that the image was built from",
    [
        Row::u64("seconds", "seconds", "time since boot", |it| it.uptime.as_secs()),
        Row::maybe_i64("boot_time_s", "seconds since 1970", "time of boot, computed from the clock at the first interval",
            |it| Some(it.boot.0 / 1_000_000_000)),
        Row::text("version", "version of the application", |it| it.image.version),
        Row::text("build", "identity of the build, if it is known", |it| it.image.build),
        Row::text("kernel", "version of the kernel, if it is known", |it| it.image.kernel),
    ],
);

static NET_VIRTIO: Declared<Readings, 5> = Declared::new(
    "net-virtio",
    "the network card of the monitoring, since boot",
    [
        Row::u64("received_bytes", "bytes", "bytes of frames taken from the card", |it: &Readings| it.frames.bytes_received),
        Row::u64("received_packets", "frames", "frames taken from the card", |it| it.frames.frames_received),
        Row::u64("transmitted_bytes", "bytes", "bytes of frames given to the card", |it| it.frames.bytes_sent),
        Row::u64("transmitted_packets", "frames", "frames given to the card", |it| it.frames.frames_sent),
        Row::u64("dropped_packets", "frames", "frames that the card or its driver dropped", |it| it.nic_dropped),
    ],
)
.tags(&[("interface", "net0")]);

static TCP: Declared<Readings, 8> = Declared::new(
    "tcp",
    "connections of the monitoring: those of the control and the memtrace port, and the one to the receiver",
    [
        Row::u64("listening", "sockets", "sockets that wait for a connection", |it| it.sockets.listening),
        Row::u64("opening", "connections", "connections in the handshake", |it| it.sockets.opening),
        Row::u64("established", "connections", "connections open on both sides", |it| it.sockets.established),
        Row::u64("closing", "connections", "connections that one side has closed", |it| it.sockets.closing),
        Row::u64("time_wait", "connections", "closed connections that wait for late segments", |it| it.sockets.time_wait),
        Row::u64("accepted", "connections", "connections accepted since boot",
            |it| it.own.connections.accepted + it.own.trace_connections.accepted),
        Row::u64("refused", "connections", "connections refused since boot because all places were taken",
            |it| it.own.connections.refused + it.own.trace_connections.refused),
        Row::u64("reset", "connections", "connections to the receiver that the receiver reset since boot", |it| it.resets),
    ],
);

static MONITORING: Declared<Readings, 48> = Declared::new(
    "monitoring",
    "the monitoring: lines sent and lost, the cost of its loop, its connections",
    [
        Row::u64("lines_sent", "lines", "lines that left in a datagram or were acknowledged", |it| it.own.lines.lines_sent),
        Row::u64("lines_lost", "lines", "lines that are certainly lost, for any reason", |it| it.own.lines.lines_lost()),
        Row::u64("lines_lost_queue_full", "lines", "the oldest lines, dropped because the queue was full",
            |it| it.own.lines.lost_queue_full),
        Row::u64("lines_lost_too_long", "lines", "lines that are too long for a datagram", |it| it.own.lines.lost_too_long),
        Row::u64("lines_in_doubt", "lines", "lines acknowledged shortly before their connection broke", |it| it.own.lines.lines_in_doubt),
        Row::u64("lines_resent", "lines", "lines sent again because a connection broke", |it| it.own.lines.lines_resent),
        Row::u64("lines_waiting", "lines", "lines that wait or are in flight now", |it| it.own.lines_waiting as u64),
        Row::u64("sent_bytes", "bytes", "bytes of the lines that were sent", |it| it.own.lines.bytes_sent),
        Row::u64("datagrams_sent", "datagrams", "datagrams that left", |it| it.own.lines.datagrams_sent),
        Row::u64("connections", "connections", "connections opened to the receiver", |it| it.own.lines.connections),
        Row::u64("connections_lost", "connections", "connections to the receiver that broke", |it| it.own.lines.connections_lost),
        Row::u64("connect_failures", "attempts", "attempts to connect that failed", |it| it.own.lines.connect_failures),
        Row::u64("values_clamped", "values", "values outside the protocol's range, sent as the nearest value in it",
            |it| it.own.encoded.values_clamped),
        Row::u64("values_left_out", "values", "values that the protocol cannot represent", |it| it.own.encoded.values_left_out),
        Row::u64("intervals_missed", "intervals", "intervals for which nothing was sent", |it| it.own.intervals_missed),
        Row::u64("turns", "turns", "turns of the monitoring loop", |it| it.own.turns),
        Row::u64("turn_last_us", "µs", "duration of the last turn", |it| it.own.turn_last.0),
        Row::u64("turn_p99_us", "µs", "duration that 99 of 100 turns since the last interval did not exceed", |it| it.own.turn_p99.0),
        Row::u64("turn_max_us", "µs", "duration of the longest turn since the last interval", |it| it.own.turn_max.0),
        Row::u64("frames_received", "frames", "frames taken from the network card", |it| it.frames.frames_received),
        Row::u64("frames_dropped", "frames", "frames that the network card dropped", |it| it.nic_dropped),
        Row::u64("addresses_lost", "addresses", "how often the address was lost", |it| it.frames.addresses_lost),
        Row::u64("leases_refused", "leases", "answers of a DHCP server that were unusable", |it| it.frames.leases_refused),
        Row::u64("dhcp_dropped", "messages", "DHCP messages dropped because they came faster than the limit", |it| it.frames.dhcp_dropped),
        Row::u64("arp_conflicts", "packets", "ARP packets that claimed our address, or the gateway's or receiver's, for another host",
            |it| it.frames.arp_conflicts),
        Row::u64("control_open", "connections", "open connections of the control port now", |it| it.own.connections.open),
        Row::u64("control_accepted", "connections", "connections of the control port that were opened", |it| it.own.connections.accepted),
        Row::u64("control_refused", "connections", "connections of the control port that were refused because all places were taken",
            |it| it.own.connections.refused),
        Row::u64("control_denied", "connections", "connections of the control port that were refused because of their address",
            |it| it.own.connections.denied),
        Row::u64("control_commands", "commands", "commands that were answered", |it| it.own.control.commands),
        Row::u64("control_idle_closed", "connections", "connections of the control port that were closed because they were idle, or for a newcomer",
            |it| it.own.control.idle_closed + it.own.control.yielded),
        Row::u64("control_auth_failures", "connections", "connections of the control port that did not begin with the token",
            |it| it.own.control.auth_failures),
        Row::u64("control_foreign", "connections", "connections of the control port that spoke HTTP or TLS", |it| it.own.control.foreign),
        Row::u64("uptime_us", "µs", "time since boot", |it| it.uptime.0),
        Row::u64("sources", "sources", "sources that are registered", |it| it.own.sources as u64),
        Row::u64("sources_refused", "sources", "sources whose name is taken, or for which there is no place", |it| it.own.sources_refused),
        Row::u64("series", "series", "series of pushed points now", |it| it.own.series.series),
        Row::u64("series_refused", "points", "points whose series had no place, or that did not match their declaration",
            |it| it.own.series.refused),
        Row::u64("series_expired", "series", "series dropped because they were not updated any more or were switched off",
            |it| it.own.series.expired),
        Row::u64("tracing", "clients", "clients that get a trace of the heap now", |it| u64::from(it.own.profiler.tracing)),
        Row::u64("traces", "traces", "traces of the heap that were begun", |it| it.own.profiler.counts.traces),
        Row::u64("trace_bytes", "bytes", "bytes of these traces", |it| it.own.profiler.counts.bytes),
        Row::u64("trace_allocations", "blocks", "sampled blocks in these traces", |it| it.own.profiler.counts.allocs),
        Row::u64("trace_frees", "blocks", "frees of sampled blocks in these traces", |it| it.own.profiler.counts.frees),
        Row::u64("samples_lost", "blocks", "sampled blocks for which there was no room; traces include them in their totals",
            |it| it.own.profiler.lost),
        Row::u64("trace_refused", "connections", "clients of the memtrace port that got no trace because another client had it, or were reset because they did not read",
            |it| it.own.profiler.refused + it.own.profiler.slow),
        Row::u64("held_bytes", "bytes", "all memory that monitoring holds; it does not grow", |it| it.own.held_bytes as u64),
        Row::u64("restarts", "restarts", "how often the monitoring began again after a panic in its task; its other counts began at 0 then",
            |it| it.own.restarts),
    ],
);

static CPU: Declared<Readings, 4> = Declared::new(
    "cpu",
    "the load of the core; idle is the time that it was halted, measured at the halt and at the interrupt that ended it",
    [
        Row::u64("busy_us", "µs", "time that the core was not idle, since boot", |it| it.machine.load.busy.0),
        Row::u64("idle_us", "µs", "time that the core was idle, since boot", |it| it.machine.load.idle.0),
        Row::u64("busy_permille", "thousandths", "share of the last interval that the core was busy", |it| it.machine.load.busy_permille),
        Row::u64("idle_permille", "thousandths", "share of the last interval that the core was idle", |it| it.machine.load.idle_permille),
    ],
);

static CLOCK: Declared<Readings, 4> = Declared::new(
    "clock",
    "the wall clock beside the machine's real-time clock, where it has one",
    [
        Row::maybe_i64("rtc_lead_ms", "ms", "how far the real-time clock is ahead, ± 500 ms; below 0 it is behind",
            |it| it.machine.clock.lead_ms()),
        Row::maybe_u64("steps", "steps", "how often one clock moved by more than 1 s against the other between two looks",
            |it| it.clock(Watch::steps)),
        Row::maybe_i64("last_step_ms", "ms", "the last step of the real-time clock's lead", |it| it.clock(Watch::last_step_ms)),
        Row::maybe_u64("advanced_ms", "ms", "how far the wall clock was moved forward since boot", |it| it.clock(Watch::advanced_ms)),
    ],
);

static IRQ: Declared<Readings, 3> = Declared::new(
    "irq",
    "interrupts since boot, on all cores",
    [
        Row::u64("interrupts", "interrupts", "all interrupts, without the processor's exceptions", |it| it.machine.interrupts.all),
        Row::u64("timer", "interrupts", "interrupts of the kernel's timer", |it| it.machine.interrupts.timer),
        Row::u64("card", "interrupts", "interrupts of the monitoring's network card and of devices that share its line",
            |it| it.machine.interrupts.card),
    ],
);

const TASK_ROWS: [Row<StackUse>; 2] = [
    Row::u64("stack_bytes", "bytes", "size of the stack", |it| it.size_bytes),
    Row::u64("stack_high_water_bytes", "bytes", "the largest part that was in use at one time, in the part that was checked",
            |it| it.high_water_bytes),
];

/// The stack use of tasks: one series per task.
pub static TASKS: Points<1, 2> = Points::new(
    "tasks",
    "the stack use of the monitoring's task and of tasks that ask for it",
    &["task"],
    Row::fields(&TASK_ROWS),
);

/// Pushes the stack use of one task.
pub fn push_task(name: &str, stack: &StackUse) {
    if let [Some(size), Some(high_water)] = TASK_ROWS.map(|row| row.value(stack)) {
        TASKS.push([name], [size, high_water]);
    }
}
