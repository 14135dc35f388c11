use super::journal::Behind;
use super::*;
use crate::point::Value;
use proptest::prelude::*;
use std::collections::BTreeMap;

const SMALL: Limits = Limits {
    series: 3,
    fields: 5,
    samples: 4,
    changes: 6,
    name: 16,
    age: Duration::from_secs(100),
};

fn take(store: &mut Store, line: &str, now: i64) {
    let point = Point::parse(line.as_bytes()).unwrap();
    store.take(point.expect("a point"), UnixMicros(now));
}

fn field<'a>(store: &'a Store, source: &str, name: &str) -> &'a Field {
    let (_, series) = store
        .series()
        .find(|(_, series)| series.source == source)
        .unwrap();
    series
        .fields
        .iter()
        .find(|field| field.name() == name)
        .unwrap()
}

#[test]
fn series_are_sorted_and_machines_counted() {
    let mut store = Store::new(SMALL);
    take(&mut store, "b,vm=x v=1", 1);
    take(&mut store, "a,vm=x v=1 7000", 2);
    take(&mut store, "a,vm=w v=1", 3);
    let names: Vec<(usize, &str)> = store
        .series()
        .map(|(_, series)| (series.machine, series.source.as_str()))
        .collect();
    assert_eq!(names, [(1, "a"), (0, "a"), (0, "b")]);
    let x = &store.machines()[0];
    assert_eq!(
        (x.points, x.arrived, x.newest),
        (2, UnixMicros(2), UnixMicros(7))
    );
}

#[test]
fn what_finds_no_place_is_counted_and_the_rest_goes_on() {
    let mut store = Store::new(SMALL);
    // The first three go on, so none of them makes room.
    for line in [
        "a v=1",
        "b v=1",
        "c v=1",
        "a v=1",
        "b v=1",
        "c v=1",
        "d v=1",
        "a v=2,w=1,x=1,y=1,z=1",
    ] {
        take(&mut store, line, 1);
    }
    let expected = Refused {
        points: 1,
        values: 2,
        forgotten: 0,
    };
    assert_eq!((store.refused(), store.fields), (expected, 5));
    assert_eq!(
        field(&store, "a", "v").last(),
        Some(&(UnixMicros(1), Value::Float(2.0)))
    );
}

#[test]
fn a_name_that_is_too_long_finds_no_place() {
    let mut store = Store::new(SMALL);
    take(&mut store, "a_name_of_17_byte v=1", 1);
    take(&mut store, "a a_name_of_17_byte=1,v=1", 1);
    let expected = Refused {
        points: 1,
        values: 1,
        forgotten: 0,
    };
    assert_eq!((store.refused(), store.fields), (expected, 1));
}

#[test]
fn only_what_rises_counts_and_a_restart_does_not_end_it() {
    let mut store = Store::new(Limits {
        samples: 100,
        ..SMALL
    });
    for n in 0..30_i64 {
        let (count, up_and_down) = (if n < 25 { n } else { n - 25 }, n % 2);
        let line = format!("m sent={count}i,level={up_and_down}i,live_bytes={n}i,x={n}");
        take(&mut store, &line, n * 1_000_000);
    }
    let counts = |name| field(&store, "m", name).counts();
    assert!(counts("sent"));
    assert!(!counts("level"), "it falls");
    assert!(!counts("live_bytes"), "its name tells a state");
    assert!(!counts("x"), "no whole number");
    assert_eq!(field(&store, "m", "sent").rate(), Some(1.0));
    take(&mut store, "m sent=0i", 31_000_000);
    assert_eq!(field(&store, "m", "sent").rate(), None, "across a restart");
}

#[test]
fn a_follower_sees_every_change_once_or_is_told_that_it_is_behind() {
    let mut store = Store::new(SMALL);
    let start = store.journal().next();
    for n in 0..6 {
        take(&mut store, &format!("m v={n}"), n);
    }
    let times: Vec<i64> = store
        .journal()
        .since(start)
        .unwrap()
        .map(|change| change.time.0)
        .collect();
    assert_eq!(times, [0, 1, 2, 3, 4, 5]);
    let next = store.journal().next();
    assert_eq!(store.journal().since(next).unwrap().count(), 0);
    take(&mut store, "m v=7", 7);
    assert_eq!(store.journal().since(next).unwrap().count(), 1);
    assert_eq!(store.journal().since(start).err(), Some(Behind));
}

#[test]
fn text_has_a_last_value_and_no_samples() {
    let mut store = Store::new(SMALL);
    take(&mut store, "m v=\"1.0\"", 1);
    let version = field(&store, "m", "v");
    assert!(version.samples().is_empty());
    assert_eq!(version.last().unwrap().1.to_string(), "1.0");
}

proptest! {
    #[test]
    fn the_newest_samples_are_kept_sorted_and_the_last_word_for_a_time_counts(
        points in prop::collection::vec((0_i64..12, 0_i64..100), 0..40),
    ) {
        let mut store = Store::new(SMALL);
        // The oracle keeps everything, sorts by time, and removes the oldest when there are too many.
        let mut oracle = BTreeMap::new();
        for &(time, value) in &points {
            take(&mut store, &format!("m v={value}i {}", time * 1_000), 99);
            let full = oracle.len() >= SMALL.samples && !oracle.contains_key(&time);
            if full && oracle.first_key_value().is_some_and(|(&oldest, _)| oldest > time) {
                continue;
            }
            oracle.insert(time, value as f64);
            if oracle.len() > SMALL.samples {
                oracle.pop_first();
            }
        }
        if points.is_empty() {
            return Ok(());
        }
        let kept: Vec<(i64, f64)> = field(&store, "m", "v")
            .samples()
            .iter()
            .map(|sample| (sample.time.0, sample.value))
            .collect();
        prop_assert_eq!(kept, oracle.into_iter().collect::<Vec<_>>());
    }
}

const SECOND: i64 = 1_000_000;

fn names(store: &Store) -> Vec<String> {
    let machine = |at: usize| store.machines()[at].name.as_str();
    let all = store.series();
    all.map(|(_, series)| format!("{} {}", machine(series.machine), series.source))
        .collect()
}

#[test]
fn a_new_machine_gets_the_place_of_the_series_that_is_dead_for_longest() {
    let mut store = Store::new(SMALL);
    // One goes on each ten seconds, one has stopped, one came once.
    for second in (0..=60).step_by(10) {
        take(&mut store, "m,vm=on v=1", second * SECOND);
        if second <= 20 {
            take(&mut store, "m,vm=off v=1", second * SECOND);
        }
    }
    take(&mut store, "m,vm=once v=1", 60 * SECOND);
    let follower = store.journal().next();
    take(&mut store, "m,vm=new v=1", 61 * SECOND);
    assert_eq!(names(&store), ["new m", "off m", "on m"]);
    assert_eq!(store.gone(), ["once"]);
    assert_eq!(store.journal().since(follower).err(), Some(Behind));
    take(&mut store, "m,vm=new v=1", 62 * SECOND);
    take(&mut store, "m,vm=newer v=1,w=2", 62 * SECOND);
    assert_eq!(names(&store), ["new m", "newer m", "on m"]);
    assert_eq!((store.gone(), store.fields), (vec!["off".to_owned()], 4));
    take(&mut store, "m,vm=newer v=1", 63 * SECOND);
    // All go on: nobody makes room.
    take(&mut store, "m,vm=out v=1", 63 * SECOND);
    let expected = Refused {
        points: 1,
        values: 0,
        forgotten: 2,
    };
    assert_eq!(store.refused(), expected);
    assert_eq!(names(&store), ["new m", "newer m", "on m"]);
    let (at, _) = store.series().next().unwrap();
    take(&mut store, "m,vm=new v=9", 64 * SECOND);
    assert_eq!(
        store.at(at).unwrap().fields[0].last().unwrap().1,
        Value::Float(9.0)
    );
}

#[test]
fn fields_of_dead_series_make_room_for_new_fields() {
    let mut store = Store::new(SMALL);
    take(&mut store, "old a=1,b=1,c=1,d=1", 0);
    take(&mut store, "new a=1", SECOND);
    take(&mut store, "new a=1,b=2,c=3", 2 * SECOND);
    assert_eq!(names(&store), [" new"]);
    assert_eq!((store.fields, store.refused().values), (3, 0));
}

#[test]
fn a_machine_that_is_gone_disappears_in_the_end() {
    let mut store = Store::new(SMALL);
    take(&mut store, "m,vm=gone v=1", SECOND);
    take(&mut store, "m,vm=gone v=1", 2 * SECOND);
    store.forget_old(UnixMicros(60 * SECOND));
    take(&mut store, "m,vm=here v=1", 90 * SECOND);
    store.forget_old(UnixMicros(102 * SECOND));
    assert_eq!(
        names(&store).len(),
        2,
        "the last search was less than a minute ago"
    );
    store.forget_old(UnixMicros(120 * SECOND));
    assert_eq!(names(&store), ["here m"]);
    assert_eq!(store.refused(), Refused::default());
}

#[test]
fn a_burst_does_not_make_a_series_dead() {
    let mut rhythm = Rhythm::beginning(UnixMicros(0));
    for second in [10, 20, 20, 20] {
        rhythm.beat(UnixMicros(second * SECOND));
    }
    assert!(!rhythm.is_dead(UnixMicros(24 * SECOND)));
    assert!(rhythm.is_dead(UnixMicros(60 * SECOND)));
}
