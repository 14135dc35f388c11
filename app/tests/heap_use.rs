//! Checks the workloads' use of the heap with a counting allocator: bounds, sizes, and the same sequence for the same seed.

mod counting;

use app::workload::leak::{Leak, SESSION_BYTES, SESSIONS};
use app::workload::{Kind, Workload};
use counting::{Counting, Seen, reset, seen};

#[global_allocator]
static HEAP: Counting = Counting;

const KIB: i64 = 1024;
const MIB: i64 = 1024 * KIB;

/// Returns the counts while the workload was made and did `steps` steps. Then it drops the workload.
fn run(kind: Kind, seed: u64, steps: u32) -> Seen {
    reset();
    let mut workload = Workload::new(kind, seed);
    (0..steps).for_each(|_| workload.step(false));
    let seen_alive = seen();
    drop(workload);
    assert_eq!(seen().live_bytes, 0, "{kind} left something behind");
    seen_alive
}

#[test]
fn mixed_keeps_less_than_two_mebibytes_alive() {
    for seed in 0..4 {
        let seen = run(Kind::Mixed, seed, 2500);
        assert!(
            seen.peak_bytes < 2 * MIB,
            "seed {seed}: {} bytes",
            seen.peak_bytes
        );
        assert!(
            seen.peak_bytes > 400 * KIB,
            "the cache never filled: {} bytes",
            seen.peak_bytes
        );
    }
}

#[test]
fn churn_and_exact_stay_within_their_bounds() {
    for seed in 0..4 {
        assert!(run(Kind::Churn, seed, 2500).peak_bytes < 600 * KIB);
        assert!(run(Kind::Exact, seed, 1000).peak_bytes < 512 * KIB);
    }
}

#[test]
fn mixed_allocates_mostly_small_blocks_and_some_large_ones() {
    let seen = run(Kind::Mixed, 1, 2500);
    assert!(
        seen.small * 10 > seen.allocs * 7,
        "{} of {} are small",
        seen.small,
        seen.allocs
    );
    assert!(
        (32 * 1024..=64 * 1024).contains(&seen.largest),
        "largest: {}",
        seen.largest
    );
}

#[test]
fn a_step_of_mixed_makes_a_bounded_number_of_allocations() {
    const STEPS: u64 = 2500;
    let mut workload = Workload::new(Kind::Mixed, 1);
    let (mut most, mut sum) = (0, 0);
    for _ in 0..STEPS {
        let before = seen();
        workload.step(false);
        let allocs = seen().allocs - before.allocs;
        most = most.max(allocs);
        sum += allocs;
    }
    assert!(most <= 600, "most: {most}");
    assert!(
        (200..=400).contains(&(sum / STEPS)),
        "mean: {}",
        sum / STEPS
    );
}

#[test]
fn leak_loses_exactly_what_it_says() {
    const STEPS: i64 = 1000;
    let per_step = (SESSIONS * SESSION_BYTES) as i64;
    assert_eq!(per_step, 4096);
    reset();
    let mut leak = Leak::new(1);
    for step in 1..=STEPS {
        leak.step();
        assert_eq!(leak.leaked_bytes(), (step * per_step) as u64);
        assert!(
            seen().live_bytes - step * per_step < 2 * MIB,
            "more than mixed and the leak at step {step}"
        );
    }
    drop(leak);
    assert_eq!(seen().live_bytes, STEPS * per_step);
}

#[test]
fn spin_and_idle_allocate_nothing() {
    for kind in [Kind::Spin, Kind::Idle] {
        assert_eq!(run(kind, 1, 10).allocs, 0, "{kind}");
    }
}

#[test]
fn a_seed_decides_the_whole_sequence_of_allocations() {
    for kind in [Kind::Mixed, Kind::Churn, Kind::Exact] {
        let first = run(kind, 1, 500);
        assert_eq!(
            first,
            run(kind, 1, 500),
            "{kind} differs with the same seed"
        );
        assert_ne!(
            first.sequence,
            run(kind, 2, 500).sequence,
            "{kind} is the same with another seed"
        );
    }
}
