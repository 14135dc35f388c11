//! Writes the JSON for valgrind's dh_view, version 2 (valgrind 3.19, dhat/dh_main.c describes it). A program point is a
//! stack.
//!
//! Times are in microseconds. A block that is alive at the end has lived until then, as in DHAT.

use std::io::{self, Write};

use serde::Serialize;

use super::numbers::Numbers;
use crate::named::Named;
use crate::profile::Tally;

/// The only version.
const VERSION: u32 = 2;

#[derive(Serialize)]
#[expect(non_snake_case, reason = "the format's own names")]
struct File {
    dhatFileVersion: u32,
    mode: &'static str,
    verb: &'static str,
    /// `true`: there are lifetimes. There are no counts of accesses.
    bklt: bool,
    bkacc: bool,
    /// The unit of time, the name of a million of them, and the limit of a short life.
    tu: &'static str,
    Mtu: &'static str,
    tuth: u64,
    cmd: String,
    pid: u64,
    /// The time of the end, and the time when most was alive.
    te: u64,
    tg: u64,
    pps: Vec<Point>,
    ftbl: Vec<String>,
}

/// Bytes and blocks: in total, the most of this point, at the time of the global most, at the end. `tl` is the sum of
/// lifetimes.
#[derive(Serialize)]
struct Point {
    tb: u64,
    tbk: u64,
    tl: u64,
    mb: u64,
    mbk: u64,
    gb: u64,
    gbk: u64,
    eb: u64,
    ebk: u64,
    fs: Vec<usize>,
}

/// Writes the JSON.
pub(super) fn write(named: &Named, out: &mut dyn Write) -> io::Result<()> {
    let profile = &named.profile;
    let mut frames = vec!["[root]".to_owned()];
    let mut numbers = Numbers::default();
    let mut pps = Vec::new();
    for (stack, tally) in named.stacks() {
        let places = named.places(*stack);
        let fs = places.map(|(code, place)| {
            let text = match (&*place.file, place.line) {
                ("" | "-", _) => format!("{code:#x}: {}", place.function),
                (file, line) => format!("{code:#x}: {} ({file}:{line})", place.function),
            };
            let (number, is_new) = numbers.of(text.clone());
            if is_new {
                frames.push(text);
            }
            number as usize + 1
        });
        let fs = fs.collect();
        pps.push(point(named, tally, fs));
    }
    let file = File {
        dhatFileVersion: VERSION,
        mode: "heap, estimated from samples",
        verb: "Allocated",
        bklt: true,
        bkacc: false,
        tu: "µs",
        Mtu: "s",
        tuth: 1_000,
        cmd: format!("{} {}", profile.info.host, profile.info.executable),
        pid: profile.info.pid,
        te: profile.span.micros,
        tg: profile.peak.micros,
        pps,
        ftbl: frames,
    };
    serde_json::to_writer(&mut *out, &file)?;
    writeln!(out)
}

fn point(named: &Named, tally: &Tally, fs: Vec<usize>) -> Point {
    let blocks = |blocks: f64| blocks.round() as u64;
    // At least one block where there are bytes, because a block was sampled.
    let total = blocks(tally.allocated.blocks()).max(1);
    let samples = tally.allocated.samples.max(1) as f64;
    let mean = tally.lifetimes.saturating_add(tally.ages) as f64 / samples;
    Point {
        tb: named.bytes(tally.allocated.hits),
        tbk: total,
        tl: (mean * total as f64).round() as u64,
        mb: named.bytes(tally.most.hits),
        mbk: blocks(tally.most.blocks()),
        gb: named.bytes(tally.snapshot.hits),
        gbk: blocks(tally.snapshot.blocks()),
        eb: named.bytes(tally.live.hits),
        ebk: blocks(tally.live.blocks()),
        fs,
    }
}
