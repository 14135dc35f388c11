//! The memtrace port: a client that connects gets a trace of the heap until one side ends it.
//!
//! ```text
//!              1 a client                  2 the profile begins             3 the client closes, resets or says anything,
//!   ┌──────┐ ─────────────▶ ┌──────────┐ ───────────────────▶ ┌─────────┐    or the control port stops it
//!   │ Free │                │ Starting │                      │ Tracing │ ────────────────────┐
//!   └──────┘ ◀───────┐      └──────────┘                      └─────────┘                     ▼
//!       ▲            │           │ 3, or the profile cannot                              ┌────────┐
//!       │            └───────────┘                                                       │ Ending │
//!       └────────────────────────────────────────────────────────────────────────────────└────────┘
//!                                                4 all is handed over, or ENDING is over
//! ```
//! From Tracing and from Ending, 5 leads to Free: the client has kept a packet waiting for too long.
//!
//! Only one client is served at a time: samples are taken once, and two traces of one heap would be the same. Another
//! client is closed at once, and the log says why. A client that does not read stops the encoder. Then the ring becomes
//! full, and the trace counts what is lost; the application never stops. The client's time is bounded, see `patience.rs`:
//! it is reset, and a profile that is always on goes on without it. With a token, a client must prove to know it before
//! (1), see `entrance.rs`.

use core::cell::RefCell;
use core::fmt;

use spin::Mutex;

use heap_profiler::{HeapProfile, Lost, Rate, StartError};
use network::bounds::{BEHIND, ENDING, TRACE_EVERY};
use network::{Service, Step, Stream};
use units::{Micros, UnixNanos};

use super::entrance::Entrance;
use super::event::TraceEvent;
use super::live::{self, LiveSites};
use super::names::Names;
use super::patience::Patience;
use super::profiler::{Profiler, ProfilerError, ProfilerState};
use super::report;
use super::tracer::{Progress, TraceCounts, Tracer};
use crate::door::Lock;
use memtrace_writer::{Info, UnixMicros};

/// The facts about the machine that every trace of it states.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity {
    /// The image and its build id.
    pub executable: &'static str,
    /// Versions and the command line.
    pub context: &'static str,
    /// Differs from boot to boot.
    pub pid: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Starting,
    Tracing,
    Ending { until: Micros },
}

/// The profile that is always on: it has begun and never ends.
#[derive(Clone, Copy, Debug)]
pub struct Always {
    /// The blocks alive. The service locks it while it works; a panic only tries the lock.
    pub live: &'static Mutex<LiveSites>,
    /// Samples per word.
    pub rate: Rate,
}

/// The parts of the service.
pub struct Parts<'a> {
    /// The heap's profile.
    pub profile: &'a dyn HeapProfile,
    /// Bytes of memory that the profile took.
    pub profile_bytes: usize,
    /// Writes the traces.
    pub tracer: Tracer,
    /// Finds names for addresses.
    pub names: Names<'a>,
    /// The facts about the machine that a trace states.
    pub identity: Identity,
    /// The rate of the first trace.
    pub rate: Rate,
    /// The profile, if it is always on.
    pub always: Option<Always>,
    /// The token that clients must prove to know.
    pub lock: Lock,
}

/// The trace service. It never allocates.
pub struct Trace<'a> {
    parts: Parts<'a>,
    entrance: Entrance,
    client: Option<(usize, State)>,
    stop: bool,
    refused: u64,
    /// The counts when the trace began.
    before: TraceCounts,
    /// The time since which something has waited for the client.
    waiting: Option<Micros>,
    /// The packet that the client does not take.
    patience: Option<Patience>,
    /// Clients that were reset because they did not take it in time.
    slow: u64,
}

/// The arguments of the service for one round.
pub struct Round<'r> {
    /// The value of the tag `vm`.
    pub host: &'r str,
    /// The wall clock.
    pub unix: UnixNanos,
    /// Takes the events.
    pub events: &'r mut dyn FnMut(TraceEvent),
}

impl<'a> Trace<'a> {
    /// Creates the service without a client.
    #[must_use]
    pub fn new(parts: Parts<'a>) -> Self {
        Self {
            entrance: Entrance::new(parts.lock),
            parts,
            client: None,
            stop: false,
            refused: 0,
            before: TraceCounts::default(),
            waiting: None,
            patience: None,
            slow: 0,
        }
    }

    /// Returns the counts of traces, since boot.
    #[must_use]
    pub const fn counts(&self) -> &TraceCounts {
        self.parts.tracer.counts()
    }

    /// Returns the state of the profiler at this moment.
    #[must_use]
    pub fn state(&self) -> ProfilerState {
        let lost = self.lost();
        ProfilerState {
            rate: Some(self.rate()),
            tracing: self.is_tracing(),
            always_on: self.parts.always.is_some(),
            counts: *self.counts(),
            lost: lost.ring_full + lost.live_full,
            refused: self.refused,
            slow: self.slow,
        }
    }

    /// Returns the counts of what the profile could not record, since boot.
    #[must_use]
    pub fn lost(&self) -> Lost {
        self.parts.profile.lost()
    }

    /// Returns the bytes that the profiler holds outside this value: ring, live set, encoder.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let slots = self.parts.profile.slots();
        let live = self.parts.always.map_or(0, |_| LiveSites::bytes(slots));
        self.parts.profile_bytes + Tracer::bytes(slots) + live
    }

    /// Returns `true` if a client gets a trace.
    #[must_use]
    pub const fn is_tracing(&self) -> bool {
        matches!(self.client, Some((_, State::Tracing)))
    }

    /// Returns the rate of the next trace.
    #[must_use]
    pub fn rate(&self) -> Rate {
        let Parts { always, rate, .. } = &self.parts;
        always.map_or(*rate, |always| always.rate)
    }

    /// Sets the rate of the next trace. Returns `false` if the profile is always on, because its rate is fixed.
    pub const fn set_rate(&mut self, rate: Rate) -> bool {
        if self.parts.always.is_some() {
            return false;
        }
        self.parts.rate = rate;
        true
    }

    /// Ends the trace that is running. Returns `true` if there is one.
    pub const fn stop(&mut self) -> bool {
        self.stop = self.is_tracing();
        self.stop
    }

    /// Returns the profile, if it is always on.
    #[must_use]
    pub const fn always(&self) -> Option<Always> {
        self.parts.always
    }

    /// Returns the service for one round.
    pub const fn serve<'s, 'r>(&'s mut self, round: Round<'r>) -> Serving<'s, 'a, 'r> {
        Serving { trace: self, round }
    }

    /// Follows the profile that is always on while no client is connected. Returns the latest time for the next call.
    pub fn follow(&mut self, now: Micros) -> Option<Micros> {
        let always = self.parts.always?;
        if self.client.is_none() {
            let live = &mut always.live.lock();
            live.set_behind(false);
            live::follow(self.parts.profile, live);
        }
        Some(now + TRACE_EVERY)
    }

    /// Forgets the client, whose connection is gone because the monitoring began again after a panic. Returns `false` if the
    /// panic left the blocks alive locked: then nothing can be traced any more, and a wait for them would never end.
    #[must_use]
    pub fn begin_again(&mut self) -> bool {
        (self.client, self.stop, self.waiting) = (None, false, None);
        self.entrance.clear();
        self.patience = None;
        self.stop_sampling();
        let Parts { always, .. } = &self.parts;
        always.is_none_or(|always| !always.live.is_locked())
    }

    /// Stops sampling, unless the profile is always on.
    fn stop_sampling(&self) {
        if self.parts.always.is_none() {
            self.parts.profile.stop();
        }
    }

    fn end(&mut self, events: &mut dyn FnMut(TraceEvent)) {
        self.client = None;
        self.stop = false;
        self.waiting = None;
        self.patience = None;
        self.stop_sampling();
        let (before, after) = (self.before, *self.counts());
        events(TraceEvent::Ended {
            allocs: after.allocs - before.allocs,
            frees: after.frees - before.frees,
            bytes: after.bytes - before.bytes,
            lost: after.lost - before.lost,
        });
    }
}

/// The service as commands use it.
pub struct Handle<'h, 'a>(RefCell<&'h mut Trace<'a>>);

impl<'h, 'a> Handle<'h, 'a> {
    /// Creates a handle to this service.
    pub const fn new(trace: &'h mut Trace<'a>) -> Self {
        Self(RefCell::new(trace))
    }
}

impl Profiler for Handle<'_, '_> {
    fn state(&self) -> ProfilerState {
        self.0.borrow().state()
    }

    fn set_rate(&self, rate: Rate) -> Result<(), ProfilerError> {
        let mut trace = self.0.borrow_mut();
        if trace.set_rate(rate) {
            Ok(())
        } else {
            Err(ProfilerError::AlwaysOn(trace.rate()))
        }
    }

    fn stop(&self) -> Result<(), ProfilerError> {
        let stopped = self.0.borrow_mut().stop();
        stopped.then_some(()).ok_or(ProfilerError::NoTrace)
    }

    fn is_always_on(&self) -> bool {
        self.0.borrow().always().is_some()
    }

    fn write_top(&self, out: &mut dyn fmt::Write, count: usize) -> fmt::Result {
        let mut trace = self.0.borrow_mut();
        let lost = trace.lost();
        let Parts { always, names, .. } = &mut trace.parts;
        let Some(Always { live, rate }) = always else {
            return Ok(());
        };
        report::write_top(out, &live.lock(), &lost, *rate, names, count)
    }
}

/// The trace service and what it needs.
pub struct Serving<'s, 'a, 'r> {
    trace: &'s mut Trace<'a>,
    round: Round<'r>,
}

impl Service for Serving<'_, '_, '_> {
    fn opened(&mut self, slot: usize, now: Micros) {
        if self.trace.entrance.opened(slot, now) && self.trace.client.is_none() {
            self.trace.client = Some((slot, State::Starting)); // 1
        }
    }

    fn gives_up(&mut self, _: Micros) -> Option<usize> {
        self.trace.entrance.gives_up()
    }

    fn closed(&mut self, slot: usize) {
        self.trace.entrance.closed(slot);
        match self.trace.client {
            Some((served, State::Starting)) if served == slot => self.trace.client = None,
            Some((served, _)) if served == slot => self.trace.end(self.round.events),
            _ => {}
        }
    }

    fn turned_away(&mut self) {
        self.refuse(|refused| TraceEvent::TurnedAway { refused });
    }

    fn turn(&mut self, slot: usize, now: Micros, stream: &mut dyn Stream) -> Step {
        if self.trace.entrance.is_knocking(slot) {
            if let Some(step) = self.trace.entrance.turn(slot, now, stream) {
                return step;
            }
            if self.trace.client.is_none() {
                self.trace.client = Some((slot, State::Starting)); // 1
            }
        }
        let Some((served, state)) = self.trace.client else {
            return Step::Close;
        };
        if served != slot {
            self.refuse(|refused| TraceEvent::Refused { refused });
            return Step::Close;
        }
        let said = stream.peek().len();
        stream.consume(said);
        let over = stream.ended() || said > 0;
        match state {
            State::Starting if over => {
                self.trace.client = None;
                Step::Close
            }
            State::Starting => self.start(slot, now),
            State::Tracing if over || self.trace.stop => {
                self.trace.stop_sampling();
                // 3
                let until = now + ENDING;
                self.trace.client = Some((slot, State::Ending { until }));
                self.finish(now, until, stream)
            }
            State::Tracing => match self.work(now, false, stream) {
                Progress::Waiting if self.is_too_slow(now) => Step::Abort, // 5
                Progress::More => Step::Stay(now),
                Progress::Idle | Progress::Waiting => Step::Stay(now + TRACE_EVERY),
            },
            State::Ending { until } => self.finish(now, until, stream),
        }
    }
}

impl Serving<'_, '_, '_> {
    /// Counts a client that gets no trace, and reports it.
    fn refuse(&mut self, event: impl FnOnce(u64) -> TraceEvent) {
        self.trace.refused += 1;
        let refused = self.trace.refused;
        if refused.is_power_of_two() {
            (self.round.events)(event(refused));
        }
    }

    fn start(&mut self, slot: usize, now: Micros) -> Step {
        let Trace { parts, before, .. } = &mut *self.trace;
        let Parts {
            profile,
            tracer,
            identity,
            rate,
            always,
            ..
        } = parts;
        // The seed may be known, but should differ each time.
        let seed = identity.pid ^ now.0;
        let rate = match always {
            Some(always) => always.rate,
            None => match profile.start(*rate, seed) {
                Ok(()) => *rate,
                Err(StartError::Busy) => return Step::Stay(now + TRACE_EVERY),
                Err(error) => {
                    (self.round.events)(TraceEvent::Failed(error));
                    self.trace.client = None;
                    return Step::Close;
                }
            },
        };
        *before = *tracer.counts();
        let unix_micros = u64::try_from(self.round.unix.0 / 1_000).unwrap_or(0);
        tracer.begin(
            &Info {
                start: UnixMicros(unix_micros),
                rate: rate.get(),
                executable: identity.executable,
                host: self.round.host,
                parameters: "",
                pid: identity.pid,
                context: identity.context,
            },
            now,
            always.is_some(),
        );
        self.trace.client = Some((slot, State::Tracing)); // 2
        (self.round.events)(TraceEvent::Began);
        Step::Stay(now)
    }

    fn work(&mut self, now: Micros, last: bool, stream: &mut dyn Stream) -> Progress {
        let Parts {
            profile,
            tracer,
            names,
            always,
            ..
        } = &mut self.trace.parts;
        let mut live = always.map(|always| always.live.lock());
        let progress = tracer.turn(now, last, *profile, live.as_deref_mut(), names, stream);
        let waiting = &mut self.trace.waiting;
        *waiting = (progress != Progress::Idle).then(|| waiting.unwrap_or(now));
        if let Some(live) = &mut live {
            live.set_behind(waiting.is_some_and(|since| now >= since + BEHIND));
        }
        let (packets, lost) = (tracer.packets(), profile.lost().ring_full);
        let patience = &mut self.trace.patience;
        *patience = (progress == Progress::Waiting)
            .then(|| Patience::follow(*patience, now, packets, lost));
        progress
    }

    /// Ends the trace if the client has kept its packet waiting for too long. Returns `true` if so.
    fn is_too_slow(&mut self, now: Micros) -> bool {
        let lost = self.trace.lost().ring_full;
        let counted = self.trace.parts.always.map(|_| lost);
        let over = |patience: &Patience| patience.is_over(now, counted);
        let Some(patience) = self.trace.patience.filter(over) else {
            return false;
        };
        self.trace.slow += 1;
        let (lost, slow) = (patience.lost(lost), self.trace.slow);
        (self.round.events)(TraceEvent::TooSlow { lost, slow });
        self.trace.end(self.round.events);
        true
    }

    fn finish(&mut self, now: Micros, until: Micros, stream: &mut dyn Stream) -> Step {
        let progress = self.work(now, true, stream);
        let step = match progress {
            Progress::Idle => Step::Close,
            Progress::Waiting if self.is_too_slow(now) => return Step::Abort, // 5
            _ if now >= until => Step::Abort,
            Progress::More => return Step::Stay(now),
            Progress::Waiting => return Step::Stay(until.min(now + TRACE_EVERY)),
        };
        self.trace.end(self.round.events); // 4
        step
    }
}
