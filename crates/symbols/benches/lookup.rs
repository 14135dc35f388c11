//! Nanoseconds of a lookup in the image's table: `cargo bench -p symbols`. Wants an image: `scripts/build.sh`.
//!
//! Every call of the image is looked up, names included, in an order that jumps about. Prints the median of rounds, because a shared
//! machine has bad moments; take ratios, not digits.

use core::hint::black_box;
use std::fs;
use std::path::Path;
use std::time::Instant;

use symbol_table::{Scratch, Symbols};
use symbols::image;

/// Enough rounds for a median that disturbed ones do not move.
const ROUNDS: usize = 501;
/// Few enough that most rounds are not interrupted.
const LOOKUPS: usize = 64;
/// Next to nothing in common with the number of calls, so that steps of it go everywhere.
const STEP: usize = 7919;

fn main() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/hermit/app.elf");
    let Ok(file) = fs::read(&path) else {
        println!("SKIPPED lookups: there is no target/hermit/app.elf: run scripts/build.sh");
        return;
    };
    let Some(table) = image::table(&file).expect("an ELF file") else {
        println!("SKIPPED lookups: target/hermit/app.elf was built with --no-symbols");
        return;
    };
    let object = object::File::parse(&*file).expect("an ELF file");
    let calls = image::call_ends(&object).expect("code");
    let parsed = median(|| {
        black_box(Symbols::parse(black_box(table)).is_ok());
    });
    println!("parse: {:.1} us for {} bytes", parsed / 1e3, table.len());

    let symbols = Symbols::parse(table).expect("a table");
    let mut scratch = Scratch::new();
    let (mut frames, mut next) = (0, 0);
    let nanos = median(|| {
        for _ in 0..LOOKUPS {
            next = (next + STEP) % calls.len();
            frames += symbols.frames(black_box(calls[next]), &mut scratch, &mut |frame| {
                black_box((frame.function.len(), frame.file.len(), frame.line));
            });
        }
    });
    let nanos = nanos / LOOKUPS as f64;
    let frames = frames as f64 / (ROUNDS * LOOKUPS) as f64;
    println!(
        "lookup: {nanos:.0} ns per address, {:.0} ns per frame, {frames:.1} frames per address, {} addresses",
        nanos / frames,
        calls.len(),
    );
}

fn median(mut run: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e9
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}
