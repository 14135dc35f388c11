//! The sources that the machine is asked for: `cpu` each interval, `tasks` and `clock` by the loop.

use kernel::sync::IrqLock;
use kernel::{clock, task};

use crate::line::Value;
use crate::metrics::{self, FieldList, Points, Polled, RegisterError};
use crate::sources::clock::{CLOCK, CLOCK_FIELDS, Watch};
use crate::sources::machine::{self, Load};
use crate::time::{Micros, UnixNanos};

static CPU: Polled = Polled::new(
    machine::CPU.name,
    machine::CPU.doc,
    &machine::CPU_FIELDS,
    read_cpu,
);

static TASKS: Points<1, 2> = Points::new(
    machine::TASKS.name,
    machine::TASKS.doc,
    &machine::TASKS_LABELS,
    machine::TASKS_FIELDS,
);

static WALL: Points<0, 4> = Points::new(CLOCK.name, CLOCK.doc, &[], CLOCK_FIELDS);

static LOAD: IrqLock<Load> = IrqLock::new(Load::new());

/// Adds them to the image's sources.
///
/// # Errors
/// If the application has sources of these names.
pub fn register() -> Result<(), RegisterError> {
    metrics::register(&CPU)?;
    metrics::register(&TASKS)?;
    metrics::register(&WALL)
}

fn read_cpu(fields: &mut FieldList<'_>) {
    let (idle, elapsed) = (clock::idle_micros(), clock::micros());
    let values = LOAD.lock().follow(Micros(elapsed), Micros(idle));
    fields.add_all(&machine::CPU_FIELDS, values.map(Value::U64));
}

/// Looks at the stacks that are watched. A large one takes several looks until anything is known of it; nothing is said of
/// it before.
pub fn look_at_stacks() {
    for stack in task::stacks().filter(|stack| stack.high_water_bytes > 0) {
        TASKS.push(
            [stack.name],
            [
                Value::U64(stack.size_bytes as u64),
                Value::U64(stack.high_water_bytes as u64),
            ],
        );
    }
}

/// Looks at the machine's real-time clock and moves the wall clock forward if it was left behind. Where there is none, there is no series.
pub fn look_at_clock(watch: &mut Watch) {
    let wall = UnixNanos(clock::unix_nanos());
    let Some(rtc_seconds) = clock::rtc_seconds() else {
        return;
    };
    let found = watch.look(wall, rtc_seconds);
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
    if let Some(values) = watch.values() {
        WALL.push([], values);
    }
}
