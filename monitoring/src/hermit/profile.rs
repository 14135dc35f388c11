//! The heap profiler on Hermit: its memory, the machine's stacks, the image's names, and a panic's report.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use core::fmt::{self, Write};

use kernel::{args, clock, image, memory, panic};
use spin::{Mutex, Once};

use agent::Seed;
use agent::config::Config;
use agent::door::Lock;
use agent::sources::Image;
use agent::trace::{Always, Identity, Parts, Trace};
use agent::trace::{LiveSites, Names, Tracer, report};
use heap_profiler::{HeapProfile, Machine, PrepareError, Settings, StartError};
use symbol_table::Symbols;

/// The number of sites in a panic's report.
const SITES_AT_PANIC: usize = 10;

/// The reason why the heap cannot be profiled. Everything else runs.
#[derive(Debug)]
pub enum ProfileError {
    /// The profile cannot be prepared.
    Prepare(PrepareError),
    /// The profile cannot begin.
    Start(StartError),
    /// There is not enough memory for traces.
    Memory,
}

impl fmt::Display for ProfileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("heap profiler: off, ")?;
        match self {
            Self::Prepare(error) => error.fmt(f),
            Self::Start(error) => error.fmt(f),
            Self::Memory => f.write_str("no memory for traces"),
        }
    }
}

/// The image's names. They are parsed once; a panic needs them too.
static SYMBOLS: Once<Option<Symbols<'static>>> = Once::new();

/// The profile that is always on, for a panic.
static ALWAYS: Once<(Always, &'static dyn HeapProfile)> = Once::new();

/// Takes all memory of the profiler permanently, and starts the profile that is always on. Returns `None` if the
/// configuration allows no profile. `seed` differs from boot to boot.
pub fn take(
    config: &Config,
    about: &Image,
    profile: &'static dyn HeapProfile,
    seed: &Seed,
) -> Result<Option<Trace<'static>>, ProfileError> {
    let symbols = SYMBOLS.call_once(symbols).as_ref();
    panic::set_report(report_panic);
    let trace = prepare(config, about, profile, symbols, seed)?;
    if let Some(always) = trace.as_ref().and_then(Trace::always) {
        ALWAYS.call_once(|| (always, profile));
    }
    Ok(trace)
}

/// Returns the image's table. Without a readable table, addresses stay numbers.
fn symbols() -> Option<Symbols<'static>> {
    let table = image::symbols();
    match Symbols::parse(table) {
        Ok(symbols) => Some(symbols),
        Err(_) if table.is_empty() => None,
        Err(error) => {
            log::warn!(target: "monitoring", "monitoring: {error}");
            None
        }
    }
}

fn prepare(
    config: &Config,
    about: &Image,
    profile: &'static dyn HeapProfile,
    symbols: Option<&'static Symbols<'static>>,
    seed: &Seed,
) -> Result<Option<Trace<'static>>, ProfileError> {
    let number = seed.number("profile");
    if config.memtrace_port.is_none() && !config.heap_profile {
        return Ok(None);
    }
    let machine = Machine {
        code: image::code(),
        readable: memory::is_mapped,
        ticks: clock::micros,
    };
    let ring_bytes = config.sample_bytes;
    let settings = Settings {
        ring_bytes,
        machine,
    };
    let profile_bytes = profile.prepare(settings).map_err(ProfileError::Prepare)?;
    let slots = profile.slots();
    let tracer = Tracer::new(slots).map_err(|_| ProfileError::Memory)?;
    let identity = identity(about, number);
    let rate = config.sampling_rate;
    let always = if config.heap_profile {
        let live = LiveSites::new(slots).map_err(|_| ProfileError::Memory)?;
        let live = Box::leak(Box::new(Mutex::new(live)));
        profile.start(rate, number).map_err(ProfileError::Start)?;
        Some(Always { live, rate })
    } else {
        None
    };
    Ok(Some(Trace::new(Parts {
        profile,
        profile_bytes,
        tracer,
        names: Names::new(symbols),
        identity,
        rate,
        always,
        lock: Lock::new(config, seed.derive("memtrace")),
    })))
}

/// Returns the image's build id in hexadecimal. Takes memory for it permanently.
pub fn build_id() -> &'static str {
    let mut build = String::new();
    for byte in image::build_id() {
        let _ = write!(build, "{byte:02x}");
    }
    build.leak()
}

fn identity(about: &Image, seed: u64) -> Identity {
    let Image {
        version,
        build,
        kernel,
    } = about;
    let mut context = format!("version {version}, Hermit {kernel}, arguments:");
    for argument in public_arguments(args()) {
        let _ = write!(context, " {argument}");
    }
    Identity {
        executable: format!("hermit image, build id {build}").leak(),
        context: context.leak(),
        // Positive in 31 bits, because readers print it as a process id.
        pid: (seed >> 34) + 1,
    }
}

/// Returns the arguments, with secrets replaced.
fn public_arguments(
    arguments: impl Iterator<Item = &'static str>,
) -> impl Iterator<Item = &'static str> {
    let mut secret = false;
    arguments.map(move |argument| {
        let hidden = core::mem::replace(&mut secret, argument == "--token");
        if hidden {
            "***"
        } else if argument.starts_with("--token=") {
            "--token=***"
        } else {
            argument
        }
    })
}

/// Writes a panic's report after its message: the names of the backtrace, and the blocks alive if they are known.
fn report_panic(out: &mut dyn Write, addresses: &[usize]) {
    let symbols = SYMBOLS.get().and_then(Option::as_ref);
    let mut names = Names::new(symbols);
    // The console cannot fail, and an error could not be reported anyway.
    let _ = report::write_backtrace(out, addresses, &mut names);
    let Some((Always { live, rate }, profile)) = ALWAYS.get() else {
        return;
    };
    let Some(mut live) = live.try_lock() else {
        let _ = out.write_str("heap: the profile is being changed, nothing can be said\n");
        return;
    };
    agent::trace::follow(*profile, &mut live);
    let _ = out.write_str("heap: ");
    let _ = report::write_top(
        out,
        &live,
        &profile.lost(),
        *rate,
        &mut names,
        SITES_AT_PANIC,
    );
    let _ = out.write_str("\nheap: last samples, newest first:\n");
    let _ = report::write_last(out, &live, &mut names);
}
