//! The ring and the live set through all interleavings of two producers and the consumer. The two files are compiled
//! here a second time, with words on loom's atomics, so that the crate does not depend on loom.
//!
//! Takes some 15 s with `--release`, minutes without: `cargo test -p heap-profiler --release --test loom`.

extern crate alloc;

#[path = "../../src/live.rs"]
#[expect(dead_code, reason = "the hook uses the rest")]
mod live;
#[path = "../../src/ring.rs"]
#[expect(dead_code, reason = "the hook uses the rest")]
mod ring;
#[expect(dead_code, reason = "the hook uses the rest")]
mod word;

use core::sync::atomic::{AtomicUsize, Ordering};

use loom::sync::Arc;
use loom::thread;

use live::Live;
use ring::{Entry, MAX_FRAMES, Ring, Sample};

/// The most preemptions of one order. With three, the test takes more than minutes.
const PREEMPTIONS: usize = 2;

/// Runs `model` in every order that can make a difference, and returns the number of orders.
fn explore(model: impl Fn() + Sync + Send + 'static) -> usize {
    let runs = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&runs);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        model();
    });
    let runs = runs.load(Ordering::Relaxed);
    println!("{runs} orders");
    runs
}

fn sample(slot: u32) -> Sample {
    Sample {
        slot,
        ticks: u64::from(slot) + 10,
        words: u64::from(slot) + 20,
        hits: u64::from(slot) + 30,
    }
}

/// Records an alloc and its free. Returns `true` if the alloc was admitted.
fn produce(ring: &Ring, slot: u32) -> bool {
    let Some(place) = ring.reserve_alloc(1) else {
        return false;
    };
    ring.write_alloc(place, sample(slot), 1, &[u64::from(slot) + 40], false);
    ring.write_free(ring.reserve_free(), slot, u64::from(slot) + 50);
    true
}

/// Takes the available records; each must be whole.
fn consume(ring: &Ring, seen: &mut Vec<(u32, bool)>) {
    while let Ok(entry) = ring.peek(0, &mut [0; MAX_FRAMES]) {
        match entry {
            Entry::Alloc {
                sample: it,
                frames,
                truncated,
            } => {
                assert_eq!(it, sample(it.slot));
                assert_eq!((frames, truncated), (&[it.slot as usize + 40][..], false));
                seen.push((it.slot, true));
            }
            Entry::Free { slot, ticks } => {
                assert_eq!(ticks, u64::from(slot) + 50);
                seen.push((slot, false));
            }
        }
        ring.take();
    }
}

/// Checks that every admitted alloc and its free came once each, in this order.
fn assert_all(seen: &[(u32, bool)], admitted: &[(u32, bool)]) {
    for &(slot, admitted) in admitted {
        let of_slot: Vec<_> = seen
            .iter()
            .filter(|it| it.0 == slot)
            .map(|it| it.1)
            .collect();
        assert_eq!(of_slot, if admitted { &[true, false][..] } else { &[] });
    }
}

/// Runs two producers and a consumer on a ring of `words` words. Returns the admitted allocs.
///
/// All three are spawned: in every order, loom first runs what the model's own thread does before it waits.
fn produce_and_consume(words: usize) -> Vec<(u32, bool)> {
    let ring = Arc::new(Ring::new(words).unwrap());
    let producers: Vec<_> = (0..2)
        .map(|slot| {
            let ring = Arc::clone(&ring);
            thread::spawn(move || (slot, produce(&ring, slot)))
        })
        .collect();
    let consumer = {
        let ring = Arc::clone(&ring);
        thread::spawn(move || {
            let mut seen = Vec::new();
            consume(&ring, &mut seen);
            seen
        })
    };
    let mut seen = consumer.join().unwrap();
    let admitted: Vec<_> = producers.into_iter().map(|it| it.join().unwrap()).collect();
    consume(&ring, &mut seen);
    assert_all(&seen, &admitted);
    admitted
}

#[test]
fn two_producers_and_a_consumer() {
    let runs = explore(|| {
        // Room for two allocs and their frees.
        let admitted = produce_and_consume(16);
        assert!(admitted.iter().all(|it| it.1));
    });
    assert!(runs > 10_000, "{runs}");
}

#[test]
fn a_ring_that_is_full_for_the_second_alloc() {
    let runs = explore(|| {
        // Room for one alloc and its free, and for the next alloc only after these are read.
        let admitted = produce_and_consume(8);
        assert!(admitted.iter().any(|it| it.1), "one of them was first");
    });
    assert!(runs > 10_000, "{runs}");
}

#[test]
fn a_slot_is_freed_in_the_ring_before_it_is_another_block_s() {
    let runs = explore(|| {
        let ring = Arc::new(Ring::new(32).unwrap());
        let live = Arc::new(Live::new(8).unwrap());
        let record = |ring: &Ring, live: &Live, address| {
            let slot = live.take(address).expect("one of eight");
            let place = ring.reserve_alloc(1).expect("room");
            live.enter(address);
            ring.write_alloc(place, sample(slot), 1, &[u64::from(slot) + 40], false);
        };
        let free = |ring: &Ring, live: &Live, address| {
            let slot = live.find(address).expect("it was recorded");
            ring.write_free(ring.reserve_free(), slot, u64::from(slot) + 50);
            live.leave(slot, address);
        };
        record(&ring, &live, 0x100);
        let other = {
            let (ring, live) = (Arc::clone(&ring), Arc::clone(&live));
            thread::spawn(move || {
                record(&ring, &live, 0x200);
                free(&ring, &live, 0x200);
            })
        };
        let this = {
            let (ring, live) = (Arc::clone(&ring), Arc::clone(&live));
            thread::spawn(move || free(&ring, &live, 0x100))
        };
        this.join().unwrap();
        other.join().unwrap();
        let mut seen = Vec::new();
        consume(&ring, &mut seen);
        assert_eq!(seen.len(), 4);
        let mut alive = [false; 8];
        for (slot, alloc) in seen {
            assert_ne!(alive[slot as usize], alloc, "slot {slot}");
            alive[slot as usize] = alloc;
        }
        assert!(live.filter().iter().all(|byte| byte.get() == 0));
    });
    assert!(runs > 100, "{runs}");
}
