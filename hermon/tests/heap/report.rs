//! `hermon report`: every number against a naive count.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use hermon::report::{Amount, Names, Profile, Report, Settings, Temporary};
use hermon::trace::events::{End, OpenError};
use object::{Object, ObjectSymbol};
use proptest::prelude::*;
use tempfile::TempDir;

use super::common::{STARTING, Tool};
use super::golden;
use super::made::{self, Happening, PLACES, What, alloc, free, service, trace};
use super::oracle::{self, Block, hits};

/// A report in which no list is cut.
fn report(bytes: &[u8], settings: &Settings) -> Report {
    let profile = Profile::read(bytes, settings).unwrap();
    let names = Names::of(&profile, None);
    Report::new(&profile, &names, settings, false, usize::MAX)
}

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// What the tool prints, and its exit code.
fn tool(arguments: &[&str]) -> (String, Option<i32>) {
    let mut tool = Tool::start(arguments);
    let code = tool.wait().code();
    let lines: Vec<String> = tool.lines.iter().collect();
    (lines.join("\n") + "\n", code)
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

/// What happens in a made trace: times that do not run backwards, frees of what is alive.
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
        check_all(&happenings, rate, &Settings { temporary, window, snapshot: None });
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
            let names = Names::of(&profile, None);
            let settings = Settings { window: Some((0, 1)), ..Settings::default() };
            let text = Report::new(&profile, &names, &settings, true, 3).to_string();
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n'));
        }
    }
}

#[test]
fn the_service_is_counted_exactly() {
    let settings = Settings {
        window: Some((2_000_000, 8_000_000)),
        ..Settings::default()
    };
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
        let same = Profile::read(&whole[..end], &Settings::default()).unwrap();
        assert_eq!(
            (profile.stacks, profile.peak, profile.sizes),
            (same.stacks, same.peak, same.sizes)
        );
    }
}

#[test]
fn the_text_and_the_json_are_as_accepted() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "service.ctf", &trace(1e-4, &service()));
    let path = path.to_str().unwrap();
    let window = ["--from", "2s", "--to", "8s"];
    let (text, code) = tool(&[&["report", path], &window[..]].concat());
    assert_eq!(code, Some(0));
    golden::compare("report.txt", &text);
    let (json, code) = tool(&[&["report", path, "--json", "--top", "2"], &window[..]].concat());
    assert_eq!(code, Some(0));
    golden::compare("report.json", &json);
}

#[test]
fn two_traces_are_compared_by_site() {
    let folder = TempDir::new().unwrap();
    let mut grown = service();
    for turn in 0..40 {
        grown.push(alloc(10_000_000 + turn, 64, 1, &[0x1000, 0x2000]));
    }
    let before = file(&folder, "before.ctf", &trace(1e-4, &service()));
    let after = file(&folder, "after.ctf", &trace(1e-4, &grown));
    let [before, after] = [&before, &after].map(|path| path.to_str().unwrap());
    let (text, code) = tool(&["report", "--diff", before, after]);
    assert_eq!(code, Some(0));
    golden::compare("diff.txt", &text);
    let (json, code) = tool(&["report", "--json", "--diff", before, after]);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json["by_live"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "only the cache has changed");
    assert_eq!(rows[0]["function"], "app::cache::insert");
    assert_eq!(rows[0]["live"]["more"]["bytes"], 40.0 / 1e-4 * 8.0);
    assert_eq!(rows[0]["live"]["is_sure"], true);
    // The same trace twice: no change at all.
    let (json, _) = tool(&["report", "--json", "--diff", before, before]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            json["by_live"].as_array().unwrap().len(),
            json["by_allocated"].as_array().unwrap().len()
        ),
        (0, 0)
    );
}

#[test]
fn what_cannot_be_reported_on_is_one_line_that_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let good = trace(1e-4, &service());
    let path = |name: &str, bytes: &[u8]| file(&folder, name, bytes).to_str().unwrap().to_owned();
    let [empty, short, other, fine] = [
        path("empty", b""),
        path("short", &good[..50]),
        path("other", b"GET / HTTP/1.1\r\n\r\n"),
        path("fine", &good),
    ];
    for (arguments, code, want) in [
        (
            vec!["/nowhere"],
            3,
            "cannot open /nowhere: No such file or directory (os error 2)".to_owned(),
        ),
        (vec![&empty], 3, format!("{empty} is empty: no trace began")),
        (
            vec![&short],
            3,
            format!("{short} ends after 50 bytes, before its first packet does: no trace began"),
        ),
        (
            vec![&other],
            3,
            format!(
                "{other} is no memtrace trace: offset 0: not a packet: it begins with 0x20544547"
            ),
        ),
        (
            vec![&fine, "--from", "2s", "--to", "1s"],
            2,
            "--from 2.0 s is not before --to 1.0 s".to_owned(),
        ),
        (
            vec![&fine, "--elf", "/nowhere"],
            3,
            "cannot read /nowhere: No such file or directory (os error 2)".to_owned(),
        ),
        (
            vec![&fine, "--elf", &other],
            3,
            format!("{other}: no ELF file: Unknown file magic"),
        ),
    ] {
        let arguments = [&["report"], &arguments[..]].concat();
        assert_eq!(
            tool(&arguments),
            (format!("hermon: {want}\n"), Some(code)),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_trace_with_a_fault_is_reported_on_up_to_it_and_ends_with_its_own_status() {
    let folder = TempDir::new().unwrap();
    let mut packets = made::packets(1e-4, &service());
    let first_two: usize = packets[..2].iter().map(Vec::len).sum();
    packets[2][0] = 0;
    let path = file(&folder, "bad.ctf", &packets.concat());
    let (text, code) = tool(&["report", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&format!("\nnot read     offset {first_two}: not a packet")),
        "{text}"
    );
    assert!(text.contains("app::cache::insert"), "{text}");
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

/// A program with an inlined function, its build id, and the address behind the first byte of its function `outer`.
fn image(folder: &TempDir, name: &str, line_feeds: usize) -> (PathBuf, String, u64) {
    let source = "\n".repeat(line_feeds)
        + "__attribute__((always_inline)) static inline int inner(int *p) { return *p * 3; }\n\
           __attribute__((noinline)) int outer(int *p) { return inner(p); }\n\
           int main(int n, char **v) { (void)v; return outer(&n); }\n";
    let path = folder.path().join(name);
    fs::write(path.with_extension("c"), source).unwrap();
    let starting = STARTING.lock().unwrap();
    let status = Command::new("cc")
        .args(["-g", "-O1", "-no-pie", "-Wl,--build-id=sha1", "-o"])
        .arg(&path)
        .arg(path.with_extension("c"))
        .status();
    drop(starting);
    assert!(
        status
            .expect("a C compiler: Rust needs one to link")
            .success()
    );
    let bytes = fs::read(&path).unwrap();
    let object = object::File::parse(&*bytes).unwrap();
    let id = object.build_id().unwrap().expect("a build id");
    let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let symbol = object.symbols().find(|symbol| symbol.name() == Ok("outer"));
    (path, id, symbol.unwrap().address() + 1)
}

#[test]
fn an_image_gives_the_names_that_the_trace_has_not_if_it_is_the_one_that_was_traced() {
    let folder = TempDir::new().unwrap();
    let (elf, id, code) = image(&folder, "traced", 4);
    let (other, other_id, _) = image(&folder, "other", 5);
    let elf = elf.to_str().unwrap();
    let of = |executable: &str| {
        let happenings = [alloc(1, 4, 1, &[0x1000, code])];
        let bytes = made::named_packets(1.0, executable, &happenings, 8).concat();
        file(&folder, "x.ctf", &bytes)
    };
    let path = of(&format!("app.elf (build id {id})"));
    let path = path.to_str().unwrap();
    let (json, code) = tool(&["report", path, "--json", "--elf", elf]);
    assert_eq!(code, Some(0), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let site = &json["by_live"][0];
    assert_eq!(
        (&site["function"], &site["line"]),
        (&"inner".into(), &5.into()),
        "{site}"
    );
    let callers: Vec<&str> = site["callers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|caller| caller.as_str().unwrap())
        .collect();
    assert!(
        callers[0].starts_with("outer ") && callers[0].ends_with(".c:6"),
        "{callers:?}"
    );
    // What the trace names itself stays.
    assert_eq!(
        callers[1..],
        [
            "app::serve app/src/serve.rs:20",
            "app::main app/src/main.rs:7"
        ]
    );

    let (said, code) = tool(&["report", path, "--elf", other.to_str().unwrap()]);
    let other = other.display();
    let want = format!(
        "hermon: {other} has the build id {other_id}, the trace is of {id}: give the image that was traced\n"
    );
    assert_eq!((said, code), (want, Some(3)));

    let path = of("app.elf");
    let path = path.to_str().unwrap();
    let (said, code) = tool(&["report", path, "--elf", elf]);
    assert_eq!(code, Some(0));
    assert!(said.contains(&format!("hermon: {elf} is taken for the image that was traced: {path} has no build id to compare")), "{said}");
    assert!(said.contains("inner "), "{said}");
}

#[test]
fn callers_that_only_pass_a_call_on_are_left_out_unless_all_frames_are_asked_for() {
    let bytes = trace(1.0, &[alloc(1, 1, 1, &[0x1000, 0x3000, 0x2000])]);
    let profile = Profile::read(&*bytes, &Settings::default()).unwrap();
    let names = Names::of(&profile, None);
    let report = |all| Report::new(&profile, &names, &Settings::default(), all, 9);
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
    let profile = Profile::read(&*bytes, &Settings::default()).unwrap();
    let names = Names::of(&profile, None);
    let report = Report::new(&profile, &names, &Settings::default(), true, 9);
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
