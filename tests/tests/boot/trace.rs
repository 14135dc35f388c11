//! Compares the traces of a running image with the image's own exact counts.

mod always;
mod clients;
mod stacks;

use core::time::Duration;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use object::Object;
use serde_json::Value;
use tests::boot::{Boot, Running};
use tests::image::{self, Heap};
use tests::measure::report;
use tests::symbols;
use tests::trace::{Block, Ports, Profile};

/// Boots a guest whose ports can be reached.
fn boot_with(boot: Boot, arguments: &str) -> (Running, Ports) {
    let ports = Ports::free();
    let mut guest = boot
        .nic(Nic::Default(ports.network()))
        .arguments(arguments)
        .start();
    guest.ready();
    (guest, ports)
}

/// Boots a guest without a receiver of metrics.
fn boot(arguments: &str) -> (Running, Ports) {
    boot_with(quiet(), arguments)
}

/// Boots a guest with the workload `exact` and waits for its first steps. The guest's other memory is allocated by then, so a trace
/// holds only the sites of `exact`.
fn boot_exact(boot: Boot, arguments: &str) -> (Running, Ports) {
    let boot = boot.arguments("--workload exact --log app:debug");
    let (mut guest, ports) = boot_with(boot, arguments);
    guest.wait_for(" steps");
    (guest, ports)
}

/// Describes a guest without a receiver of metrics.
fn quiet() -> Boot {
    Boot::new(Machine::Q35).arguments("--influx off")
}

/// The counts that the workload `exact` prints at its end.
struct Exact(Value);

impl Exact {
    fn of(guest: &mut Running) -> Self {
        let line = guest.wait_for("workload: exact ");
        let json = line.split_once("exact ").expect("it was waited for").1;
        assert_eq!(guest.end(), Ended::Success);
        Self(serde_json::from_str(json).expect("JSON"))
    }

    /// Returns a number of all sites together.
    fn sum(&self, when: &str, what: &str) -> u64 {
        self.0[when][what].as_u64().expect("a number")
    }

    /// Returns the sites: the name and a number each.
    fn sites(&self, when: &str, what: &str) -> Vec<(&str, u64)> {
        let sites = self.0["sites"].as_array().expect("sites");
        let number = |site: &Value| site[when][what].as_u64().expect("a number");
        sites
            .iter()
            .map(|site| (site["site"].as_str().expect("a name"), number(site)))
            .collect()
    }
}

/// Returns whether the hits are within four standard errors of a binomial distribution over this many words. A correct sampler
/// fails this once in 16,000 times.
fn is_within_four_errors(hits: u64, words: u64, rate: f64) -> bool {
    let (hits, words) = (hits as f64, words as f64);
    let error = (words * rate * (1.0 - rate)).sqrt();
    (hits - words * rate).abs() <= 4.0 * error
}

/// Compares a trace with the image's counts of the same time: the total in any case, and each site if nothing was lost.
fn judge(profile: &Profile, exact: &Exact) {
    let rate = profile.info.rate;
    let (hits, words) = (profile.hits(), exact.sum("while_traced", "words"));
    let lost: u64 = profile.lost().map(|block| block.hits).sum();
    report(&format!(
        "trace at rate {rate:e}: {hits} hits, {lost} of them lost, for {words} words: {:+.4} % off",
        (hits as f64 / rate / words as f64 - 1.0) * 100.0
    ));
    assert!(
        is_within_four_errors(hits, words, rate),
        "{hits} hits for {words} words at {rate}"
    );
    for (site, words) in exact.sites("while_traced", "words") {
        let hits: u64 = profile.of(site).map(|block| block.hits).sum();
        assert!(
            lost > 0 || is_within_four_errors(hits, words, rate),
            "{site}: {hits} hits for {words} words at {rate}"
        );
    }
}

/// Returns whether a block's stack is whole: from the kernel's start of a task, through the image's own start, to the allocator.
fn is_whole(block: &Block) -> bool {
    let mut functions = block.functions();
    let begins = functions
        .next()
        .is_some_and(|function| function.ends_with("::task_entry"));
    begins
        && ["initd", "runtime_entry", "app::image::main"]
            .iter()
            .all(|wanted| functions.any(|function| function.ends_with(wanted)))
}

#[test]
fn a_trace_says_what_it_is_of_and_every_stack_is_whole_and_has_names() {
    let mut pids = BTreeSet::new();
    for token in ["--token sesame", "--token=sesame"] {
        let (_guest, ports) = boot(&format!("--vm traced --sampling-rate 0.01 {token}"));
        let mut client = ports.trace();
        client.read_to(48 << 10);
        let profile = client.finish();

        let info = &profile.info;
        assert_eq!(info.host.to_string(), "traced");
        assert_eq!((info.rate, info.word_bytes, info.version), (0.01, 8, 2));
        let file = fs::read(image::path(Heap::Talc)).expect("the image");
        let object = object::File::parse(&*file).expect("an ELF file");
        let id = object.build_id().expect("notes").expect("a build id");
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let executable = info.executable.to_string();
        assert!(executable.contains(&id), "{executable}");
        let context = info.context.to_string();
        let version = format!("version {}, ", env!("CARGO_PKG_VERSION"));
        let words = [
            &version,
            "--sampling-rate 0.01",
            &token.replace("sesame", "***"),
        ];
        for word in words {
            assert!(context.contains(word), "{context}");
        }
        assert!(!context.contains("sesame"), "{context}");
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let age = now.expect("after 1970").as_micros() as i64 - info.start as i64;
        assert!((-5_000_000..60_000_000).contains(&age), "{age} us old");
        assert!((1..1 << 31).contains(&info.pid), "{}", info.pid);
        pids.insert(info.pid);

        assert!(profile.blocks.len() > 1000);
        let (mut with_line, mut without) = (0, 0);
        for block in &profile.blocks {
            assert!(is_whole(block), "{:#?}", block.stack);
            for position in block.positions() {
                assert!(!position.function.is_empty(), "{position:?}");
                // Code that the compiler made itself may have no line, as in `core::fmt::write`, but its file is known.
                assert!(!position.file.is_empty(), "{position:?}");
                // Inlined functions have a path too. The application's start has the name that the kernel calls.
                let has_path = position.function.contains("::");
                assert!(
                    has_path || position.function == "runtime_entry",
                    "{position:?}"
                );
                assert_ne!(position.file, "monitoring/heap-profiler/src/hook.rs");
                *(if position.line > 0 {
                    &mut with_line
                } else {
                    &mut without
                }) += 1;
            }
        }
        assert!(with_line > 100 * without, "{without} of {with_line}");
    }
    assert_eq!(pids.len(), 2, "the same pid in two boots");
}

#[test]
fn what_is_estimated_of_each_site_is_within_four_standard_errors_of_what_it_did() {
    for (rate, seconds) in [(1e-3, 8), (1e-2, 4), (0.3, 3)] {
        let arguments = format!("--sample-memory 4M --sampling-rate {rate} --duration {seconds}s");
        let (mut guest, ports) = boot_exact(quiet(), &arguments);
        // Read to the end of the guest, which sends the rest of the trace before it ends.
        let profile = Profile::read(&ports.trace().rest());
        let exact = Exact::of(&mut guest);
        assert_eq!(profile.lost().count(), 0);
        judge(&profile, &exact);
    }
}

#[test]
fn a_trace_of_a_part_of_the_run_is_of_that_part() {
    let (mut guest, ports) = boot_exact(quiet(), "--sampling-rate 0.02 --duration 5s");
    let mut client = ports.trace();
    client.read_to(256 << 10);
    let profile = client.finish();
    let exact = Exact::of(&mut guest);
    let [total, traced] = ["total", "while_traced"].map(|when| exact.sum(when, "words"));
    assert!(traced < total, "{traced} of {total}");
    judge(&profile, &exact);
}

fn everything_appears_once(heap: Heap) {
    let arguments = "--sampling-rate 1 --sample-memory 8M --duration 3s";
    let (mut guest, ports) = boot_exact(quiet().heap(heap), arguments);
    let profile = Profile::read(&ports.trace().rest());
    let exact = Exact::of(&mut guest);

    assert_eq!(profile.lost().count(), 0);
    let traced = |what| exact.sites("while_traced", what);
    let allocated = exact.sites("total", "allocs");
    let freed = exact.sites("total", "frees");
    let mut seen = 0;
    for (n, (site, allocs)) in traced("allocs").into_iter().enumerate() {
        let blocks: Vec<&Block> = profile.of(site).collect();
        assert_eq!(blocks.len() as u64, allocs, "{site}");
        assert!(blocks.iter().all(|block| block.hits == block.words));
        let words: u64 = blocks.iter().map(|block| block.words).sum();
        assert_eq!(words, traced("words")[n].1, "{site}");
        // A site frees its blocks in the order of allocation, so all blocks from before the trace are freed.
        let alive = blocks.iter().filter(|block| !block.is_freed).count() as u64;
        assert_eq!(alive, allocated[n].1 - freed[n].1, "{site}");
        seen += blocks.len();
    }
    assert_eq!(seen, profile.blocks.len(), "blocks that belong to no site");
    assert!(seen > 10_000, "{seen} blocks");
    report(&format!(
        "trace at rate 1 with {heap:?}: {seen} blocks, each allocation and free once"
    ));
}

#[test]
fn at_rate_one_every_allocation_and_every_free_appears_once() {
    everything_appears_once(Heap::Talc);
}

#[test]
fn at_rate_one_every_allocation_and_every_free_appears_once_with_the_other_heap() {
    everything_appears_once(Heap::LinkedList);
}

#[test]
fn an_image_without_names_gives_addresses_that_addr2line_resolves() {
    let boot = quiet().image(image::without_names());
    let (mut guest, ports) = boot_exact(boot, "--sampling-rate 0.02 --duration 2s");
    let profile = Profile::read(&ports.trace().rest());
    let exact = Exact::of(&mut guest);
    let image = image::without_names();
    let mut known: HashMap<u64, Vec<String>> = HashMap::new();
    let mut seen = BTreeSet::new();
    for block in &profile.blocks {
        assert_eq!(block.positions().count(), 0, "{:#?}", block.stack);
        let outermost_first = block.stack.iter().map(|frame| frame.code);
        let functions: Vec<String> = outermost_first
            .flat_map(|code| {
                let frames = known.entry(code);
                frames
                    .or_insert_with(|| symbols::frames(&image, &[code]))
                    .clone()
            })
            .collect();
        assert!(functions[0].contains("::task_entry at "), "{functions:#?}");
        let sites = exact.sites("total", "words").into_iter();
        let of: Vec<&str> = sites
            .map(|(site, _)| site)
            .filter(|site| {
                let at = format!("{site} at ");
                functions.iter().any(|function| {
                    let name = function.split("::").last();
                    name.is_some_and(|name| name.starts_with(&at))
                })
            })
            .collect();
        assert_eq!(of.len(), 1, "{functions:#?}");
        seen.insert(of[0].to_owned());
    }
    assert_eq!(seen.len(), exact.sites("total", "words").len(), "{seen:?}");
}

#[test]
fn events_reach_a_client_without_loss() {
    let (mut guest, ports) = boot_with(quiet().alone(), "--workload churn");
    guest.has_said("app: workload churn");
    let mut control = ports.control.connect();
    let mut best = None;
    // Rates from rare to every word. The result is the last rate at which nothing is lost.
    for rate in ["1e-4", "1e-3", "2e-3", "4e-3", "8e-3", "2e-2", "0.1", "1"] {
        assert_eq!(control.ask(&format!("T{rate}")), "ok");
        let mut client = ports.trace();
        // Read for a second at least; there is more the longer it takes.
        let began = Instant::now();
        let mut wanted = 0;
        while began.elapsed() < Duration::from_secs(1) {
            wanted += 1 << 10;
            client.read_to(wanted);
        }
        let profile = client.finish();
        if profile.lost().next().is_some() {
            break;
        }
        let (Some(first), Some(last)) = (profile.blocks.first(), profile.blocks.last()) else {
            continue;
        };
        let seconds = (last.at - first.at) as f64 / 1e6;
        let frees = profile.blocks.iter().filter(|block| block.is_freed).count();
        let events = profile.blocks.len() + frees;
        best = Some((
            rate,
            events as f64 / seconds,
            profile.bytes as f64 / seconds,
        ));
    }
    let (rate, events, bytes) = best.expect("a rate at which nothing is lost");
    report(&format!(
        "trace of churn at rate {rate}, nothing lost: {events:.0} events and {bytes:.0} bytes a second"
    ));
    assert!(events > 0.0 && bytes > 0.0);
}
