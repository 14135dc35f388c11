//! The loop: one turn of receiving, working and sending, in bounded time.
//!
//! ```text
//!            ┌───────────────── a turn: up to ROUNDS_PER_TURN rounds ─────────────────┐
//!  frames ──▶│ ingress ─▶ address ─▶ emission due? ─▶ push ─▶ control ─▶ egress ─┐     │──▶ frames
//!            │    ▲                                                              │     │
//!            │    └───────────── while frames come in or go out ─────────────────┘     │
//!            └────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! The loop has no clock, no log and no allocation: time is an argument, it reports with an [`Event`], and its memory
//! was taken before.

mod event;

use smoltcp::phy::Device;

pub use event::Event;

use crate::config::{Config, VmName};
use crate::control::{Control, Managed, Status};
use crate::emit::{Emission, EncodeCounts, Schedule, Sink};
use crate::seed::Seed;
use crate::sources::{self, Image, Machine, Own, Readings};
use crate::storage::Storage;
use crate::trace::Profiler;
use crate::trace::{Handle, Round, Trace};
use heap_profiler::HeapSource;
use logging::Table;
use metrics::{FieldList, Registry, Source, Spread};
use network::Target;
use network::bounds::{DEVICE_FULL_PAUSE, DHCP_PATIENCE, FRAMES_PER_ROUND, ROUNDS_PER_TURN};
use network::datagram::DatagramPush;
use network::outbox::Outbox;
use network::push::{Loss, PushEvent, StreamPush};
use network::stack::{AddressEvent, Stack, Way};
use units::{Micros, Now, UnixNanos};

/// The time to call [`Monitor::turn`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More work is waiting: call again after other tasks have run.
    Again,
    /// There is nothing to do before this time unless a frame arrives; [`Micros::MAX`] means never.
    At(Micros),
}

/// The parts of the image that a monitor reports on.
pub struct Subject<'a> {
    /// The application's heap.
    pub heap: &'a dyn HeapSource,
    /// The application's metrics sources. The monitor adds the built-in ones.
    pub registry: &'static Registry,
    /// The application's log sources and their levels.
    pub log: &'static Table,
    /// Versions and the build id.
    pub image: Image,
    /// The service of the memtrace port; without it, that port does not listen.
    pub trace: Option<Trace<'a>>,
    /// Reads the values that only the machine knows, at the beginning of an interval. Without it, their sources do not
    /// exist.
    pub machine: Option<fn() -> Machine>,
    /// How often the monitoring began again after a panic in its task.
    pub restarts: u64,
}

impl<'a> Subject<'a> {
    /// Creates a subject of this heap and the image's registry and log, without facts about the build.
    #[must_use]
    pub fn new(heap: &'a dyn HeapSource) -> Self {
        Self {
            heap,
            registry: metrics::registry(),
            log: logging::levels(),
            image: Image::default(),
            trace: None,
            machine: None,
            restarts: 0,
        }
    }
}

/// The monitoring of one image: a network interface, its services and the emitter. Allocates nothing.
///
/// ```
/// use agent::Seed;
/// use agent::config::Config;
/// use heap_profiler::{HeapSource, HeapStats};
/// use agent::monitor::{Monitor, Next, Subject};
/// use agent::storage::Storage;
/// use units::Now;
/// # use smoltcp::{phy, time::Instant};
/// # struct Unplugged;
/// # impl phy::RxToken for Unplugged {
/// #     fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R { f(&[]) }
/// # }
/// # impl phy::TxToken for Unplugged {
/// #     fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R { f(&mut vec![0; len]) }
/// # }
/// # impl phy::Device for Unplugged {
/// #     type RxToken<'a> = Unplugged;
/// #     type TxToken<'a> = Unplugged;
/// #     fn receive(&mut self, _: Instant) -> Option<(Unplugged, Unplugged)> { None }
/// #     fn transmit(&mut self, _: Instant) -> Option<Unplugged> { Some(Unplugged) }
/// #     fn capabilities(&self) -> phy::DeviceCapabilities {
/// #         let mut capabilities = phy::DeviceCapabilities::default();
/// #         capabilities.max_transmission_unit = 1514;
/// #         capabilities
/// #     }
/// # }
/// struct NoHeap;
/// impl HeapSource for NoHeap {
///     fn stats(&self) -> HeapStats {
///         HeapStats::default()
///     }
/// }
/// let mut device = Unplugged;
/// let mac = [2, 0, 0, 0, 0, 1];
/// let now = Now::default();
/// let storage = Storage::take()?;
/// let subject = Subject::new(&NoHeap);
/// let seed = Seed::of_samples(&[7]);
/// let mut monitor = Monitor::new(&Config::default(), subject, storage, &mut device, mac, &seed, now);
/// match monitor.turn(now, &mut device, &mut |event| println!("{event}")) {
///     Next::Again => {}
///     Next::At(time) => println!("nothing to do until {time}"),
/// }
/// # Ok::<(), agent::storage::OutOfMemory>(())
/// ```
pub struct Monitor<'a> {
    target: Target,
    control_port: Option<u16>,
    memtrace_port: Option<u16>,
    /// `true` until the event about open access is sent.
    open_to_all: bool,
    vm: VmName,
    subject: Subject<'a>,
    stack: Stack<'a>,
    outbox: Outbox<'a>,
    datagram: DatagramPush,
    stream: StreamPush,
    control: Control<'a>,
    schedule: Schedule,
    emission: Emission,
    /// The values of the interval that is being emitted.
    readings: Readings,
    boot: Option<UnixNanos>,
    resets: u64,
    turn_times: Spread,
    encoded: EncodeCounts,
    losing: bool,
    lost_before: u64,
    too_long_before: u64,
    /// The time when the address went missing. `None` while there is an address, or after the event was sent.
    no_address_since: Option<Micros>,
    turns: u64,
    turn_last: Micros,
    turn_max: Micros,
    nic_dropped: u64,
    /// The send buffer of the connection that gets a trace, in bytes.
    trace_send: usize,
}

impl<'a> Monitor<'a> {
    /// Creates a monitor on `device` with the hardware address `mac`. Ports, sequence numbers
    /// and the pauses between attempts are derived from `seed`.
    ///
    /// # Panics
    /// If the device is not Ethernet, or the memory is smaller than [`Storage`] states.
    #[must_use]
    pub fn new<D: Device + ?Sized>(
        config: &Config,
        subject: Subject<'a>,
        storage: Storage<'a>,
        device: &mut D,
        mac: [u8; 6],
        seed: &Seed,
        now: Now,
    ) -> Self {
        let mut config = *config;
        if subject.trace.is_none() {
            config.memtrace_port = None;
        }
        let config = &config;
        sources::register(subject.registry, subject.machine.is_some());
        Self {
            target: config.target,
            control_port: config.control_port,
            memtrace_port: config.memtrace_port,
            open_to_all: config.is_open_to_all(),
            vm: config.vm,
            subject,
            stack: Stack::new(
                &config.network(),
                storage.stack,
                device,
                mac,
                seed.network_key(),
                now.mono,
            ),
            outbox: Outbox::new(storage.waiting, storage.on_the_way),
            datagram: DatagramPush::default(),
            stream: StreamPush::new(config.interval, seed.number("pauses")),
            control: Control::new(config, seed.derive("control"), storage.control),
            schedule: Schedule::new(config.interval),
            emission: Emission::new(),
            readings: Readings::default(),
            boot: None,
            resets: 0,
            turn_times: Spread::new(),
            encoded: EncodeCounts::default(),
            losing: false,
            lost_before: 0,
            too_long_before: 0,
            no_address_since: Some(now.mono),
            turns: 0,
            turn_last: Micros::ZERO,
            turn_max: Micros::ZERO,
            nic_dropped: 0,
            trace_send: storage.trace_send,
        }
    }

    /// Does the work that is possible now. Work: at most [`ROUNDS_PER_TURN`] rounds of [`FRAMES_PER_ROUND`] frames in
    /// and one frame per socket out, and one emission.
    pub fn turn<D: Device + ?Sized>(
        &mut self,
        now: Now,
        device: &mut D,
        events: &mut dyn FnMut(Event),
    ) -> Next {
        self.turns += 1;
        for _ in 0..ROUNDS_PER_TURN {
            let received = self.stack.ingress(now.mono, device, FRAMES_PER_ROUND);
            self.follow_address(now, events);
            self.emit(now);
            let push = self.push(now.mono, events);
            self.follow_losses(events);
            let control = self.serve_control(now.mono);
            let trace = self.serve_trace(now, events);
            let patience = self.follow_patience(now.mono, events);
            let deadline = [push, control, trace, patience].into_iter().flatten().min();
            let sent = self.stack.egress(now.mono, device);
            if received == 0 && !sent && !self.emission.can_go_on(&self.outbox) {
                return self.rest(now.mono, deadline);
            }
        }
        Next::Again
    }

    /// Takes what only the shell knows: the duration of the last turn, and the frames that the device has dropped since
    /// boot. Both become fields of the source `monitoring`.
    pub fn after_turn(&mut self, took: Micros, nic_dropped: u64) {
        self.turn_last = took;
        self.turn_times.record(took.0);
        self.turn_max = self.turn_max.max(took);
        self.nic_dropped = nic_dropped;
    }

    /// Returns the trace service, the only part whose memory cannot be taken twice, to begin again after a panic.
    #[must_use]
    pub fn into_trace(self) -> Option<Trace<'a>> {
        self.subject.trace
    }

    /// Returns `true` if this side or a peer waits for the other. A shell without an interrupt should then look more
    /// often.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.stack.control_counts().open > 0
            || self.stack.trace_counts().open > 0
            || self.datagram == DatagramPush::HandedOver
            || self.stream.is_active()
    }

    /// Returns `true` while a client gets a trace, or while the trace's end is in flight.
    #[must_use]
    pub fn is_tracing(&self) -> bool {
        self.stack.is_trace_open()
    }

    /// Ends the trace that is running, if any. Its client gets the rest.
    pub fn end_trace(&mut self) {
        if let Some(trace) = &mut self.subject.trace {
            trace.stop();
        }
    }

    /// Sends the event about a missing address when it is due. Until then, returns that time.
    fn follow_patience(&mut self, now: Micros, events: &mut dyn FnMut(Event)) -> Option<Micros> {
        let until = self.no_address_since? + DHCP_PATIENCE;
        if now < until {
            return Some(until);
        }
        self.no_address_since = None;
        events(Event::NoAddress);
        None
    }

    /// Returns the time to come back if nothing happens before.
    fn rest(&mut self, now: Micros, deadline: Option<Micros>) -> Next {
        let interval = if self.target == Target::Off {
            None
        } else {
            self.schedule.next()
        };
        let at = [deadline, interval, self.stack.poll_at(now)]
            .into_iter()
            .flatten()
            .min();
        // Work that is due now but was not done waits until the device takes a frame.
        Next::At(at.map_or(Micros::MAX, |at| {
            if at > now {
                at
            } else {
                now + DEVICE_FULL_PAUSE
            }
        }))
    }

    fn follow_address(&mut self, now: Now, events: &mut dyn FnMut(Event)) {
        while let Some(event) = self.stack.address_event(now.mono) {
            match event {
                AddressEvent::Lost { cidr } => {
                    self.no_address_since = Some(now.mono);
                    events(Event::AddressLost { address: cidr });
                }
                AddressEvent::Refused { server, refused } => {
                    if refused.is_power_of_two() {
                        events(Event::LeaseRefused { server, refused });
                    }
                }
                AddressEvent::Contradicted(conflict) => {
                    if conflict.conflicts.is_power_of_two() {
                        events(Event::Contradicted(conflict));
                    }
                }
                AddressEvent::Gained { cidr, by, .. } => {
                    self.no_address_since = None;
                    self.schedule.start(now.mono);
                    let Self {
                        control_port,
                        memtrace_port,
                        target,
                        ..
                    } = *self;
                    events(Event::Ready {
                        address: cidr,
                        by,
                        control_port,
                        memtrace_port,
                        target,
                    });
                    if core::mem::take(&mut self.open_to_all) {
                        events(Event::OpenToAll);
                    }
                    if let Target::Udp(remote) | Target::Tcp(remote) = target
                        && !self.stack.has_route(*remote.ip())
                    {
                        events(Event::NoRoute { target });
                    }
                }
            }
        }
    }

    /// Begins an emission if one is due, and continues it.
    fn emit(&mut self, now: Now) {
        if self.target == Target::Off {
            return;
        }
        if self.schedule.due(now.mono) {
            if self.emission.is_running() {
                self.schedule.skip();
                self.emission.follow(&self.outbox);
            } else {
                self.readings = self.read(now);
                let (number, registry) = (self.schedule.number(), self.subject.registry);
                self.emission
                    .begin(number, now.unix, registry, &self.outbox);
            }
        }
        let mut sink = Sink {
            vm: self.vm.as_str(),
            outbox: &mut self.outbox,
            counts: &mut self.encoded,
        };
        let readings = &self.readings;
        let told =
            |source: &Source, fields: &mut FieldList<'_>| sources::tell(source, readings, fields);
        self.emission.step(self.subject.registry, &told, &mut sink);
    }

    fn read(&mut self, now: Now) -> Readings {
        let Subject {
            heap,
            registry,
            log,
            image,
            machine,
            restarts,
            ref trace,
        } = self.subject;
        let since_boot = i64::try_from(now.mono.0.saturating_mul(1_000)).unwrap_or(i64::MAX);
        let boot = UnixNanos(now.unix.0.saturating_sub(since_boot));
        let own = Own {
            lines: *self.outbox.counts(),
            lines_waiting: self.outbox.lines_waiting(),
            encoded: EncodeCounts {
                values_left_out: self.encoded.values_left_out + metrics::fields_left_out(),
                ..self.encoded
            },
            intervals_missed: self.schedule.missed(),
            turns: self.turns,
            turn_last: self.turn_last,
            turn_max: self.turn_max,
            turn_p99: Micros(self.turn_times.look().p99),
            connections: self.stack.control_counts(),
            control: *self.control.counts(),
            sources: registry.len(),
            sources_refused: registry.refused(),
            series: registry.series().counts(),
            trace_connections: self.stack.trace_counts(),
            profiler: trace.as_ref().map(Trace::state).unwrap_or_default(),
            held_bytes: self.memory_bytes(),
            restarts,
        };
        self.turn_max = Micros::ZERO;
        Readings {
            heap: heap.stats(),
            log: logging::lines(),
            log_sources: log.len(),
            log_refused: log.refused(),
            frames: self.stack.frame_counts(),
            nic_dropped: self.nic_dropped,
            sockets: self.stack.socket_counts(),
            resets: self.resets,
            own,
            uptime: now.mono,
            boot: *self.boot.get_or_insert(boot),
            image,
            machine: machine.map(|read| read()).unwrap_or_default(),
        }
    }

    fn push(&mut self, now: Micros, events: &mut dyn FnMut(Event)) -> Option<Micros> {
        let up = self.stack.address().is_some();
        let target = self.target;
        let resets = &mut self.resets;
        match self.stack.way() {
            Way::Off => None,
            Way::Udp(mut socket) => {
                self.datagram.turn(up, &mut socket, &mut self.outbox);
                None
            }
            Way::Tcp(mut link) => {
                let mut tell = |event| {
                    let reset = Loss::Reset;
                    *resets += u64::from(
                        matches!(event, PushEvent::Lost { reason, .. } if reason == reset),
                    );
                    events(match event {
                        PushEvent::Connected => Event::Connected { target },
                        PushEvent::ConnectFailed { reason, failures } => Event::ConnectFailed {
                            target,
                            reason,
                            failures,
                        },
                        PushEvent::Lost { reason, resent } => Event::ConnectionLost {
                            target,
                            reason,
                            resent,
                        },
                    });
                };
                self.stream
                    .turn(now, up, &mut link, &mut self.outbox, &mut tell)
            }
        }
    }

    fn follow_losses(&mut self, events: &mut dyn FnMut(Event)) {
        let lost = self.outbox.counts().lost_queue_full;
        if lost > self.lost_before && !self.losing {
            self.losing = true;
            events(Event::Losing { lost });
        }
        self.lost_before = lost;
        let too_long = self.outbox.counts().lost_too_long;
        if too_long > self.too_long_before && too_long.is_power_of_two() {
            events(Event::LineTooLong { lost: too_long });
        }
        self.too_long_before = too_long;
        self.losing &= self.outbox.lines_waiting() > 0;
    }

    fn serve_control(&mut self, now: Micros) -> Option<Micros> {
        let (address, target, heap) = (self.stack.address(), self.target, self.subject.heap);
        let counts = *self.outbox.counts();
        let lines_waiting = self.outbox.lines_waiting();
        let intervals_missed = self.schedule.missed();
        let (monitoring_bytes, trace_buffer) = (self.memory_bytes(), self.trace_send);
        let restarts = self.subject.restarts;
        let status = || Status {
            uptime: now,
            address,
            target,
            counts,
            lines_waiting,
            intervals_missed,
            restarts,
            heap: heap.stats(),
            monitoring_bytes,
            trace_buffer,
        };
        let Subject {
            registry,
            log,
            trace,
            ..
        } = &mut self.subject;
        let handle = trace.as_mut().map(Handle::new);
        let managed = Managed {
            registry,
            log,
            status: &status,
            profiler: handle.as_ref().map(|handle| handle as &dyn Profiler),
        };
        self.stack
            .serve_control(now, &mut self.control.serve(&managed))
    }

    /// Returns the bytes of all memory that monitoring holds.
    fn memory_bytes(&self) -> usize {
        let trace = self.subject.trace.as_ref();
        size_of::<Self>()
            + Storage::bytes(self.trace_send)
            + self.subject.registry.memory_bytes()
            + size_of_val(self.subject.log)
            + trace.map_or(0, Trace::memory_bytes)
    }

    fn serve_trace(&mut self, now: Now, events: &mut dyn FnMut(Event)) -> Option<Micros> {
        let trace = self.subject.trace.as_mut()?;
        let round = Round {
            host: self.vm.as_str(),
            unix: now.unix,
            events: &mut |event| events(Event::Trace(event)),
        };
        let served = self.stack.serve_trace(now.mono, &mut trace.serve(round));
        [served, trace.follow(now.mono)].into_iter().flatten().min()
    }
}
