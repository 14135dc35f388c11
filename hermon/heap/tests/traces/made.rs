//! Traces with known content, made here with the encoder that images use.

use core::num::NonZeroU64;

use memtrace_writer::{Alloc, Encoder, Info, Location, ObjectId, Resolve, Source, UnixMicros};

/// The time at which all of them begin: 2023-11-14 22:13:20 UTC.
pub(crate) const START: u64 = 1_700_000_000_000_000;

/// A function, its file, a line.
type Place = (&'static str, &'static str, u32);

/// The names of codes: the outermost first, one a line. Code 0x1000 has an inlined function, 0x5000 has no name.
pub(crate) const PLACES: [(u64, &[Place]); 10] = [
    (
        0x1000,
        &[
            ("app::main", "app/src/main.rs", 7),
            ("app::serve", "app/src/serve.rs", 20),
        ],
    ),
    (0x2000, &[("app::cache::insert", "app/src/cache.rs", 30)]),
    (
        0x3000,
        &[("alloc::vec::Vec::push", "alloc/src/vec/mod.rs", 40)],
    ),
    (0x4000, &[("app::walk", "app/src/walk.rs", 50)]),
    (0x4100, &[("app::walk", "app/src/walk.rs", 55)]),
    (0x5000, &[]),
    (
        0x6000,
        &[(
            "hashbrown::raw::RawTable::reserve",
            "hashbrown-0.15.2/src/raw/mod.rs",
            60,
        )],
    ),
    (LOST, &[]),
    (
        INLINED,
        &[
            ("app::buffer", "app/src/buffer.rs", 70),
            ("alloc::alloc::alloc", "alloc/src/alloc.rs", 75),
            ("__rust_alloc", "", 0),
            ("alloc", "monitoring/src/heap/profiled.rs", 2),
        ],
    ),
    (
        HOOK,
        &[
            ("__rustc::__rust_alloc", "", 0),
            (
                "monitoring::heap::profiled::allocated",
                "monitoring/src/heap/profiled.rs",
                1,
            ),
        ],
    ),
];

/// Gives the names in [`PLACES`].
struct Places;

impl Resolve for Places {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        let (_, places) = PLACES.iter().find(|(known, _)| *known == code)?;
        let &(function, file, line) = places.get(index)?;
        Some(Location {
            function,
            file,
            line,
            ..Location::default()
        })
    }
}

/// A caller of the allocator with the hook inlined.
pub(crate) const INLINED: u64 = 0x7100;

/// The allocator's hook.
pub(crate) const HOOK: u64 = 0x7000;

/// The encoder's code for what was lost.
pub(crate) const LOST: u64 = memtrace_writer::code::LOST_RING_FULL;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Words, hits, codes with the outermost first.
    Alloc(u64, u64, Vec<u64>),
    /// The index of an alloc event, from 0.
    Free(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Happening {
    /// Microseconds since the start.
    pub(crate) at: u64,
    pub(crate) what: What,
}

pub(crate) fn alloc(at: u64, words: u64, hits: u64, codes: &[u64]) -> Happening {
    let what = What::Alloc(words, hits, codes.to_vec());
    Happening { at, what }
}

pub(crate) fn free(at: u64, number: usize) -> Happening {
    let what = What::Free(number);
    Happening { at, what }
}

/// Returns a trace, packet by packet. The first packet says what the trace is of.
pub(crate) fn packets(rate: f64, happenings: &[Happening]) -> Vec<Vec<u8>> {
    named_packets(
        rate,
        "app.elf build id 00112233445566778899aabbccddeeff00112233",
        happenings,
        8,
    )
}

/// Returns the trace of an image with this name, with at most so many events in a packet.
pub(crate) fn named_packets(
    rate: f64,
    executable: &str,
    happenings: &[Happening],
    each: usize,
) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(&Info {
        start: UnixMicros(START),
        rate,
        executable,
        host: "web-1",
        parameters: "",
        pid: 7,
        context: "version 0.1",
    });
    let mut packets = vec![encoder.flush().unwrap().to_vec()];
    let mut ids: Vec<ObjectId> = Vec::new();
    for (number, happening) in happenings.iter().enumerate() {
        let at = UnixMicros(START + happening.at);
        loop {
            let full = match &happening.what {
                What::Alloc(words, hits, codes) => {
                    let block = Alloc {
                        words: *words,
                        hits: NonZeroU64::new(*hits).unwrap(),
                        source: Source::of(*words),
                    };
                    let stack = codes.iter().rev().copied();
                    encoder
                        .alloc(at, block, stack, &mut Places)
                        .map(|id| ids.push(id))
                        .is_err()
                }
                What::Free(number) => encoder.collect(at, ids[*number]).is_err(),
            };
            if !full {
                break;
            }
            packets.extend(encoder.flush().map(<[u8]>::to_vec));
        }
        if (number + 1) % each == 0 {
            packets.extend(encoder.flush().map(<[u8]>::to_vec));
        }
    }
    packets.extend(encoder.flush().map(<[u8]>::to_vec));
    packets
}

/// Returns the whole trace.
pub(crate) fn trace(rate: f64, happenings: &[Happening]) -> Vec<u8> {
    packets(rate, happenings).concat()
}

/// Returns the events of a small service: a cache that grows, temporary buffers, recursion, a stack without a name, and
/// 12 lost hits.
pub(crate) fn service() -> Vec<Happening> {
    let mut happenings = Vec::new();
    let mut number = 0;
    for turn in 0..10 {
        let at = turn * 1_000_000;
        happenings.push(alloc(at + 10, 100, 2, &[0x1000, 0x2000, 0x6000]));
        happenings.push(alloc(at + 20, 3, 1, &[0x1000, 0x3000]));
        happenings.push(free(at + 320, number + 1));
        happenings.push(alloc(
            at + 30_000,
            5_000,
            7,
            &[0x1000, 0x4000, 0x4100, 0x4000, 0x3000],
        ));
        happenings.push(free(at + 700_000, number + 2));
        if turn == 4 {
            happenings.push(free(at + 750_000, 0));
            happenings.push(alloc(at + 800_000, 900, 12, &[LOST]));
            happenings.push(alloc(at + 900_000, 1, 1, &[0x5000]));
            number += 2;
        }
        number += 3;
    }
    happenings
}
