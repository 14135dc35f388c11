//! What counting and sampling add to an allocator: `RUSTFLAGS="-C force-frame-pointers=yes" cargo bench -p monitoring --bench heap`.
//!
//! All variants of a case run in turns, and what is printed is the median over the rounds of the difference to, or the ratio
//! with, the same round of the plain allocator: a shared machine has bad moments, but they hit neighbours alike. Draining is
//! not timed: it is the consumer's.
#![expect(unsafe_code, reason = "calls allocators")]

use core::alloc::{GlobalAlloc, Layout};
use core::hint::black_box;
use core::mem::MaybeUninit;
use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::alloc::System;
use std::time::Instant;

use monitoring::heap::{
    DEFAULT_RING_BYTES, HeapProfile, Machine, Profiled, Rate, Record, Settings, Talc,
};

/// Rounds of each case; the median of so many is not moved by some bad ones.
const ROUNDS: usize = 501;
const WARM_UP: usize = 20;
/// Depth of calls, beside those of the benchmark itself.
const FRAMES: usize = 16;

static STACK_END: AtomicUsize = AtomicUsize::new(0);

/// A profile of this program's stacks.
fn settings() -> Settings {
    unsafe extern "C" {
        static __executable_start: u8;
        static etext: u8;
    }
    Settings {
        ring_bytes: DEFAULT_RING_BYTES,
        machine: Machine {
            code: (&raw const __executable_start).addr()..(&raw const etext).addr(),
            readable: |page| page < STACK_END.load(Ordering::Relaxed),
            ticks,
        },
    }
}

fn ticks() -> u64 {
    // SAFETY: every x86-64 has the instruction.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        core::arch::x86_64::_rdtsc()
    }
    #[cfg(not(target_arch = "x86_64"))]
    0
}

/// Where the calling thread's stack ends.
fn stack_end() -> usize {
    // SAFETY: the attributes are filled by the first call, read by the second and given back by the third.
    unsafe {
        let mut attributes = core::mem::zeroed();
        let (mut base, mut size) = (core::ptr::null_mut(), 0);
        assert_eq!(
            libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes),
            0
        );
        libc::pthread_attr_getstack(&raw const attributes, &raw mut base, &raw mut size);
        libc::pthread_attr_destroy(&raw mut attributes);
        base.addr() + size
    }
}

/// One way to have memory, and what it has recorded.
struct Variant<'h> {
    name: &'static str,
    run: Box<dyn FnMut(usize) + 'h>,
    drain: Box<dyn FnMut() -> (usize, usize) + 'h>,
}

fn plain<'h>(name: &'static str, run: impl FnMut(usize) + 'h) -> Variant<'h> {
    Variant {
        name,
        run: Box::new(run),
        drain: Box::new(|| (0, 0)),
    }
}

/// Samples and their frames since the last time.
fn drain(heap: &dyn HeapProfile) -> (usize, usize) {
    let (mut samples, mut frames) = (0, 0);
    heap.drain(&mut |record| {
        match record {
            Record::Alloc { stack, .. } => {
                samples += 1;
                frames += stack.len();
            }
            Record::Lost { blocks, .. } => println!("  lost: {blocks}"),
            Record::Free { .. } => {}
        }
        ControlFlow::Continue(())
    });
    (samples, frames)
}

struct Figures {
    name: &'static str,
    nanos: f64,
    difference: f64,
    ratio: f64,
    samples_per_operation: f64,
    frames: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the variants in turns of so many operations; figures are per operation, and against the first variant. A turn is shorter than
/// what a scheduler gives a task at once, so that most turns are undisturbed.
fn measure(turn: usize, variants: &mut [Variant<'_>]) -> Vec<Figures> {
    let mut nanos = vec![Vec::new(); variants.len()];
    let mut recorded = vec![(0, 0); variants.len()];
    for round in 0..WARM_UP + ROUNDS {
        for (at, variant) in variants.iter_mut().enumerate() {
            let start = Instant::now();
            (variant.run)(turn);
            let total = start.elapsed().as_secs_f64();
            let (samples, frames) = (variant.drain)();
            if round >= WARM_UP {
                nanos[at].push(total * 1e9 / turn as f64);
                recorded[at] = (recorded[at].0 + samples, recorded[at].1 + frames);
            }
        }
    }
    let against = |at: usize, with: fn(f64, f64) -> f64| {
        let pairs = nanos[at].iter().zip(&nanos[0]);
        median(pairs.map(|(value, base)| with(*value, *base)).collect())
    };
    variants
        .iter()
        .enumerate()
        .map(|(at, variant)| Figures {
            name: variant.name,
            nanos: median(nanos[at].clone()),
            difference: against(at, |value, base| value - base),
            ratio: against(at, |value, base| value / base),
            samples_per_operation: recorded[at].0 as f64 / (turn * ROUNDS) as f64,
            frames: recorded[at].1 as f64 / recorded[at].0.max(1) as f64,
        })
        .collect()
}

fn print(case: &str, figures: &[Figures]) {
    println!("{case}");
    for it in figures {
        print!(
            "  {:<22} {:>7.2} ns {:>+7.2} ns {:>6.3} x",
            it.name, it.nanos, it.difference, it.ratio
        );
        if it.samples_per_operation > 0.0 {
            print!(
                "   {:.5} samples of {:.1} frames each: {:.1} ns a sample",
                it.samples_per_operation,
                it.frames,
                it.difference / it.samples_per_operation
            );
        }
        println!();
    }
}

/// Inlined, as a whole program's optimisation does with the shim between `alloc` and the global allocator: so what is added is the
/// hook, and not a call.
#[inline(always)]
unsafe fn allocate(heap: &impl GlobalAlloc, layout: Layout) -> *mut u8 {
    // SAFETY: the caller's promises.
    unsafe { heap.alloc(layout) }
}

#[inline(always)]
unsafe fn release(heap: &impl GlobalAlloc, block: *mut u8, layout: Layout) {
    // SAFETY: the caller's promises.
    unsafe { heap.dealloc(block, layout) }
}

fn tight(heap: &impl GlobalAlloc, times: usize, size: usize) {
    let layout = Layout::from_size_align(size, 8).expect("a layout");
    for _ in 0..times {
        // SAFETY: the size is not zero, and the block is freed once with its layout.
        unsafe {
            let block = allocate(heap, black_box(layout));
            release(heap, black_box(block), black_box(layout));
        }
    }
}

/// `tight`, so many calls deep.
#[inline(never)]
fn deep(heap: &impl GlobalAlloc, times: usize, size: usize, depth: usize) -> usize {
    if depth == 0 {
        tight(heap, times, size);
        0
    } else {
        // The addition keeps the call from becoming a jump.
        black_box(deep(heap, times, size, depth - 1)) + 1
    }
}

/// 10,000 blocks of 8 bytes to 8 KiB, as many of each power of two; one at random is freed and another one allocated.
struct Mixed {
    random: u64,
    blocks: Vec<(*mut u8, Layout)>,
}

impl Mixed {
    fn new(heap: &impl GlobalAlloc) -> Self {
        let mut mixed = Self {
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

    fn run(&mut self, heap: &impl GlobalAlloc, times: usize) {
        for _ in 0..times {
            let layout = self.layout();
            let at = self.next() % self.blocks.len();
            let (block, old) = self.blocks[at];
            // SAFETY: the block is alive with its layout, and the size is not zero.
            unsafe {
                // What `tight` says: a program that calls the global allocator has the layout in a register in any case; a compiler
                // that sees through the plain allocator must not leave out more than the hook.
                release(heap, block, black_box(old));
                let block = black_box(allocate(heap, black_box(layout)));
                assert!(!block.is_null());
                block.write(1);
                self.blocks[at] = (block, layout);
            }
        }
    }
}

#[inline(never)]
fn deep_mixed(mixed: &mut Mixed, heap: &impl GlobalAlloc, times: usize, depth: usize) -> usize {
    if depth == 0 {
        mixed.run(heap, times);
        0
    } else {
        black_box(deep_mixed(mixed, heap, times, depth - 1)) + 1
    }
}

fn profiled<A>(inner: A, rate: Option<f64>) -> &'static Profiled<A>
where
    A: GlobalAlloc + Sync,
{
    let heap: &'static Profiled<A> = Box::leak(Box::new(Profiled::new(inner)));
    heap.prepare(settings()).expect("memory for the profile");
    if let Some(rate) = rate {
        heap.start(Rate::new(rate).expect("a rate"), 1)
            .expect("nothing is running");
    }
    heap
}

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
            run: Box::new(move |times| {
                deep(heap, times, size, depth);
            }),
            drain: Box::new(move || drain(heap)),
        });
    }
    measure(turn, &mut variants)
}

/// A heap in memory of its own.
fn talc() -> Talc<spin::mutex::SpinMutex<()>> {
    const BYTES: usize = 64 << 20;
    let layout = Layout::from_size_align(BYTES, 4096).expect("a layout");
    let heap = Talc::new();
    // SAFETY: the size is not zero, and the block is leaked.
    let region = unsafe {
        let start = System.alloc(layout).cast::<MaybeUninit<u8>>();
        assert!(!start.is_null());
        start.cast::<u8>().write_bytes(0, BYTES);
        core::slice::from_raw_parts_mut(start, BYTES)
    };
    assert!(heap.claim(region));
    heap
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
            run: Box::new(move |times| {
                deep_mixed(&mut mixed, heap, times, FRAMES - 9);
            }),
            drain: Box::new(move || drain(heap)),
        });
    }
    // The same once more: what the place of the blocks in memory makes of it, and so what a difference means.
    let heap: &'static A = Box::leak(Box::new(make()));
    let mut mixed = Mixed::new(heap);
    variants.push(plain("plain, again", move |times| {
        deep_mixed(&mut mixed, heap, times, FRAMES - 9);
    }));
    measure(4_000, &mut variants)
}

fn main() {
    STACK_END.store(stack_end(), Ordering::Relaxed);
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
        tight_cases(1_000, 8, FRAMES - 10, &every)
    });
    let rates = [("off", None), ("1e-4", Some(1e-4)), ("1e-3", Some(1e-3))];
    case("mixed: 10,000 blocks of 8 bytes to 8 KiB, System", &|| {
        mixed_cases(|| System, &rates)
    });
    case("mixed: 10,000 blocks of 8 bytes to 8 KiB, talc", &|| {
        mixed_cases(talc, &rates)
    });
}
