//! The countdown over streams of blocks, with and without preemption.

use super::*;

fn sampler(rate: f64, seed: u64) -> (Countdown, Chances) {
    let (countdown, chances) = (Countdown::new(), Chances::new());
    chances.set(Rate::new(rate).unwrap(), seed);
    countdown.start(&chances);
    (countdown, chances)
}

fn sample(countdown: &Countdown, chances: &Chances, words: u64) -> u64 {
    if countdown.pass(words) {
        countdown.hits(words, chances)
    } else {
        0
    }
}

/// Blocks of some sizes, and the sums of their hits.
#[derive(Default)]
struct Tally {
    blocks: f64,
    hits: f64,
    squares: f64,
}

impl Tally {
    fn add(&mut self, hits: u64) {
        self.blocks += 1.0;
        self.hits += hits as f64;
        self.squares += (hits * hits) as f64;
    }

    /// Checks that mean and variance are within 4 standard errors of the binomial distribution's.
    #[track_caller]
    fn assert_binomial(&self, words: u64, rate: f64) {
        let n = words as f64;
        let (mean, variance) = (n * rate, n * rate * (1.0 - rate));
        let fourth = variance * (1.0 + 3.0 * (n - 2.0) * rate * (1.0 - rate));
        let measured = self.hits / self.blocks;
        let error = (variance / self.blocks).sqrt();
        assert!(
            (measured - mean).abs() <= 4.0 * error + mean * 1e-6,
            "{words} words at {rate}: mean {measured}, not {mean} ± {error}"
        );
        let measured =
            self.squares / self.blocks - 2.0 * mean * self.hits / self.blocks + mean * mean;
        let error = ((fourth - variance * variance).max(0.0) / self.blocks).sqrt();
        assert!(
            (measured - variance).abs() <= 4.0 * error + variance * 1e-5 + 2.0 / self.blocks,
            "{words} words at {rate}: variance {measured}, not {variance} ± {error}"
        );
    }
}

#[test]
fn each_size_in_a_mixed_stream_is_estimated_without_bias() {
    const SIZES: [u64; 7] = [1, 2, 7, 100, 1_000, 30_000, 1_000_000];
    for (seed, rate) in [1.0, 0.9, 0.3, 0.01, 1e-4, 1e-6].into_iter().enumerate() {
        let (countdown, chances) = sampler(rate, seed as u64);
        let mut tallies: [Tally; SIZES.len()] = Default::default();
        let mut state = 77_u64;
        for _ in 0..300_000 {
            state = mix(state.wrapping_add(STEP));
            let at = (state % SIZES.len() as u64) as usize;
            // Large blocks are rare; otherwise nothing else would be hit at low rates.
            if SIZES[at] > 1_000 && state >> 32 & 15 != 0 {
                continue;
            }
            tallies[at].add(sample(&countdown, &chances, SIZES[at]));
        }
        for (words, tally) in SIZES.into_iter().zip(tallies) {
            tally.assert_binomial(words, rate);
        }
    }
}

#[test]
fn at_rate_one_each_block_has_as_many_hits_as_words() {
    let (countdown, chances) = sampler(1.0, 5);
    for words in (1..2_000).chain([1 << 20, 1 << 40, 1]) {
        assert_eq!(sample(&countdown, &chances, words), words);
    }
}

#[test]
fn nothing_is_hit_when_it_is_off() {
    let (countdown, chances) = sampler(1.0, 5);
    assert_eq!(sample(&countdown, &chances, 3), 3);
    countdown.stop();
    for _ in 0..1_000 {
        assert_eq!(sample(&countdown, &chances, 1 << 40), 0);
    }
    countdown.start(&chances);
    assert_eq!(sample(&countdown, &chances, 3), 3);
}

/// Counts a block with other blocks between its two steps, and others between theirs.
fn preempted(
    countdown: &Countdown,
    chances: &Chances,
    state: &mut u64,
    depth: u32,
    seen: &mut impl FnMut(u64, u64),
) {
    *state = mix(state.wrapping_add(STEP));
    let words = [1, 10, 300][(*state % 3) as usize];
    let others = if depth == 0 { 0 } else { *state >> 32 & 3 };
    let may_be = countdown.pass(words);
    for _ in 0..others {
        preempted(countdown, chances, state, depth - 1, seen);
    }
    seen(
        words,
        if may_be {
            countdown.hits(words, chances)
        } else {
            0
        },
    );
}

#[test]
fn tasks_that_preempt_each_other_between_any_two_steps_lose_and_invent_nothing() {
    for (seed, rate) in [0.5, 0.03, 0.001].into_iter().enumerate() {
        let (countdown, chances) = sampler(rate, 40 + seed as u64);
        let mut tallies: [Tally; 3] = Default::default();
        let mut state = seed as u64;
        for _ in 0..40_000 {
            preempted(&countdown, &chances, &mut state, 2, &mut |words, hits| {
                let at = [1, 10, 300].iter().position(|size| *size == words).unwrap();
                tallies[at].add(hits);
            });
        }
        // Hits may move from one block to another, so only the sum over all blocks is as exact as without preemption.
        let (mut hits, mut words) = (0.0, 0.0);
        for (size, tally) in [1.0, 10.0, 300.0].into_iter().zip(&tallies) {
            hits += tally.hits;
            words += tally.blocks * size;
        }
        let (expected, error) = (words * rate, (words * rate * (1.0 - rate)).sqrt());
        assert!(
            (hits - expected).abs() <= 4.0 * error,
            "at {rate}: {hits}, not {expected} ± {error}"
        );
    }
}

#[test]
fn at_rate_one_preempted_tasks_have_all_their_hits_too() {
    let (countdown, chances) = sampler(1.0, 6);
    let mut state = 9;
    for _ in 0..20_000 {
        preempted(&countdown, &chances, &mut state, 3, &mut |words, hits| {
            assert_eq!(hits, words);
        });
    }
}
