//! Nanoseconds for a record that is not logged: `cargo bench -p logging --bench log`.
//!
//! Prints the median of rounds, and ratios to two relaxed loads with a comparison each, the most work that a disabled
//! record of a declared source may do. Fails if that record costs more than [`RATIO_MAX`] of them.

use core::hint::black_box;
use core::sync::atomic::{AtomicU8, Ordering};
use std::time::Instant;

use logging::{self, log_source, log_to};
use units::Micros;

/// So many rounds that a few disturbed ones do not move the median.
const ROUNDS: usize = 51;
const RECORDS_PER_ROUND: u32 = 100_000;

/// The limit. It leaves room for noise, and is far below the search by name or the making of a record.
const RATIO_MAX: f64 = 4.0;

log_source!(
    CACHE = "app::cache",
    "a source that is not at the level debug"
);

static LOADS: [AtomicU8; 2] = [AtomicU8::new(1), AtomicU8::new(1)];

/// Returns the median time of one record in nanoseconds.
fn measure(record: impl Fn(u64)) -> f64 {
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for number in 0..RECORDS_PER_ROUND {
            record(black_box(u64::from(number)));
        }
        rounds.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(RECORDS_PER_ROUND));
    }
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

fn two_loads() -> f64 {
    measure(|number| {
        let enabled = LOADS
            .iter()
            .all(|load| load.load(Ordering::Relaxed) >= black_box(2));
        if enabled {
            black_box(number);
        }
    })
}

fn main() {
    let print = |line: core::fmt::Arguments<'_>| panic!("nothing is logged here, but {line}");
    logging::init(print, || Micros::ZERO, "info").expect("the first logger");
    logging::declare(&[&CACHE]);
    let loads = two_loads();
    let tell = |what: &str, nanos: f64| {
        println!(
            "{what}: {nanos:.1} ns, {:.1} times two loads",
            nanos / loads
        );
    };
    tell("two loads and comparisons", loads);
    tell(
        "a level that no source logs at",
        measure(|number| log::debug!("evicted {number} entries")),
    );

    // From here on a source logs at debug, so the first load lets all records through.
    for number in 0..30 {
        let _ = logging::levels().see(&format!("app::module::number_{number:02}"));
    }
    logging::set_levels("app::module::number_29:debug").expect("a source");
    let declared = measure(|number| log_to!(CACHE, Debug, "evicted {number} entries"));
    tell("given to a declared source", declared);
    for (what, target) in [
        ("the first of 32 sources", "app::cache"),
        ("the 20th of 32 sources", "app::module::number_18"),
    ] {
        let nanos = measure(|number| log::debug!(target: target, "evicted {number} entries"));
        tell(&format!("given to the facade, {what}"), nanos);
    }
    let ratio = declared / loads;
    assert!(ratio <= RATIO_MAX, "a declared source's record: {ratio:.1}");
}
