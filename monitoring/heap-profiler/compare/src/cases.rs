//! The cases of the comparison, in the order in which they are printed.

use std::io;

use crate::others::{self, PprofAlloc};
use crate::ours;

/// The process in which a case runs.
pub enum Process {
    /// This program.
    This(fn() -> io::Result<()>),
    /// This program with jemalloc, which reads at its start the logarithm of the bytes between samples; `None`: no
    /// profile.
    Jemalloc(Option<usize>),
    /// Another program in the same folder.
    Beside(&'static str),
}

/// One allocator, with or without a profiler.
pub struct Case {
    /// The name that is printed, and the argument with which this program runs the case.
    pub name: &'static str,
    /// The data that the case records.
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

/// Samples per word: our default.
const RATE: f64 = 1e-4;
/// The same rate as the mean number of bytes between samples: 10,000 words of 8. Profilers that take a period use it.
const PERIOD_BYTES: usize = 80_000;
/// The default of three of the others.
pub const THEIR_PERIOD_BYTES: usize = 512 << 10;

/// The cases by allocator. The first of each group is the allocator alone, and the reference for the others.
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
/// If there is no such case here, or if it has not recorded what it should have.
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
