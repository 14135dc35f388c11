//! Takes heap traces for the page, one at a time, on their own thread.
//!
//! ```text
//!            asked for (1)              over, with a profile (2)
//!   Idle ───────────────────▶ Taking ──────────────────────────────▶ Idle
//!    ▲                          │
//!    └──────────────────────────┘
//!      nothing came (3)
//! ```
//! At (2) the new profile takes the old one's place; at (3) the old one stays, with the reason why there is no new one. The
//! trace is a file without a name: the system removes it when it is closed, also when this process is killed.

use core::panic::AssertUnwindSafe;
use core::time::Duration;
use std::io::{self, Seek};
use std::panic;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use hermon_amounts as amounts;
use hermon_heap::convert::Value;
use hermon_heap::events::OpenError;
use hermon_heap::flame::FlameGraph;
use hermon_heap::named::Named;
use hermon_heap::profile::{Profile, Settings};
use serde::Serialize;
use thiserror::Error;

use crate::address::{Address, Addresses};
use crate::capture::{self, Capture, CaptureError, Over, Stop, Taken};
use crate::progress::{Counts, Progress};

/// The lengths of a trace that can be asked for, in seconds: a look, what repeats every ten seconds, and a minute.
pub(crate) const SECONDS: [u64; 3] = [5, 15, 60];

/// The largest trace, in bytes. A minute of the demo application at the rate 1e-3 is 0.4 MB. An event takes some 10 bytes at least, and a block that stays alive 80 here, so that adding
/// up what somebody sends who is not an image takes half a gigabyte at worst, for a moment.
pub(crate) const MAX_TRACE: u64 = 64 << 20;

/// The values of a trace that the page shows.
const VALUES: [Value; 2] = [Value::Allocated, Value::Live];

/// The reason why no trace is begun.
#[derive(Debug, Error)]
pub(crate) enum TakeError {
    /// Nobody said where the machine's memtrace port is.
    #[error("no memtrace port is known of \"{0}\": give --trace")]
    NoPort(String),
    /// One at a time.
    #[error("a trace of \"{0}\" is being taken: one at a time")]
    Busy(String),
    /// No such length.
    #[error("a trace takes 5, 15 or 60 seconds, not {0}")]
    Seconds(u64),
    /// There is no thread for it.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
}

/// The reason why a trace gave no profile.
#[derive(Debug, Error)]
enum NoProfile {
    #[error(transparent)]
    Capture(#[from] CaptureError),
    #[error("cannot keep the trace in {}: {}", std::env::temp_dir().display(), .0)]
    File(io::Error),
    #[error("the trace {0}")]
    Trace(#[from] OpenError),
}

/// The progress of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Going {
    /// The machine's tag `vm`.
    pub vm: String,
    /// Its length, in seconds.
    pub seconds: u64,
    /// Seconds since its thread began: connecting and what the image takes to end are among them.
    pub elapsed: u64,
    /// Bytes of whole packets.
    pub bytes: u64,
    /// Blocks that were sampled.
    pub samples: u64,
}

/// The state of the traces.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// The trace that is being taken.
    pub going: Option<Going>,
    /// Profiles so far: another number, another profile.
    pub taken: u64,
    /// The reason why the last trace gave no profile, or one of less than was asked for.
    pub fault: Option<String>,
}

#[derive(Debug, Default)]
struct Inside {
    state: State,
    /// One for each of [`VALUES`], once there was a trace.
    profiles: Option<[Arc<FlameGraph>; 2]>,
}

/// Takes traces from the machines whose memtrace ports it knows, and has the profile of the last.
#[derive(Debug)]
pub(crate) struct Taker {
    addresses: Addresses,
    inside: Arc<Mutex<Inside>>,
}

/// Nothing under the lock can be left half done.
fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taker {
    /// Of machines with memtrace ports here. Connects to nothing yet.
    pub(crate) fn new(addresses: Addresses) -> Self {
        Self {
            addresses,
            inside: Arc::default(),
        }
    }

    /// Returns whose traces can be taken: those of these machines that have a port, and all that were named with one; of a machine
    /// without a name, if no other is known.
    pub(crate) fn machines<'a>(&'a self, heard: impl Iterator<Item = &'a str>) -> Vec<String> {
        let heard = heard.filter(|vm| self.addresses.of(vm).is_some());
        let all = self.addresses.named().chain(heard);
        let mut all: Vec<String> = all.map(str::to_owned).collect();
        all.sort();
        all.dedup();
        if all.is_empty() && self.addresses.is_for_all() {
            all.push(String::new());
        }
        all
    }

    /// Returns how it goes.
    pub(crate) fn state(&self) -> State {
        lock(&self.inside).state.clone()
    }

    /// Begins to take a trace of so many seconds, one of [`SECONDS`], and does not wait for it.
    ///
    /// # Errors
    /// [`TakeError`]; nothing has changed then.
    pub(crate) fn take(&self, vm: &str, seconds: u64) -> Result<(), TakeError> {
        if !SECONDS.contains(&seconds) {
            return Err(TakeError::Seconds(seconds));
        }
        let address = self.addresses.of(vm).copied();
        let address = address.ok_or_else(|| TakeError::NoPort(vm.to_owned()))?;
        let mut inside = lock(&self.inside);
        if let Some(going) = &inside.state.going {
            return Err(TakeError::Busy(going.vm.clone()));
        }
        let shared = Arc::clone(&self.inside);
        let vm = vm.to_owned();
        let going = Going {
            vm: vm.clone(),
            seconds,
            elapsed: 0,
            bytes: 0,
            samples: 0,
        };
        // It waits for the lock, so that (1) comes before (2) and (3).
        thread::Builder::new()
            .name("trace".to_owned())
            .spawn(move || {
                let work = || capture(&shared, address.into(), &vm, seconds);
                let made = panic::catch_unwind(AssertUnwindSafe(work));
                let mut inside = lock(&shared);
                inside.state.going = None;
                match made {
                    // (2)
                    Ok(Ok((profiles, remark))) => {
                        inside.state.taken += 1;
                        inside.state.fault = remark;
                        inside.profiles = Some(profiles);
                    }
                    // (3)
                    Ok(Err(error)) => inside.state.fault = Some(error.to_string()),
                    Err(_) => {
                        let fault = "hermon failed to read the trace: that is an error of its own";
                        inside.state.fault = Some(fault.to_owned());
                    }
                }
            })
            .map_err(TakeError::Thread)?;
        // (1)
        inside.state.going = Some(going);
        inside.state.fault = None;
        Ok(())
    }

    /// The profile of the last trace, once there was one; of what was allocated, or of what was alive at the end.
    pub(crate) fn profile(&self, value: Value) -> Option<Arc<FlameGraph>> {
        let at = VALUES.iter().position(|&known| known == value)?;
        let inside = lock(&self.inside);
        Some(Arc::clone(&inside.profiles.as_ref()?[at]))
    }
}

/// Keeps the state as the capture goes.
struct Teller<'i> {
    inside: &'i Mutex<Inside>,
    began: Instant,
}

impl Progress for Teller<'_> {
    fn show(&mut self, now: Instant, counts: &Counts) {
        if let Some(going) = &mut lock(self.inside).state.going {
            going.elapsed = (now - self.began).as_secs();
            going.bytes = counts.bytes;
            going.samples = counts.allocs;
        }
    }
}

/// Takes a trace: its profiles, and what is to be said of how it ended.
fn capture(
    inside: &Mutex<Inside>,
    address: Address,
    vm: &str,
    seconds: u64,
) -> Result<([Arc<FlameGraph>; 2], Option<String>), NoProfile> {
    let began = Instant::now();
    let connection = capture::connect(&address)?;
    let mut file = tempfile::tempfile().map_err(NoProfile::File)?;
    let written = file.try_clone().map_err(NoProfile::File)?;
    // The file has no name; where it is tells which disk is full.
    let path: PathBuf = std::env::temp_dir();
    let duration = Some(Duration::from_secs(seconds));
    let taken = Capture::new(connection, written, &path, duration, Stop::default())
        .told_to(Teller { inside, began })
        .at_most(MAX_TRACE)
        .run()?;
    file.rewind().map_err(NoProfile::File)?;
    let named = Named::new(Profile::read(file, &Settings::default())?);
    let graphs =
        VALUES.map(|value| Arc::new(FlameGraph::of(title(vm, &named, value), &named, value)));
    Ok((graphs, remark(&taken, vm)))
}

fn title(vm: &str, named: &Named, value: Value) -> String {
    let profile = &named.profile;
    let estimate = profile.scale().bytes(value.sum(named));
    let samples = amounts::count(profile.allocs);
    let length = amounts::micros(profile.span.micros);
    let of = match vm {
        "" => String::new(),
        vm => format!("{vm}: "),
    };
    format!(
        "{of}{value}, estimated from {samples} sampled blocks in {length} at the rate {}, 95 % sure between {} and {}",
        profile.info.rate,
        amounts::bytes(estimate.low),
        amounts::bytes(estimate.high)
    )
}

/// Returns what is to be said of a trace that is not what was asked for.
fn remark(taken: &Taken, vm: &str) -> Option<String> {
    if taken.over == Over::Duration && taken.left_out == 0 {
        return None;
    }
    let left = match taken.left_out {
        0 => String::new(),
        left => format!(", and {left} bytes of a packet are left out"),
    };
    Some(format!(
        "the trace of \"{vm}\" is not whole, what came of it is shown: {}{left}",
        taken.over
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn machines_are_those_with_a_port_and_one_without_a_name_if_there_is_no_other() {
        let machines = |addresses: &str, heard: &[&str]| {
            let taker = Taker::new(addresses.parse().unwrap());
            taker.machines(heard.iter().copied()).join(" ")
        };
        assert_eq!(machines("b=127.0.0.1:1", &["c", "a"]), "b");
        assert_eq!(
            machines("127.0.0.1:1,b=127.0.0.1:2", &["c", "b", "a"]),
            "a b c"
        );
        let taker = Taker::new("127.0.0.1:1".parse().unwrap());
        assert_eq!(taker.machines([].into_iter()), [""]);
        assert_eq!(taker.machines(["a"].into_iter()), ["a"]);
    }

    #[test]
    fn what_cannot_begin_changes_nothing() {
        let taker = Taker::new("a=127.0.0.1:1".parse().unwrap());
        for (vm, seconds, want) in [
            ("b", 5, "no memtrace port is known of \"b\": give --trace"),
            ("a", 6, "a trace takes 5, 15 or 60 seconds, not 6"),
        ] {
            assert_eq!(taker.take(vm, seconds).unwrap_err().to_string(), want);
        }
        assert_eq!(taker.state(), State::default());
    }
}
