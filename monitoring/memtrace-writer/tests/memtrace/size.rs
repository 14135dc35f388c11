//! The number of bytes of a trace, beside memtrace's own writer.

use std::rc::Rc;

use memtrace_writer::Resolve;

use crate::peer::Peer;
use crate::program::{Happening, Names, Program, Random, run};
use crate::real;
use crate::tracer::{Tracer, info};

/// Returns the bytes of our trace and of memtrace's, and the encoder that wrote ours.
fn both(happenings: &[Happening]) -> (usize, usize, Tracer<Names>) {
    both_with(happenings, Names::default)
}

fn both_with<N: Resolve>(
    happenings: &[Happening],
    names: impl Fn() -> N,
) -> (usize, usize, Tracer<N>) {
    let mut tracer = Tracer::new(&info(), names());
    let first = tracer.stream.len();
    tracer.happen(happenings);
    (
        tracer.stream.len(),
        Peer::new(first, names()).happen(happenings),
        tracer,
    )
}

type Make = fn(&mut Random) -> Program;

/// Returns programs, their numbers of allocations, and the bytes that memtrace's own writer was observed to write when
/// it copied our trace (version of September 2024, OCaml 4.13.1).
fn copied() -> [(&'static str, Make, u64, usize); 5] {
    [
        ("usual", Program::usual, 20_000, 398_118),
        ("usual and short", Program::usual, 500, 21_567),
        (
            "odd, 1,700 codes",
            |random| Program::odd(60, random),
            20_000,
            577_512,
        ),
        (
            "odd, 4,500 codes",
            |random| Program::odd(200, random),
            40_000,
            1_379_532,
        ),
        (
            "odd, 12,000 codes",
            |random| Program::odd(600, random),
            100_000,
            5_482_732,
        ),
    ]
}

#[test]
fn the_model_of_memtraces_writer_is_right_to_the_byte_and_ours_takes_less() {
    for (name, program, allocations, copied) in copied() {
        let mut random = Random(7);
        let program = program(&mut random);
        let happenings = run(&program, allocations, &mut random);
        let (ours, theirs, tracer) = both(&happenings);
        let counts = tracer.encoder.counts();
        println!(
            "{name}: {} codes, {:.2} bytes an event; memtrace's writer {:.2}",
            counts.definitions,
            ours as f64 / happenings.len() as f64,
            theirs as f64 / happenings.len() as f64,
        );
        assert_eq!(theirs, copied, "{name}");
        assert!(ours < theirs, "{name}: {ours} bytes, memtrace's {theirs}");
        assert_eq!(counts.evictions, 0, "{name}");
    }
}

#[test]
fn a_usual_program_takes_less_than_ten_bytes_an_event() {
    for seed in 0..4 {
        let mut random = Random(seed);
        let program = Program::usual(&mut random);
        let happenings = run(&program, 25_000, &mut random);
        let (ours, theirs, _) = both(&happenings);
        let per_event = |bytes: usize| bytes as f64 / happenings.len() as f64;
        println!(
            "seed {seed}: {:.2} bytes an event, memtrace's writer {:.2}",
            per_event(ours),
            per_event(theirs)
        );
        assert!(per_event(ours) < 10.0, "{}", per_event(ours));
        assert!(ours < theirs, "{ours} bytes, memtrace's {theirs}");
    }
}

#[test]
fn no_trace_takes_more_than_memtraces_writer_while_its_codes_fit_the_cache() {
    for seed in 0..30 {
        let mut random = Random(seed);
        let codes = 2 << random.below(12);
        let depth = 1 + random.below(40);
        let random_stack = |random: &mut Random| -> Rc<[u64]> {
            (0..1 + random.below(depth))
                .map(|_| 16 + 7 * random.below(codes) as u64)
                .collect()
        };
        let happenings: Vec<Happening> = (0..3_000)
            .map(|_| Happening::Alloc(1 + random.below(300) as u64, 1, random_stack(&mut random)))
            .collect();
        let (ours, theirs, _) = both(&happenings);
        assert!(
            ours <= theirs,
            "seed {seed}, {codes} codes: {ours} bytes, memtrace's {theirs}"
        );
    }
}

/// The way in which a program reuses its codes.
#[derive(Clone, Copy, Debug)]
enum Use {
    Alike,
    Round,
    /// One in eight codes takes half of all frames.
    FewOften,
}

#[test]
fn nor_do_traces_with_more_codes_than_the_cache_holds() {
    for (codes, usage) in [14_000, 18_000, 24_000, 40_000]
        .into_iter()
        .flat_map(|codes| [Use::Alike, Use::Round, Use::FewOften].map(|usage| (codes, usage)))
    {
        let mut random = Random(1);
        let mut frame = 0;
        let mut code = || {
            frame += 1;
            let which = match usage {
                Use::Alike => random.below(codes),
                Use::Round => frame % codes,
                Use::FewOften => {
                    let part = random.below(1 << 20) as f64 / f64::from(1 << 20);
                    (part.powi(3) * codes as f64) as usize
                }
            };
            0x20_0000 + 23 * which as u64
        };
        let happenings: Vec<Happening> = (0..10_000)
            .map(|_| Happening::Alloc(2, 1, (0..20).map(|_| code()).collect()))
            .collect();
        let (ours, theirs, tracer) = both(&happenings);
        let evictions = tracer.encoder.counts().evictions;
        println!(
            "{codes} codes, {usage:?}: {ours} bytes, memtrace's {theirs}; {evictions} evictions"
        );
        assert!(
            ours <= theirs,
            "{codes} codes, {usage:?}: {ours} bytes, memtrace's {theirs}"
        );
    }
}

#[test]
fn no_beginning_of_a_trace_takes_more() {
    let mut random = Random(9);
    for round in 0..300 {
        let program = if round % 2 == 0 {
            Program::usual(&mut random)
        } else {
            Program::odd(1 + random.below(30), &mut random)
        };
        let happenings = run(&program, 2_000, &mut random);
        for end in [40, 150, 400, 900, 1_600, 2_500, happenings.len()] {
            let (ours, theirs, _) = both(&happenings[..end]);
            assert!(
                ours <= theirs,
                "round {round}, {end} events: {ours} bytes, memtrace's {theirs}"
            );
        }
    }
}

/// Programs with phases: the cache of one phase does not help the next.
#[test]
fn nor_do_programs_that_never_come_back_to_their_stacks() {
    for seed in 0..20 {
        let mut random = Random(seed);
        let (mut happenings, mut allocations) = (Vec::new(), 0);
        for _ in 0..6 {
            let program = Program::odd(1 + random.below(6), &mut random);
            let more = run(&program, 50 + random.below(400) as u64, &mut random);
            happenings.extend(more.iter().map(|happening| match happening {
                Happening::Free(id) => Happening::Free(allocations + id),
                alloc @ Happening::Alloc(..) => alloc.clone(),
            }));
            allocations += more.len() as u64;
            allocations -= more
                .iter()
                .filter(|happening| matches!(happening, Happening::Free(_)))
                .count() as u64;
        }
        let (ours, theirs, _) = both(&happenings);
        assert!(
            ours <= theirs,
            "seed {seed}: {ours} bytes, memtrace's {theirs}"
        );
    }
}

#[test]
fn a_real_trace_takes_less_than_memtraces_writer_wherever_it_ends() {
    let (happenings, names) = real::trace();
    for end in (100..happenings.len())
        .step_by(400)
        .chain([happenings.len()])
    {
        let (ours, theirs, _) = both_with(&happenings[..end], || names.clone());
        let per_event = |bytes: usize| bytes as f64 / end as f64;
        println!(
            "{end} events: {:.2} bytes an event with the names, memtrace's writer {:.2}",
            per_event(ours),
            per_event(theirs)
        );
        assert!(
            ours <= theirs,
            "{end} events: {ours} bytes, memtrace's {theirs}"
        );
    }
}
