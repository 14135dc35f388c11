//! What heap profilers add to their allocators: a mixed workload, all in one run, in turns.
//!
//! `cargo run --release --manifest-path monitoring/compare-heap/Cargo.toml`
//!
//! Each figure is the median over the rounds of the ratio with the same round of the allocator underneath. jemalloc is told its
//! settings when it starts, so it is run in processes of its own, one for each.
#![expect(unsafe_code, reason = "calls allocators")]

use core::alloc::{GlobalAlloc, Layout};
use core::ops::ControlFlow;
use std::alloc::System;
use std::process::Command;
use std::time::Instant;

use monitoring::heap::{DEFAULT_RING_BYTES, HeapProfile, Machine, Profiled, Rate, Settings};

const ROUNDS: usize = 301;
const WARM_UP: usize = 20;
const TURN: usize = 2_000;
/// Tells jemalloc's process to run jemalloc's case.
const JEMALLOC: &str = "jemalloc";

/// 10,000 blocks of 8 bytes to 8 KiB, as many of each power of two; one at random is freed and another one allocated.
struct Mixed<'h, A> {
    heap: &'h A,
    random: u64,
    blocks: Vec<(*mut u8, Layout)>,
}

impl<'h, A: GlobalAlloc> Mixed<'h, A> {
    fn new(heap: &'h A) -> Self {
        let mut mixed = Self {
            heap,
            random: 1,
            blocks: Vec::new(),
        };
        for _ in 0..10_000 {
            let layout = mixed.layout();
            // SAFETY: the size is not zero.
            mixed.blocks.push((unsafe { heap.alloc(layout) }, layout));
        }
        mixed
    }

    fn next(&mut self) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 16) as usize
    }

    fn layout(&mut self) -> Layout {
        let power = 3 + self.next() % 10;
        let size = (1 << power) + self.next() % (1 << power) + 1;
        Layout::from_size_align(size, 8).expect("a layout")
    }

    /// Nanoseconds per replaced block.
    fn turn(&mut self) -> f64 {
        let start = Instant::now();
        for _ in 0..TURN {
            let layout = self.layout();
            let at = self.next() % self.blocks.len();
            let (block, old) = self.blocks[at];
            // SAFETY: the block is alive with its layout, and the size is not zero.
            unsafe {
                self.heap.dealloc(block, old);
                let block = self.heap.alloc(layout);
                assert!(!block.is_null());
                block.write(1);
                self.blocks[at] = (block, layout);
            }
        }
        start.elapsed().as_secs_f64() * 1e9 / TURN as f64
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

type Case<'c> = (&'c str, Box<dyn FnMut() -> f64 + 'c>);

/// Prints each case beside the first one.
fn compare(mut cases: Vec<Case<'_>>) {
    let mut nanos = vec![Vec::new(); cases.len()];
    for round in 0..WARM_UP + ROUNDS {
        for (nanos, (_, turn)) in nanos.iter_mut().zip(&mut cases) {
            let value = turn();
            if round >= WARM_UP {
                nanos.push(value);
            }
        }
    }
    for ((name, _), values) in cases.iter().zip(&nanos) {
        let ratios = values.iter().zip(&nanos[0]).map(|(value, base)| value / base);
        println!("{name:<34} {:>7.1} ns {:>6.3} x", median(values.clone()), median(ratios.collect()));
    }
}

fn settings() -> Settings {
    Settings {
        ring_bytes: DEFAULT_RING_BYTES,
        machine: Machine {
            code: 0x1000..0x1_0000_0000,
            readable: |_| false,
            // SAFETY: every x86-64 has the instruction.
            ticks: || unsafe { core::arch::x86_64::_rdtsc() },
        },
    }
}

fn ours(rate: Option<f64>) -> Box<dyn FnMut() -> f64> {
    let heap: &'static Profiled<System> = Box::leak(Box::new(Profiled::new(System)));
    heap.prepare(settings()).expect("memory for the profile");
    if let Some(rate) = rate {
        heap.start(Rate::new(rate).expect("a rate"), 1).expect("nothing is running");
    }
    let mut mixed = Mixed::new(heap);
    Box::new(move || {
        let nanos = mixed.turn();
        heap.drain(&mut |_| ControlFlow::Continue(()));
        nanos
    })
}

fn of(heap: impl GlobalAlloc + 'static) -> Box<dyn FnMut() -> f64> {
    let mut mixed = Mixed::new(Box::leak(Box::new(heap)));
    Box::new(move || mixed.turn())
}

fn main() {
    if let Some(name) = std::env::args().nth(1).filter(|it| it.starts_with(JEMALLOC)) {
        // Nanoseconds only: the ratio is the parent's.
        let mut mixed = Mixed::new(&tikv_jemallocator::Jemalloc);
        let values = (0..WARM_UP + ROUNDS).map(|_| mixed.turn()).skip(WARM_UP);
        println!("{name:<34} {:>7.1} ns", median(values.collect()));
        return;
    }
    compare(vec![
        ("System", of(System)),
        ("ours, off", ours(None)),
        ("ours, 1e-4 a word", ours(Some(1e-4))),
        ("System, again", of(System)),
        ("stats_alloc", of(stats_alloc::StatsAlloc::system())),
    ]);
    {
        let _profiler = dhat::Profiler::builder().testing().build();
        compare(vec![("System", of(System)), ("dhat", of(dhat::Alloc))]);
    }
    let this = std::env::current_exe().expect("a program");
    for (name, settings) in [
        ("jemalloc", "prof:false"),
        ("jemalloc, prof, lg 19", "prof:true,prof_active:true,lg_prof_sample:19"),
        ("jemalloc, prof, lg 16", "prof:true,prof_active:true,lg_prof_sample:16"),
    ] {
        let status = Command::new(&this).arg(name).env("_RJEM_MALLOC_CONF", settings).status();
        if !status.is_ok_and(|status| status.success()) {
            println!("{name}: SKIPPED, its process failed");
        }
    }
}
