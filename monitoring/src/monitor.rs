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
//! No clock, no log, no allocation: time is an argument, what happens is an [`Event`], memory was taken before.

mod event;

use smoltcp::phy::Device;

pub use event::Event;

use crate::config::{Config, Target, VmName};
use crate::emit::{EncodeCounts, Schedule, emit};
use crate::heap::HeapSource;
use crate::net::bounds::{DEVICE_FULL_PAUSE, DHCP_PATIENCE, FRAMES_PER_ROUND, ROUNDS_PER_TURN};
use crate::net::command::Status;
use crate::net::control::Control;
use crate::net::datagram::DatagramPush;
use crate::net::outbox::Outbox;
use crate::net::push::{PushEvent, StreamPush};
use crate::net::stack::{AddressEvent, Stack, Way};
use crate::net::storage::Storage;
use crate::sources::{Memory, Own};
use crate::time::{Micros, Now, UnixNanos};

/// A wall clock before 2020 was never set: a machine without an RTC begins in 1970. Its points carry no timestamp, and
/// the receiver takes the time of their arrival.
const CLOCK_IS_SET: UnixNanos = UnixNanos(1_577_836_800_000_000_000);

/// When to call [`Monitor::turn`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// More work is waiting: after others had their turn.
    Again,
    /// There is nothing to do before this time unless a frame arrives; [`Micros::MAX`] means never.
    At(Micros),
}

/// The monitoring of one image: a network interface, its services and the emitter. Allocates nothing.
///
/// ```
/// use monitoring::config::Config;
/// use monitoring::heap::{HeapSource, HeapStats};
/// use monitoring::monitor::{Monitor, Next};
/// use monitoring::net::storage::Storage;
/// use monitoring::time::Now;
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
/// let mut monitor = Monitor::new(&Config::default(), &NoHeap, storage, &mut device, mac, 7, now);
/// match monitor.turn(now, &mut device, &mut |event| println!("{event}")) {
///     Next::Again => {}
///     Next::At(time) => println!("nothing to do until {time}"),
/// }
/// # Ok::<(), monitoring::net::storage::OutOfMemory>(())
/// ```
pub struct Monitor<'a> {
    target: Target,
    control_port: Option<u16>,
    vm: VmName,
    heap: &'a dyn HeapSource,
    stack: Stack<'a>,
    outbox: Outbox<'a>,
    datagram: DatagramPush,
    stream: StreamPush,
    control: Control<'a>,
    schedule: Schedule,
    encoded: EncodeCounts,
    losing: bool,
    lost_before: u64,
    too_long_before: u64,
    /// Since when there is no address; `None` while there is one, or once it was told.
    no_address_since: Option<Micros>,
    turns: u64,
    turn_last: Micros,
    turn_max: Micros,
    nic_dropped: u64,
}

impl<'a> Monitor<'a> {
    /// A monitor on `device` with the hardware address `mac`. `seed` should differ from boot to boot: ports,
    /// sequence numbers and the pauses between attempts follow from it.
    ///
    /// # Panics
    /// If the device is not Ethernet, or the memory is smaller than [`Storage`] says.
    #[must_use]
    pub fn new<D: Device + ?Sized>(
        config: &Config,
        heap: &'a dyn HeapSource,
        storage: Storage<'a>,
        device: &mut D,
        mac: [u8; 6],
        seed: u64,
        now: Now,
    ) -> Self {
        Self {
            target: config.target,
            control_port: config.control_port,
            vm: config.vm,
            heap,
            stack: Stack::new(config, storage.stack, device, mac, seed, now.mono),
            outbox: Outbox::new(storage.waiting, storage.on_the_way),
            datagram: DatagramPush::default(),
            stream: StreamPush::new(config.interval, seed),
            control: Control::new(storage.control),
            schedule: Schedule::new(config.interval),
            encoded: EncodeCounts::default(),
            losing: false,
            lost_before: 0,
            too_long_before: 0,
            no_address_since: Some(now.mono),
            turns: 0,
            turn_last: Micros::ZERO,
            turn_max: Micros::ZERO,
            nic_dropped: 0,
        }
    }

    /// Does what can be done now. Work: at most [`ROUNDS_PER_TURN`] rounds of [`FRAMES_PER_ROUND`] frames in and
    /// one frame per socket out, and one emission.
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
            if self.target != Target::Off && self.schedule.due(now.mono) {
                self.emit(now);
            }
            let push = self.push(now.mono, events);
            self.follow_losses(events);
            let control = self.serve_control(now.mono);
            let patience = self.follow_patience(now.mono, events);
            let deadline = [push, control, patience].into_iter().flatten().min();
            let sent = self.stack.egress(now.mono, device);
            if received == 0 && !sent {
                return self.rest(now.mono, deadline);
            }
        }
        Next::Again
    }

    /// Tells what only the shell can know: how long the last turn took, and how many frames the device has
    /// dropped since boot. Both become fields of the source `monitoring`.
    pub fn after_turn(&mut self, took: Micros, nic_dropped: u64) {
        self.turn_last = took;
        self.turn_max = self.turn_max.max(took);
        self.nic_dropped = nic_dropped;
    }

    /// Whether a peer is waiting for us or we for a peer, so that a shell which has no interrupt should look
    /// more often.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.stack.control_counts().open > 0
            || self.datagram == DatagramPush::HandedOver
            || self.stream.is_active()
    }

    /// When a missing address has to be told, and tells it.
    fn follow_patience(&mut self, now: Micros, events: &mut dyn FnMut(Event)) -> Option<Micros> {
        let until = self.no_address_since? + DHCP_PATIENCE;
        if now < until {
            return Some(until);
        }
        self.no_address_since = None;
        events(Event::NoAddress);
        None
    }

    /// The time to come back when nothing moves any more.
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
        // What is due now and yet did not happen waits for the device to take a frame.
        Next::At(at.map_or(Micros::MAX, |at| {
            if at > now {
                at
            } else {
                now + DEVICE_FULL_PAUSE
            }
        }))
    }

    fn follow_address(&mut self, now: Now, events: &mut dyn FnMut(Event)) {
        while let Some(event) = self.stack.address_event() {
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
                AddressEvent::Gained { cidr, by, .. } => {
                    self.no_address_since = None;
                    self.schedule.start(now.mono);
                    let Self {
                        control_port,
                        target,
                        ..
                    } = *self;
                    events(Event::Ready {
                        address: cidr,
                        by,
                        control_port,
                        target,
                    });
                    if let Target::Udp(remote) | Target::Tcp(remote) = target
                        && !self.stack.has_route(*remote.ip())
                    {
                        events(Event::NoRoute { target });
                    }
                }
            }
        }
    }

    fn emit(&mut self, now: Now) {
        let memory = Memory {
            stats: self.heap.stats(),
        };
        let own = Own {
            lines: *self.outbox.counts(),
            lines_waiting: self.outbox.lines_waiting(),
            encoded: self.encoded,
            intervals_missed: self.schedule.missed(),
            turns: self.turns,
            turn_last: self.turn_last,
            turn_max: self.turn_max,
            frames: *self.stack.frame_counts(),
            nic_dropped: self.nic_dropped,
            connections: self.stack.control_counts(),
            control: *self.control.counts(),
            uptime: now.mono,
        };
        self.turn_max = Micros::ZERO;
        emit(
            &[&memory, &own],
            self.vm.as_str(),
            (now.unix >= CLOCK_IS_SET).then_some(now.unix),
            &mut self.outbox,
            &mut self.encoded,
        );
    }

    fn push(&mut self, now: Micros, events: &mut dyn FnMut(Event)) -> Option<Micros> {
        let up = self.stack.address().is_some();
        let target = self.target;
        match self.stack.way() {
            Way::Off => None,
            Way::Udp(mut socket) => {
                self.datagram.turn(up, &mut socket, &mut self.outbox);
                None
            }
            Way::Tcp(mut link) => {
                let mut tell = |event| {
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
        let (address, target, heap) = (self.stack.address(), self.target, self.heap);
        let counts = *self.outbox.counts();
        let lines_waiting = self.outbox.lines_waiting();
        let intervals_missed = self.schedule.missed();
        let status = || Status {
            uptime: now,
            address,
            target,
            counts,
            lines_waiting,
            intervals_missed,
            heap: heap.stats(),
        };
        self.stack
            .serve_control(now, &mut self.control.serve(&status))
    }
}
