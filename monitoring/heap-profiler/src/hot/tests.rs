use super::*;

/// Returns a line with these numbers, and a filter in which one place in three is taken.
fn hot(filter: &'static [Byte], peak: u64, countdown: u64, mask: u64) -> Hot {
    let hot = Hot::new();
    hot.counts.peak_bytes.store(peak, Ordering::Relaxed);
    hot.countdown.set(countdown);
    hot.set_filter(filter);
    hot.set_mask(mask);
    hot
}

fn words(hot: &Hot) -> [u64; 6] {
    let counts = &hot.counts;
    [
        counts.allocations.get(),
        counts.allocated_bytes.get(),
        counts.frees.get(),
        counts.freed_bytes.get(),
        counts.peak_bytes.load(Ordering::Relaxed),
        hot.countdown.get(),
    ]
}

#[test]
fn the_assembly_does_what_the_rust_does() {
    const SIZES: [usize; 7] = [0, 1, 8, 4096, 1 << 32, (1 << 40) + 3, isize::MAX as usize];
    const COUNTDOWNS: [u64; 6] = [0, 1, 2, 1 << 62, i64::MAX as u64, u64::MAX];
    let filter: Vec<Byte> = (0..64).map(|n| Byte::new(u8::from(n % 3 == 0))).collect();
    let filter: &'static [Byte] = filter.leak();
    let (mut counted, mut rare) = (0, 0);
    let mut tell = |is_rare: bool| *(if is_rare { &mut rare } else { &mut counted }) += 1;
    for countdown in COUNTDOWNS {
        for mask in [0, 1, 63] {
            for peak in [0, 1, 1 << 40, u64::MAX] {
                let (fast, plain) = (
                    hot(filter, peak, countdown, mask),
                    hot(filter, peak, countdown, mask),
                );
                for (n, size) in SIZES.into_iter().enumerate() {
                    // Addresses of all kinds, and the null address.
                    for address in [0, 1, 16 + n * 4096, usize::MAX - 64 * n] {
                        let block = core::ptr::without_provenance_mut(address);
                        let words_of = crate::hook::words(size);
                        let is_rare = fast.unlocked_allocate(block, size, words_of);
                        assert_eq!(is_rare, plain.portable_allocate(block, size, words_of));
                        assert_eq!(words(&fast), words(&plain), "alloc {size} at {address:#x}");
                        tell(is_rare);
                        // The freed block has another size: the bytes alive grow, and are below zero at times.
                        let freed = SIZES[(n + 2) % SIZES.len()];
                        let is_rare = fast.unlocked_free(block, freed);
                        assert_eq!(is_rare, plain.portable_free(block, freed));
                        assert_eq!(words(&fast), words(&plain), "free {freed} at {address:#x}");
                        tell(is_rare);
                    }
                }
            }
        }
    }
    // Both ways were taken many times.
    assert!(counted > 500 && rare > 500, "{counted} and {rare}");
}

#[test]
fn a_refusal_changes_nothing_and_is_rare() {
    let hot = Hot::new();
    let before = words(&hot);
    assert!(hot.allocate(core::ptr::null_mut(), 64, 8));
    assert_eq!(words(&hot), before);
}

#[test]
fn without_a_session_no_address_is_looked_for() {
    let hot = Hot::new();
    assert!((0..10_000_usize).all(|n| !hot.may_be_sampled(n.wrapping_mul(0x1234_5678_9abc_def1))));
}
