//! The image: a heap with counters, monitoring, and a workload. An application needs no more than this.

use app::args::{self, Help, Options, Request, VERSION};
use app::workload::{Pause, Workload};
use kernel::Exit;
use kernel::sync::{IrqLock, RawIrqLock};
use monitoring::Micros;
use monitoring::heap::{HeapProfile, Profiled};
use monitoring::{hermit, log_source, log_to, logging};

#[cfg(not(any(feature = "talc", feature = "linked-list")))]
compile_error!("an image needs a heap: enable the feature `talc` or `linked-list`");

#[cfg(feature = "linked-list")]
type Heap = monitoring::heap::LinkedList<RawIrqLock>;
#[cfg(not(feature = "linked-list"))]
type Heap = monitoring::heap::Talc<RawIrqLock>;

#[global_allocator]
static HEAP: Profiled<Heap> = Profiled::new(Heap::new());

log_source!(APP = "app", "the demo image and its workload");

/// The time between two records of the number of steps. A step may take only a microsecond; one record a second is readable.
const REPORT_EVERY: Micros = Micros::from_secs(1);

kernel::entry!(main);

fn main() -> Exit {
    if !kernel::heap::region().is_some_and(|region| HEAP.inner().claim(region)) {
        return print_and_end(format_args!("app: no memory for a heap"), Exit::Failure);
    }
    let options = match args::parse(kernel::args()) {
        Ok(Request::Run(options)) => options,
        Ok(Request::Help) => return print_and_end(format_args!("{Help}"), Exit::Success),
        Ok(Request::Version) => return print_and_end(format_args!("{VERSION}"), Exit::Success),
        Err(error) => return print_and_end(format_args!("app: {error}"), Exit::Failure),
    };
    if let Err(error) = logging::init(kernel::console::print, now, options.log) {
        return print_and_end(format_args!("app: argument --log: {error}"), Exit::Failure);
    }
    logging::declare(&[&APP]);
    if let Err(error) = kernel::task::watch_stack("main") {
        log_to!(APP, Warn, "app: {error}");
    }
    if let Err(error) = hermit::start(options.config, &HEAP) {
        log::warn!("{error}");
    }
    run(&options);
    Exit::Success
}

/// Works and pauses in turns until the time is up.
fn run(options: &Options<'_>) {
    log_to!(
        APP,
        Info,
        "app: workload {}, seed {}",
        options.workload,
        options.seed
    );
    let end = options
        .duration
        .map_or(Micros::MAX, |duration| now() + duration);
    let mut workload = Workload::new(options.workload, options.seed);
    let (mut steps, mut report) = (0_u64, now());
    while now() < end {
        step(&mut workload);
        steps += 1;
        if now() >= report {
            report = now() + REPORT_EVERY;
            log_to!(APP, Debug, "app: {steps} steps");
        }
        match workload.pause() {
            Pause::None => {}
            Pause::Yield => kernel::task::yield_now(),
            Pause::Sleep(span) => kernel::task::sleep(span.min((end - now()).as_duration())),
        }
    }
    hermit::finish();
    if let Some(line) = workload.last_line() {
        kernel::println!("{line}");
    }
}

/// Runs one step. `exact` keeps separate counts for the time of a trace, so no trace may begin or end within one of its steps. So
/// interrupts are masked during the step, for some 0.3 ms under TCG.
fn step(workload: &mut Workload) {
    static WHOLE: IrqLock<()> = IrqLock::new(());
    let _whole = matches!(workload, Workload::Exact(_)).then(|| WHOLE.lock());
    workload.step(HEAP.is_sampling());
}

fn now() -> Micros {
    Micros(kernel::clock::micros())
}

fn print_and_end(text: core::fmt::Arguments<'_>, exit: Exit) -> Exit {
    kernel::println!("{text}");
    exit
}
