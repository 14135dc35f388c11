//! Nanoseconds and bytes per event of a trace: `cargo bench -p memtrace-writer --bench memtrace`.
//!
//! Allocs and collects both count as events. Prints the median of many short rounds, because other programs use a
//! shared machine in between. It also prints the time of a plain copy of the stacks, so that ratios can be compared
//! between machines.

#[path = "../tests/memtrace/program.rs"]
mod program;
#[path = "../tests/memtrace/real.rs"]
mod real;

use core::hint::black_box;
use core::num::NonZeroU64;
use std::time::Instant;

use memtrace_writer::{Alloc, CollectError, Encoder, Info, ObjectId, Resolve, UnixMicros};

use program::{Happening, Names, Program, Random, run};

const PASSES: u64 = 8;
/// Events of a round. It takes some hundred microseconds, so most rounds are not interrupted.
const EVENTS_PER_ROUND: usize = 2_000;
const ALLOCATIONS: u64 = 50_000;
const START: u64 = 1_700_000_000_000_000;

/// Encodes all events, from `at` on. Returns the bytes.
fn encode(
    encoder: &mut Encoder,
    happenings: &[Happening],
    mut at: u64,
    first: u64,
    names: &mut dyn Resolve,
) -> usize {
    let mut bytes = 0;
    for happening in happenings {
        at += 20;
        match happening {
            Happening::Alloc(words, hits, stack) => {
                let block = Alloc::new(*words, NonZeroU64::new(*hits).expect("a hit"));
                loop {
                    let stack = stack.iter().copied();
                    match encoder.alloc(UnixMicros(at), block, stack, names) {
                        Ok(_) => break,
                        Err(_) => bytes += encoder.flush().map_or(0, <[u8]>::len),
                    }
                }
            }
            Happening::Free(id) => {
                let id = ObjectId(first + id);
                while encoder.collect(UnixMicros(at), id) == Err(CollectError::Full) {
                    bytes += encoder.flush().map_or(0, <[u8]>::len);
                }
            }
        }
    }
    bytes + encoder.flush().map_or(0, <[u8]>::len)
}

fn copy(happenings: &[Happening], out: &mut [u64; 256]) {
    for happening in happenings {
        if let Happening::Alloc(_, _, stack) = happening {
            out[..stack.len()].copy_from_slice(stack);
            black_box(&*out);
        }
    }
}

fn median(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    rounds[rounds.len() / 2]
}

fn main() {
    let mut random = Random(5);
    for (name, program) in [
        ("usual program", Program::usual(&mut random)),
        ("odd program, 2,000 codes", Program::odd(70, &mut random)),
        ("odd program, 12,000 codes", Program::odd(600, &mut random)),
    ] {
        let happenings = run(&program, ALLOCATIONS, &mut random);
        measure(name, &happenings, &mut Names::default());
    }
    let (happenings, mut names) = real::trace();
    measure("demo image, mixed workload", &happenings, &mut names);
}

fn measure(name: &str, happenings: &[Happening], names: &mut dyn Resolve) {
    let info = Info {
        start: UnixMicros(START),
        rate: 1.0,
        executable: "app.elf",
        host: "bench",
        parameters: "",
        pid: 1,
        context: "",
    };
    let mut encoder = Encoder::new(&info);
    let stacks: Vec<usize> = happenings
        .iter()
        .filter_map(|happening| match happening {
            Happening::Alloc(_, _, stack) => Some(stack.len()),
            Happening::Free(_) => None,
        })
        .collect();
    let (events, allocations) = (happenings.len() as f64, stacks.len() as u64);
    let (mut out, mut bytes) = ([0; 256], Vec::new());
    let (mut encoded, mut copied) = (Vec::new(), Vec::new());
    let mut definitions = Vec::new();
    for pass in 0..PASSES {
        // A trace that continues: names are known after the first pass, the clock and the ids advance.
        let mut at = START + pass * (events as u64 * 20 + 60_000_000);
        let mut taken = encoder.flush().map_or(0, <[u8]>::len);
        for happenings in happenings.chunks(EVENTS_PER_ROUND) {
            let count = happenings.len() as f64;
            let first = pass * allocations;
            let start = Instant::now();
            taken += encode(&mut encoder, black_box(happenings), at, first, names);
            encoded.push(start.elapsed().as_secs_f64() * 1e9 / count);
            let start = Instant::now();
            copy(black_box(happenings), &mut out);
            copied.push(start.elapsed().as_secs_f64() * 1e9 / count);
            at += 20 * happenings.len() as u64;
        }
        bytes.push(taken as f64 / events);
        definitions.push(encoder.counts().definitions);
    }
    let rounds = encoded.len() / PASSES as usize;
    println!(
        "{name}: {:.1} frames a stack, {} codes; {:.1} ns an event, {:.1} in the first pass (copying the stacks {:.1}); \
         {:.2} bytes an event, {:.2} in the second pass, {:.2} in the first with the names",
        stacks.iter().sum::<usize>() as f64 / allocations as f64,
        definitions[0],
        median(encoded[rounds..].to_vec()),
        median(encoded[..rounds].to_vec()),
        median(copied),
        bytes[bytes.len() - 1],
        bytes[1],
        bytes[0],
    );
}
