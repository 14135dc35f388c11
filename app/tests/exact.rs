//! Checks the exact workload's counts against a counting allocator.

mod counting;

use app::workload::exact::{Exact, Tally};
use counting::{Counting, Seen, reset, seen};

#[global_allocator]
static HEAP: Counting = Counting;

/// Returns the numbers that a tally has.
fn tally(seen: Seen) -> Tally {
    let Seen {
        allocs,
        frees,
        bytes,
        words,
        ..
    } = seen;
    Tally {
        allocs,
        frees,
        bytes,
        words,
    }
}

fn sum(a: Tally, b: Tally) -> Tally {
    Tally {
        allocs: a.allocs + b.allocs,
        frees: a.frees + b.frees,
        bytes: a.bytes + b.bytes,
        words: a.words + b.words,
    }
}

#[test]
fn after_every_step_the_total_is_what_the_heap_saw() {
    for seed in 0..4 {
        let mut exact = Exact::new(seed);
        reset();
        for step in 0..500 {
            exact.step(step % 3 == 0);
            assert_eq!(
                exact.sums().total,
                tally(seen()),
                "seed {seed}, step {step}"
            );
        }
    }
}

#[test]
fn while_traced_is_what_the_heap_saw_in_traced_steps() {
    let mut exact = Exact::new(7);
    let mut expected = Tally::default();
    for step in 0..1000 {
        let traced = step % 100 > 60;
        reset();
        exact.step(traced);
        if traced {
            expected = sum(expected, tally(seen()));
        }
    }
    assert!(expected.allocs > 0 && expected.frees > 0);
    assert_eq!(exact.sums().while_traced, expected);
}

#[test]
fn the_totals_are_the_sums_of_the_sites() {
    let mut exact = Exact::new(3);
    (0..500).for_each(|step| exact.step(step % 2 == 0));
    let sites = || exact.sites().map(|(_, tallies)| tallies);
    assert_eq!(
        exact.sums().total,
        sites().map(|t| t.total).fold(Tally::default(), sum)
    );
    assert_eq!(
        exact.sums().while_traced,
        sites().map(|t| t.while_traced).fold(Tally::default(), sum)
    );
}

#[test]
fn the_sites_use_all_ways_to_allocate() {
    let mut exact = Exact::new(1);
    reset();
    (0..100).for_each(|_| exact.step(false));
    let seen = seen();
    assert!(seen.reallocs > 0 && seen.zeroed > 0 && seen.frees > 0);
    assert!(seen.allocs > seen.reallocs + seen.zeroed);
}

#[test]
fn construction_and_reading_allocate_nothing() {
    reset();
    let exact = Exact::new(1);
    assert_eq!(exact.sums().total, Tally::default());
    assert_eq!(tally(seen()), Tally::default());
}

#[test]
fn what_was_not_freed_is_alive_until_the_workload_is_dropped() {
    let mut exact = Exact::new(5);
    reset();
    (0..500).for_each(|_| exact.step(false));
    let total = exact.sums().total;
    assert!(seen().live_bytes > 0);
    drop(exact);
    assert_eq!((seen().frees, seen().live_bytes), (total.allocs, 0));
}
