//! The set against a map, and how full it can be.

use std::collections::BTreeMap;

use crate::live::*;
use crate::odds::{STEP, mix};

fn may_be_there(live: &Live, address: usize) -> bool {
    live.filter()[Place::of(address, live.mask()).index()].get() != 0
}

/// Returns addresses as allocators do: with strides of powers of two, next to each other, and anywhere.
fn address(random: u64) -> usize {
    let n = (random >> 8) as usize;
    0x5555_0000_0000
        + match random % 4 {
            0 => n % 2_000 * 16,
            1 => n % 2_000 * 4096,
            2 => n % 2_000 * 8208,
            _ => n % (1 << 36) * 16,
        }
}

#[test]
fn it_agrees_with_a_map() {
    let live = Live::new(256).unwrap();
    let mut map = BTreeMap::new();
    let mut slots = [false; 256];
    let mut refused = 0;
    let mut state = 1u64;
    for _ in 0..200_000 {
        state = mix(state.wrapping_add(STEP));
        let at = address(state);
        assert_eq!(live.find(at), map.get(&at).copied());
        assert!(may_be_there(&live, at) || !map.contains_key(&at));
        if let Some(slot) = map.remove(&at) {
            live.leave(slot, at);
            slots[slot as usize] = false;
        } else if map.len() < 130 || state >> 60 == 0 {
            match live.take(at) {
                Some(slot) => {
                    assert!(!core::mem::replace(&mut slots[slot as usize], true));
                    live.enter(at);
                    map.insert(at, slot);
                }
                None => refused += 1,
            }
        } else {
            let (&at, &slot) = map.iter().nth(state as usize / 7 % map.len()).unwrap();
            live.leave(slot, at);
            map.remove(&at);
            slots[slot as usize] = false;
        }
    }
    assert!(refused > 0, "the set never became full");
    for (at, slot) in map {
        assert_eq!(live.find(at), Some(slot));
        live.leave(slot, at);
    }
    assert!(live.filter().iter().all(|byte| byte.get() == 0));
    assert!(live.slots.iter().all(|word| word.get() == FREE));
}

#[test]
fn a_set_that_is_full_is_not_met_before_the_whole_is_a_third_full() {
    const SLOTS: usize = 4096;
    let lost = |part: usize| {
        let mut lost = 0;
        for seed in 0..20_u64 {
            let live = Live::new(SLOTS).unwrap();
            let mut state = seed;
            for _ in 0..SLOTS * part / 100 {
                state = mix(state.wrapping_add(STEP));
                // Blocks of one heap of 64 MiB.
                let at = 0x40_0000 + (state % (4 << 20)) as usize * 16;
                if live.find(at).is_none() && live.take(at).is_none() {
                    lost += 1;
                }
            }
        }
        lost as f64 / (20 * SLOTS * part / 100) as f64
    };
    assert_eq!(lost(25), 0.0);
    assert!(lost(50) < 0.001, "{}", lost(50));
    assert!(lost(75) < 0.03, "{}", lost(75));
}

#[test]
fn a_block_that_is_being_reallocated_is_not_found_and_another_one_may_have_its_address() {
    let live = Live::new(8).unwrap();
    let slot = live.take(0x1000).unwrap();
    live.enter(0x1000);
    live.detach(slot);
    assert_eq!(live.find(0x1000), None);
    let other = live.take(0x1000).unwrap();
    live.enter(0x1000);
    assert_eq!(live.find(0x1000), Some(other));
    assert_ne!(slot, other);
    live.leave(other, 0x1000);
    live.attach(slot, 0x1000);
    assert_eq!(live.find(0x1000), Some(slot));
    live.leave(slot, 0x1000);
    assert!(!may_be_there(&live, 0x1000));
}
