//! The cost that counting and sampling add to an allocator: `RUSTFLAGS="-C force-frame-pointers=yes" cargo bench -p
//! heap-profiler --features talc --bench heap`.
//!
//! All variants of a case run in turns. The output is the median over the rounds of the difference to, or the ratio
//! with, the same round of the plain allocator: a shared machine has slow moments, but they hit neighbouring turns
//! alike. The time does not include draining, which is the consumer's work.
//!
//! `compare-heap` uses parts of this to measure a whole program's allocations beside other profilers.
//!
//! Two variants show the lower bounds of the hook: the four exact counts alone, and as many idle instructions as the
//! hook has.
#![expect(unsafe_code, reason = "calls allocators")]

mod counting;
mod idle;
mod measure;
mod mixed;
mod profiled;
mod program;
mod talc;
mod tight;

use core::alloc::GlobalAlloc;
use core::cell::RefCell;
use std::alloc::System;

use heap_profiler::HeapProfile;

use counting::Counting;
use idle::Idle;
use measure::{Figures, Variant, measure, plain, print};
use mixed::Mixed;
use profiled::{drain, profiled, start};
use tight::deep;

/// Depth of calls, in addition to those of the benchmark.
const FRAMES: usize = 16;

fn tight_cases(
    turn: usize,
    size: usize,
    depth: usize,
    rates: &[(&'static str, Option<f64>)],
) -> Vec<Figures> {
    let mut variants = vec![plain("plain", move |times| {
        deep(&System, times, size, depth);
    })];
    for &(name, rate) in rates {
        let heap = profiled(System, rate);
        variants.push(Variant {
            name,
            prepare: Box::new(|| ()),
            run: Box::new(move |times| {
                deep(heap, times, size, depth);
            }),
            drain: Box::new(move || drain(heap)),
        });
    }
    let counting: &'static Counting<System> = Box::leak(Box::new(Counting::new(System)));
    variants.push(plain("four counts alone", move |times| {
        deep(counting, times, size, depth);
    }));
    variants.push(plain("22 idle instructions", move |times| {
        deep(&Idle, times, size, depth);
    }));
    measure(turn, &mut variants)
}

/// Measures a sample in the midst of other work. All rates use one heap and one set of blocks, so that only the session
/// differs.
fn sample_cases<A>(make: fn() -> A, rates: &[(&'static str, Option<f64>)]) -> Vec<Figures>
where
    A: GlobalAlloc + Sync + 'static,
{
    let heap = profiled(make(), None);
    let mixed = RefCell::new(Mixed::new(heap));
    let run = |times| {
        mixed.borrow_mut().replace(heap, times, FRAMES - 10);
    };
    let mut variants: Vec<_> = rates
        .iter()
        .map(|&(name, rate)| Variant {
            name,
            prepare: Box::new(move || {
                start(heap, rate);
                // Each block is replaced twice, so sampled blocks are freed as often as they are allocated.
                for _ in 0..5 {
                    run(4_000);
                    drain(heap);
                }
            }),
            run: Box::new(run),
            drain: Box::new(|| {
                let recorded = drain(heap);
                heap.stop();
                recorded
            }),
        })
        .collect();
    measure(4_000, &mut variants)
}

fn main() {
    // `cargo bench` adds `--bench`; all other arguments are names of cases to run.
    let wanted: Vec<String> = std::env::args()
        .skip(1)
        .filter(|it| it != "--bench")
        .collect();
    let case = |name: &str, figures: &dyn Fn() -> Vec<Figures>| {
        if wanted.is_empty() || wanted.iter().any(|it| name.contains(it.as_str())) {
            print(name, &figures());
        }
    };
    let rates = [("off", None), ("1e-4", Some(1e-4))];
    case("64 bytes, allocated and freed in a loop", &|| {
        tight_cases(20_000, 64, 0, &rates)
    });
    let every = [("off", None), ("every one", Some(1.0))];
    case("8 bytes in a loop, each sampled with its stack", &|| {
        tight_cases(1_000, 8, FRAMES - 11, &every)
    });
    let rates = [("off", None), ("1e-4", Some(1e-4)), ("1e-3", Some(1e-3))];
    case("a sample in the mixed workload, System", &|| {
        sample_cases(|| System, &rates)
    });
    case("a sample in the mixed workload, talc", &|| {
        let make = || {
            let heap = talc::Heap::new();
            assert!(heap.claim(talc::region()));
            heap
        };
        sample_cases(make, &rates)
    });
}
