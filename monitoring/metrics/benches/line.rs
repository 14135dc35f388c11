//! Nanoseconds per encoded line: `cargo bench -p metrics --bench line`.
//!
//! Prints the median of rounds, because a shared machine has slow moments. Compare ratios, not digits.

use core::hint::black_box;
use std::time::Instant;

use metrics::line::{Field, Point, Value, encode};
use units::UnixNanos;

/// So many rounds that a few disturbed ones do not move the median.
const ROUNDS: usize = 51;
const LINES_PER_ROUND: u32 = 20_000;

fn field<'a>(key: &'a str, value: Value<'a>) -> Field<'a> {
    Field { key, value }
}

/// Returns the median time of one line in nanoseconds, and the line's length.
fn measure(point: &Point<'_>, out: &mut [u8]) -> (f64, usize) {
    let mut rounds = Vec::with_capacity(ROUNDS);
    let mut len = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..LINES_PER_ROUND {
            len = black_box(
                encode(black_box(point), black_box(&mut *out)).expect("the buffer is large enough"),
            )
            .len;
        }
        rounds.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(LINES_PER_ROUND));
    }
    rounds.sort_by(f64::total_cmp);
    (rounds[ROUNDS / 2], len)
}

fn main() {
    let timestamp = Some(UnixNanos(1_700_000_123_456_789_012));
    let tags = [("interface", "eth0"), ("vm", "web-frontend-1")];
    let typical = [
        field("received_bytes", Value::U64(1_234_567)),
        field("sent", Value::U64(89_012)),
        field("load", Value::F64(0.625)),
        field("up", Value::Bool(true)),
    ];
    let many: Vec<String> = (0..24).map(|at| format!("field_number_{at:02}")).collect();
    let many: Vec<Field<'_>> = many
        .iter()
        .map(|key| field(key, Value::U64(123_456)))
        .collect();
    let awkward = [
        field("a b", Value::Str("say \"hi\" to C:\\")),
        field("c=d", Value::Str("plain text of some length")),
    ];

    let mut out = [0; 4096];
    let cases = [
        (
            "2 tags, 4 fields, timestamp",
            "network",
            &tags[..],
            &typical[..],
            4096,
        ),
        (
            "the same, room for exactly this line",
            "network",
            &tags,
            &typical,
            0,
        ),
        (
            "1 tag, 24 integers, timestamp",
            "memory",
            &tags[1..],
            &many,
            4096,
        ),
        (
            "escapes in tags and texts",
            "a measurement",
            &[("a b", "c,d"), ("e=f", "g h")],
            &awkward,
            4096,
        ),
    ];
    for (name, measurement, tags, fields, room) in cases {
        let point = Point {
            measurement,
            tags,
            fields,
            timestamp,
        };
        let room = if room == 0 {
            encode(&point, &mut out).expect("it fits").len
        } else {
            room
        };
        let (nanos, len) = measure(&point, &mut out[..room]);
        println!(
            "{name}: {len} bytes, {nanos:.1} ns, {:.2} ns a byte",
            nanos / len as f64
        );
    }
}
