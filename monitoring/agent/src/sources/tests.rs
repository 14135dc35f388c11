use metrics::SeriesCache;

use heap_profiler::HeapStats;
use network::outbox::Counts;
use units::{Micros, UnixNanos};

use super::readings::fragmentation_permille;
use super::*;
use crate::config::{VM_NAME_MAX, parse_vm};
use crate::emit::{Emission, EncodeCounts, Sink};
use network::bounds::{ON_THE_WAY_BYTES, QUEUE_BYTES};
use network::outbox::Outbox;

const MAX: u64 = i64::MAX as u64;

fn largest() -> Readings {
    Readings {
        heap: HeapStats {
            allocations: MAX,
            frees: MAX,
            allocated_bytes: MAX,
            freed_bytes: MAX,
            live_bytes: MAX,
            live_blocks: MAX,
            peak_bytes: MAX,
            failed: MAX,
            size_bytes: MAX,
            free_bytes: MAX,
            largest_free_bytes: Some(MAX),
        },
        own: Own {
            lines: Counts {
                lines_sent: MAX,
                bytes_sent: MAX,
                datagrams_sent: MAX,
                lost_queue_full: MAX - 1,
                lost_too_long: 1,
                lines_resent: MAX,
                lines_in_doubt: MAX,
                connections: MAX,
                connections_lost: MAX,
                connect_failures: MAX,
            },
            turns: MAX,
            turn_max: Micros(MAX),
            ..Own::default()
        },
        uptime: Micros(MAX),
        image: Image {
            version: "1.2.3",
            build: "abc",
            kernel: "0.11.0",
        },
        ..Readings::default()
    }
}

#[test]
fn every_field_is_as_declared_and_in_this_order() {
    let mut readings = largest();
    readings.machine.clock.look(UnixNanos(0), 1);
    for largest_free in [Some(MAX), None] {
        readings.heap.largest_free_bytes = largest_free;
        for source in ALL.iter().chain(OF_THE_MACHINE) {
            let mut fields = FieldList::new();
            tell(source.source(), &readings, &mut fields);
            let mut rest = source.fields().iter();
            for field in fields.as_slice() {
                let found = rest.find(|declared| declared.name == field.key);
                let found = found.unwrap_or_else(|| panic!("{field:?}"));
                assert!(found.kind.takes(&field.value), "{field:?}");
            }
            if largest_free.is_some() {
                assert_eq!(fields.as_slice().len(), source.fields().len());
            }
        }
    }
}

#[test]
fn a_heap_that_cannot_tell_its_size_has_no_figures_of_it() {
    let readings = Readings::default();
    let keys = |name| {
        let source = ALL.iter().find(|it| it.source().name() == name);
        let mut fields = FieldList::new();
        source.expect("a source").tell(&readings, &mut fields);
        fields
            .as_slice()
            .iter()
            .map(|it| it.key)
            .collect::<Vec<_>>()
    };
    assert_eq!(keys("memory").last(), Some(&"failed_allocations"));
    assert!(keys("heap-free").is_empty());
}

#[test]
fn the_largest_values_and_the_longest_name_lose_no_line() {
    let mut memory = [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]];
    let [waiting, on_the_way] = &mut memory;
    let mut outbox = Outbox::new(waiting, on_the_way);
    let mut counts = EncodeCounts::default();
    let name = ",".repeat(VM_NAME_MAX);
    let name = parse_vm(&name).expect("a name");
    static SERIES: SeriesCache = SeriesCache::new();
    static REGISTRY: Registry = Registry::new(&SERIES);
    let registry = &REGISTRY;
    register(registry, true);
    let mut emission = Emission::new();
    emission.begin(0, UnixNanos(2_000_000_000_000_000_000), registry, &outbox);
    while emission.is_running() {
        let mut sink = Sink {
            vm: name.as_str(),
            outbox: &mut outbox,
            counts: &mut counts,
        };
        let told = |source: &Source, fields: &mut FieldList<'_>| tell(source, &largest(), fields);
        emission.step(registry, &told, &mut sink);
    }
    assert!(outbox.lines_waiting() >= ALL.len());
    assert_eq!(outbox.counts().lines_lost(), 0);
    assert_eq!(
        counts,
        EncodeCounts::default(),
        "nothing was clamped or left out"
    );
}

#[test]
fn fragmentation_is_the_share_outside_the_largest_block() {
    assert_eq!(fragmentation_permille(0, 0), 0);
    assert_eq!(fragmentation_permille(1_000, 1_000), 0);
    assert_eq!(fragmentation_permille(1_000, 1), 999);
    assert_eq!(fragmentation_permille(u64::MAX, u64::MAX / 2), 500);
    assert_eq!(fragmentation_permille(10, 20), 0, "largest was read later");
}
