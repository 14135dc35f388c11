//! What counting and sampling add to an allocator: `RUSTFLAGS="-C force-frame-pointers=yes" cargo bench -p monitoring --bench heap`.
//!
//! All variants of a case run in turns, and what is printed is the median over the rounds of the difference to, or the ratio
//! with, the same round of the plain allocator: a shared machine has bad moments, but they hit neighbours alike. Draining is
//! not timed: it is the consumer's.
//!
//! Beside the hook stands what cannot be had for less: the four exact counts alone, and as many instructions as the hook has that do
//! nothing at all.
#![expect(unsafe_code, reason = "calls allocators")]

mod allocators;
mod measure;
mod profiled;
mod workload;

use core::alloc::GlobalAlloc;
use core::cell::RefCell;
use std::alloc::System;

use allocators::{Counting, Idle, talc};
use measure::{Figures, Variant, measure, plain, print};
use monitoring::heap::HeapProfile;
use profiled::{drain, profiled, start};
use workload::{Mixed, deep, deep_mixed};

/// Depth of calls, beside those of the benchmark itself.
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

fn mixed_cases<A>(make: fn() -> A, rates: &[(&'static str, Option<f64>)]) -> Vec<Figures>
where
    A: GlobalAlloc + Sync + 'static,
{
    let heap: &'static A = Box::leak(Box::new(make()));
    let mut mixed = Mixed::new(heap);
    let mut variants = vec![plain("plain", move |times| {
        deep_mixed(&mut mixed, heap, times, FRAMES - 9);
    })];
    for &(name, rate) in rates {
        let heap = profiled(make(), rate);
        let mut mixed = Mixed::new(heap);
        variants.push(Variant {
            name,
            prepare: Box::new(|| ()),
            run: Box::new(move |times| {
                deep_mixed(&mut mixed, heap, times, FRAMES - 9);
            }),
            drain: Box::new(move || drain(heap)),
        });
    }
    let heap: &'static Counting<A> = Box::leak(Box::new(Counting::new(make())));
    let mut mixed = Mixed::new(heap);
    variants.push(plain("four counts alone", move |times| {
        deep_mixed(&mut mixed, heap, times, FRAMES - 9);
    }));
    // The same once more: what the place of the blocks in memory makes of it, and so what a difference means.
    let heap: &'static A = Box::leak(Box::new(make()));
    let mut mixed = Mixed::new(heap);
    variants.push(plain("plain, again", move |times| {
        deep_mixed(&mut mixed, heap, times, FRAMES - 9);
    }));
    measure(4_000, &mut variants)
}

/// What a sample costs in the midst of other work: one heap and one set of blocks for all rates, so that nothing but the
/// session differs.
fn sample_cases<A>(make: fn() -> A, rates: &[(&'static str, Option<f64>)]) -> Vec<Figures>
where
    A: GlobalAlloc + Sync + 'static,
{
    let heap = profiled(make(), None);
    let mixed = RefCell::new(Mixed::new(heap));
    let run = |times| {
        deep_mixed(&mut mixed.borrow_mut(), heap, times, FRAMES - 10);
    };
    let mut variants: Vec<_> = rates
        .iter()
        .map(|&(name, rate)| Variant {
            name,
            prepare: Box::new(move || {
                start(heap, rate);
                // Each block is replaced twice: those that are sampled are freed as often as they are allocated.
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
    profiled::init();
    // `cargo bench` adds `--bench`; what else is given names the cases to run.
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
    case("mixed: 10,000 blocks of 8 bytes to 8 KiB, System", &|| {
        mixed_cases(|| System, &rates)
    });
    case("mixed: 10,000 blocks of 8 bytes to 8 KiB, talc", &|| {
        mixed_cases(talc, &rates)
    });
    case("a sample in the mixed workload, System", &|| {
        sample_cases(|| System, &rates)
    });
    case("a sample in the mixed workload, talc", &|| {
        sample_cases(talc, &rates)
    });
}
