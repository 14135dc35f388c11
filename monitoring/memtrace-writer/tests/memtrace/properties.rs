//! The reader reads everything that is encoded.

use core::num::NonZeroU64;
use std::collections::HashMap;

use memtrace_reader::{Kind, Position, Trace, packets, whole};
use memtrace_writer::{
    Alloc, FRAMES_MAX, Info, Location, NAME_MAX, ObjectId, Resolve, Source, UnixMicros, code,
};
use proptest::prelude::*;

use crate::program::Random;
use crate::tracer::{START, Tracer, info};

/// Text over an alphabet in which every character has caused errors in some reader.
fn awkward(most: usize) -> impl Strategy<Value = String> {
    const ALPHABET: &[char] = &[
        '\0', '\0', '\n', '@', ':', '$', ' ', '"', '\\', '\u{1}', '\x7f', 'é', '漢', '🦀', 'a',
        'b', '1',
    ];
    prop::collection::vec(prop::sample::select(ALPHABET), 0..most).prop_map(String::from_iter)
}

/// Text near the longest name, where a cut may fall into a character.
fn long() -> impl Strategy<Value = String> {
    ((NAME_MAX - 8)..(NAME_MAX + 8), awkward(12), awkward(3))
        .prop_map(|(len, end, more)| "x".repeat(len.saturating_sub(end.len())) + &end + &more)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[a-z]{0,2}", 3 => awkward(8), 1 => long()]
}

#[derive(Clone, Debug)]
struct Named {
    function: String,
    file: String,
    line: u32,
    column: u32,
    end_column: u32,
}

fn named() -> impl Strategy<Value = Named> {
    let number = || prop_oneof![0..2_000_u32, any::<u32>()];
    (name(), name(), number(), number(), number()).prop_map(
        |(function, file, line, column, end_column)| Named {
            function,
            file,
            line,
            column,
            end_column,
        },
    )
}

/// The names of all codes: the entry at a code's remainder.
#[derive(Clone, Debug)]
struct Book(Vec<Vec<Named>>);

impl Book {
    fn of(&self, code: u64) -> &[Named] {
        &self.0[code as usize % self.0.len()]
    }
}

impl Resolve for &Book {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        let named = self.of(code).get(index)?;
        Some(Location {
            function: &named.function,
            file: &named.file,
            line: named.line,
            column: named.column,
            end_column: named.end_column,
        })
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// Time since the step before, words, hits, source, stack with the innermost first.
    Alloc(i64, u64, u64, Source, Vec<u64>),
    /// Time since the step before, and the number of the block's allocation, modulo all.
    Collect(i64, usize),
    Flush,
}

fn book() -> impl Strategy<Value = Book> {
    let few = prop::collection::vec(named(), 0..4);
    let many = prop::collection::vec(named(), 0..40);
    prop::collection::vec(prop_oneof![20 => few, 1 => many], 1..60).prop_map(Book)
}

fn times() -> impl Strategy<Value = i64> {
    prop_oneof![
        20 => 0..100_i64,
        4 => 0..1_000_000_i64,
        2 => 29_999_990..30_000_010_i64,
        1 => (1 << 25) - 10..(1 << 25) + 10_i64,
        1 => 0..1_i64 << 40,
        2 => -1_000_000..0_i64,
    ]
}

/// Stacks that share outer frames now and then, over codes of which some are not legal.
fn stack() -> impl Strategy<Value = Vec<u64>> {
    const ILLEGAL: &[u64] = &[0, 1, 2, 3, 4, 15, 16, 0xffff_ffff, 1 << 32, u64::MAX];
    const OUTER: &[&[u64]] = &[&[], &[77, 78, 79], &[80, 78, 79], &[77, 77, 77, 77, 78]];
    let frame = prop_oneof![
        40 => 16..60_u64,
        10 => 16..40_000_u64,
        1 => prop::sample::select(ILLEGAL),
    ];
    let outer = prop::sample::select(OUTER);
    let inner = prop_oneof![
        20 => prop::collection::vec(frame.clone(), 0..12),
        1 => prop::collection::vec(frame, 100..140),
        1 => (16..200_u64).prop_map(|first| (first..first + 129).collect()),
    ];
    (inner, outer).prop_map(|(inner, outer)| [&inner[..], outer].concat())
}

fn step() -> impl Strategy<Value = Step> {
    let number = || prop_oneof![10 => 0..20_u64, 2 => 250..300_u64, 1 => 65_000..66_000_u64, 1 => any::<u64>()];
    let source = prop::sample::select(&[Source::Minor, Source::Major, Source::External][..]);
    prop_oneof![
        10 => (times(), number(), prop_oneof![Just(1), number()], source, stack())
            .prop_map(|(at, words, hits, source, stack)| Step::Alloc(at, words, hits, source, stack)),
        6 => (times(), any::<prop::sample::Index>()).prop_map(|(at, which)| Step::Collect(at, which.index(1 << 20))),
        1 => Just(Step::Flush),
    ]
}

/// Returns the stack that the stream promises for a given one, the outermost first.
fn promised_stack(given: &[u64]) -> Vec<u64> {
    let mut stack: Vec<u64> = given
        .iter()
        .map(|frame| match *frame {
            0 => code::UNKNOWN,
            frame if frame >> 32 != 0 => code::OUTSIDE,
            frame => frame,
        })
        .collect();
    if stack.len() > FRAMES_MAX + 1 {
        stack.truncate(FRAMES_MAX);
        stack.push(code::OUTER_DROPPED);
    }
    if stack.is_empty() {
        stack.push(code::UNKNOWN);
    }
    stack.reverse();
    stack
}

fn promised_text(given: &str) -> String {
    let text = given.replace('\0', "␀");
    if text.len() <= NAME_MAX {
        return text;
    }
    let mut cut = text;
    while cut.len() > NAME_MAX - 3 {
        cut.pop();
    }
    cut + "…"
}

/// Checks that the positions are the given ones. A list may be cut, and then has a mark.
fn check_positions(code: u64, found: &[Position], given: &[Named]) -> Result<(), TestCaseError> {
    let (found, given) = match found.split_last() {
        Some((last, found)) if last.function.as_bytes() == b"[more inlined frames]" => {
            prop_assert!(found.len() < given.len(), "the mark stands for something");
            (found, &given[..found.len()])
        }
        _ => (found, given),
    };
    prop_assert_eq!(found.len(), given.len(), "{:#x}", code);
    for (found, given) in found.iter().zip(given) {
        prop_assert_eq!(found.function.to_string(), promised_text(&given.function));
        prop_assert_eq!(found.file.to_string(), promised_text(&given.file));
        let numbers = (
            given.line.min(1_048_575),
            given.column.min(255),
            given.end_column.min(1_023),
        );
        prop_assert_eq!((found.line, found.column, found.end_column), numbers);
    }
    Ok(())
}

const OWN: [(u64, &str); 6] = [
    (code::UNKNOWN, "[unknown]"),
    (code::OUTSIDE, "[outside the image]"),
    (code::OUTER_DROPPED, "[outer frames dropped]"),
    (code::LOST_RING_FULL, "[lost: ring full]"),
    (code::LOST_LIVE_FULL, "[lost: too many alive]"),
    (15, "[unknown]"),
];

#[derive(Debug, PartialEq)]
enum Promised {
    Alloc(u64, u64, u64, u64, memtrace_reader::Source, Vec<u64>),
    Collect(u64, u64),
}

const LARGEST: u64 = (1 << 62) - 1;

fn encode(steps: &[Step], book: &Book) -> (Tracer<impl Resolve>, Vec<Promised>) {
    let mut tracer = Tracer::new(&info(), book);
    let mut promised = Vec::new();
    let (mut now, mut last, mut alive) = (0_i64, 0, Vec::new());
    for step in steps {
        let mut clock = |delta: i64| {
            now = (now + delta).max(0);
            last = last.max(now as u64);
            (now as u64, START + last)
        };
        match step {
            Step::Flush => tracer.flush(),
            Step::Alloc(delta, words, hits, source, stack) => {
                let (at, time) = clock(*delta);
                let hits = NonZeroU64::new(*hits).unwrap_or(NonZeroU64::MIN);
                let block = Alloc {
                    words: *words,
                    hits,
                    source: *source,
                };
                let id = tracer.alloc(at, block, stack);
                let source = match source {
                    Source::Minor => memtrace_reader::Source::Minor,
                    Source::Major => memtrace_reader::Source::Major,
                    Source::External => memtrace_reader::Source::External,
                };
                let (words, hits) = ((*words).min(LARGEST), hits.get().min(LARGEST));
                promised.push(Promised::Alloc(
                    time,
                    id.0,
                    words,
                    hits,
                    source,
                    promised_stack(stack),
                ));
                alive.push(id.0);
            }
            Step::Collect(delta, which) if !alive.is_empty() => {
                let (at, time) = clock(*delta);
                let id = alive.swap_remove(which % alive.len());
                tracer.collect(at, ObjectId(id));
                promised.push(Promised::Collect(time, id));
            }
            Step::Collect(..) => {}
        }
    }
    tracer.flush();
    (tracer, promised)
}

/// Reads a stream to its end.
fn decode(stream: &[u8], book: &Book) -> Result<Vec<Promised>, TestCaseError> {
    let fail = |error: memtrace_reader::Error| TestCaseError::fail(error.to_string());
    let mut trace = Trace::new(stream).map_err(fail)?;
    let mut found = Vec::new();
    let mut known: HashMap<u64, Vec<Position>> = HashMap::new();
    while let Some(event) = trace.next_event().map_err(fail)? {
        match event.kind {
            Kind::Location(frame) => {
                match OWN.iter().find(|(code, _)| *code == frame.code) {
                    Some((_, name)) => {
                        prop_assert_eq!(frame.positions[0].function.to_string(), *name);
                    }
                    None => check_positions(frame.code, frame.positions, book.of(frame.code))?,
                }
                known.insert(frame.code, frame.positions.to_vec());
            }
            Kind::Alloc(alloc) => {
                for frame in alloc.stack.frames() {
                    prop_assert_eq!(frame.positions, &known[&frame.code][..]);
                }
                found.push(Promised::Alloc(
                    event.time,
                    alloc.id,
                    alloc.length,
                    alloc.samples,
                    alloc.source,
                    alloc.stack.codes().to_vec(),
                ));
            }
            Kind::Collect(id) => found.push(Promised::Collect(event.time, id)),
            Kind::Promote(id) => prop_assert!(false, "{} is promoted", id),
        }
    }
    Ok(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_read_is_what_was_given(book in book(), steps in prop::collection::vec(step(), 0..200)) {
        let (tracer, promised) = encode(&steps, &book);
        let found = decode(&tracer.stream, &book)?;
        prop_assert_eq!(found.len(), promised.len());
        for (found, promised) in found.into_iter().zip(promised) {
            prop_assert_eq!(found, promised);
        }
        let counts = tracer.encoder.counts();
        prop_assert_eq!(counts.bytes, tracer.stream.len() as u64);
        prop_assert_eq!(counts.packets, packets(&tracer.stream).count() as u64);
    }

    #[test]
    fn every_prefix_of_whole_packets_is_a_trace(book in book(), steps in prop::collection::vec(step(), 0..30)) {
        let (tracer, promised) = encode(&steps, &book);
        for end in &tracer.ends {
            let found = decode(&tracer.stream[..*end], &book)?;
            prop_assert_eq!(&found[..], &promised[..found.len()]);
        }
    }

    #[test]
    fn texts_of_the_first_packet_are_kept(texts in prop::array::uniform4(name()), pid in any::<u64>(), rate in 1e-12..=1.0) {
        let given = Info {
            start: UnixMicros(START),
            rate,
            executable: &texts[0],
            host: &texts[1],
            parameters: &texts[2],
            pid,
            context: &texts[3],
        };
        let book = Book(vec![Vec::new()]);
        let tracer = Tracer::new(&given, &book);
        let trace = Trace::new(&tracer.stream).expect("a first packet");
        let info = trace.info();
        prop_assert_eq!((info.start, info.pid, info.word_bytes, info.version), (START, pid, 8, 2));
        prop_assert_eq!(info.rate.to_bits(), rate.to_bits());
        let found = [&info.executable, &info.host, &info.parameters, &info.context].map(|text| text.to_string());
        prop_assert_eq!(found, texts.map(|text| text.replace('\0', "␀")));
    }
}

#[test]
fn more_codes_than_the_cache_holds_are_read_all_the_same() {
    let book = short_book();
    let mut random = Random(11);
    let steps: Vec<Step> = (0..3_000)
        .map(|_| {
            let first = 16 + random.below(60_000) as u64;
            let mut stack: Vec<u64> = (first..first + 20).collect();
            stack.extend((0..random.below(20)).map(|_| 16 + random.below(60_000) as u64));
            Step::Alloc(10, 2, 1, Source::Minor, stack)
        })
        .collect();
    let (tracer, promised) = encode(&steps, &book);
    let counts = tracer.encoder.counts();
    assert!(
        counts.evictions > 10_000 && counts.definitions > 40_000,
        "{counts:?}"
    );
    assert_eq!(decode(&tracer.stream, &book).expect("a trace"), promised);
}

/// One position for each code.
fn short_book() -> Book {
    let named = |at: u32| Named {
        function: format!("f{at}"),
        file: format!("{}.rs", at % 40),
        line: at,
        column: 1,
        end_column: 2,
    };
    Book((0..61).map(|at| vec![named(at)]).collect())
}

/// Returns a stack of few functions that call each other in all ways, so that predictions are often wrong.
fn intertwined(random: &mut Random, first: u64) -> Vec<u64> {
    let mut stack: Vec<u64> = (0..8)
        .map(|at| first + 2 * at + random.below(2) as u64)
        .collect();
    stack.extend([90, 91]);
    stack
}

#[test]
fn stacks_whose_codes_follow_each_other_in_all_ways_are_read_all_the_same() {
    let mut random = Random(12);
    let steps: Vec<Step> = (0..20_000)
        .map(|at| {
            // Also a code that follows itself, and the same functions in the middle of others.
            let mut stack = intertwined(&mut random, 100);
            match at % 5 {
                0 => stack.insert(3, stack[3]),
                1 => stack.truncate(2 + random.below(6)),
                2 => stack.rotate_left(random.below(4)),
                _ => {}
            }
            Step::Alloc(10, 2, 1, Source::Minor, stack)
        })
        .collect();
    let book = short_book();
    let (tracer, promised) = encode(&steps, &book);
    let counts = tracer.encoder.counts();
    assert_eq!((counts.definitions, counts.evictions), (18, 0));
    assert_eq!(decode(&tracer.stream, &book).expect("a trace"), promised);
}

#[test]
fn codes_that_made_room_come_back_and_are_defined_again() {
    let mut random = Random(13);
    let steps: Vec<Step> = (0..40_000)
        .map(|at| {
            let flood = (at / 10_000) % 2 == 1;
            let stack = if flood && random.chance(2) {
                let first = 200 + random.below(40_000) as u64;
                (first..first + 12).collect()
            } else {
                let family = if flood { random.below(400) as u64 } else { 0 };
                intertwined(&mut random, 100 + 100 * family)
            };
            Step::Alloc(10, 2, 1, Source::Minor, stack)
        })
        .collect();
    let book = short_book();
    let (tracer, promised) = encode(&steps, &book);
    let counts = tracer.encoder.counts();
    assert!(
        counts.evictions > 5_000 && counts.definitions > 20_000,
        "{counts:?}"
    );
    assert_eq!(decode(&tracer.stream, &book).expect("a trace"), promised);
}

#[test]
fn a_stream_cut_anywhere_is_repaired_at_its_last_packet() {
    let book = Book(vec![Vec::new()]);
    let steps: Vec<Step> = (0..60)
        .map(|at| {
            if at % 7 == 0 {
                Step::Flush
            } else {
                Step::Alloc(10, 2, 1, Source::Minor, vec![at + 20, at + 21, 99])
            }
        })
        .collect();
    let (tracer, promised) = encode(&steps, &book);
    assert!(tracer.ends.len() > 5);
    for cut in tracer.ends[0]..=tracer.stream.len() {
        let found = whole(&tracer.stream[..cut]);
        let end = *tracer
            .ends
            .iter()
            .rfind(|end| **end <= cut)
            .expect("the first packet");
        assert_eq!(found.end, end, "cut at {cut}");
        let read = decode(&tracer.stream[..end], &book).expect("whole packets");
        assert_eq!(read[..], promised[..read.len()]);
    }
}
