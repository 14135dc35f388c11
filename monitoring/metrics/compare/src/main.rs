//! Nanoseconds per line of 118 bytes (2 tags, 4 fields, timestamp): our encoder and three others, in interleaved rounds
//! of one run.
//!
//! Machines are noisy and shared, so the ratios count. Each is the median over rounds of a ratio within a round. The
//! outputs are compared first: all four must have written the same point.

use std::hint::black_box;
use std::time::Instant;

use influxdb2::models::{DataPoint, WriteDataPoint};
use metrics::line::{Field, Point, Value, encode};
use questdb::ingress::{Buffer, ProtocolVersion, TimestampNanos};
use units::UnixNanos;

const ROUNDS: usize = 51;
const LINES: u32 = 20_000;
const TIMESTAMP: i64 = 1_763_821_234_567_891_000;

const LINE: &str = "memory,region=eu-1,vm=web-17 allocations=1234567i,live_bytes=83886080i,load=0.73125,peak_bytes=99614720i 1763821234567891000\n";

fn ours(out: &mut [u8]) -> usize {
    let point = Point {
        measurement: "memory",
        tags: &[("region", black_box("eu-1")), ("vm", black_box("web-17"))],
        fields: &[
            Field {
                key: "allocations",
                value: Value::I64(black_box(1_234_567)),
            },
            Field {
                key: "live_bytes",
                value: Value::I64(black_box(83_886_080)),
            },
            Field {
                key: "load",
                value: Value::F64(black_box(0.73125)),
            },
            Field {
                key: "peak_bytes",
                value: Value::I64(black_box(99_614_720)),
            },
        ],
        timestamp: Some(UnixNanos(black_box(TIMESTAMP))),
    };
    encode(&point, out).expect("the buffer is large enough").len
}

fn questdb(buffer: &mut Buffer) -> usize {
    buffer.clear();
    let mut write = || -> questdb::Result<()> {
        buffer
            .table("memory")?
            .symbol("region", black_box("eu-1"))?
            .symbol("vm", black_box("web-17"))?
            .column_i64("allocations", black_box(1_234_567))?
            .column_i64("live_bytes", black_box(83_886_080))?
            .column_f64("load", black_box(0.73125))?
            .column_i64("peak_bytes", black_box(99_614_720))?
            .at(TimestampNanos::new(black_box(TIMESTAMP)))
    };
    write().expect("a legal line");
    buffer.len()
}

fn line_protocol() -> Vec<u8> {
    influxdb_line_protocol::LineProtocolBuilder::new()
        .measurement("memory")
        .tag("region", black_box("eu-1"))
        .tag("vm", black_box("web-17"))
        .field("allocations", black_box(1_234_567_i64))
        .field("live_bytes", black_box(83_886_080_i64))
        .field("load", black_box(0.73125_f64))
        .field("peak_bytes", black_box(99_614_720_i64))
        .timestamp(black_box(TIMESTAMP))
        .close_line()
        .build()
}

fn influxdb2(out: &mut Vec<u8>) -> usize {
    out.clear();
    DataPoint::builder("memory")
        .tag("region", black_box("eu-1"))
        .tag("vm", black_box("web-17"))
        .field("allocations", black_box(1_234_567_i64))
        .field("live_bytes", black_box(83_886_080_i64))
        .field("load", black_box(0.73125_f64))
        .field("peak_bytes", black_box(99_614_720_i64))
        .timestamp(black_box(TIMESTAMP))
        .build()
        .expect("a legal point")
        .write_data_point_to(&mut *out)
        .expect("a Vec takes everything");
    out.len()
}

fn nanos(mut line: impl FnMut() -> usize) -> f64 {
    let start = Instant::now();
    for _ in 0..LINES {
        black_box(line());
    }
    start.elapsed().as_nanos() as f64 / f64::from(LINES)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut out = [0; 256];
    let mut buffer = Buffer::new(ProtocolVersion::V1);
    let mut vec = Vec::new();
    let len = ours(&mut out);
    assert_eq!(core::str::from_utf8(&out[..len]), Ok(LINE));
    assert_eq!(core::str::from_utf8(&line_protocol()), Ok(LINE));
    influxdb2(&mut vec);
    assert_eq!(core::str::from_utf8(&vec), Ok(LINE));
    questdb(&mut buffer);
    assert_eq!(core::str::from_utf8(buffer.as_bytes()), Ok(LINE));

    let rounds: Vec<[f64; 4]> = (0..ROUNDS)
        .map(|_| {
            [
                nanos(|| ours(&mut out)),
                nanos(|| questdb(&mut buffer)),
                nanos(|| line_protocol().len()),
                nanos(|| influxdb2(&mut vec)),
            ]
        })
        .collect();
    println!("a line of {} bytes, median of {ROUNDS} rounds", LINE.len());
    for (index, name) in ["ours", "questdb-rs", "influxdb-line-protocol", "influxdb2"]
        .iter()
        .enumerate()
    {
        let time = median(rounds.iter().map(|round| round[index]).collect());
        let ratio = median(rounds.iter().map(|round| round[0] / round[index]).collect());
        println!("{name:24} {time:7.1} ns, ours takes {ratio:.2} of it");
    }
}
