//! Compares every number of a report with a naive count.

use std::collections::{BTreeMap, BTreeSet};

use hermon_heap::events::{End, OpenError};
use hermon_heap::named::Named;
use hermon_heap::profile::{Profile, Settings};
use hermon_heap::report::{Amount, Report};
use hermon_heap::temporary::Temporary;
use proptest::prelude::*;

use super::made::{self, Happening, PLACES, What, alloc, free, service, trace};
use super::oracle::{self, Block, hits};

fn named(bytes: &[u8], settings: &Settings) -> Named {
    Named::new(Profile::read(bytes, settings).unwrap())
}

/// Returns a report in which no list is cut.
fn report(bytes: &[u8], settings: &Settings) -> Report {
    Report::new(&named(bytes, settings), settings, false, usize::MAX)
}

fn check(amount: &Amount, blocks: &[&Block], rate: f64, what: &str) {
    let hits = hits(blocks.iter().copied());
    assert_eq!(
        (amount.hits, amount.samples),
        (hits, blocks.len() as u64),
        "{what}"
    );
    let bytes = hits as f64 / rate * 8.0;
    assert!(
        (amount.estimate.bytes - bytes).abs() <= 1e-9 * bytes,
        "{what}"
    );
    let stands_for: f64 = blocks
        .iter()
        .map(|block| 1.0 / (1.0 - (1.0 - rate).powi(block.words as i32)))
        .sum();
    assert!(
        (amount.blocks - stands_for).abs() <= 1e-3 * stands_for.max(1.0),
        "{what}: {} is not {stands_for}",
        amount.blocks
    );
}

fn check_all(happenings: &[Happening], rate: f64, settings: &Settings) {
    let report = report(&trace(rate, happenings), settings);
    let blocks = oracle::blocks(happenings);
    let all: Vec<&Block> = blocks.iter().collect();
    let chosen = |choose: &dyn Fn(&Block) -> bool| -> Vec<&Block> {
        blocks.iter().filter(|block| choose(block)).collect()
    };
    let temporary = |block: &Block| {
        !block.is_lost()
            && block
                .freed
                .is_some_and(|(freed, after)| match settings.temporary {
                    Temporary::Within(micros) => freed - block.born <= micros,
                    Temporary::Before(samples) => after < samples,
                })
    };
    let totals = &report.totals;
    check(&totals.allocated, &all, rate, "allocated");
    check(&totals.lost, &chosen(&Block::is_lost), rate, "lost");
    check(&totals.live, &chosen(&Block::is_live_at_end), rate, "live");
    check(&totals.temporary, &chosen(&temporary), rate, "temporary");
    let (peak, event) = oracle::peak(&blocks, happenings.len());
    assert_eq!(totals.peak.hits, peak);
    if peak > 0 {
        assert_eq!(totals.peak_micros, happenings[event].at);
    }

    let sites: BTreeSet<_> = blocks.iter().map(Block::site).collect();
    assert_eq!(report.by_allocated.len(), sites.len());
    for row in &report.by_allocated {
        let site = (row.function.clone(), row.file.clone(), row.line);
        let of_site =
            |also: &dyn Fn(&Block) -> bool| chosen(&|block| block.site() == site && also(block));
        let what = format!("{site:?}");
        check(&row.allocated, &of_site(&|_| true), rate, &what);
        check(&row.live, &of_site(&Block::is_live_at_end), rate, &what);
        check(&row.temporary, &of_site(&temporary), rate, &what);
        let lives: Vec<u64> = of_site(&|block| !block.is_lost())
            .iter()
            .filter_map(|block| Some(block.freed?.0 - block.born))
            .collect();
        match row.mean_lifetime_micros {
            None => assert!(lives.is_empty(), "{what}"),
            Some(mean) => {
                let want = lives.iter().sum::<u64>() as f64 / lives.len() as f64;
                assert!((mean - want).abs() <= 1e-9 * want, "{what}");
            }
        }
        if let Some((from, to)) = settings.window {
            let alive = |at: u64| hits(of_site(&|block| block.is_live_at(at))) as f64;
            let want = (alive(to) - alive(from)) / rate * 8.0;
            let got = row.growth.unwrap();
            assert!(
                (got.bytes - want).abs() < 1e-6 * want.abs().max(1.0),
                "{what}: {} is not {want}",
                got.bytes
            );
            assert!(got.low <= got.bytes && got.bytes <= got.high, "{what}");
        }
    }
    for rows in [&report.by_allocated, &report.by_live, &report.by_temporary] {
        assert!(
            rows.iter()
                .all(|row| report.by_allocated.contains(row) || row.callers.len() <= 4)
        );
    }
    assert!(
        report
            .by_allocated
            .is_sorted_by(|a, b| a.allocated.hits >= b.allocated.hits)
    );
    assert!(
        report
            .by_live
            .is_sorted_by(|a, b| a.live.hits >= b.live.hits)
    );

    let functions: BTreeSet<_> = blocks.iter().flat_map(Block::own_functions).collect();
    assert_eq!(report.functions.len(), functions.len());
    for row in &report.functions {
        let inside = |block: &Block| {
            block
                .own_functions()
                .contains(&(row.function.clone(), row.file.clone()))
        };
        check(&row.allocated, &chosen(&inside), rate, &row.function);
        check(
            &row.live,
            &chosen(&|block| inside(block) && block.is_live_at_end()),
            rate,
            &row.function,
        );
    }

    let mut sizes: BTreeMap<u64, Vec<&Block>> = BTreeMap::new();
    let mut lifetimes: BTreeMap<(bool, Option<u64>), Vec<&Block>> = BTreeMap::new();
    for block in chosen(&|block| !block.is_lost()) {
        let mut most = 8;
        while most < block.words * 8 {
            most *= 2;
        }
        sizes.entry(most).or_default().push(block);
        let class = block.freed.map(|(freed, _)| {
            let mut below = 10;
            while freed - block.born >= below {
                below *= 10;
            }
            below
        });
        lifetimes
            .entry((class.is_none(), class))
            .or_default()
            .push(block);
    }
    assert_eq!(report.sizes.len(), sizes.len());
    for row in &report.sizes {
        check(&row.allocated, &sizes[&row.most_bytes], rate, "a size");
    }
    assert_eq!(report.lifetimes.len(), lifetimes.len());
    for row in &report.lifetimes {
        check(
            &row.allocated,
            &lifetimes[&(row.alive, row.below_micros)],
            rate,
            "a lifetime",
        );
    }
}

/// Generates the events of a trace: times that do not run backwards, and frees of live blocks.
fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let code = prop::sample::select(
        PLACES[..7]
            .iter()
            .map(|(code, _)| *code)
            .collect::<Vec<_>>(),
    );
    let stack = prop_oneof![
        9 => prop::collection::vec(code, 1..7),
        1 => Just(vec![made::LOST]),
    ];
    let pause = prop_oneof![Just(0_u64), 1_u64..50, Just(1_000), 1_u64..40_000_000];
    let event = (
        pause,
        any::<bool>(),
        any::<prop::sample::Index>(),
        1_u64..5_000,
        1_u64..4,
        stack,
    );
    prop::collection::vec(event, 0..80).prop_map(|events| {
        let (mut now, mut count, mut alive, mut made) = (0, 0, Vec::new(), Vec::new());
        for (pause, frees, which, words, hits, stack) in events {
            now += pause;
            if frees && !alive.is_empty() {
                made.push(free(now, alive.swap_remove(which.index(alive.len()))));
                continue;
            }
            if stack != [made::LOST] {
                alive.push(count);
            }
            count += 1;
            made.push(alloc(now, words.max(hits), hits, &stack));
        }
        made
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn every_number_is_what_a_naive_count_says(
        happenings in happenings(),
        rate in prop::sample::select(vec![1.0, 0.5, 1e-3, 1e-4, 1e-6]),
        temporary in prop_oneof![
            (0_u64..2_000).prop_map(Temporary::Within),
            (0_u64..9).prop_map(Temporary::Before),
        ],
        window in (0.0..1.0_f64, 0.0..1.0_f64),
    ) {
        let end = happenings.last().map_or(0, |last| last.at) as f64 + 2.0;
        let (from, to) = (window.0.min(window.1) * end, window.0.max(window.1) * end);
        let window = Some((from as u64, (to as u64).max(from as u64 + 1)));
        check_all(&happenings, rate, &Settings::new(temporary, window));
    }

    #[test]
    fn nothing_that_is_read_makes_it_panic(
        happenings in happenings(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = trace(1e-4, &happenings);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(profile) = Profile::read(&*bytes, &Settings::default()) {
            let settings = Settings::new(Temporary::default(), Some((0, 1)));
            let text = Report::new(&Named::new(profile), &settings, true, 3).to_string();
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}

#[test]
fn the_service_is_counted_exactly() {
    let settings = Settings::new(Temporary::default(), Some((2_000_000, 8_000_000)));
    check_all(&service(), 1e-4, &settings);
}

#[test]
fn a_trace_that_is_cut_anywhere_is_reported_on_up_to_its_last_whole_packet() {
    let packets = made::packets(1e-3, &service());
    let whole = packets.concat();
    let ends: Vec<usize> = packets
        .iter()
        .scan(0, |end, packet| {
            *end += packet.len();
            Some(*end)
        })
        .collect();
    for cut in 0..=whole.len() {
        let read = Profile::read(&whole[..cut], &Settings::default());
        let Some(&end) = ends.iter().rev().find(|&&end| end <= cut) else {
            let error = read.unwrap_err();
            assert!(
                matches!(error, OpenError::Empty | OpenError::Cut(_)),
                "{error}"
            );
            continue;
        };
        let profile = read.unwrap();
        assert_eq!(profile.span.bytes, end as u64);
        let want = if cut == end {
            End::Whole
        } else {
            End::Cut(cut - end)
        };
        assert_eq!(profile.span.end, want);
        let said = |bytes: &[u8]| {
            let mut report = report(bytes, &Settings::default());
            report.trace.not_read = None;
            report
        };
        assert_eq!(said(&whole[..cut]), said(&whole[..end]));
    }
}

#[test]
fn names_of_a_trace_cannot_steer_a_terminal() {
    let packets = made::named_packets(1e-4, "app\x1b[2J\rx", &[alloc(1, 1, 1, &[0x2000])], 8);
    let text = report(&packets.concat(), &Settings::default()).to_string();
    assert!(text.contains("executable   app␀[2J␀x\n"), "{text}");
}

#[test]
fn of_what_happened_the_oracle_sees_all() {
    let happenings = service();
    let allocs = happenings
        .iter()
        .filter(|happening| matches!(happening.what, What::Alloc(..)))
        .count();
    let blocks = oracle::blocks(&happenings);
    assert_eq!(
        (blocks.len(), hits(&blocks)),
        (allocs, 10 * (2 + 1 + 7) + 12 + 1)
    );
}

#[test]
fn callers_that_only_pass_a_call_on_are_left_out_unless_all_frames_are_asked_for() {
    let bytes = trace(1.0, &[alloc(1, 1, 1, &[0x1000, 0x3000, 0x2000])]);
    let named = named(&bytes, &Settings::default());
    let report = |all| Report::new(&named, &Settings::default(), all, 9);
    let own = [
        "app::serve app/src/serve.rs:20",
        "app::main app/src/main.rs:7",
    ];
    assert_eq!(report(false).by_live[0].callers, own);
    let all = &report(true).by_live[0].callers;
    assert_eq!(all[0], "alloc::vec::Vec::push alloc/src/vec/mod.rs:40");
    assert_eq!(all[1..], own);
    let count = |all| report(all).functions.len();
    assert_eq!((count(false), count(true)), (3, 4));
}

#[test]
fn the_allocators_hook_is_in_no_stack_but_one_of_nothing_else() {
    let bytes = trace(
        1.0,
        &[
            alloc(1, 1, 1, &[0x1000, 0x2000, made::HOOK]),
            alloc(1, 1, 1, &[made::HOOK]),
        ],
    );
    let named = named(&bytes, &Settings::default());
    let report = Report::new(&named, &Settings::default(), true, 9);
    let mut sites: Vec<&str> = report
        .by_live
        .iter()
        .map(|site| site.function.as_str())
        .collect();
    sites.sort_unstable();
    assert_eq!(
        sites,
        [
            "app::cache::insert",
            "monitoring::heap::profiled::allocated"
        ]
    );
}
