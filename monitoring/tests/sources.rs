//! The built-in sources against what was accepted: a line each in `tests/golden`, and the table of all of them
//! in `docs/METRICS.md` and in `hermon/src/meaning.tsv`. After a change that is meant: `ACCEPT=1 cargo test -p monitoring --test sources`.

use core::fmt::Write as _;
use std::path::{Path, PathBuf};

use monitoring::heap::HeapStats;
use monitoring::line::{self, Point, Value};
use monitoring::logging::Lines;
use monitoring::metrics::{FieldDef, FieldList, Metric};
use monitoring::net::stack::{FrameCounts, SocketCounts};
use monitoring::sources::clock::Watch;
use monitoring::sources::machine::Load;
use monitoring::sources::{BuiltIn, Image, Own, Readings, machine};
use monitoring::time::{Micros, UnixNanos};

/// Compares with a file, or writes it.
fn accept(path: &Path, actual: &str) {
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(path, actual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        expected,
        actual,
        "{}: accept it with ACCEPT=1",
        path.display()
    );
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A different number everywhere it matters.
fn readings() -> Readings {
    let mut own = Own {
        lines_waiting: 7,
        intervals_missed: 2,
        turns: 5_000,
        turn_last: Micros(40),
        turn_p99: Micros(90),
        turn_max: Micros(700),
        sources: 9,
        sources_refused: 1,
        ..Own::default()
    };
    own.lines.lines_sent = 1_000;
    own.lines.bytes_sent = 250_000;
    own.lines.lost_queue_full = 3;
    own.lines.lost_too_long = 1;
    own.series.series = 12;
    own.series.refused = 4;
    own.series.expired = 5;
    own.connections.accepted = 30;
    own.connections.refused = 2;
    own.connections.open = 1;
    own.connections.denied = 8;
    own.control.commands = 60;
    own.control.auth_failures = 9;
    Readings {
        heap: HeapStats {
            allocations: 100,
            frees: 60,
            allocated_bytes: 10_000,
            freed_bytes: 6_000,
            live_bytes: 4_000,
            live_blocks: 40,
            peak_bytes: 5_000,
            failed: 1,
            size_bytes: 1 << 20,
            free_bytes: 1_000_000,
            largest_free_bytes: Some(750_000),
        },
        log: Lines {
            errors: 1,
            warnings: 2,
            infos: 3,
            debugs: 4,
        },
        log_sources: 5,
        log_refused: 2,
        frames: FrameCounts {
            frames_received: 11,
            bytes_received: 1_100,
            frames_sent: 22,
            bytes_sent: 2_200,
            addresses_lost: 1,
            leases_refused: 0,
            dhcp_dropped: 0,
        },
        nic_dropped: 6,
        sockets: SocketCounts {
            listening: 9,
            opening: 0,
            established: 2,
            closing: 1,
            time_wait: 0,
        },
        resets: 3,
        own,
        uptime: Micros::from_secs(3_600),
        boot: UnixNanos(1_700_000_000_000_000_000),
        image: Image {
            version: "1.2.3",
            build: "0123abc",
            kernel: "0.11.0",
        },
    }
}

/// The line of a source, which must be legal and have all its fields, against what was accepted.
fn accept_line(
    source: &str,
    own_tags: &[(&str, &str)],
    declared: &[FieldDef],
    fields: &FieldList<'_>,
) {
    let mut tags = vec![("vm", "golden")];
    tags.extend_from_slice(own_tags);
    let point = Point {
        measurement: source,
        tags: &tags,
        fields: fields.as_slice(),
        timestamp: Some(UnixNanos(1_700_003_600_000_000_000)),
    };
    let mut buffer = [0; 2_048];
    let encoded = line::encode(&point, &mut buffer).expect("it fits");
    assert_eq!((encoded.clamped, encoded.left_out), (0, 0), "{source}");
    let text = str::from_utf8(&buffer[..encoded.len]).expect("text");
    let parsed: Vec<_> = influxdb_line_protocol::parse_lines(text).collect();
    let line = parsed[0].as_ref().expect("a legal line");
    assert_eq!(line.field_set.len(), declared.len());
    accept(&folder().join(format!("tests/golden/{source}.txt")), text);
}

#[test]
fn every_built_in_source_has_the_accepted_line() {
    for source in BuiltIn::ALL {
        let mut fields = FieldList::new();
        readings().read(source, &mut fields);
        let (head, declared) = (source.declared().source(), source.declared().fields());
        accept_line(head.name(), head.tags(), declared, &fields);
    }
}

#[test]
fn every_source_of_the_machine_has_the_accepted_line() {
    let mut load = Load::new();
    load.follow(Micros(1_000_000), Micros(900_000));
    let load = load.follow(Micros(2_000_000), Micros(1_650_000));
    let mut watch = Watch::new();
    watch.look(UnixNanos(1_700_000_000_250_000_000), 1_700_000_000);
    watch.look(UnixNanos(1_700_000_010_250_000_000), 1_700_000_040);
    for source in machine::ALL {
        let (tag, values): (&str, Vec<Value<'_>>) = match source.name {
            "cpu" => ("", load.map(Value::U64).to_vec()),
            "tasks" => ("monitoring", [131_072, 49_152].map(Value::U64).to_vec()),
            "clock" => ("", watch.values().expect("looked at").to_vec()),
            other => panic!("{other} has no golden line"),
        };
        let mut fields = FieldList::new();
        for (field, value) in source.fields.iter().zip(values) {
            assert!(field.kind.takes(&value), "{}: {field:?}", source.name);
            fields.add(field.name, value);
        }
        let tags: Vec<_> = source.labels.iter().map(|label| (*label, tag)).collect();
        accept_line(source.name, &tags, source.fields, &fields);
    }
}

#[test]
fn the_documentation_lists_every_built_in_source() {
    let mut text = String::from(
        "# Metrics\n\n\
         Every source that an image has without being asked. All lines have the tag `vm` as well. This file is \
         written from the declarations: `ACCEPT=1 cargo test -p monitoring --test sources`.\n",
    );
    for source in BuiltIn::ALL {
        let declared = source.declared();
        let head = declared.source();
        write!(text, "\n## `{}`\n\n{}.\n", head.name(), capital(head.doc())).expect("text");
        for (name, value) in head.tags() {
            write!(text, "\nTag `{name}`: `{value}`.\n").expect("text");
        }
        fields_table(&mut text, declared.fields());
    }
    for source in machine::ALL {
        write!(text, "\n## `{}`\n\n{}.\n", source.name, capital(source.doc)).expect("text");
        for name in source.labels {
            write!(text, "\nTag `{name}`: a line for each.\n").expect("text");
        }
        fields_table(&mut text, source.fields);
    }
    accept(&folder().join("../docs/METRICS.md"), &text);
}

/// What the host's tool knows of these sources: a line for each field.
#[test]
fn hermon_has_the_meaning_of_every_field() {
    let built_in = BuiltIn::ALL.iter().map(|source| {
        let declared = source.declared();
        (declared.source().name(), declared.fields())
    });
    let machine = machine::ALL
        .iter()
        .map(|source| (source.name, source.fields));
    let mut text = String::new();
    for (source, fields) in built_in.chain(machine) {
        for field in fields {
            let (name, unit, doc) = (field.name, field.unit, field.doc);
            writeln!(text, "{source}\t{name}\t{unit}\t{doc}").expect("text");
        }
    }
    accept(&folder().join("../hermon/src/meaning.tsv"), &text);
}

fn fields_table(text: &mut String, fields: &[FieldDef]) {
    text.push_str("\n| field | type | unit | meaning |\n|---|---|---|---|\n");
    for field in fields {
        let (name, kind) = (field.name, field.kind.name());
        writeln!(
            text,
            "| `{name}` | {kind} | {} | {} |",
            field.unit, field.doc
        )
        .expect("text");
    }
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}
