//! The whole application.

use std::alloc::System;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use kernel::{clock, console};
use monitoring::Micros;
use monitoring::config::Config;
use monitoring::heap::Profiled;
use monitoring::metrics::Counter;
use monitoring::{hermit, logging};

// 1. std's own heap, wrapped, so that it is counted and profiled.
#[global_allocator]
static HEAP: Profiled<System> = Profiled::new(System);

// 2. A source: it appears as `words count=…` at its first use.
static WORDS: Counter = Counter::new("words", "words that were counted");

pub fn main() -> ExitCode {
    // 3. The clock, the log and monitoring, in one line each.
    kernel::attach();
    let now = || Micros(clock::micros());
    let _ = logging::init(console::print, now, "*:info");
    if let Err(error) = hermit::start(Config::default(), &HEAP) {
        log::error!("{error}");
    }

    // 4. The application.
    println!("counting, with {} threads at a time", 2);
    loop {
        let counters = ["to be or not to be", "that is the question"]
            .map(|text| thread::spawn(move || count(text)));
        for counter in counters {
            let counts = counter.join().unwrap_or_default();
            WORDS.add(counts.values().sum());
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn count(text: &str) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word.to_owned()).or_default() += 1;
    }
    counts
}
