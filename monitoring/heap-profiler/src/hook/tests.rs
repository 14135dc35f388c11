//! The hook from outside: a profiled heap, its records, and allocators that call the hook again.
#![expect(unsafe_code, reason = "calls allocators")]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::RefCell;
use core::sync::atomic::{AtomicU64, Ordering};
use std::alloc::System;
use std::collections::BTreeMap;

use super::*;
use crate::{
    DEFAULT_RING_BYTES, HeapProfile, MAX_FRAMES, MAX_RING_BYTES, MIN_RING_BYTES, Peek,
    PrepareError, Profiled, Rate, Record, Settings, StartError, memory_bytes, slots,
};

fn ticks() -> u64 {
    static TICKS: AtomicU64 = AtomicU64::new(1);
    TICKS.fetch_add(1, Ordering::Relaxed)
}

fn settings(ring_bytes: usize) -> Settings {
    Settings {
        ring_bytes,
        machine: Machine {
            code: 0x1000..0x2000,
            readable: |_| false,
            ticks,
        },
    }
}

fn profiled<A: Default>(ring_bytes: usize) -> Profiled<A> {
    let heap = Profiled::new(A::default());
    heap.test_hook().prepare(settings(ring_bytes)).unwrap();
    heap
}

/// A record that owns its data, without the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Seen {
    Alloc { slot: u32, words: u64, hits: u64 },
    Free { slot: u32 },
    Lost { blocks: u64, words: u64, hits: u64 },
}

impl From<Record<'_>> for Seen {
    fn from(record: Record<'_>) -> Self {
        match record {
            Record::Alloc {
                slot, words, hits, ..
            } => Self::Alloc { slot, words, hits },
            Record::Free { slot, .. } => Self::Free { slot },
            Record::Lost {
                blocks,
                words,
                hits,
                ..
            } => Self::Lost {
                blocks,
                words,
                hits,
            },
        }
    }
}

/// Takes the next record.
fn pop(heap: &Profiled<impl Sync>) -> Result<Seen, Peek<'static>> {
    match heap.peek(&mut [0; MAX_FRAMES]) {
        Peek::Record(record) => {
            heap.take(&record);
            Ok(record.into())
        }
        Peek::Empty => Err(Peek::Empty),
        Peek::Unfinished => Err(Peek::Unfinished),
    }
}

fn drain(heap: &Profiled<impl Sync>) -> Vec<Seen> {
    let seen = core::iter::from_fn(|| pop(heap).ok()).collect();
    assert_eq!(pop(heap), Err(Peek::Empty));
    seen
}

fn layout(size: usize) -> Layout {
    Layout::from_size_align(size, 8).unwrap()
}

/// SAFETY of all uses below: sizes are not zero, and blocks are freed once with their last layout.
fn alloc(heap: &impl GlobalAlloc, size: usize) -> *mut u8 {
    // SAFETY: as above.
    let block = unsafe { heap.alloc(layout(size)) };
    assert!(!block.is_null());
    block
}

fn free(heap: &impl GlobalAlloc, block: *mut u8, size: usize) {
    // SAFETY: as above.
    unsafe { heap.dealloc(block, layout(size)) }
}

fn realloc(heap: &impl GlobalAlloc, block: *mut u8, old: usize, new: usize) -> *mut u8 {
    // SAFETY: as above.
    unsafe { heap.realloc(block, layout(old), new) }
}

#[test]
fn with_rate_one_every_allocation_and_every_free_appears_once_and_in_order() {
    let heap = profiled::<System>(DEFAULT_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    let a = alloc(&heap, 1);
    let b = alloc(&heap, 17);
    free(&heap, a, 1);
    // SAFETY: the size is not zero.
    let c = unsafe { heap.alloc_zeroed(layout(64)) };
    free(&heap, c, 64);
    free(&heap, b, 17);
    let seen = drain(&heap);
    let [slot_a, slot_b, slot_c] = [0, 1, 3].map(|n| match seen[n] {
        Seen::Alloc { slot, .. } => slot,
        _ => panic!("{seen:?}"),
    });
    let block = |slot, words| Seen::Alloc {
        slot,
        words,
        hits: words,
    };
    assert_eq!(
        seen,
        [
            block(slot_a, 1),
            block(slot_b, 3),
            Seen::Free { slot: slot_a },
            block(slot_c, 8),
            Seen::Free { slot: slot_c },
            Seen::Free { slot: slot_b },
        ]
    );
    assert_eq!(drain(&heap), []);
}

#[test]
fn a_size_of_zero_is_one_word() {
    assert_eq!([0, 1, 7, 8, 9, 16].map(words), [1, 1, 1, 1, 2, 2]);
    assert_eq!(words(isize::MAX as usize), 1 << 60);
}

#[test]
fn a_realloc_in_place_or_moving_is_a_free_and_an_allocation() {
    let heap = profiled::<System>(DEFAULT_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    let block = alloc(&heap, 24);
    let same = realloc(&heap, block, 24, 8);
    let moved = realloc(&heap, same, 8, 1 << 20);
    free(&heap, moved, 1 << 20);
    let seen = drain(&heap);
    let words: Vec<_> = seen
        .iter()
        .map(|seen| match seen {
            Seen::Alloc { words, .. } => Some(*words),
            _ => None,
        })
        .collect();
    assert_eq!(words, [Some(3), None, Some(1), None, Some(1 << 17), None]);
    assert_matched(&seen);
}

/// Checks that every free is of a live block and every alloc of a free slot. Returns the words alive at the end.
fn assert_matched(seen: &[Seen]) -> u64 {
    let mut alive = BTreeMap::new();
    for seen in seen {
        match *seen {
            Seen::Alloc { slot, words, .. } => {
                assert_eq!(alive.insert(slot, words), None, "slot {slot} twice");
            }
            Seen::Free { slot } => {
                assert!(alive.remove(&slot).is_some(), "slot {slot} is not alive");
            }
            Seen::Lost { .. } => {}
        }
    }
    alive.values().sum()
}

/// An allocator that refuses every realloc.
#[derive(Default)]
struct Stubborn;

// SAFETY: the methods pass their arguments on to the system's allocator; a refusal leaves the block unchanged.
unsafe impl GlobalAlloc for Stubborn {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, _: *mut u8, _: Layout, _: usize) -> *mut u8 {
        core::ptr::null_mut()
    }
}

#[test]
fn a_block_whose_realloc_fails_is_still_alive_and_its_free_is_seen() {
    let heap = profiled::<Stubborn>(DEFAULT_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    let block = alloc(&heap, 24);
    assert!(realloc(&heap, block, 24, 48).is_null());
    assert_eq!(drain(&heap).len(), 1);
    free(&heap, block, 24);
    assert!(matches!(drain(&heap)[..], [Seen::Free { .. }]));
}

#[test]
fn a_failed_allocation_is_not_recorded() {
    let heap = profiled::<System>(DEFAULT_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    let huge = Layout::from_size_align(isize::MAX as usize - 4095, 4096).unwrap();
    // SAFETY: the size is not zero.
    assert!(unsafe { heap.alloc(huge) }.is_null());
    assert_eq!(drain(&heap), []);
    let block = alloc(&heap, 8);
    assert_eq!(drain(&heap).len(), 1);
    free(&heap, block, 8);
}

#[test]
fn large_alignments_are_found_again() {
    let heap = profiled::<System>(DEFAULT_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    for align in (0..=20).map(|power| 1 << power) {
        let layout = Layout::from_size_align(40, align).unwrap();
        // SAFETY: the size is not zero, and the block is freed with its layout.
        unsafe {
            let block = heap.alloc(layout);
            assert!(!block.is_null());
            heap.dealloc(block, layout);
        }
        let seen = drain(&heap);
        assert!(
            matches!(seen[..], [Seen::Alloc { words: 5, slot: a, .. }, Seen::Free { slot: b }] if a == b),
            "{align}: {seen:?}"
        );
    }
}

#[test]
fn frees_after_the_end_are_silent_and_nothing_is_sampled() {
    let heap = profiled::<System>(DEFAULT_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    assert!(heap.is_sampling());
    let blocks: Vec<_> = (0..100).map(|_| alloc(&heap, 32)).collect();
    heap.stop();
    assert!(!heap.is_sampling());
    assert_eq!(drain(&heap).len(), 100, "what was recorded is still there");
    for block in &blocks[..50] {
        free(&heap, *block, 32);
    }
    let more = alloc(&heap, 1 << 20);
    assert_eq!(drain(&heap), []);
    // The next session does not know the old blocks either.
    heap.start(Rate::ALL, 1).unwrap();
    for block in &blocks[50..] {
        free(&heap, *block, 32);
    }
    free(&heap, more, 1 << 20);
    assert_eq!(drain(&heap), []);
}

#[test]
fn records_of_an_old_session_do_not_come_in_a_new_one() {
    let heap = profiled::<System>(MIN_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    let blocks: Vec<_> = (0..1_000).map(|_| alloc(&heap, 32)).collect();
    assert!(heap.lost().hits > 0, "the ring never became full");
    heap.stop();
    heap.start(Rate::ALL, 1).unwrap();
    assert_eq!(drain(&heap), [], "neither samples nor losses");
    blocks.iter().for_each(|block| free(&heap, *block, 32));
    assert_eq!(drain(&heap), []);
}

#[test]
fn a_full_ring_loses_allocs_but_never_a_free_and_tells_the_weight() {
    let heap = profiled::<System>(MIN_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    let blocks: Vec<_> = (1..=1_000).map(|n| (alloc(&heap, n), n)).collect();
    blocks.iter().for_each(|&(block, n)| free(&heap, block, n));
    let seen = drain(&heap);
    let (allocs, frees) = seen
        .iter()
        .fold((0, 0), |(allocs, frees), seen| match seen {
            Seen::Alloc { .. } => (allocs + 1, frees),
            Seen::Free { .. } => (allocs, frees + 1),
            Seen::Lost { .. } => (allocs, frees),
        });
    assert_eq!(allocs, frees);
    assert_eq!(assert_matched(&seen), 0);
    assert!(allocs >= 40, "{allocs} of a ring that has room for more");
    let lost_at = |seen: &Seen| matches!(seen, Seen::Lost { .. });
    let first = seen.iter().position(lost_at).expect("the loss is recorded");
    assert!(
        seen[first..].iter().all(lost_at),
        "the loss comes last, and once per cause"
    );
    let (lost, words, hits) = seen[first..]
        .iter()
        .fold((0, 0, 0), |sum, seen| match seen {
            Seen::Lost {
                blocks,
                words,
                hits,
            } => (sum.0 + blocks, sum.1 + words, sum.2 + hits),
            _ => sum,
        });
    assert_eq!(allocs + lost, 1_000);
    let all: u64 = (1..=1_000u64).map(|n| n.div_ceil(8)).sum();
    let recorded: u64 = seen
        .iter()
        .map(|seen| match seen {
            Seen::Alloc { words, .. } => *words,
            _ => 0,
        })
        .sum();
    assert_eq!((recorded + words, recorded + hits), (all, all));
    let told = heap.lost();
    assert_eq!(
        (told.ring_full + told.live_full, told.words, told.hits),
        (lost, words, hits)
    );
    assert_eq!(drain(&heap), [], "the loss is recorded once");
}

#[test]
fn what_is_not_taken_comes_again() {
    let heap = profiled::<System>(MIN_RING_BYTES);
    heap.start(Rate::ALL, 1).unwrap();
    let blocks: Vec<_> = (0..1_000).map(|_| alloc(&heap, 8)).collect();
    let mut seen = Vec::new();
    // Each record is shown twice.
    loop {
        let mut frames = [[0; MAX_FRAMES]; 2];
        let [first, second] = frames.each_mut();
        let Peek::Record(record) = heap.peek(first) else {
            break;
        };
        let Peek::Record(again) = heap.peek(second) else {
            panic!("the record is gone: {record:?}");
        };
        assert_eq!(Seen::from(again), Seen::from(record));
        heap.take(&again);
        seen.push(Seen::from(again));
    }
    assert!(matches!(seen.last(), Some(Seen::Lost { .. })));
    let weight: u64 = seen
        .iter()
        .map(|seen| match seen {
            Seen::Alloc { hits, .. } | Seen::Lost { hits, .. } => *hits,
            Seen::Free { .. } => 0,
        })
        .sum();
    assert_eq!(weight, 1_000);
    assert_matched(&seen);
    blocks.iter().for_each(|block| free(&heap, *block, 8));
}

#[test]
fn the_same_seed_gives_the_same_samples_and_another_one_others() {
    let samples = |seed| {
        let heap = profiled::<System>(DEFAULT_RING_BYTES);
        heap.start(Rate::new(0.01).unwrap(), seed).unwrap();
        for size in 1..2_000 {
            let block = alloc(&heap, size);
            free(&heap, block, size);
        }
        let seen = drain(&heap);
        seen.into_iter()
            .filter_map(|seen| match seen {
                Seen::Alloc { words, hits, .. } => Some((words, hits)),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(samples(7), samples(7));
    assert_ne!(samples(7), samples(8));
    assert!(samples(7).len() > 500);
}

#[test]
fn impossible_settings_and_second_calls_are_refused() {
    let heap = Profiled::new(System);
    assert_eq!(heap.start(Rate::ALL, 1), Err(StartError::NotPrepared));
    assert_eq!(heap.slots(), 0);
    for bytes in [
        0,
        MIN_RING_BYTES / 2,
        MIN_RING_BYTES + 8,
        MAX_RING_BYTES * 2,
    ] {
        assert_eq!(
            heap.prepare(settings(bytes)),
            Err(PrepareError::RingBytes(bytes))
        );
    }
    let mut empty = settings(MIN_RING_BYTES);
    empty.machine.code = 5..5;
    assert_eq!(
        heap.prepare(empty).unwrap_err().to_string(),
        "code from 0x5 to 0x5: want from 1 byte to 4 GiB"
    );
    assert_eq!(
        heap.prepare(settings(DEFAULT_RING_BYTES)),
        Ok(memory_bytes(DEFAULT_RING_BYTES))
    );
    assert_eq!(
        heap.prepare(settings(DEFAULT_RING_BYTES)),
        Err(PrepareError::Twice)
    );
    assert_eq!(heap.slots(), slots(DEFAULT_RING_BYTES));
    heap.start(Rate::ALL, 1).unwrap();
    assert_eq!(heap.start(Rate::ALL, 1), Err(StartError::Running));
}

#[test]
fn a_thousand_sessions_leave_nothing_behind() {
    let heap = profiled::<System>(MIN_RING_BYTES);
    let kept = alloc(&heap, 100);
    for seed in 0..1_000 {
        heap.start(Rate::ALL, seed).unwrap();
        let blocks: Vec<_> = (0..20).map(|_| alloc(&heap, 64)).collect();
        blocks[..10]
            .iter()
            .for_each(|block| free(&heap, *block, 64));
        assert_eq!(drain(&heap).len(), 30);
        heap.stop();
        blocks[10..]
            .iter()
            .for_each(|block| free(&heap, *block, 64));
    }
    assert_eq!(drain(&heap), []);
    let rest = heap.test_hook().rest.get().unwrap();
    assert!(rest.live.filter().iter().all(|byte| byte.get() == 0));
    assert_eq!(rest.inside.load(), 0);
    free(&heap, kept, 100);
}

type Interruption = Box<dyn Fn()>;

std::thread_local! {
    /// Runs in the clock, which the hook reads in the middle of its work.
    static INTERRUPT: RefCell<Option<Interruption>> = const { RefCell::new(None) };
}

fn interrupted_ticks() -> u64 {
    // An interrupt is not interrupted.
    if let Some(interrupt) = INTERRUPT.take() {
        interrupt();
        INTERRUPT.set(Some(interrupt));
    }
    ticks()
}

#[test]
fn an_interrupt_that_allocates_in_the_middle_of_a_sample_is_recorded_too() {
    let heap: &'static Profiled<System> = Box::leak(Box::new(Profiled::new(System)));
    let mut settings = settings(DEFAULT_RING_BYTES);
    settings.machine.ticks = interrupted_ticks;
    heap.prepare(settings).unwrap();
    heap.start(Rate::ALL, 1).unwrap();
    // Only in the test's own thread: the clock belongs to this heap.
    INTERRUPT.set(Some(Box::new(move || {
        let block = alloc(heap, 80);
        let block = realloc(heap, block, 80, 160);
        free(heap, block, 160);
    })));
    let blocks: Vec<_> = (0..50).map(|_| alloc(heap, 8)).collect();
    blocks.iter().for_each(|block| free(heap, *block, 8));
    INTERRUPT.set(None);
    let seen = drain(heap);
    // 100 events, with 2 allocs and 2 frees in the middle of each.
    assert_eq!(seen.len(), 100 + 100 * 4);
    assert_eq!(assert_matched(&seen), 0);
    let stop_inside = heap.test_hook().rest.get().unwrap();
    assert_eq!(stop_inside.inside.load(), 0);
}

#[test]
fn a_session_does_not_begin_while_a_task_is_inside_the_former_one() {
    let heap: &'static Profiled<System> = Box::leak(Box::new(Profiled::new(System)));
    let mut settings = settings(DEFAULT_RING_BYTES);
    settings.machine.ticks = interrupted_ticks;
    heap.prepare(settings).unwrap();
    heap.start(Rate::ALL, 1).unwrap();
    INTERRUPT.set(Some(Box::new(move || {
        heap.stop();
        assert_eq!(heap.start(Rate::ALL, 2), Err(StartError::Busy));
        assert_eq!(pop(heap), Err(Peek::Unfinished));
    })));
    let block = alloc(heap, 8);
    INTERRUPT.set(None);
    heap.start(Rate::ALL, 2).unwrap();
    free(heap, block, 8);
    assert_eq!(drain(heap), []);
}

/// An allocator that starts and stops sessions in the middle of every call.
#[derive(Default)]
struct Restless(std::sync::OnceLock<&'static Profiled<Self>>);

impl Restless {
    fn act(&self) {
        let Some(heap) = self.0.get() else { return };
        if heap.is_sampling() {
            heap.stop();
        } else {
            let _ = heap.start(Rate::ALL, 1);
        }
    }
}

// SAFETY: the methods pass their arguments on to the system's allocator.
unsafe impl GlobalAlloc for Restless {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        self.act();
        // SAFETY: the caller keeps the same contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        self.act();
        // SAFETY: the caller keeps the same contract.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        self.act();
        // SAFETY: the caller keeps the same contract.
        unsafe { System.realloc(block, layout, new_size) }
    }
}

#[test]
fn sessions_that_begin_and_end_inside_the_allocator_keep_their_blocks_apart() {
    let heap: &'static Profiled<Restless> = Box::leak(Box::new(Profiled::new(Restless::default())));
    heap.prepare(settings(DEFAULT_RING_BYTES)).unwrap();
    assert!(heap.inner().0.set(heap).is_ok());
    let mut blocks = Vec::new();
    let mut state = 1;
    for _ in 0..10_000 {
        state = mix_of(state);
        match (state % 3, blocks.len()) {
            (0, _) | (_, 0) => blocks.push((alloc(heap, 24), 24)),
            (1, _) => {
                let (block, size) = blocks.swap_remove(state as usize / 3 % blocks.len());
                free(heap, block, size);
            }
            (_, len) => {
                let entry: &mut (*mut u8, usize) = &mut blocks[state as usize / 3 % len];
                let new = 1 + state as usize / 64 % 200;
                entry.0 = realloc(heap, entry.0, entry.1, new);
                entry.1 = new;
            }
        }
        assert_matched(&drain_now(heap));
    }
    blocks
        .iter()
        .for_each(|&(block, size)| free(heap, block, size));
}

fn mix_of(state: u64) -> u64 {
    crate::odds::mix(state.wrapping_add(crate::odds::STEP))
}

/// Returns the records of one session so far.
fn drain_now(heap: &Profiled<impl Sync>) -> Vec<Seen> {
    // A free whose alloc was taken in an earlier call cannot be matched here.
    core::iter::from_fn(|| pop(heap).ok())
        .filter(|record| !matches!(record, Seen::Free { .. }))
        .collect()
}
