//! The values that only the machine knows: read for the sources `cpu`, `clock` and `irq` at each interval, and for
//! `tasks` by the loop.

use agent::sources::clock::Watch;
use agent::sources::{Interrupts, LoadMeter, Machine, StackUse, push_task};
use kernel::sync::IrqLock;
use kernel::{clock, console, interrupts, task};
use units::{Micros, UnixNanos};

static LOAD: IrqLock<LoadMeter> = IrqLock::new(LoadMeter::new());
static WATCH: IrqLock<Watch> = IrqLock::new(Watch::new());

/// Reads all of them at this moment.
pub fn read() -> Machine {
    let counts = interrupts::counts();
    let (idle, elapsed) = (clock::idle_micros(), clock::micros());
    Machine {
        load: LOAD.lock().follow(Micros(elapsed), Micros(idle)),
        clock: *WATCH.lock(),
        interrupts: Interrupts {
            all: counts.all,
            timer: counts.timer,
            card: counts.card,
        },
        console_lines_lost: console::lost().lines,
    }
}

/// Looks at the watched stacks. A large stack takes several looks until its use is known; until then it sends nothing.
pub fn look_at_stacks() {
    for stack in task::stacks().filter(|stack| stack.high_water_bytes > 0) {
        let used = StackUse {
            size_bytes: stack.size_bytes as u64,
            high_water_bytes: stack.high_water_bytes as u64,
        };
        push_task(stack.name, &used);
    }
}

/// Looks at the machine's real-time clock and moves the wall clock forward if it was left behind. Does nothing without
/// such a clock.
pub fn look_at_clock() {
    let wall = UnixNanos(clock::unix_nanos());
    let Some(rtc_seconds) = clock::rtc_seconds() else {
        return;
    };
    let found = WATCH.lock().look(wall, rtc_seconds);
    if let Some(ms) = found.advance_ms {
        clock::advance(ms * 1_000);
    }
    if let Some(ms) = found.step_ms {
        let moved = found.advance_ms.unwrap_or(0);
        log::warn!(
            target: "monitoring",
            "monitoring: the clock stepped, the real-time clock gained {ms} ms on it, moved forward by {moved} ms"
        );
    }
}
