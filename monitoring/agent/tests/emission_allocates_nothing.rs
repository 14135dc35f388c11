//! 10,000 fields in 1,000 series are pushed, encoded and queued without an allocation.

use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;
use std::alloc::System;

use agent::emit::{Emission, EncodeCounts, Sink};
use agent::sources::{self, Readings};
use heap_profiler::HeapStats;
use metrics::line::Value;
use metrics::{self, Counter, FieldDef, FieldList, Histogram, KeyedCounter, Points, Source};
use network::bounds::{ON_THE_WAY_BYTES, QUEUE_BYTES};
use network::outbox::Outbox;
use units::UnixNanos;

/// Counts the allocations of each thread.
struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: both methods pass their arguments on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static HEAP: Counting = Counting;

const NAMES: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
static LOAD: Points<2, 10> = Points::new("load", "a test", &["route", "method"], {
    let mut fields = [FieldDef::u64("", "", "a number"); 10];
    let mut at = 0;
    while at < fields.len() {
        fields[at].name = NAMES[at];
        at += 1;
    }
    fields
});
static SIZES: Histogram = Histogram::new("sizes", "a test");
static REPLIES: KeyedCounter = KeyedCounter::new("replies", "a test");
static HITS: Counter = Counter::new("hits", "a test");

#[test]
fn pushing_and_emitting_allocates_nothing() {
    let mut memory = [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]];
    let [waiting, on_the_way] = &mut memory;
    let mut outbox = Outbox::new(waiting, on_the_way);
    let routes: Vec<String> = (0..1_000)
        .map(|number| format!("/route {number}"))
        .collect();
    let registry = metrics::registry();
    let mut counts = EncodeCounts::default();
    // This heap reports its size, so that every built-in source has a line.
    let readings = Readings {
        heap: HeapStats {
            size_bytes: 1 << 20,
            ..HeapStats::default()
        },
        ..Readings::default()
    };
    let mut emission = Emission::new();

    let before = ALLOCATIONS.with(Cell::get);
    sources::register(registry, true);
    for round in 0..3 {
        for route in &routes {
            LOAD.push([route, "GET"], [Value::U64(u64::MAX >> 1); 10]);
            REPLIES.add("200", 1);
            SIZES.record(round * 1_000);
            HITS.add(1);
        }
        // No receiver takes this line, so the emission does not wait: the oldest lines are lost and counted.
        outbox.push(b"first v=1i 1\n");
        emission.begin(
            round,
            UnixNanos(1_700_000_000_000_000_000),
            registry,
            &outbox,
        );
        while emission.is_running() {
            let mut sink = Sink {
                vm: "test",
                outbox: &mut outbox,
                counts: &mut counts,
            };
            let told = |source: &Source, fields: &mut FieldList<'_>| {
                sources::tell(source, &readings, fields);
            };
            emission.step(registry, &told, &mut sink);
        }
    }
    let after = ALLOCATIONS.with(Cell::get);

    assert_eq!(after - before, 0);
    assert!(before > 1_000, "allocations are counted");
    assert_eq!((HITS.get(), REPLIES.total()), (3_000, 3_000));
    // Each round: one line here, 1,000 series, 3 sources, and the built-in ones except `clock`, which has no values.
    let written = outbox.lines_waiting() as u64 + outbox.counts().lines_lost();
    assert_eq!(
        written,
        3 * (1 + 1_000 + 3 + sources::ALL.len() as u64 + sources::OF_THE_MACHINE.len() as u64 - 1)
    );
    assert_eq!(registry.series().counts().series, 1_000);
}
