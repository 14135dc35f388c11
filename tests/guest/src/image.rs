//! The tasks of the image, by the value of `--vm`:
//!
//! | value | task |
//! |---|---|
//! | `duty-N` | busy for N percent of the time, in periods of 20 ms; the source `spun` counts the microseconds |
//! | `deep` | allocates at the bottom of a recursion of 200 calls, 100 times a second, and keeps the blocks |
//! | `last-words` | prints more lines than the console keeps, then panics |
//! | `lines` | prints 1,000 numbered lines at once, a line of 1,600 bytes after each hundredth, then one each millisecond |
//! | `names` | prints the image's build id and, from its symbol table, the name of a function, then ends |
//! | `panic-N` | the polled source `bomb`, which is off at first, panics in the monitoring task, N times in all; prints each 100 ms |
//! | `panic-locked` | the same once, while it holds a lock |
//! | `pairs` | prints what allocations and frees cost with the counting heap and with the heap under it, then ends |
//! | `preempt` | a task allocates and frees without a pause, another one of a higher priority does so each millisecond |
//! | `series` | pushes 10 fields to each of 1,000 series, every second |
//! | `switch` | a counter that is switched off and on by its name, then off with all others and on by its tag; a point that is pushed once |
//! | `twice` | takes a lock that it holds already |

extern crate alloc;

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::fmt::Write;
use core::hint::{black_box, spin_loop};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use core::time::Duration;

use app::args::{self, Request};
use kernel::sync::{IrqLock, RawIrqLock};
use kernel::task::Priority;
use kernel::{Exit, clock, task};
use monitoring::Micros;
use monitoring::heap::Profiled;
use monitoring::metrics::Value;
use monitoring::metrics::{self, Counter, FieldDef, FieldList, Points, Polled};
use monitoring::{hermit, logging};
use symbol_table::{Scratch, Symbols};

type Heap = monitoring::heap::Talc<RawIrqLock>;

#[global_allocator]
static HEAP: Profiled<Heap> = Profiled::new(Heap::new());

const SERIES: u32 = 1_000;
const fn field(name: &'static str) -> FieldDef {
    FieldDef::u64(name, "rounds", "the round in which it was pushed")
}
static MANY: Points<1, 10> = Points::new(
    "many",
    "as many series as there may be",
    &["n"],
    [
        field("f0"),
        field("f1"),
        field("f2"),
        field("f3"),
        field("f4"),
        field("f5"),
        field("f6"),
        field("f7"),
        field("f8"),
        field("f9"),
    ],
);
static SPUN: Counter = Counter::new("spun", "time that the application was busy").unit("us");
static SWITCHED: Counter = Counter::new("switched", "bumped each 10 ms").tags(&[("group", "test")]);
static ONCE: Points<1, 1> = Points::new("once", "pushed once", &["n"], [field("round")]);
static BEAT: Polled = Polled::new("beat", "the intervals and the phase", &BEAT_FIELDS, beat);
static BEAT_FIELDS: [FieldDef; 2] = [
    field("round"),
    FieldDef::u64("phase", "phases", "odd while something is being switched"),
];
/// The intervals in which [`BEAT`] was asked.
static BEATS: AtomicU64 = AtomicU64::new(0);
static PHASE: AtomicU64 = AtomicU64::new(0);

kernel::entry!(main);

fn main() -> Exit {
    if !kernel::heap::region().is_some_and(|region| HEAP.inner().claim(region)) {
        return Exit::Failure;
    }
    let options = match args::parse(kernel::args()) {
        Ok(Request::Run(options)) => options,
        Ok(_) => return Exit::Failure,
        Err(error) => {
            kernel::println!("guest: {error}");
            return Exit::Failure;
        }
    };
    let now = || Micros(clock::micros());
    if logging::init(kernel::console::print, now, options.log).is_err() {
        return Exit::Failure;
    }
    if let Err(error) = hermit::start(options.config, &HEAP) {
        kernel::println!("guest: {error}");
        return Exit::Failure;
    }
    let vm = options.config.vm;
    match vm.as_str() {
        "deep" => recursion(),
        "last-words" => last_words(),
        "lines" => lines(),
        "names" => names(),
        "pairs" => pairs(),
        "preempt" => preempt(),
        "series" => series(),
        "switch" => switch(),
        "twice" => twice(),
        name if name.starts_with("panic-") => panics(&name["panic-".len()..]),
        name => match name
            .strip_prefix("duty-")
            .and_then(|percent| percent.parse().ok())
        {
            Some(percent) => duty(percent),
            None => {
                kernel::println!("guest: unknown task {name}");
                Exit::Failure
            }
        },
    }
}

fn last_words() -> Exit {
    for number in 1..=500 {
        kernel::println!("line {number} of many that nobody needs to read");
    }
    panic!("the last words");
}

/// Prints without a pause, then slowly. Never returns.
fn lines() -> Exit {
    const BURST: u64 = 1_000;
    for number in 1.. {
        kernel::println!("line {number} of many that nobody needs to read");
        if number <= BURST && number % 100 == 0 {
            kernel::println!("long {:x>1594}", "");
        }
        if number == BURST {
            kernel::println!("lines: the burst is over");
        }
        if number >= BURST {
            task::sleep(Duration::from_millis(1));
        }
    }
    Exit::Failure
}

/// Prints `names: BUILD_ID FUNCTION at FILE` for the first byte of a function, or the reason why there is no table.
fn names() -> Exit {
    let symbols = match Symbols::parse(kernel::image::symbols()) {
        Ok(symbols) => symbols,
        Err(error) => {
            kernel::println!("names: {error}");
            return Exit::Failure;
        }
    };
    let here = (names as fn() -> Exit as usize) as u64;
    symbols.frames(here, &mut Scratch::new(), &mut |frame| {
        kernel::println!("names: {:02x?} {frame}", kernel::image::build_id());
    });
    let same = symbols.build_id() == kernel::image::build_id();
    if same { Exit::Success } else { Exit::Failure }
}

/// Keeps the core busy for this share of the time. Never returns.
fn duty(percent: u64) -> Exit {
    const PERIOD: u64 = 20_000;
    // So that the source is there also when the application is never busy.
    SPUN.add(0);
    let mut start = clock::micros();
    loop {
        let mut before = clock::micros();
        while before < start + PERIOD * percent / 100 {
            spin_loop();
            let now = clock::micros();
            SPUN.add(now - before);
            before = now;
        }
        start += PERIOD;
        task::sleep_until(start);
    }
}

/// The depth of the recursion: more calls than a backtrace has frames.
const CALLS: u32 = 200;

/// Allocates at the bottom of a recursion. Never returns.
fn recursion() -> Exit {
    let mut kept = Vec::new();
    loop {
        kept.push(deep(CALLS));
        task::sleep(Duration::from_millis(10));
    }
}

/// Calls itself, then allocates. The addition after the call keeps the compiler from making it a loop.
#[inline(never)]
fn deep(calls: u32) -> Box<u64> {
    if calls == 0 {
        return bottom();
    }
    let mut block = deep(calls - 1);
    *block = black_box(*block + 1);
    block
}

#[inline(never)]
fn bottom() -> Box<u64> {
    black_box(Box::new(1))
}

/// Runs two tasks that preempt each other in the allocator. Never returns.
fn preempt() -> Exit {
    task::spawn(Priority::High, 64 << 10, urgent);
    busy()
}

#[inline(never)]
fn busy() -> Exit {
    let mut kept = [const { Vec::new() }; 8];
    for round in 0_usize.. {
        let mut block = Vec::with_capacity(round % 500);
        block.push(round as u8);
        kept[round % 8] = black_box(block);
    }
    Exit::Failure
}

#[inline(never)]
fn urgent() {
    loop {
        for bytes in 1..8 {
            drop(black_box(Vec::<u8>::with_capacity(bytes * 100)));
        }
        task::sleep(Duration::from_millis(1));
    }
}

/// Pushes to all series every second. Never returns.
fn series() -> Exit {
    let mut start = clock::micros();
    for round in 0.. {
        for n in 0..SERIES {
            let mut name = Name::default();
            let _ = write!(name, "{n}");
            MANY.push([name.as_str()], [Value::U64(round); 10]);
        }
        start += 1_000_000;
        task::sleep_until(start);
    }
    Exit::Failure
}

/// Switches sources, and waits for some intervals after each switch.
fn switch() -> Exit {
    const INTERVALS: u64 = 8;
    ONCE.push(["a"], [Value::U64(0)]);
    if metrics::register(&BEAT).is_err() {
        return Exit::Failure;
    }
    let phase = |switch: &dyn Fn() -> bool| {
        PHASE.fetch_add(1, Ordering::Relaxed);
        let is_done = switch();
        PHASE.fetch_add(1, Ordering::Relaxed);
        let end = BEATS.load(Ordering::Relaxed) + INTERVALS;
        while BEATS.load(Ordering::Relaxed) < end {
            SWITCHED.add(1);
            task::sleep(Duration::from_millis(10));
        }
        is_done
    };
    let registry = metrics::registry();
    let all_but_beat = || {
        // An explicit switch survives the tag's, until `all` resets it.
        registry.enable_all();
        registry.disable_all();
        registry.enable("beat").is_ok()
    };
    let done = [
        phase(&|| true),
        phase(&|| registry.disable("switched").is_ok()),
        phase(&|| registry.enable("switched").is_ok()),
        phase(&all_but_beat),
        phase(&|| registry.enable_tag("group").is_ok()),
    ];
    if done == [true; 5] {
        Exit::Success
    } else {
        Exit::Failure
    }
}

fn beat(fields: &mut FieldList<'_>) {
    let round = BEATS.fetch_add(1, Ordering::Relaxed);
    fields.add("round", Value::U64(round));
    fields.add("phase", Value::U64(PHASE.load(Ordering::Relaxed)));
}

static BOMB: Polled = Polled::new("bomb", "panics", &BOMB_FIELDS, bomb);
static BOMB_FIELDS: [FieldDef; 1] = [field("round")];
/// The panics to come.
static BOMBS: AtomicU64 = AtomicU64::new(0);
/// `bomb` panics while it holds a lock.
static IS_LOCKED: AtomicBool = AtomicBool::new(false);

/// Panics so many times in a polled source, once it is switched on. Never returns.
fn panics(times: &str) -> Exit {
    IS_LOCKED.store(times == "locked", Ordering::Relaxed);
    BOMBS.store(times.parse().unwrap_or(1), Ordering::Relaxed);
    if metrics::register(&BOMB).is_err() || metrics::registry().disable("bomb").is_err() {
        return Exit::Failure;
    }
    for round in 0_u64.. {
        kernel::println!("application: alive {round}");
        SWITCHED.add(1);
        task::sleep(Duration::from_millis(100));
    }
    Exit::Failure
}

fn bomb(fields: &mut FieldList<'_>) {
    static LOCK: IrqLock<()> = IrqLock::new(());
    let left = BOMBS.load(Ordering::Relaxed);
    if left > 0 {
        BOMBS.store(left - 1, Ordering::Relaxed);
        // A block that is lost with the stack, as in a real function.
        let kept = black_box(Box::new([left; 4]));
        let _held = IS_LOCKED.load(Ordering::Relaxed).then(|| LOCK.lock());
        panic!("a polled source of the application, {} to go", kept[0] - 1);
    }
    fields.add("round", Value::U64(0));
}

/// Prints `pairs: N, µs with the hook, µs without it`.
fn pairs() -> Exit {
    /// Masks interrupts, so that only the pairs take time.
    static ALONE: IrqLock<()> = IrqLock::new(());
    let _alone = ALONE.lock();
    let (with, without) = (pairs_of(&HEAP), pairs_of(HEAP.inner()));
    kernel::println!("pairs: {PAIRS} {with} {without}");
    Exit::Success
}

const PAIRS: u64 = 10_000;

/// Allocates and frees 64 bytes, [`PAIRS`] times. Returns the microseconds.
#[inline(never)]
fn pairs_of(heap: &impl GlobalAlloc) -> u64 {
    let layout = Layout::new::<[u64; 8]>();
    let start = clock::micros();
    for _ in 0..PAIRS {
        // SAFETY: the layout is not empty. The block is freed once, with the same layout.
        unsafe {
            let block = black_box(heap.alloc(layout));
            if !block.is_null() {
                heap.dealloc(block, layout);
            }
        }
    }
    clock::micros() - start
}

/// Takes a lock twice. It ends with a panic; a plain lock would wait forever.
fn twice() -> Exit {
    static LOCK: IrqLock<()> = IrqLock::new(());
    let first = LOCK.lock();
    drop(LOCK.lock());
    drop(first);
    Exit::Failure
}

/// The decimal name of a series.
#[derive(Default)]
struct Name {
    bytes: [u8; 10],
    len: usize,
}

impl Name {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl Write for Name {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let end = self.len + text.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(core::fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
