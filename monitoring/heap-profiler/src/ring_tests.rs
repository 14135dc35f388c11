//! The ring against a queue, through all its positions.

use std::collections::VecDeque;

use crate::odds::{STEP, mix};
use crate::ring::*;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Owned {
    Alloc(Sample, Vec<u32>, bool),
    Free(u32, u64),
}

impl From<Entry<'_>> for Owned {
    fn from(entry: Entry<'_>) -> Self {
        match entry {
            Entry::Alloc {
                sample,
                frames,
                truncated,
            } => {
                let distances = frames.iter().map(|frame| (frame - BASE) as u32);
                Self::Alloc(sample, distances.collect(), truncated)
            }
            Entry::Free { slot, ticks } => Self::Free(slot, ticks),
        }
    }
}

/// The beginning of the code.
const BASE: usize = 0x20_0000;

fn pop(ring: &Ring) -> Result<Owned, Nothing> {
    let owned = ring.peek(BASE, &mut [0; MAX_FRAMES]).map(Owned::from)?;
    ring.take();
    Ok(owned)
}

fn pairs(frames: &[u32]) -> Vec<u64> {
    frames
        .chunks(2)
        .map(|pair| u64::from(pair[0]) | u64::from(pair.get(1).copied().unwrap_or(0)) << 32)
        .collect()
}

fn write(ring: &Ring, place: Reserved, record: &Owned) {
    match record {
        Owned::Alloc(sample, frames, cut) => {
            ring.write_alloc(place, *sample, frames.len(), &pairs(frames), *cut);
        }
        Owned::Free(slot, ticks) => ring.write_free(place, *slot, *ticks),
    }
}

/// A record with awkward numbers.
fn alloc(random: u64, slot: u32) -> Owned {
    let frames = [0, 1, 2, 3, 16, 127, 128][(random % 7) as usize];
    let number = |n: u64| match mix(random + n) % 4 {
        0 => 0,
        1 => u64::MAX,
        _ => mix(random + n),
    };
    let sample = Sample {
        slot,
        ticks: number(1),
        words: number(2),
        hits: number(3),
    };
    let frames = (0..frames).map(|n| number(10 + n) as u32).collect();
    Owned::Alloc(sample, frames, random & 8 != 0)
}

/// Creates a ring whose head is just before its wrap-around.
fn ring(words: usize) -> Ring {
    let ring = Ring::new(words).unwrap();
    let position = (u64::MAX >> LIVE_BITS) - 1_000;
    ring.head.publish(position << LIVE_BITS);
    ring.tail.publish(position);
    ring
}

#[test]
fn it_agrees_with_a_queue_and_a_free_always_fits() {
    let ring = ring(256);
    let mut queue = VecDeque::new();
    // Slots whose alloc was admitted and whose free is not written yet.
    let mut alive = Vec::new();
    let (mut state, mut refused, mut slot) = (3u64, 0, 0);
    for step in 0..200_000 {
        state = mix(state.wrapping_add(STEP));
        // Long phases without a consumer.
        let reads = step / 300 % 2 == 1 && state % 3 == 0;
        match state >> 32 & 3 {
            _ if reads => assert_eq!(pop(&ring).ok(), queue.pop_front()),
            0 if !alive.is_empty() => {
                let freed = alive.swap_remove((state >> 40) as usize % alive.len());
                let record = Owned::Free(freed, state);
                write(&ring, ring.reserve_free(), &record);
                queue.push_back(record);
            }
            _ => {
                slot += 1;
                let record = alloc(state, slot);
                let Owned::Alloc(_, frames, _) = &record else {
                    unreachable!()
                };
                let Some(place) = ring.reserve_alloc(frames.len()) else {
                    refused += 1;
                    continue;
                };
                write(&ring, place, &record);
                queue.push_back(record);
                alive.push(slot);
            }
        }
        // The used words and the words reserved for frees never exceed the memory.
        let head = ring.head.load();
        assert_eq!(head & (MAX_LIVE as u64 - 1), alive.len() as u64);
        assert!(ring.used(head) as usize + alive.len() * FREE_WORDS <= 256);
    }
    assert!(refused > 1_000, "{refused}");
    while let Some(record) = queue.pop_front() {
        assert_eq!(pop(&ring), Ok(record));
    }
    assert_eq!(pop(&ring), Err(Nothing::Empty));
    assert!(ring.words.iter().all(|word| word.get() == 0));
}

#[test]
fn a_record_that_is_not_finished_holds_up_those_behind_it() {
    let ring = ring(256);
    let (first, second) = (alloc(2, 1), alloc(3, 2));
    let (Owned::Alloc(_, a, _), Owned::Alloc(_, b, _)) = (&first, &second) else {
        unreachable!()
    };
    let place = ring.reserve_alloc(a.len()).unwrap();
    let next = ring.reserve_alloc(b.len()).unwrap();
    write(&ring, next, &second);
    assert_eq!(pop(&ring), Err(Nothing::Unfinished));
    write(&ring, place, &first);
    assert_eq!(pop(&ring), Ok(first));
    assert_eq!(pop(&ring), Ok(second));
    assert_eq!(pop(&ring), Err(Nothing::Empty));
}

#[test]
fn a_record_that_is_not_taken_stays() {
    let ring = ring(256);
    write(&ring, ring.reserve_alloc(0).unwrap(), &alloc(0, 9));
    for _ in 0..2 {
        let seen = ring.peek(BASE, &mut [0; MAX_FRAMES]).map(Owned::from);
        assert_eq!(seen, Ok(alloc(0, 9)));
    }
    ring.take();
    ring.take();
    assert_eq!(pop(&ring), Err(Nothing::Empty));
}

#[test]
fn the_smallest_ring_takes_the_largest_record() {
    let ring = ring(MIN_WORDS);
    for _ in 0..1_000 {
        let record = alloc(6, 1);
        write(&ring, ring.reserve_alloc(128).unwrap(), &record);
        assert_eq!(pop(&ring), Ok(record));
        write(&ring, ring.reserve_free(), &Owned::Free(1, 2));
        assert_eq!(pop(&ring), Ok(Owned::Free(1, 2)));
    }
}
