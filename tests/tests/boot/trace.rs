//! Compares the traces of a running image with the image's own exact counts.

mod always;
mod buffer;
mod clients;
mod stacks;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::time::SystemTime;

use hermon_machine::guest::Ended;
use hermon_machine::qemu::{Machine, Nic};
use object::Object;
use serde_json::Value;
use tests::boot::{Boot, Running, long_enough};
use tests::image::{self, Heap};
use tests::measure::report;
use tests::metrics::are_dated_since;
use tests::symbols;
use tests::trace::{Block, Client, Ports, Profile};

use clients::{number, until_state};

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
/// holds only the sites of `exact`. Returns `None` if the guest ends before.
fn boot_exact(boot: Boot, arguments: &str, seconds: u64) -> Option<(Running, Ports)> {
    let ports = Ports::free();
    let mut guest = boot
        .nic(Nic::Default(ports.network()))
        .arguments("--workload exact --log app:debug")
        .arguments(arguments)
        .arguments(&format!("--duration {seconds}s"))
        .start();
    guest.says("app: 1 steps")?;
    if !guest.lines().any(|line| line.contains("monitoring: ready")) {
        guest.says("monitoring: ready")?;
    }
    Some((guest, ports))
}

/// Traces the workload `exact`, and returns the trace with the guest's counts. `take` reads it. Returns `None` if the guest ends
/// before the trace begins, or if `take` does.
fn trace_of_exact(
    boot: Boot,
    arguments: &str,
    seconds: u64,
    take: impl FnOnce(Client) -> Option<Vec<u8>>,
) -> Option<(Profile, Exact)> {
    let (mut guest, ports) = boot_exact(boot, arguments, seconds)?;
    let bytes = take(ports.trace_if_open()?)?;
    let exact = Exact::of(&mut guest);
    (!bytes.is_empty()).then(|| (Profile::read(&bytes), exact))
}

/// Reads a trace to the end of the guest, which sends the rest of it before it ends.
fn to_the_end(client: Client) -> Option<Vec<u8>> {
    Some(client.rest())
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

/// Returns whether each site has so many hits that their distribution is nearly normal.
fn is_enough(exact: &Exact, rate: f64) -> bool {
    let sites = exact.sites("while_traced", "words").into_iter();
    sites.fold(f64::MAX, |least, (_, words)| least.min(words as f64 * rate)) >= 20.0
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
        let began = SystemTime::now();
        let (_guest, ports) = boot(&format!("--vm traced --sampling-rate 0.01 {token}"));
        let mut client = ports.trace();
        client.prove("sesame");
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
        are_dated_since(began, [info.start as i64 * 1_000]);
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
    for (rate, seconds) in [(1e-3, 4), (1e-2, 1), (0.3, 1)] {
        let arguments = format!("--sample-memory 4M --sampling-rate {rate}");
        let (profile, exact) = long_enough(seconds, |seconds| {
            trace_of_exact(quiet(), &arguments, seconds, to_the_end)
                .filter(|(_, exact)| is_enough(exact, rate))
        });
        assert_eq!(profile.lost().count(), 0);
        judge(&profile, &exact);
    }
}

#[test]
fn a_trace_of_a_part_of_the_run_is_of_that_part() {
    let (profile, exact) = long_enough(2, |seconds| {
        trace_of_exact(quiet(), "--sampling-rate 0.02", seconds, |mut client| {
            client.reads_to(128 << 10).then(|| {
                client.close_half();
                client.rest()
            })
        })
        .filter(|(_, exact)| is_enough(exact, 0.02))
    });
    let [total, traced] = ["total", "while_traced"].map(|when| exact.sum(when, "words"));
    assert!(traced < total, "{traced} of {total}");
    judge(&profile, &exact);
}

fn everything_appears_once(heap: Heap) {
    let arguments = "--sampling-rate 1 --sample-memory 8M";
    let (profile, exact) = long_enough(1, |seconds| {
        trace_of_exact(quiet().heap(heap), arguments, seconds, to_the_end)
            .filter(|(profile, _)| profile.blocks.len() > 10_000)
    });
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
    let image = image::without_names();
    let (profile, exact) = long_enough(1, |seconds| {
        let boot = quiet().image(image.clone());
        trace_of_exact(boot, "--sampling-rate 0.02", seconds, to_the_end)
            .filter(|(_, exact)| is_enough(exact, 0.02))
    });
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

/// Reports how many events a second reach a client without loss. At any rate, what is lost is told by the trace and by the image.
#[test]
fn events_reach_a_client_or_are_counted_as_lost() {
    let (mut guest, ports) = boot_with(quiet().alone(), "--workload churn");
    guest.has_said("app: workload churn");
    let mut control = ports.control.connect();
    let mut best = None;
    let mut before = number(&control.ask("T"), "lost");
    // Rates from rare to every word. The result is the last rate at which nothing is lost.
    for rate in ["1e-3", "2e-3", "4e-3", "8e-3", "2e-2", "0.1", "1"] {
        assert_eq!(control.ask(&format!("T{rate}")), "ok");
        let mut client = ports.trace();
        client.read_to(256 << 10);
        let profile = client.finish();
        let lost = number(&until_state(&mut control, "idle"), "lost");
        let is_whole = profile.lost().next().is_none();
        assert_eq!(is_whole, lost == before, "at rate {rate}: {lost} lost");
        before = lost;
        let (Some(first), Some(last)) = (profile.blocks.first(), profile.blocks.last()) else {
            panic!("nothing in {} bytes", profile.bytes);
        };
        if is_whole {
            let seconds = (last.at - first.at) as f64 / 1e6;
            let frees = profile.blocks.iter().filter(|block| block.is_freed).count();
            let events = (profile.blocks.len() + frees) as f64;
            best = Some((rate, events / seconds, profile.bytes as f64 / seconds));
        }
    }
    // On a busy host there may be no such rate.
    if let Some((rate, events, bytes)) = best {
        report(&format!(
            "trace of churn at rate {rate}, nothing lost: {events:.0} events and {bytes:.0} bytes a second"
        ));
    }
}
