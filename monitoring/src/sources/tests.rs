use super::*;
use crate::config::{VM_NAME_MAX, parse_vm};
use crate::emit::{Emission, EncodeCounts, Sink};
use crate::metrics::FieldKind;
use crate::metrics::Metric as _;
use crate::metrics::registry::leaked;
use crate::net::bounds::{ON_THE_WAY_BYTES, QUEUE_BYTES};
use crate::net::outbox::Outbox;

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
fn every_field_is_as_declared() {
    let mut readings = largest();
    for largest_free in [Some(MAX), None] {
        readings.heap.largest_free_bytes = largest_free;
        for source in BuiltIn::ALL {
            let mut fields = FieldList::new();
            readings.read(source, &mut fields);
            let declared = source.declared().fields();
            let mut rest = declared.iter();
            for field in fields.as_slice() {
                // In the declared order; those that are not known are skipped.
                let found = rest.find(|declared| declared.name == field.key);
                let found = found.unwrap_or_else(|| panic!("{source:?}: {field:?}"));
                assert!(found.kind.takes(&field.value), "{source:?}: {field:?}");
            }
            if largest_free.is_some() {
                assert_eq!(fields.as_slice().len(), declared.len(), "{source:?}");
            }
        }
    }
}

#[test]
fn every_source_is_at_its_place_and_documented() {
    let mut names = std::collections::BTreeSet::new();
    for source in BuiltIn::ALL {
        let declared = source.declared();
        assert_eq!(declared.origin(), crate::metrics::Origin::Monitor(source));
        assert!(names.insert(declared.source().name()));
        assert!(!declared.source().doc().is_empty());
        let keys: std::collections::BTreeSet<_> =
            declared.fields().iter().map(|field| field.name).collect();
        assert_eq!(keys.len(), declared.fields().len(), "{source:?}");
        for field in declared.fields() {
            assert!(!field.doc.is_empty(), "{field:?}");
            let is_number = !matches!(field.kind, FieldKind::Text);
            assert_eq!(is_number, !field.unit.is_empty(), "{field:?}");
        }
    }
}

#[test]
fn the_largest_values_and_the_longest_name_lose_no_line() {
    let mut memory = [vec![0; QUEUE_BYTES], vec![0; ON_THE_WAY_BYTES]];
    let [waiting, on_the_way] = &mut memory;
    let mut outbox = Outbox::new(waiting, on_the_way);
    let mut counts = EncodeCounts::default();
    let name = ",".repeat(VM_NAME_MAX);
    let name = parse_vm(&name).expect("a name");
    let registry = leaked();
    BuiltIn::register_all(registry).expect("no name is taken");
    let mut emission = Emission::new();
    emission.begin(0, UnixNanos(2_000_000_000_000_000_000), registry, &outbox);
    while emission.is_running() {
        let mut sink = Sink {
            vm: name.as_str(),
            outbox: &mut outbox,
            counts: &mut counts,
        };
        emission.step(registry, &largest(), &mut sink);
    }
    assert!(outbox.lines_waiting() >= BuiltIn::ALL.len());
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
