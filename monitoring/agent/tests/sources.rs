//! The built-in sources against accepted files: one line each in `tests/golden`, and their tables in `docs/METRICS.md` and
//! `hermon/src/meaning.tsv`.

use core::fmt::Write as _;
use std::path::Path;

use agent::emit::EncodeCounts;
use agent::sources::clock::Watch;
use agent::sources::{
    ALL, BuiltIn, Image, Interrupts, Load, Machine, OF_THE_MACHINE, Own, Readings, StackUse, TASKS,
    push_task,
};
use agent::trace::{ProfilerState, TraceCounts};
use heap_profiler::HeapStats;
use logging::Lines;
use metrics::line::{self, Point, Tag};
use metrics::{FieldKind, FieldList, Metric, SeriesCounts};
use network::outbox::Counts;
use network::stack::{FrameCounts, SocketCounts};
use network::tcp::ListenCounts;
use units::{Micros, UnixNanos};

/// Compares with a file, or writes it.
fn accept(path: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    if std::env::var_os("ACCEPT").is_some() {
        std::fs::write(&path, actual).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let path = path.canonicalize().unwrap_or(path);
    assert!(
        expected == actual,
        "{} is out of date. If the change is meant, write it anew: ACCEPT=1 cargo test -p agent --test sources\n\
         accepted:\n{expected}\nnow:\n{actual}",
        path.display()
    );
}

/// Returns readings in which all numbers differ, so that a row with another row's expression is found.
fn readings() -> Readings {
    let mut last = 100;
    let mut n = || {
        last += 1;
        last
    };
    let connections = |n: &mut dyn FnMut() -> u64| ListenCounts {
        open: n(),
        accepted: n(),
        refused: n(),
        denied: n(),
    };
    let mut watch = Watch::new();
    watch.look(UnixNanos(1_700_000_000_250_000_000), 1_700_000_000);
    watch.look(UnixNanos(1_700_000_010_250_000_000), 1_700_000_040);
    Readings {
        heap: HeapStats {
            allocations: n(),
            frees: n(),
            allocated_bytes: n(),
            freed_bytes: n(),
            live_bytes: n(),
            live_blocks: n(),
            peak_bytes: n(),
            failed: n(),
            size_bytes: 1 << 20,
            free_bytes: 1_000_000,
            largest_free_bytes: Some(750_000),
        },
        log: Lines {
            errors: n(),
            warnings: n(),
            infos: n(),
            debugs: n(),
        },
        log_sources: n() as usize,
        log_refused: n(),
        frames: FrameCounts {
            frames_received: n(),
            bytes_received: n(),
            frames_sent: n(),
            bytes_sent: n(),
            addresses_lost: n(),
            leases_refused: n(),
            dhcp_dropped: n(),
            arp_conflicts: n(),
        },
        nic_dropped: n(),
        sockets: SocketCounts {
            listening: n(),
            opening: n(),
            established: n(),
            closing: n(),
            time_wait: n(),
        },
        resets: n(),
        own: Own {
            lines: Counts {
                lines_sent: n(),
                bytes_sent: n(),
                datagrams_sent: n(),
                lost_queue_full: n(),
                lost_too_long: n(),
                lines_resent: n(),
                lines_in_doubt: n(),
                connections: n(),
                connections_lost: n(),
                connect_failures: n(),
            },
            lines_waiting: n() as usize,
            encoded: EncodeCounts {
                values_clamped: n(),
                values_left_out: n(),
            },
            intervals_missed: n(),
            turns: n(),
            turn_last: Micros(n()),
            turn_p99: Micros(n()),
            turn_max: Micros(n()),
            connections: connections(&mut n),
            control: agent::control::ControlCounts {
                commands: n(),
                idle_closed: n(),
                auth_failures: n(),
                yielded: 0,
                foreign: n(),
            },
            sources: n() as usize,
            sources_refused: n(),
            series: SeriesCounts {
                series: n(),
                refused: n(),
                expired: n(),
            },
            trace_connections: connections(&mut n),
            profiler: ProfilerState {
                tracing: true,
                counts: TraceCounts {
                    traces: n(),
                    allocs: n(),
                    frees: n(),
                    bytes: n(),
                    lost: n(),
                },
                lost: n(),
                refused: n(),
                slow: n(),
                ..ProfilerState::default()
            },
            held_bytes: n() as usize,
            restarts: n(),
        },
        uptime: Micros::from_secs(3_600),
        boot: UnixNanos(1_700_000_000_000_000_000),
        image: Image {
            version: "1.2.3",
            build: "0123abc",
            kernel: "0.11.0",
        },
        machine: Machine {
            load: Load {
                busy: Micros(350_000),
                idle: Micros(1_650_000),
                busy_permille: 250,
                idle_permille: 750,
            },
            clock: watch,
            interrupts: Interrupts {
                all: n(),
                timer: n(),
                card: n(),
            },
            console_lines_lost: n(),
        },
    }
}

fn built_in() -> impl Iterator<Item = &'static BuiltIn> {
    ALL.iter().chain(OF_THE_MACHINE).copied()
}

/// All that the documents list.
fn documented() -> impl Iterator<Item = &'static dyn Metric> {
    let tasks: &dyn Metric = &TASKS;
    built_in().map(|it| it as &dyn Metric).chain([tasks])
}

fn told(source: &BuiltIn) -> FieldList<'_> {
    let mut fields = FieldList::new();
    source.tell(&readings(), &mut fields);
    fields
}

/// Compares the line of a source with the accepted one. The line must be valid and have all fields.
fn accept_line(metric: &dyn Metric, labels: &[Tag<'_>], fields: &FieldList<'_>) {
    let source = metric.source();
    let mut tags = vec![("vm", "golden")];
    tags.extend_from_slice(source.tags());
    tags.extend_from_slice(labels);
    let point = Point {
        measurement: source.name(),
        tags: &tags,
        fields: fields.as_slice(),
        timestamp: Some(UnixNanos(1_700_003_600_000_000_000)),
    };
    let mut buffer = [0; 2_048];
    let encoded = line::encode(&point, &mut buffer).expect("it fits");
    assert_eq!(
        (encoded.clamped, encoded.left_out),
        (0, 0),
        "{}",
        source.name()
    );
    let text = str::from_utf8(&buffer[..encoded.len]).expect("text");
    let parsed: Vec<_> = influxdb_line_protocol::parse_lines(text).collect();
    let line = parsed[0].as_ref().expect("a legal line");
    assert_eq!(
        line.field_set.len(),
        metric.fields().len(),
        "{}",
        source.name()
    );
    accept(&format!("tests/golden/{}.txt", source.name()), text);
}

#[test]
fn every_built_in_source_has_the_accepted_line() {
    for source in built_in() {
        accept_line(source, &[], &told(source));
    }
}

#[test]
fn a_row_with_another_row_s_value_would_show() {
    for source in built_in() {
        let fields = told(source);
        for (at, field) in fields.as_slice().iter().enumerate() {
            for other in &fields.as_slice()[..at] {
                assert_ne!(
                    field.value,
                    other.value,
                    "{}: {} and {} have one value in the fixture of monitoring/agent/tests/sources.rs: give each its own",
                    source.source().name(),
                    field.key,
                    other.key
                );
            }
        }
    }
}

#[test]
fn a_task_s_stack_has_the_accepted_line() {
    metrics::register(&TASKS).expect("no name is taken");
    push_task(
        "monitoring",
        &StackUse {
            size_bytes: 131_072,
            high_water_bytes: 49_152,
        },
    );
    let series = metrics::registry().series();
    series.begin(0);
    let metrics::Look::Series(snapshot, _) = series.look(0) else {
        panic!("no series");
    };
    let mut fields = FieldList::new();
    for field in snapshot.fields() {
        fields.add(field.key, field.value);
    }
    let labels: Vec<_> = snapshot.labels().collect();
    accept_line(&TASKS, &labels, &fields);
}

#[test]
fn every_source_and_field_is_documented_and_has_its_own_name() {
    let mut names = std::collections::BTreeSet::new();
    for metric in documented() {
        let source = metric.source();
        assert!(names.insert(source.name()), "{} twice", source.name());
        assert!(!source.doc().is_empty(), "{}", source.name());
        let keys: std::collections::BTreeSet<_> =
            metric.fields().iter().map(|it| it.name).collect();
        assert_eq!(keys.len(), metric.fields().len(), "{}", source.name());
        for field in metric.fields() {
            assert!(!field.doc.is_empty(), "{field:?}");
            let is_number = field.kind != FieldKind::Text;
            assert_eq!(is_number, !field.unit.is_empty(), "{field:?}");
        }
    }
}

#[test]
fn the_documentation_lists_every_built_in_source() {
    let mut text = String::from(
        "# Metrics\n\n\
         Every source that an image has without being asked. All lines have the tag `vm` as well. This file is \
         written from the declarations: `ACCEPT=1 cargo test -p agent --test sources`.\n",
    );
    for metric in documented() {
        let source = metric.source();
        write!(
            text,
            "\n## `{}`\n\n{}.\n",
            source.name(),
            capital(source.doc())
        )
        .expect("text");
        for (name, value) in source.tags() {
            write!(text, "\nTag `{name}`: `{value}`.\n").expect("text");
        }
        for name in source.labels() {
            write!(text, "\nTag `{name}`: a line for each.\n").expect("text");
        }
        text.push_str("\n| field | type | unit | meaning |\n|---|---|---|---|\n");
        for field in metric.fields() {
            let (name, kind) = (field.name, field.kind.name());
            writeln!(
                text,
                "| `{name}` | {kind} | {} | {} |",
                field.unit, field.doc
            )
            .expect("text");
        }
    }
    accept("../../docs/METRICS.md", &text);
}

/// What the host's tool knows of these sources: a line for each field.
#[test]
fn the_readme_names_every_built_in_source() {
    let readme = include_str!("../../../README.md");
    let (_, section) = readme.split_once("\n## Metrics\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let tasks: &dyn Metric = &TASKS;
    for metric in built_in().map(|it| it as &dyn Metric).chain([tasks]) {
        let name = metric.source().name();
        assert!(
            section.contains(&format!("`{name}`")),
            "{name}: README.md does not name it in its section Metrics"
        );
    }
}

#[test]
fn hermon_has_the_meaning_of_every_field() {
    let mut text = String::new();
    for metric in documented() {
        for field in metric.fields() {
            let source = metric.source().name();
            writeln!(
                text,
                "{source}\t{}\t{}\t{}",
                field.name, field.unit, field.doc
            )
            .expect("text");
        }
    }
    accept("../../hermon/src/meaning.tsv", &text);
}

fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}
