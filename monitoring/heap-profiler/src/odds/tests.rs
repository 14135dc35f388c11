//! Distributions against their formulas, with fixed seeds and bounds in standard errors.

use super::*;

fn random(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed;
    move || {
        state = state.wrapping_add(STEP);
        mix(state)
    }
}

fn odds(rate: f64) -> Odds {
    Odds::new(Rate::new(rate).unwrap())
}

/// Standard errors by which a figure may differ: there are some hundred figures, with fixed seeds.
const ERRORS: f64 = 4.0;

#[track_caller]
fn assert_near(what: &str, measured: f64, expected: f64, standard_error: f64) {
    // The error that fixed-point arithmetic may add.
    let allowed = ERRORS * standard_error + expected.abs() * 1e-6;
    assert!(
        (measured - expected).abs() <= allowed,
        "{what}: {measured}, expected {expected} ± {allowed}"
    );
}

#[test]
fn the_logarithm_is_as_exact_as_it_says() {
    let scale = (1u64 << LOG_BITS) as f64;
    let mut sum_of_errors = 0.0;
    const STEPS: u64 = 1 << 16;
    for step in 0..STEPS {
        // Mantissas at equal distances, with the other bits in the middle.
        let number = 1 << 63 | step << 47 | 1 << 46;
        let exact = 64.0 - (number as f64).log2();
        let error = negated_log2(number) as f64 / scale - exact;
        assert!(error.abs() < 2e-6, "{number:#x}: off by {error:e}");
        sum_of_errors += error;
    }
    assert!((sum_of_errors / STEPS as f64).abs() < 1e-9);
    for (number, expected) in [(0, 64.0), (1, 64.0), (2, 63.0), (u64::MAX, 0.0)] {
        let exact = negated_log2(number) as f64 / scale;
        // The lowest bit always counts as one.
        assert!((exact - expected).abs() < 1.0, "{number:#x}: {exact}");
    }
}

#[test]
fn the_scale_is_that_of_the_standard_library_s_logarithm() {
    for rate in [
        1e-12, 1e-9, 1e-6, 1e-4, 0.01, 0.25, 0.5, 0.500_001, 0.75, 0.99, 0.999_999,
    ] {
        let exact = -core::f64::consts::LN_2 / f64::ln_1p(-rate);
        let scale = odds(rate).hit.scale as f64 / (1u64 << SCALE_BITS) as f64;
        let half_a_step = 0.5 / (1u64 << SCALE_BITS) as f64;
        assert!(
            (scale - exact).abs() <= half_a_step + exact * 1e-9,
            "{rate}: {scale}, {exact}"
        );
    }
    assert_eq!(odds(1.0).hit.scale, 0);
}

#[test]
fn gaps_have_the_geometric_mean_and_the_geometric_first_probabilities() {
    const GAPS: u32 = 200_000;
    for (seed, rate) in [1.0, 0.999, 0.75, 0.5, 0.3, 0.01, 1e-4, 1e-6]
        .into_iter()
        .enumerate()
    {
        let (mut random, odds) = (random(seed as u64), odds(rate));
        let (mut sum, mut counts) = (0.0, [0u32; 4]);
        for _ in 0..GAPS {
            let gap = odds.hit.gap(&mut random);
            sum += gap as f64;
            assert!(gap >= 1);
            if let Some(count) = counts.get_mut(gap as usize - 1) {
                *count += 1;
            }
        }
        let n = f64::from(GAPS);
        let deviation = (1.0 - rate).sqrt() / rate;
        assert_near(
            &format!("mean at {rate}"),
            sum / n,
            1.0 / rate,
            deviation / n.sqrt(),
        );
        for (gap, count) in (1..).zip(counts) {
            let p = rate * (1.0 - rate).powi(gap - 1);
            let error = (p * (1.0 - p) / n).sqrt();
            // One event in a million draws may come even if none is expected.
            let error = error.max(1.0 / n);
            assert_near(
                &format!("P({gap}) at {rate}"),
                f64::from(count) / n,
                p,
                error,
            );
        }
    }
}

/// Mean, variance and the fourth central moment of the binomial distribution.
fn binomial(n: u64, p: f64) -> (f64, f64, f64) {
    let n = n as f64;
    let variance = n * p * (1.0 - p);
    // npq · (1 + 3 · (n - 2) · pq)
    let fourth = variance * (1.0 + 3.0 * (n - 2.0) * p * (1.0 - p));
    (n * p, variance, fourth.max(variance * variance))
}

#[test]
fn hits_have_the_binomial_mean_and_variance_from_a_word_to_ten_million() {
    let rates = [1.0, 0.999_999, 0.99, 0.6, 0.5, 0.1, 0.01, 1e-3, 1e-4, 1e-6];
    let sizes = [1, 2, 3, 8, 100, 1_000, 10_000, 1_000_000, 10_000_000];
    for (seed, (rate, words)) in rates
        .iter()
        .flat_map(|rate| sizes.map(|words| (*rate, words)))
        .enumerate()
    {
        let (mut random, odds) = (random(1_000 + seed as u64), odds(rate));
        const BLOCKS: u32 = 3_000;
        let (mean, variance, fourth) = binomial(words, rate);
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..BLOCKS {
            let hits = odds.hits(words, &mut random);
            assert!(hits <= words);
            let off = hits as f64 - mean;
            sum += off;
            squares += off * off;
        }
        let n = f64::from(BLOCKS);
        let what = format!("{words} words at {rate}");
        let error = (variance / n).sqrt();
        // Where hits are so rare, one hit in all blocks together may be the whole difference.
        let error = error.max(1.0 / n);
        assert_near(&format!("mean of {what}"), sum / n + mean, mean, error);
        let error = ((fourth - variance * variance) / n).sqrt().max(1.0 / n);
        assert_near(&format!("variance of {what}"), squares / n, variance, error);
    }
}

#[test]
fn hits_of_small_blocks_have_the_whole_binomial_distribution() {
    const BLOCKS: u32 = 200_000;
    for (seed, rate) in [0.999, 0.7, 0.5, 0.2, 0.03].into_iter().enumerate() {
        let (mut random, odds) = (random(50 + seed as u64), odds(rate));
        for words in 1..=6 {
            let mut counts = [0u32; 7];
            for _ in 0..BLOCKS {
                counts[odds.hits(words, &mut random) as usize] += 1;
            }
            let mut choose = 1.0;
            for hits in 0..=words {
                let (k, n) = (hits as i32, words as i32);
                let p = choose * rate.powi(k) * (1.0 - rate).powi(n - k);
                choose = choose * f64::from(n - k) / f64::from(k + 1);
                let blocks = f64::from(BLOCKS);
                let error = (p * (1.0 - p) / blocks).sqrt().max(1.0 / blocks);
                assert_near(
                    &format!("{hits} of {words} words at {rate}"),
                    f64::from(counts[hits as usize]) / blocks,
                    p,
                    error,
                );
            }
        }
    }
}

#[test]
fn a_large_block_is_not_counted_gap_by_gap() {
    for rate in [1.0, 0.5, 0.999, 0.1] {
        let mut drawn = 0;
        let mut random = random(3);
        odds(rate).hits_and_next(1 << 40, &mut || {
            drawn += 1;
            random()
        });
        assert!(drawn <= 2 * COUNTED as u32, "{drawn} numbers at {rate}");
    }
}

#[test]
fn the_next_hit_is_behind_the_block_and_as_far_as_a_gap() {
    for (seed, (rate, words)) in [(0.5, 3), (0.9, 5), (1.0, 7), (0.01, 200), (0.5, 100_000)]
        .into_iter()
        .enumerate()
    {
        let (mut random, odds) = (random(90 + seed as u64), odds(rate));
        let (mut sum, n) = (0.0, 20_000.0);
        for _ in 0..20_000 {
            let (hits, next) = odds.hits_and_next(words, &mut random);
            assert!(hits <= words && next > words);
            sum += (next - words) as f64;
        }
        let error = (1.0 - rate).sqrt() / rate / f64::sqrt(n);
        assert_near("gap behind", sum / n, 1.0 / rate, error);
    }
}

#[test]
fn no_probability_or_size_overflows() {
    let mut random = random(4);
    for rate in [1e-12, 1e-6, 0.5, 1.0 - 1e-16, 1.0] {
        for words in [0, 1, 1 << 32, 1 << 60] {
            let (hits, next) = odds(rate).hits_and_next(words, &mut random);
            assert!(hits <= words && next > words, "{rate} {words}");
        }
    }
}
