//! The limits of packets, times, stacks and definitions.

use core::num::NonZeroU64;

use memtrace_reader::{Event, Kind, Packet, Trace, packets};
use memtrace_writer::{
    Alloc, CollectError, Encoder, FRAMES_MAX, Full, INLINED_MAX, Location, NAME_MAX, ObjectId,
    PACKET_MAX, Resolve, SPAN_MAX_MICROS, Source, UnixMicros, code,
};

use crate::tracer::{START, Tracer, info};

const BLOCK: Alloc = Alloc::new(2, NonZeroU64::MIN);

/// Has no names: codes stand for themselves.
struct Nameless;

impl Resolve for Nameless {
    fn location(&mut self, _: u64, _: usize) -> Option<Location<'_>> {
        None
    }
}

/// Inlined functions for each code, with names made of code and index.
struct Long {
    positions: usize,
    function_len: usize,
    file_len: usize,
    name: String,
}

impl Long {
    fn new(positions: usize, function_len: usize, file_len: usize) -> Self {
        Self {
            positions,
            function_len,
            file_len,
            name: String::new(),
        }
    }
}

impl Resolve for Long {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        self.name = format!("{code}_{index}_").repeat(120);
        (index < self.positions).then(|| Location {
            function: &self.name[..self.function_len],
            file: &self.name[..self.file_len],
            line: index as u32,
            ..Location::default()
        })
    }
}

/// The same function and file for all codes, this many times.
struct Same(usize);

impl Resolve for Same {
    fn location(&mut self, _: u64, index: usize) -> Option<Location<'_>> {
        (index < self.0).then_some(Location {
            function: "f",
            file: "a.rs",
            line: index as u32,
            ..Location::default()
        })
    }
}

fn at(micros: u64) -> UnixMicros {
    UnixMicros(START + micros)
}

fn packets_of(stream: &[u8]) -> Vec<Packet<'_>> {
    packets(stream).collect::<Result<_, _>>().expect("packets")
}

/// Returns the results of `with` for each event.
fn events<T>(stream: &[u8], mut with: impl FnMut(Event<'_>) -> T) -> Vec<T> {
    let mut trace = Trace::new(stream).expect("a trace");
    let mut made = Vec::new();
    while let Some(event) = trace.next_event().expect("a trace") {
        made.push(with(event));
    }
    made
}

/// Returns the codes of the stacks in the order of their events.
fn stacks(stream: &[u8]) -> Vec<Vec<u64>> {
    let stacks = events(stream, |event| match event.kind {
        Kind::Alloc(alloc) => Some(alloc.stack.codes().to_vec()),
        _ => None,
    });
    stacks.into_iter().flatten().collect()
}

#[test]
fn a_packet_spans_thirty_seconds_and_not_a_microsecond_more() {
    let mut tracer = Tracer::new(&info(), Nameless);
    tracer.alloc(0, BLOCK, &[20]);
    tracer.alloc(SPAN_MAX_MICROS, BLOCK, &[20]);
    assert_eq!(tracer.ends.len(), 1, "still one packet in the making");
    let late = tracer
        .encoder
        .alloc(at(SPAN_MAX_MICROS + 1), BLOCK, [20], &mut Nameless);
    assert_eq!(late, Err(Full));
    assert_eq!(
        tracer.encoder.collect(at(SPAN_MAX_MICROS + 1), ObjectId(0)),
        Err(CollectError::Full)
    );
    tracer.alloc(SPAN_MAX_MICROS + 1, BLOCK, &[20]);
    tracer.alloc((1 << 25) + SPAN_MAX_MICROS + 1, BLOCK, &[20]);
    tracer.flush();
    let times = events(&tracer.stream, |event| {
        (event.since_start, matches!(event.kind, Kind::Alloc(_)))
    });
    let times: Vec<u64> = times
        .into_iter()
        .filter_map(|(time, is_alloc)| is_alloc.then_some(time))
        .collect();
    assert_eq!(
        times,
        [
            0,
            SPAN_MAX_MICROS,
            SPAN_MAX_MICROS + 1,
            (1 << 25) + SPAN_MAX_MICROS + 1
        ]
    );
    assert_eq!(packets_of(&tracer.stream).len(), 4);
}

#[test]
fn a_packet_is_at_most_32_kib_and_nearly_that() {
    let mut tracer = Tracer::new(&info(), Nameless);
    for index in 0..20_000 {
        let id = tracer.alloc(index, BLOCK, &[20 + index % 7, 30]);
        tracer.collect(index, id);
    }
    tracer.flush();
    let sizes: Vec<usize> = packets_of(&tracer.stream)
        .iter()
        .map(|packet| packet.header.size)
        .collect();
    let (first, rest) = sizes.split_first().expect("the first packet");
    let (_, full) = rest.split_last().expect("the last packet");
    assert!(full.len() > 5 && *first < 200);
    assert!(
        full.iter()
            .all(|size| (PACKET_MAX - 100..=PACKET_MAX).contains(size)),
        "{full:?}"
    );
}

#[test]
fn full_leaves_the_trace_as_it_was() {
    let mut given = Tracer::new(&info(), Nameless);
    let mut tried = Tracer::new(&info(), Nameless);
    let mut refused = 0;
    for index in 0..6_000_u64 {
        let stack = [20 + index % 11, 40 + index % 3, 50];
        given.alloc(index, BLOCK, &stack);
        // The event is refused for its time, after the stack was taken.
        let deep: Vec<u64> = (100..228).collect();
        let mut before = tried.encoder.counts();
        if index % 50 == 49 && given.ends.len() == tried.ends.len() {
            let span = at(index + SPAN_MAX_MICROS + 1);
            assert_eq!(
                tried.encoder.alloc(span, BLOCK, deep, &mut Nameless),
                Err(Full)
            );
            before.definitions = tried.encoder.counts().definitions;
            assert_eq!(tried.encoder.counts(), before);
            refused += 1;
        }
        tried.alloc(index, BLOCK, &stack);
    }
    given.flush();
    tried.flush();
    assert!(refused > 100);
    assert_eq!(given.stream, tried.stream);
}

#[test]
fn hundreds_of_new_codes_fit_a_packet() {
    let mut tracer = Tracer::new(&info(), Nameless);
    for index in 0..10 {
        let stack: Vec<u64> = (0..50).map(|frame| 1_000 + index * 50 + frame).collect();
        tracer.alloc(index, BLOCK, &stack);
    }
    tracer.flush();
    assert_eq!(tracer.ends.len(), 2);
    let defined = events(&tracer.stream, |event| {
        usize::from(matches!(event.kind, Kind::Location(_)))
    });
    assert_eq!(defined.into_iter().sum::<usize>(), 500);
}

#[test]
fn a_stack_of_new_codes_that_no_packet_could_define_is_written_all_the_same() {
    // Each code stands for a list of some 4 KiB: half a megabyte for the stack.
    let mut tracer = Tracer::new(&info(), Long::new(40, NAME_MAX + 100, 40));
    let stack: Vec<u64> = (1_000..1_128).collect();
    tracer.alloc(5, BLOCK, &stack);
    tracer.flush();
    assert!(tracer.ends.len() > 12, "{} packets", tracer.ends.len());
    let mut outermost_first = stack.clone();
    outermost_first.reverse();
    assert_eq!(stacks(&tracer.stream), [outermost_first]);
    let counts = tracer.encoder.counts();
    assert_eq!((counts.definitions, counts.lists_cut), (128, 128));
    let ends = events(&tracer.stream, |event| match event.kind {
        Kind::Location(frame) => frame.positions.last().map(|last| last.function.to_string()),
        _ => None,
    });
    assert!(
        ends.into_iter()
            .flatten()
            .all(|end| end == "[more inlined frames]")
    );
}

#[test]
fn a_list_of_inlined_functions_ends_at_its_bound_and_says_so() {
    for (given, found) in [
        (INLINED_MAX, INLINED_MAX),
        (INLINED_MAX + 1, INLINED_MAX + 1),
        (9_999, INLINED_MAX + 1),
    ] {
        let mut tracer = Tracer::new(&info(), Same(given));
        tracer.alloc(0, BLOCK, &[20]);
        tracer.flush();
        let last = events(&tracer.stream, |event| match event.kind {
            Kind::Location(frame) => Some((
                frame.positions.len(),
                frame.positions[frame.positions.len() - 1].clone(),
            )),
            _ => None,
        });
        let (len, last) = last.into_iter().flatten().next().expect("a definition");
        assert_eq!(len, found);
        let cut = given > INLINED_MAX;
        assert_eq!(
            last.function.to_string(),
            if cut { "[more inlined frames]" } else { "f" }
        );
        assert_eq!(tracer.encoder.counts().lists_cut, u64::from(cut));
    }
}

#[test]
fn an_attempt_that_is_given_up_disturbs_nothing() {
    // A definition takes some 3.5 KiB: nine fill a packet, and the tenth is refused.
    let mut tracer = Tracer::new(&info(), Long::new(6, NAME_MAX, 4));
    for index in 0..400_u64 {
        let stack = (0..40).map(|frame| 100 + index * 40 + frame);
        let attempt = tracer
            .encoder
            .alloc(at(10 * index), BLOCK, stack, &mut tracer.names);
        assert_eq!(attempt, Err(Full));
        if index % 3 == 0 {
            tracer.flush();
            // Earlier than the attempt before.
            tracer.alloc(10 * index - index.min(5), BLOCK, &[20, 21]);
        }
        tracer.flush();
    }
    assert_eq!(stacks(&tracer.stream), vec![vec![21, 20]; 134]);
}

#[test]
fn an_event_comes_through_after_any_number_of_attempts_that_were_given_up() {
    let mut tracer = Tracer::new(&info(), Long::new(6, NAME_MAX, 4));
    for index in 0..60_u64 {
        let stack = (0..40).map(|frame| 100 + index * 40 + frame);
        let attempt = tracer
            .encoder
            .alloc(at(index), BLOCK, stack, &mut tracer.names);
        assert_eq!(attempt, Err(Full));
        tracer.flush();
    }
    let given_up = tracer.encoder.counts().definitions;
    assert!(given_up > 500);
    // A stack of the maximal depth, with one code twice.
    let mut stack: Vec<u64> = (10_000..10_128).collect();
    stack.push(10_005);
    tracer.alloc(100, BLOCK, &stack);
    tracer.flush();
    stack.reverse();
    assert_eq!(stacks(&tracer.stream), [stack]);
    // Some of its codes may be defined twice, because the writer remembers only a limited number of waiting codes.
    let counts = tracer.encoder.counts();
    let definitions = counts.definitions - given_up;
    assert!((128..256).contains(&definitions), "{definitions}");
}

#[test]
fn a_stack_keeps_its_innermost_frames_and_says_that_it_lost_others() {
    let mut tracer = Tracer::new(&info(), Nameless);
    let stack = |frames: u64| (100..100 + frames).collect::<Vec<_>>();
    let most = FRAMES_MAX as u64 + 1;
    for frames in [most, most + 1, 1_000] {
        tracer.alloc(0, BLOCK, &stack(frames));
    }
    tracer.flush();
    let reversed = |mut stack: Vec<u64>| {
        stack.reverse();
        stack
    };
    let mut cut = stack(most);
    cut[FRAMES_MAX] = code::OUTER_DROPPED;
    let cut = reversed(cut);
    assert_eq!(
        stacks(&tracer.stream),
        [reversed(stack(most)), cut.clone(), cut]
    );
}

#[test]
fn a_clock_that_runs_backwards_stands_still_and_is_counted() {
    let mut tracer = Tracer::new(&info(), Nameless);
    let first = tracer.alloc(500, BLOCK, &[20]);
    tracer.flush();
    tracer.alloc(400, BLOCK, &[20]);
    tracer.collect(0, first);
    tracer.alloc(501, BLOCK, &[20]);
    let before_all = tracer
        .encoder
        .alloc(UnixMicros(0), BLOCK, [20], &mut Nameless);
    assert!(before_all.is_ok());
    tracer.flush();
    let times = events(&tracer.stream, |event| match event.kind {
        Kind::Location(_) => None,
        _ => Some(event.since_start),
    });
    assert_eq!(
        times.into_iter().flatten().collect::<Vec<_>>(),
        [500, 500, 500, 501, 501]
    );
    assert_eq!(tracer.encoder.counts().times_moved, 3);
}

#[test]
fn the_end_of_time_is_the_end_of_what_readers_hold() {
    let mut late = info();
    late.start = UnixMicros(u64::MAX);
    let mut tracer = Tracer::new(&late, Nameless);
    tracer.names = Nameless;
    assert!(
        tracer
            .encoder
            .alloc(UnixMicros(u64::MAX), BLOCK, [20], &mut Nameless)
            .is_ok()
    );
    tracer.flush();
    let times = events(&tracer.stream, |event| event.time);
    assert_eq!(times, [(1 << 62) - 1; 2]);
}

#[test]
fn the_oldest_event_tells_when_a_packet_is_due() {
    let mut encoder = Encoder::new(&info());
    assert_eq!(encoder.oldest(), Some(UnixMicros(START)));
    assert_eq!(
        encoder.alloc(at(1), BLOCK, [20], &mut Nameless),
        Err(Full),
        "the first packet is alone"
    );
    assert!(encoder.flush().is_some());
    assert_eq!(encoder.oldest(), None);
    assert!(encoder.flush().is_none());
    let id = encoder
        .alloc(at(7), BLOCK, [20], &mut Nameless)
        .expect("room");
    encoder.collect(at(9), id).expect("room");
    assert_eq!(encoder.oldest(), Some(at(7)));
    assert!(encoder.flush().is_some());
    assert_eq!(encoder.oldest(), None);
    // The caller's time, not the corrected one: otherwise a clock that was set back would delay packets.
    encoder
        .alloc(at(3), BLOCK, [20], &mut Nameless)
        .expect("room");
    assert_eq!(encoder.oldest(), Some(at(3)));
}

#[test]
fn an_object_that_the_trace_does_not_know_is_refused() {
    let mut tracer = Tracer::new(&info(), Nameless);
    assert_eq!(
        tracer.encoder.collect(at(0), ObjectId(0)),
        Err(CollectError::Unknown(ObjectId(0)))
    );
    let id = tracer.alloc(0, BLOCK, &[20]);
    assert_eq!(
        tracer.encoder.collect(at(0), ObjectId(id.0 + 1)),
        Err(CollectError::Unknown(ObjectId(1)))
    );
    tracer.collect(0, id);
    tracer.flush();
    assert_eq!(tracer.encoder.counts().collects, 1);
}

#[test]
fn a_new_trace_knows_nothing_of_the_one_before() {
    let mut names = Same(1);
    let mut encoder = Encoder::new(&info());
    let mut first = encoder.flush().expect("the first packet").to_vec();
    for index in 0..100 {
        encoder
            .alloc(at(index), BLOCK, [20 + index, 50], &mut names)
            .expect("room");
    }
    first.extend(encoder.flush().expect("events"));
    // Events that are not flushed are dropped with their trace.
    encoder
        .alloc(at(200), BLOCK, [20, 50], &mut names)
        .expect("room");
    encoder.restart(&info());
    let mut second = encoder.flush().expect("the first packet").to_vec();
    for index in 0..100 {
        encoder
            .alloc(at(index), BLOCK, [20 + index, 50], &mut names)
            .expect("room");
    }
    second.extend(encoder.flush().expect("events"));
    assert_eq!(first, second);
}

#[test]
fn a_new_trace_defines_what_waited_in_the_one_before() {
    let mut tracer = Tracer::new(&info(), Long::new(6, NAME_MAX, 4));
    let attempt = tracer
        .encoder
        .alloc(at(0), BLOCK, 100..140, &mut tracer.names);
    assert_eq!(attempt, Err(Full));
    tracer.encoder.restart(&info());
    tracer.stream.clear();
    tracer.flush();
    tracer.alloc(0, BLOCK, &[138, 139]);
    tracer.flush();
    assert_eq!(stacks(&tracer.stream), [[139, 138]]);
}

#[test]
fn every_packet_but_the_first_two_states_the_cache_and_a_lost_one_is_noticed() {
    let mut tracer = Tracer::new(&info(), Nameless);
    for index in 0..40_u64 {
        tracer.alloc(index, BLOCK, &[20 + index, 90 + index % 5, 100]);
        tracer.flush();
    }
    let packets = packets_of(&tracer.stream);
    for (index, packet) in packets.iter().enumerate() {
        assert_eq!(packet.header.check.is_some(), index >= 2, "packet {index}");
    }
    // The ids show that a packet is missing, except for a packet without alloc events. The cache's check does not
    // depend on the ids, so it is compared after the ids are corrected.
    for lost in 1..packets.len() - 1 {
        let next = &packets[lost + 1];
        let before = &packets[lost];
        let mut stream = tracer.stream[..before.offset].to_vec();
        stream.extend_from_slice(&tracer.stream[next.offset..next.offset + next.header.size]);
        let ids = before.offset + 50;
        stream[ids..ids + 8].copy_from_slice(&before.header.first_id.to_le_bytes());
        stream[ids + 8..ids + 16].copy_from_slice(&before.header.next_id.to_le_bytes());
        let mut trace = Trace::new(&stream).expect("a first packet");
        let error = loop {
            match trace.next_event() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("packet {lost} was not missed"),
                Err(error) => break error,
            }
        };
        assert!(
            error.to_string().contains("of the cache is said to have"),
            "{error}"
        );
    }
}

#[test]
fn numbers_are_read_on_both_sides_of_each_size() {
    const LIMITS: [u64; 5] = [253, 1 << 16, 1 << 31, 1 << 32, 1 << 62];
    let mut tracer = Tracer::new(&info(), Nameless);
    let numbers = LIMITS.map(|limit| [limit - 1, limit]).concat();
    for number in &numbers {
        let hits = NonZeroU64::new(*number).expect("a hit");
        tracer.alloc(0, Alloc::new(*number, hits), &[20]);
    }
    tracer.flush();
    let found = events(&tracer.stream, |event| match event.kind {
        Kind::Alloc(alloc) => Some((alloc.length, alloc.samples)),
        _ => None,
    });
    let given: Vec<(u64, u64)> = numbers
        .iter()
        .map(|number| (*number).min((1 << 62) - 1))
        .map(|number| (number, number))
        .collect();
    assert_eq!(found.into_iter().flatten().collect::<Vec<_>>(), given);
}

#[test]
fn what_the_format_cannot_hold_is_counted() {
    struct Bad(String);
    impl Resolve for Bad {
        fn location(&mut self, _: u64, index: usize) -> Option<Location<'_>> {
            (index == 0).then_some(Location {
                function: "a\0b",
                file: &self.0,
                line: 1 << 20,
                column: 256,
                end_column: 1_023,
            })
        }
    }
    let mut bad = info();
    (bad.host, bad.context) = ("\0", "as long as it is");
    let mut tracer = Tracer::new(&bad, Bad("x".repeat(NAME_MAX + 1)));
    assert_eq!(tracer.encoder.counts().texts_changed, 1);
    tracer.alloc(0, BLOCK, &[20]);
    let counts = tracer.encoder.counts();
    assert_eq!((counts.texts_changed, counts.clamped), (3, 2));
    // Known names are not written again.
    tracer.alloc(0, BLOCK, &[21]);
    let counts = tracer.encoder.counts();
    assert_eq!((counts.texts_changed, counts.clamped), (3, 4));
}

#[test]
fn the_source_follows_from_the_size() {
    for (words, source) in [
        (0, Source::Minor),
        (256, Source::Minor),
        (257, Source::Major),
        (16_383, Source::Major),
        (16_384, Source::External),
        (u64::MAX, Source::External),
    ] {
        assert_eq!(Alloc::new(words, NonZeroU64::MIN).source, source);
    }
}
