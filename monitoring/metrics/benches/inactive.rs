//! The cost of a source that is off: `cargo bench -p metrics --bench inactive`.
//!
//! Prints the median of rounds, each minus an empty loop of the same round. Compare orders of magnitude, not digits.

use core::hint::black_box;
use std::time::Instant;

use metrics::line::Value;
use metrics::{self, Counter, FieldDef, Gauge, Histogram, KeyedCounter, Points};

/// So many rounds that a few disturbed ones do not move the median.
const ROUNDS: usize = 51;
const USES_PER_ROUND: u32 = 1_000_000;

static OFF: Counter = Counter::new("off", "a counter that is off");
static ON: Counter = Counter::new("on", "a counter that is on");
static GAUGE: Gauge = Gauge::new("gauge", "a gauge that is off");
static SIZES: Histogram = Histogram::new("sizes", "a histogram that is off");
static KINDS: KeyedCounter = KeyedCounter::new("kinds", "a keyed counter that is off");
static POINTS: Points<1, 1> = Points::new(
    "points",
    "points that are off",
    &["n"],
    [FieldDef::u64("value", "units", "a value")],
);

/// Returns the nanoseconds per pass of one loop around `each`.
fn time(mut each: impl FnMut(u64)) -> f64 {
    let start = Instant::now();
    for n in 0..u64::from(USES_PER_ROUND) {
        each(black_box(n));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(USES_PER_ROUND)
}

/// Prints the median nanoseconds of one use, minus the empty loop of the same round.
fn measure(name: &str, mut each: impl FnMut(u64)) {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let empty = time(|_| ());
            time(&mut each) - empty
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    println!("{name:<28} {:>6.2} ns", rounds[ROUNDS / 2]);
}

fn main() {
    let all: [&'static dyn metrics::Metric; 6] = [&OFF, &ON, &GAUGE, &SIZES, &KINDS, &POINTS];
    for metric in all {
        metrics::register(metric).expect("a name of its own");
    }
    let registry = metrics::registry();
    registry.disable_all();
    registry.enable("on").expect("registered");
    println!("above an empty loop, median of {ROUNDS} rounds of {USES_PER_ROUND}:");
    measure("a counter that is off", |n| OFF.add(n));
    measure("a counter that is on", |n| ON.add(n));
    measure("a gauge that is off", |n| GAUGE.set(n.cast_signed()));
    measure("a histogram that is off", |n| SIZES.record(n));
    measure("a keyed counter that is off", |_| KINDS.add("key", 1));
    measure("a point that is off", |n| {
        POINTS.push(["1"], [Value::U64(n)]);
    });
}
