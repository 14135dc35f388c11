use std::collections::BTreeMap;

use agent::config::parse_token;
use agent::door::Lock;
use agent::trace::{Always, Identity, Parts, Round, Trace, TraceEvent};
use agent::trace::{LiveSites, Names, Tracer};
use heap_profiler::{DEFAULT_RING_BYTES, HeapProfile, MIN_RING_BYTES, Rate};
use hmac::{Hmac, KeyInit as _, Mac as _};
use memtrace_reader::{Kind, whole};
use network::bounds::{BEHIND, ENDING, PROVE_WITHIN, TRACE_EVERY, TRACE_SLOW, TRACE_STALL};
use network::{Service, Step, Stream};
use sha2::Sha256;
use units::{Micros, UnixNanos};

use crate::stream::FakeStream;
use crate::traced_heap::{Heap, set_ticks};

const BOOT: i64 = 1_700_000_000_000_000_000;

struct Port {
    trace: Trace<'static>,
    events: Vec<TraceEvent>,
    now: Micros,
}

impl Port {
    fn new(heap: &Heap, rate: f64) -> Self {
        Self::with(heap, rate, None, None)
    }

    /// Creates a port with the profile always on, at rate 1. Returns it with the blocks alive.
    fn always_on(heap: &Heap) -> (Self, &'static spin::Mutex<LiveSites>) {
        let rate = Rate::ALL;
        let live = LiveSites::new(heap.profiled.slots()).expect("memory");
        let live: &_ = Box::leak(Box::new(spin::Mutex::new(live)));
        let port = Self::with(heap, rate.get(), Some(Always { live, rate }), None);
        heap.profiled.start(rate, 1).expect("begins");
        (port, live)
    }

    fn guarded(heap: &Heap) -> Self {
        Self::with(heap, 1.0, None, Some("sesame"))
    }

    fn with(heap: &Heap, rate: f64, always: Option<Always>, token: Option<&str>) -> Self {
        let profile = heap.profiled;
        let trace = Trace::new(Parts {
            profile,
            profile_bytes: 0,
            tracer: Tracer::new(profile.slots()).expect("memory"),
            names: Names::new(None),
            identity: Identity {
                executable: "app.elf",
                context: "a test",
                pid: 77,
            },
            rate: Rate::new(rate).expect("a rate"),
            always,
            lock: Lock {
                token: token.map(|token| parse_token(token).expect("a token")),
                plain: false,
                key: [7; 32],
            },
        });
        set_ticks(0);
        Self {
            trace,
            events: Vec::new(),
            now: Micros::ZERO,
        }
    }

    fn call<R>(&mut self, call: impl FnOnce(&mut dyn Serve, Micros) -> R) -> R {
        let events = &mut self.events;
        let round = Round {
            host: "web",
            unix: UnixNanos(BOOT + self.now.0 as i64 * 1_000),
            events: &mut |event| events.push(event),
        };
        call(&mut self.trace.serve(round), self.now)
    }

    fn open(&mut self, slot: usize) {
        self.call(|service, now| service.opened(slot, now));
    }

    fn turn(&mut self, slot: usize, stream: &mut FakeStream) -> Step {
        self.call(|service, now| service.turn(slot, now, stream))
    }

    fn pass(&mut self, span: Micros) {
        self.now += span;
        set_ticks(self.now.0);
    }

    /// Runs turns until the service waits for time or for the client.
    fn settle(&mut self, slot: usize, stream: &mut FakeStream) -> Step {
        for _ in 0..10_000 {
            match self.turn(slot, stream) {
                Step::Stay(until) if until <= self.now => {}
                step => return step,
            }
        }
        panic!("the service never waits");
    }

    /// Closes the client's half, and runs turns until the service has closed the other.
    fn finish(&mut self, slot: usize, stream: &mut FakeStream) {
        stream.peer_closed = true;
        assert_eq!(self.settle(slot, stream), Step::Close);
    }
}

/// The service without its lifetimes.
trait Serve {
    fn opened(&mut self, slot: usize, now: Micros);
    fn closed(&mut self, slot: usize);
    fn turn(&mut self, slot: usize, now: Micros, stream: &mut FakeStream) -> Step;
}

impl<S: Service> Serve for S {
    fn opened(&mut self, slot: usize, now: Micros) {
        Service::opened(self, slot, now);
    }
    fn closed(&mut self, slot: usize) {
        Service::closed(self, slot);
    }
    fn turn(&mut self, slot: usize, now: Micros, stream: &mut FakeStream) -> Step {
        Service::turn(self, slot, now, stream)
    }
}

/// The totals of a trace.
#[derive(Debug, Default, PartialEq, Eq)]
struct Sum {
    allocs: u64,
    frees: u64,
    words: u64,
    hits: u64,
    /// Hits of blocks that were not freed.
    live: u64,
    /// Hits under the frame for lost allocations.
    lost: u64,
    last_time: u64,
}

fn read(stream: &[u8]) -> Sum {
    assert_eq!(whole(stream).end, stream.len(), "whole packets only");
    let mut trace = memtrace_reader::Trace::new(stream).expect("a trace");
    assert_eq!(trace.info().host.to_string(), "web");
    let (mut sum, mut alive) = (Sum::default(), BTreeMap::new());
    while let Some(event) = trace.next_event().expect("strictly a trace") {
        sum.last_time = event.since_start;
        match event.kind {
            Kind::Alloc(alloc) => {
                sum.allocs += 1;
                sum.words += alloc.length;
                sum.hits += alloc.samples;
                let name = format!("{:?}", alloc.stack);
                if name.contains("[lost: ") {
                    sum.lost += alloc.samples;
                }
                alive.insert(alloc.id, alloc.samples);
            }
            Kind::Collect(id) => {
                sum.frees += 1;
                assert!(alive.remove(&id).is_some(), "freed twice");
            }
            Kind::Location(_) => {}
            Kind::Promote(_) => panic!("nothing is promoted"),
        }
    }
    sum.live = alive.values().sum();
    sum
}

#[test]
fn at_rate_one_every_allocation_and_every_free_is_told_once() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    heap.work(500);
    let alive = heap.alive();
    let mut port = Port::new(&heap, 1.0);
    let mut stream = FakeStream::default();
    port.open(2);
    port.settle(2, &mut stream);
    let before = heap.words;
    let (mut allocs, mut frees) = (heap.allocs, heap.frees);
    for _ in 0..200 {
        heap.work(100);
        port.pass(TRACE_EVERY);
        port.settle(2, &mut stream);
    }
    port.finish(2, &mut stream);
    allocs = heap.allocs - allocs;
    frees = heap.frees - frees;
    let sum = read(&stream.sent);
    assert_eq!(
        (sum.allocs, sum.words, sum.hits),
        (allocs, heap.words - before, heap.words - before)
    );
    // The trace does not know the blocks that were alive before it.
    let known = frees - sum.frees;
    assert!(
        known <= alive as u64,
        "{known} unknown frees, {alive} blocks"
    );
    assert!(sum.live <= heap.live_words());
    assert_eq!(sum.lost, 0);
    assert!(matches!(
        port.events[..],
        [TraceEvent::Began, TraceEvent::Ended { lost: 0, .. }]
    ));
}

/// Takes the challenge, and returns the line that answers it with this token.
fn answer(port: &mut Port, slot: usize, stream: &mut FakeStream, token: &str) -> String {
    port.turn(slot, stream);
    let reply = String::from_utf8(core::mem::take(&mut stream.sent)).expect("text");
    let challenge = reply.strip_prefix("ok: ").expect("a challenge").trim_end();
    assert!(challenge.starts_with("memtrace "), "{challenge}");
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).expect("a key");
    mac.update(challenge.as_bytes());
    let proof = mac.finalize().into_bytes();
    let proof: String = proof.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("auth {proof}\n")
}

#[test]
fn with_a_token_a_trace_begins_after_the_proof_and_not_a_byte_before() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::guarded(&heap);
    let mut stream = FakeStream::default();
    port.open(1);
    let line = answer(&mut port, 1, &mut stream, "sesame");
    assert!(!port.trace.is_tracing());
    stream.arrive(line.as_bytes());
    port.settle(1, &mut stream);
    assert!(port.trace.is_tracing());
    heap.work(100);
    port.finish(1, &mut stream);
    assert!(
        read(&stream.sent).allocs > 0,
        "the stream is a trace from its first byte"
    );
}

#[test]
fn without_the_token_there_is_one_line_and_no_trace() {
    let heap = Heap::new(DEFAULT_RING_BYTES);
    for (line, reply) in [
        (
            "GET / HTTP/1.1\r\n",
            "error: the first line must be auth and the token\n",
        ),
        (
            "auth sesame\n",
            "error: the token is not taken in the clear",
        ),
        ("", "error: no token in time\n"),
    ] {
        let mut port = Port::guarded(&heap);
        let mut stream = FakeStream::default();
        port.open(0);
        stream.arrive(line.as_bytes());
        port.turn(0, &mut stream);
        port.pass(PROVE_WITHIN);
        let step = port.turn(0, &mut stream);
        assert_eq!(step, Step::Close);
        let sent = String::from_utf8(stream.sent).expect("text");
        let (challenge, said) = sent.split_once('\n').expect("a challenge");
        assert!(challenge.starts_with("ok: memtrace "), "{sent:?}");
        assert!(said.starts_with(reply), "{line:?}: {said:?}");
        assert_eq!(said.lines().count(), 1);
        assert!(port.events.is_empty() && !port.trace.is_tracing());
    }
    let mut port = Port::guarded(&heap);
    let mut stream = FakeStream::default();
    port.open(0);
    let line = answer(&mut port, 0, &mut stream, "guess");
    stream.arrive(line.as_bytes());
    assert_eq!(port.turn(0, &mut stream), Step::Close);
    assert_eq!(stream.sent, b"error: wrong token\n");
}

#[test]
fn from_an_empty_heap_what_is_alive_in_the_trace_is_what_is_alive() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    let mut stream = FakeStream::default();
    port.open(0);
    port.settle(0, &mut stream);
    for _ in 0..50 {
        heap.work(77);
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
    }
    port.finish(0, &mut stream);
    let sum = read(&stream.sent);
    assert_eq!((sum.allocs, sum.frees), (heap.allocs, heap.frees));
    assert_eq!(sum.live, heap.live_words());
}

#[test]
fn a_client_that_takes_a_byte_at_a_time_gets_the_same() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    let mut stream = FakeStream {
        write_limit: Some(1),
        ..FakeStream::default()
    };
    port.open(0);
    port.settle(0, &mut stream);
    heap.work(300);
    port.pass(Micros::from_millis(250));
    stream.peer_closed = true;
    let mut turns = 0;
    while port.turn(0, &mut stream) != Step::Close {
        turns += 1;
        assert!(turns < 100_000, "the trace does not end");
    }
    let sum = read(&stream.sent);
    assert_eq!(
        (sum.allocs, sum.frees, sum.live),
        (heap.allocs, heap.frees, heap.live_words())
    );
}

#[test]
fn an_event_leaves_within_a_quarter_of_a_second() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    let mut stream = FakeStream::default();
    port.open(0);
    port.settle(0, &mut stream);
    let first = stream.sent.len();
    assert!(first > 66, "the first packet is sent at once");
    heap.alloc(100);
    let mut waited = Micros::ZERO;
    while stream.sent.len() == first {
        port.pass(TRACE_EVERY);
        waited += TRACE_EVERY;
        port.settle(0, &mut stream);
        assert!(waited <= Micros::from_millis(260), "{waited}");
    }
    assert_eq!(read(&stream.sent).allocs, 1);
    let sent = stream.sent.len();
    for _ in 0..100 {
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
    }
    assert_eq!(
        stream.sent.len(),
        sent,
        "nothing is sent while nothing happens"
    );
}

#[test]
fn a_client_that_does_not_read_costs_no_total_and_the_trace_stays_whole() {
    let mut heap = Heap::new(MIN_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    let mut stream = FakeStream {
        buffer: Some(8_192),
        ..FakeStream::default()
    };
    port.open(0);
    port.settle(0, &mut stream);
    // Not quite TRACE_STALL.
    for _ in 0..5_900 {
        heap.work(50);
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
    }
    assert_eq!(stream.sent.len(), 8_192, "the client has taken nothing");
    for _ in 0..1_000 {
        stream.acknowledge();
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
    }
    heap.work(5);
    stream.peer_closed = true;
    for _ in 0..100 {
        stream.acknowledge();
        if port.settle(0, &mut stream) == Step::Close {
            break;
        }
    }
    let sum = read(&stream.sent);
    assert!(sum.lost > 0);
    assert_eq!(sum.hits, heap.words, "lost weight included");
    let told = port.trace.lost();
    assert_eq!(told.hits, sum.lost);
    // The blocks that the trace shows alive are alive: no free was lost.
    assert!(
        sum.live <= heap.live_words(),
        "{} of {}",
        sum.live,
        heap.live_words()
    );
}

#[test]
fn a_word_of_the_client_or_its_close_or_its_reset_ends_the_trace() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    for end in 0..3 {
        let mut stream = FakeStream::default();
        port.open(end);
        port.settle(end, &mut stream);
        assert!(heap.profiled.is_sampling() && port.trace.is_tracing());
        heap.work(10);
        match end {
            0 => stream.arrive(b"x"),
            1 => stream.peer_closed = true,
            _ => port.call(|service, _| service.closed(end)),
        }
        if end < 2 {
            assert_eq!(port.settle(end, &mut stream), Step::Close);
            assert!(read(&stream.sent).allocs > 0);
        }
        assert!(!heap.profiled.is_sampling() && !port.trace.is_tracing());
        assert!(matches!(port.events.last(), Some(TraceEvent::Ended { .. })));
    }
}

#[test]
fn a_second_client_is_closed_and_the_log_says_why_and_the_first_goes_on() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    let (mut first, mut second) = (FakeStream::default(), FakeStream::default());
    port.open(0);
    port.settle(0, &mut first);
    port.open(1);
    assert_eq!(port.turn(1, &mut second), Step::Close);
    assert_eq!(second.sent, b"");
    assert_eq!(
        port.events.last().expect("an event").to_string(),
        "a second client of the memtrace port was closed, another one gets a trace, refusal 1"
    );
    heap.work(10);
    port.finish(0, &mut first);
    assert!(read(&first.sent).allocs > 0);
    port.open(1);
    port.settle(1, &mut second);
    assert!(port.trace.is_tracing());
}

#[test]
fn a_thousand_clients_leave_nothing_behind() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 0.01);
    for n in 0..1_000 {
        let mut stream = FakeStream::default();
        port.open(n % 3);
        port.settle(n % 3, &mut stream);
        let (words, allocs) = (heap.words, heap.allocs);
        heap.work(100);
        port.pass(TRACE_EVERY);
        if n % 5 == 4 {
            port.call(|service, _| service.closed(n % 3));
        } else {
            port.finish(n % 3, &mut stream);
            let sum = read(&stream.sent);
            assert!(sum.hits <= heap.words - words && sum.allocs <= heap.allocs - allocs);
        }
        heap.work(100);
        assert!(!heap.profiled.is_sampling());
    }
    assert_eq!(port.trace.counts().traces, 1_000);
    assert_eq!(port.trace.lost().hits, 0);
}

#[test]
fn a_client_that_never_takes_the_end_is_dropped() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    let mut stream = FakeStream {
        buffer: Some(100),
        ..FakeStream::default()
    };
    port.open(0);
    port.settle(0, &mut stream);
    heap.work(100);
    stream.arrive(b"\n");
    assert!(matches!(port.settle(0, &mut stream), Step::Stay(_)));
    port.pass(ENDING);
    assert_eq!(port.settle(0, &mut stream), Step::Abort);
    assert!(!port.trace.is_tracing());
}

#[test]
fn with_the_profile_always_on_a_trace_begins_with_what_is_alive() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let (mut port, live) = Port::always_on(&heap);
    for _ in 0..20 {
        heap.work(50);
        port.pass(TRACE_EVERY);
        assert!(port.trace.follow(port.now).is_some());
    }
    assert_eq!(live.lock().hits(), heap.live_words());
    for _ in 0..2 {
        let mut stream = FakeStream::default();
        let before = (heap.alive() as u64, heap.allocs, heap.frees);
        port.open(0);
        port.settle(0, &mut stream);
        heap.work(1_000);
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
        port.finish(0, &mut stream);
        let sum = read(&stream.sent);
        assert_eq!(sum.allocs, before.0 + heap.allocs - before.1);
        assert_eq!(sum.frees, heap.frees - before.2);
        assert_eq!(sum.live, heap.live_words());
        assert!(heap.profiled.is_sampling(), "sampling continues");
        assert_eq!(live.lock().hits(), heap.live_words());
    }
    assert!(
        !port.trace.set_rate(Rate::ALL),
        "the profile's rate is fixed"
    );
}

#[test]
fn what_is_alive_is_said_to_be_behind_while_a_client_holds_it_up() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let (mut port, live) = Port::always_on(&heap);
    let mut stream = FakeStream {
        buffer: Some(8_192),
        ..FakeStream::default()
    };
    port.open(0);
    let mut behind = Vec::new();
    while port.now < BEHIND + BEHIND {
        heap.work(20);
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
        behind.push(live.lock().is_behind());
    }
    let first = behind
        .iter()
        .position(|behind| *behind)
        .expect("the warning is shown");
    assert!(
        first as u64 * TRACE_EVERY.0 >= BEHIND.0,
        "not at once: {first}"
    );
    assert!(behind[first..].iter().all(|behind| *behind));
    // It is not enough that the client takes a part.
    stream.acknowledge();
    port.settle(0, &mut stream);
    assert!(live.lock().is_behind());
    while live.lock().is_behind() {
        stream.acknowledge();
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
        assert!(
            port.now < Micros(10 * BEHIND.0),
            "the trace does not catch up"
        );
    }
    assert_eq!(port.trace.lost().hits, 0, "the ring has held all records");
    assert_eq!(live.lock().hits(), heap.live_words());
}

/// Works with a client that takes `bytes` every TRACE_EVERY, until it is reset. Returns the time since it kept a packet waiting
/// for the first time.
fn until_reset(port: &mut Port, heap: &mut Heap, work: usize, bytes: usize) -> Micros {
    let mut stream = FakeStream {
        buffer: Some(8_192),
        ..FakeStream::default()
    };
    port.open(0);
    let mut full = None;
    for _ in 0..100_000 {
        heap.work(work);
        port.pass(TRACE_EVERY);
        if port.settle(0, &mut stream) == Step::Abort {
            return port.now - full.expect("it was full before");
        }
        if stream.unacknowledged() == 8_192 {
            full.get_or_insert(port.now);
        }
        stream.acknowledge_some(bytes);
    }
    panic!("the client is never reset");
}

#[test]
fn a_client_that_does_not_read_for_long_is_reset_and_the_next_one_is_served() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    assert_eq!(until_reset(&mut port, &mut heap, 50, 0), TRACE_STALL);
    let [
        ..,
        TraceEvent::TooSlow { lost, slow: 1 },
        TraceEvent::Ended { .. },
    ] = port.events[..]
    else {
        panic!("{:?}", port.events);
    };
    assert!(lost > 0 && lost <= port.trace.lost().ring_full);
    assert_eq!(port.trace.state().slow, 1);
    assert!(!heap.profiled.is_sampling());
    let mut stream = FakeStream::default();
    port.open(1);
    port.settle(1, &mut stream);
    heap.work(10);
    port.finish(1, &mut stream);
    assert!(read(&stream.sent).allocs > 0);
}

#[test]
fn a_client_that_takes_a_few_bytes_at_a_time_cannot_hold_the_place_either() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    // 200 bytes a second.
    let took = until_reset(&mut port, &mut heap, 50, 2);
    assert!(took <= TRACE_STALL + TRACE_STALL, "{took}");
    // 10 kB a second are a slow client, but one that reads.
    let (mut stream, end) = (
        FakeStream {
            buffer: Some(8_192),
            ..FakeStream::default()
        },
        port.now + TRACE_STALL + TRACE_STALL,
    );
    port.open(0);
    while port.now < end {
        heap.work(50);
        port.pass(TRACE_EVERY);
        assert!(matches!(port.settle(0, &mut stream), Step::Stay(_)));
        stream.acknowledge_some(100);
    }
}

#[test]
fn with_the_profile_always_on_a_client_that_does_not_read_is_reset_and_the_profile_goes_on() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let (mut port, live) = Port::always_on(&heap);
    let took = until_reset(&mut port, &mut heap, 200, 0);
    assert!(
        took >= TRACE_SLOW && took <= TRACE_SLOW + BEHIND + BEHIND,
        "{took}"
    );
    let lost = port.trace.lost();
    assert!(lost.ring_full > 0, "what was not recorded is told");
    assert!(
        port.events.contains(&TraceEvent::TooSlow {
            lost: lost.ring_full,
            slow: 1
        }),
        "{:?}",
        port.events
    );
    // From here on nothing is lost. What waited in the ring is taken in a few turns, then each change is known at once.
    for _ in 0..100 {
        port.trace.follow(port.now);
    }
    let (known, words) = (live.lock().hits(), heap.live_words());
    heap.alloc(1_000);
    port.trace.follow(port.now);
    assert_eq!(live.lock().hits() - known, heap.live_words() - words);
    assert!(heap.live_words() > words && !live.lock().is_behind());
    assert_eq!(port.trace.lost(), lost);
}

#[test]
fn with_the_profile_always_on_a_client_has_time_while_nothing_is_lost() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let (mut port, _) = Port::always_on(&heap);
    let mut stream = FakeStream {
        buffer: Some(8_192),
        ..FakeStream::default()
    };
    port.open(0);
    heap.work(200);
    let end = port.now + TRACE_SLOW + TRACE_SLOW;
    while port.now < end {
        port.pass(TRACE_EVERY);
        assert!(matches!(port.settle(0, &mut stream), Step::Stay(_)));
    }
    assert_eq!(port.trace.lost().ring_full, 0);
}

#[test]
fn a_client_does_not_inherit_what_waited_for_the_one_before() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let (mut port, live) = Port::always_on(&heap);
    let stalled = || FakeStream {
        buffer: Some(64),
        ..FakeStream::default()
    };
    for _ in 0..2 {
        let mut stream = stalled();
        port.open(0);
        heap.work(200);
        port.settle(0, &mut stream);
        assert!(
            !live.lock().is_behind(),
            "the service has only just begun to wait"
        );
        port.pass(BEHIND + TRACE_EVERY);
        port.settle(0, &mut stream);
        assert!(live.lock().is_behind());
        port.call(|service, _| service.closed(0));
        port.trace.follow(port.now);
        assert!(!live.lock().is_behind());
    }
}

#[test]
fn what_was_lost_stands_under_the_name_of_its_cause() {
    // More blocks are alive than there are slots, and the consumer keeps up.
    let mut heap = Heap::new(MIN_RING_BYTES);
    let mut port = Port::new(&heap, 1.0);
    let mut stream = FakeStream::default();
    port.open(0);
    port.settle(0, &mut stream);
    let slots = heap.profiled.slots() as u64;
    while port.trace.lost().live_full == 0 {
        heap.alloc(8);
        port.pass(TRACE_EVERY);
        port.settle(0, &mut stream);
    }
    assert!(heap.alive() as u64 <= slots + 1);
    let told = port.trace.lost();
    assert_eq!((told.ring_full, told.live_full), (0, 1));
    port.finish(0, &mut stream);
    let names = String::from_utf8_lossy(&stream.sent);
    assert!(names.contains("[lost: too many alive]"));
    assert!(!names.contains("[lost: ring full]"));
}

#[test]
fn the_rate_is_that_of_the_next_trace_and_a_trace_can_be_stopped() {
    let mut heap = Heap::new(DEFAULT_RING_BYTES);
    let mut port = Port::new(&heap, 0.5);
    assert!(!port.trace.stop(), "no trace is running");
    let mut stream = FakeStream::default();
    port.open(0);
    port.settle(0, &mut stream);
    assert!(port.trace.set_rate(Rate::ALL));
    heap.work(10);
    assert!(port.trace.stop());
    assert_eq!(port.settle(0, &mut stream), Step::Close);
    let trace = memtrace_reader::Trace::new(&stream.sent).expect("a trace");
    assert_eq!(trace.info().rate, 0.5);
    let mut stream = FakeStream::default();
    port.open(0);
    port.settle(0, &mut stream);
    let trace = memtrace_reader::Trace::new(&stream.sent).expect("a trace");
    assert_eq!(trace.info().rate, 1.0);
}
