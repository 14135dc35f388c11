//! What is compared, in the order in which it is printed.

use std::io;

use crate::others::{self, PprofAlloc};
use crate::ours;

/// Where a case runs.
pub enum Process {
    /// In this program.
    This(fn() -> io::Result<()>),
    /// In this program, where jemalloc reads when it starts the logarithm of the bytes between its samples; without one it has none.
    Jemalloc(Option<usize>),
    /// In another program beside this one.
    Beside(&'static str),
}

/// One way to have memory.
pub struct Case {
    /// Printed, and the argument that makes this program run it.
    pub name: &'static str,
    /// What is recorded.
    pub records: &'static str,
    pub process: Process,
}

const fn case(name: &'static str, records: &'static str, process: Process) -> Case {
    Case {
        name,
        records,
        process,
    }
}

const fn this(name: &'static str, records: &'static str, run: fn() -> io::Result<()>) -> Case {
    case(name, records, Process::This(run))
}

const NOTHING: &str = "nothing";
const COUNTS: &str = "counts";

/// Samples a word: our default.
const RATE: f64 = 1e-4;
/// The same as the average number of bytes from one sample to the next: 10,000 words of 8. Said to whom it can be said to.
const PERIOD_BYTES: usize = 80_000;
/// What three of the others have as their default.
pub const THEIR_PERIOD_BYTES: usize = 512 << 10;

/// By the allocator underneath; the first of each is that allocator alone, and the others are measured by it.
pub const GROUPS: [&[Case]; 4] = [
    &[
        this("System", NOTHING, others::system),
        this("System, again", NOTHING, others::system),
        this("ours, off", COUNTS, || ours::system(None)),
        this("ours", "counts, 1 of 80 kB", || ours::system(Some(RATE))),
        this("four counters alone", COUNTS, others::counting),
        this("stats_alloc", COUNTS, others::stats_alloc),
        this("pprof-alloc, off", NOTHING, others::pprof_alloc_off),
        this("pprof-alloc, its default", "1 of 512 KiB", || {
            others::pprof_alloc(&PprofAlloc::new().with_pprof())
        }),
        this("pprof-alloc", "1 of 80 kB", || {
            others::pprof_alloc(&PprofAlloc::new().with_pprof_sample_rate(PERIOD_BYTES))
        }),
        this("re_memory, off", COUNTS, || others::re_memory(false)),
        this("re_memory", "counts, 1 of 64 blocks from 1 KiB on", || {
            others::re_memory(true)
        }),
        this("dhat", "every block", others::dhat),
    ],
    &[
        this("talc", NOTHING, others::talc),
        this("talc, again", NOTHING, others::talc),
        this("ours over talc, off", COUNTS, || ours::talc(None)),
        this("ours over talc", "counts, 1 of 80 kB", || {
            ours::talc(Some(RATE))
        }),
    ],
    &[
        case("mimalloc", NOTHING, Process::Beside("plain-mimalloc")),
        this("mimalloc-pprof, off", NOTHING, others::mimalloc_pprof_off),
        this("mimalloc-pprof, its default", "1 of 512 KiB", || {
            others::mimalloc_pprof(0, THEIR_PERIOD_BYTES)
        }),
        this("mimalloc-pprof", "1 of 80 kB", || {
            others::mimalloc_pprof(PERIOD_BYTES, PERIOD_BYTES)
        }),
    ],
    &[
        case("jemalloc", NOTHING, Process::Jemalloc(None)),
        case(
            "jemalloc, prof, its default",
            "1 of 512 KiB",
            Process::Jemalloc(Some(19)),
        ),
        case(
            "jemalloc, prof, lg 16",
            "1 of 64 KiB",
            Process::Jemalloc(Some(16)),
        ),
    ],
];

/// Runs the case of that name in this process.
///
/// # Errors
/// No such case here; or it has not recorded what it should have.
pub fn run(name: &str) -> io::Result<()> {
    let case = GROUPS
        .iter()
        .copied()
        .flatten()
        .find(|case| case.name == name);
    match case.map(|case| &case.process) {
        Some(Process::This(run)) => run(),
        Some(&Process::Jemalloc(lg)) => others::jemalloc(lg),
        Some(Process::Beside(program)) => {
            Err(io::Error::other(format!("{name}: run by {program}")))
        }
        None => Err(io::Error::other(format!("no such case: {name}"))),
    }
}
