//! Variants in turns, and what is said of them.

use std::time::Instant;

/// Rounds of each case; the median of so many is not moved by some bad ones.
const ROUNDS: usize = 501;
const WARM_UP: usize = 20;

/// One way to have memory, and what it has recorded.
pub struct Variant<'h> {
    pub name: &'static str,
    pub run: Box<dyn FnMut(usize) + 'h>,
    pub drain: Box<dyn FnMut() -> (usize, usize) + 'h>,
}

pub fn plain<'h>(name: &'static str, run: impl FnMut(usize) + 'h) -> Variant<'h> {
    Variant {
        name,
        run: Box::new(run),
        drain: Box::new(|| (0, 0)),
    }
}

pub struct Figures {
    pub name: &'static str,
    pub nanos: f64,
    pub difference: f64,
    pub ratio: f64,
    pub samples_per_operation: f64,
    pub frames: f64,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the variants in turns of so many operations; figures are per operation, and against the first variant. A turn is shorter than
/// what a scheduler gives a task at once, so that most turns are undisturbed.
pub fn measure(turn: usize, variants: &mut [Variant<'_>]) -> Vec<Figures> {
    let mut nanos = vec![Vec::new(); variants.len()];
    let mut recorded = vec![(0, 0); variants.len()];
    for round in 0..WARM_UP + ROUNDS {
        for (at, variant) in variants.iter_mut().enumerate() {
            let start = Instant::now();
            (variant.run)(turn);
            let total = start.elapsed().as_secs_f64();
            let (samples, frames) = (variant.drain)();
            if round >= WARM_UP {
                nanos[at].push(total * 1e9 / turn as f64);
                recorded[at] = (recorded[at].0 + samples, recorded[at].1 + frames);
            }
        }
    }
    let against = |at: usize, with: fn(f64, f64) -> f64| {
        let pairs = nanos[at].iter().zip(&nanos[0]);
        median(pairs.map(|(value, base)| with(*value, *base)).collect())
    };
    variants
        .iter()
        .enumerate()
        .map(|(at, variant)| Figures {
            name: variant.name,
            nanos: median(nanos[at].clone()),
            difference: against(at, |value, base| value - base),
            ratio: against(at, |value, base| value / base),
            samples_per_operation: recorded[at].0 as f64 / (turn * ROUNDS) as f64,
            frames: recorded[at].1 as f64 / recorded[at].0.max(1) as f64,
        })
        .collect()
}

pub fn print(case: &str, figures: &[Figures]) {
    println!("{case}");
    for it in figures {
        print!(
            "  {:<22} {:>7.2} ns {:>+7.2} ns {:>6.3} x",
            it.name, it.nanos, it.difference, it.ratio
        );
        if it.samples_per_operation > 0.0 {
            print!(
                "   {:.5} samples of {:.1} frames each: {:.1} ns a sample",
                it.samples_per_operation,
                it.frames,
                it.difference / it.samples_per_operation
            );
        }
        println!();
    }
}
