//! The other profilers, set up as their users do, except for the period where a case names one.
//!
//! Wrappers are called as values. Their own allocations then go straight to the system's allocator. As the program's
//! global allocator they would see these allocations again, and leave them unrecorded.

use std::alloc::System;
use std::io::{self, Read};

use mimalloc_pprof::{MiMalloc, prof};
use re_memory::AccountingAllocator;
use re_memory::accounting_allocator::{set_tracking_callstacks, tracking_stats};
use tikv_jemalloc_ctl::{profiling, raw};
use tikv_jemallocator::Jemalloc;
use workload::serve;

use crate::cases::THEIR_PERIOD_BYTES;
use crate::counting::Counting;
use crate::recorded::{ensure, frames};
use crate::talc;

pub use pprof_alloc::PprofAlloc;

fn no_consumer() {}

pub fn system() -> io::Result<()> {
    serve(&System, &mut no_consumer)
}

/// Runs talc alone. In an image its lock masks interrupts; here it spins.
pub fn talc() -> io::Result<()> {
    static HEAP: talc::Heap = talc::Heap::new();
    ensure(HEAP.claim(talc::region()), "has no memory")?;
    serve(&HEAP, &mut no_consumer)
}

/// Runs exact counts alone, for one core.
pub fn counting() -> io::Result<()> {
    serve(&Counting::new(System), &mut no_consumer)
}

/// Runs stats_alloc, which counts and has no stacks.
pub fn stats_alloc() -> io::Result<()> {
    let heap = stats_alloc::StatsAlloc::system();
    serve(&heap, &mut no_consumer)?;
    ensure(
        heap.stats().allocations > workload::BLOCKS,
        "has not counted",
    )
}

/// Runs pprof-alloc without a profile: the system's allocator, looked up at each call.
pub fn pprof_alloc_off() -> io::Result<()> {
    serve(&PprofAlloc::new(), &mut no_consumer)
}

const _: () = assert!(pprof_alloc::DEFAULT_PPROF_SAMPLE_RATE == THEIR_PERIOD_BYTES);

pub fn pprof_alloc(heap: &PprofAlloc) -> io::Result<()> {
    serve(heap, &mut no_consumer)?;
    let packed = pprof_alloc::generate_pprof().map_err(io::Error::other)?;
    let mut profile = Vec::new();
    flate2::read::GzDecoder::new(packed.as_slice()).read_to_end(&mut profile)?;
    let profile: Profile = prost::Message::decode(profile.as_slice()).map_err(io::Error::other)?;
    frames(profile.samples.iter().map(|sample| sample.locations.len()))
}

/// The part of pprof's `profile.proto` that is used here.
#[derive(prost::Message)]
struct Profile {
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(prost::Message)]
struct Sample {
    #[prost(uint64, repeated, tag = "1")]
    locations: Vec<u64>,
}

/// Runs re_memory, which always counts, and takes stacks when it tracks. From 1 KiB on it takes the blocks whose
/// address has a hash of 0 modulo 64; from 1 MiB on it takes all, but there are none here.
pub fn re_memory(tracking: bool) -> io::Result<()> {
    let heap = AccountingAllocator::new(System);
    set_tracking_callstacks(tracking);
    serve(&heap, &mut no_consumer)?;
    let counted = re_memory::accounting_allocator::global_allocs();
    ensure(
        counted.is_some_and(|it| it.count == workload::BLOCKS),
        "has not counted",
    )?;
    if !tracking {
        return Ok(());
    }
    let stacks = tracking_stats()
        .map(|it| it.top_callstacks)
        .unwrap_or_default();
    frames(
        stacks
            .iter()
            .map(|it| numbered(it.readable_backtrace.as_str())),
    )
}

/// Counts the frames in a text where each frame begins with its number and a colon. Inlined functions have neither.
fn numbered(stack: &str) -> usize {
    let number = |line: &str| {
        let (number, _) = line.trim_start().split_once(':')?;
        number.parse::<usize>().ok()
    };
    stack.lines().filter_map(number).count()
}

/// Runs dhat. With "testing" it omits only the file at the end.
pub fn dhat() -> io::Result<()> {
    let _profiler = dhat::Profiler::builder().testing().build();
    serve(&dhat::Alloc, &mut no_consumer)?;
    let blocks = dhat::HeapStats::get().total_blocks;
    ensure(blocks > workload::BLOCKS as u64, "has not recorded")?;
    println!("10 frames, its limit");
    Ok(())
}

/// Runs mimalloc-pprof with its profiler built in but not started.
pub fn mimalloc_pprof_off() -> io::Result<()> {
    serve(&MiMalloc, &mut no_consumer)?;
    ensure(!prof::is_enabled(), "has been started by its environment")
}

/// Runs mimalloc-pprof with `start` (0 for its default), which must give a sample per `period` bytes.
pub fn mimalloc_pprof(start: usize, period: usize) -> io::Result<()> {
    ensure(prof::start(start), "does not start")?;
    ensure(prof::stats().sample_rate == period, "has another period")?;
    serve(&MiMalloc, &mut no_consumer)?;
    frames(prof::samples().iter().map(|sample| sample.stack.len()))
}

/// Runs jemalloc, which has read its settings from the environment.
pub fn jemalloc(lg: Option<usize>) -> io::Result<()> {
    let told = profiling::prof::read().map_err(io::Error::other)?;
    let told_lg = profiling::lg_prof_sample::read().map_err(io::Error::other)?;
    ensure(
        told == lg.is_some() && lg.is_none_or(|lg| lg == told_lg),
        "has other settings",
    )?;
    serve(&Jemalloc, &mut no_consumer)?;
    if lg.is_none() {
        return Ok(());
    }
    // The text that `jeprof` reads: one line per stack, `@` and its addresses.
    let file = std::env::temp_dir().join(format!("compare-heap-{}", std::process::id()));
    let name = format!("{}\0", file.display()).leak();
    raw::write_str(b"prof.dump\0", name.as_bytes()).map_err(io::Error::other)?;
    let profile = std::fs::read_to_string(&file)?;
    std::fs::remove_file(&file)?;
    let stacks = profile.lines().filter_map(|line| line.strip_prefix("@ "));
    frames(stacks.map(|stack| stack.split_whitespace().count()))
}
