//! Runs variants in turns and prints their figures.

use std::time::Instant;

/// Rounds of each case. A few slow rounds do not move the median of so many.
const ROUNDS: usize = 501;
const WARM_UP: usize = 20;

/// Counts of the records of a profile.
#[derive(Clone, Copy, Default)]
pub struct Recorded {
    pub samples: usize,
    pub frames: usize,
    pub lost: u64,
}

/// One allocator to measure, and what it has recorded. Only `run` is timed.
pub struct Variant<'h> {
    pub name: &'static str,
    pub prepare: Box<dyn FnMut() + 'h>,
    pub run: Box<dyn FnMut(usize) + 'h>,
    pub drain: Box<dyn FnMut() -> Recorded + 'h>,
}

pub fn plain<'h>(name: &'static str, run: impl FnMut(usize) + 'h) -> Variant<'h> {
    Variant {
        name,
        prepare: Box::new(|| ()),
        run: Box::new(run),
        drain: Box::new(Recorded::default),
    }
}

pub struct Figures {
    name: &'static str,
    nanos: f64,
    difference: f64,
    ratio: f64,
    operations: usize,
    recorded: Recorded,
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the variants in turns of `turn` operations. Figures are per operation, and relative to the first variant. A
/// turn is shorter than a scheduler's time slice, so that most turns are undisturbed.
pub fn measure(turn: usize, variants: &mut [Variant<'_>]) -> Vec<Figures> {
    let mut nanos = vec![Vec::new(); variants.len()];
    let mut recorded = vec![Recorded::default(); variants.len()];
    for round in 0..WARM_UP + ROUNDS {
        for (at, variant) in variants.iter_mut().enumerate() {
            (variant.prepare)();
            let start = Instant::now();
            (variant.run)(turn);
            let total = start.elapsed().as_secs_f64();
            let now = (variant.drain)();
            if round >= WARM_UP {
                nanos[at].push(total * 1e9 / turn as f64);
                recorded[at].samples += now.samples;
                recorded[at].frames += now.frames;
                recorded[at].lost += now.lost;
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
            operations: turn * ROUNDS,
            recorded: recorded[at],
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
        let Recorded {
            samples,
            frames,
            lost,
        } = it.recorded;
        if samples > 0 {
            let an_operation = samples as f64 / it.operations as f64;
            print!(
                "   {an_operation:.5} samples of {:.1} frames each: {:.1} ns a sample",
                frames as f64 / samples as f64,
                it.difference / an_operation
            );
        }
        if lost > 0 {
            print!(", {lost} lost");
        }
        println!();
    }
}
