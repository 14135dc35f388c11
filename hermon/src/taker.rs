//! Takes heap traces for the page, one at a time, in a separate thread.
//!
//! ```text
//!            asked for (1)              over, with a profile (2)
//!   Idle ───────────────────▶ Taking ──────────────────────────────▶ Idle
//!    ▲                          │
//!    └──────────────────────────┘
//!      nothing came (3)
//! ```
//! At (2) the new profile replaces the old one. At (3) the old one stays, with the reason why there is no new one. The
//! trace is in a file without a name: the system removes it when it is closed, also when this process is killed.

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
use hermon_heap::events::End;
use hermon_heap::events::OpenError;
use hermon_heap::flame::FlameGraph;
use hermon_heap::named::Named;
use hermon_heap::profile::{Profile, Settings};
use serde::Serialize;
use thiserror::Error;

use crate::address::{Address, Addresses};
use crate::capture::{self, Capture, CaptureError, Over, Stop, Taken};
use crate::progress::{Counts, Progress};

/// The lengths of a trace that can be asked for, in seconds: a short look, an activity that repeats every ten seconds,
/// and a minute.
pub(crate) const SECONDS: [u64; 3] = [5, 15, 60];

/// The largest trace, in bytes. A minute of the demo application at the rate 1e-3 is 0.4 MB.
pub(crate) const MAX_TRACE: u64 = 64 << 20;

/// The most memory for adding up a trace, in bytes: a usual minute needs a tenth of it. One image must not take the memory
/// of the watcher from all others.
const MAX_MEMORY: usize = 64 << 20;

/// The values that the page shows of a trace.
const VALUES: [Value; 2] = [Value::Allocated, Value::Live];

/// The reason why no trace is begun.
#[derive(Debug, Error)]
pub(crate) enum TakeError {
    /// The memtrace port of the machine is not known.
    #[error("no memtrace port is known of \"{0}\": give --trace")]
    NoPort(String),
    /// Another trace is being taken.
    #[error("a trace of \"{0}\" is being taken: one at a time")]
    Busy(String),
    /// The length is not one of [`SECONDS`].
    #[error("a trace takes 5, 15 or 60 seconds, not {0}")]
    Seconds(u64),
    /// The system gives no thread for it.
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
    /// The length that was asked for, in seconds.
    pub seconds: u64,
    /// The seconds since its thread began. They include the time for the connection, and the time that the image takes
    /// to end.
    pub elapsed: u64,
    /// The bytes of whole packets.
    pub bytes: u64,
    /// The number of blocks that were sampled.
    pub samples: u64,
}

/// The state of the taker.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(crate) struct State {
    /// The trace that is being taken.
    pub going: Option<Going>,
    /// The number of profiles so far: another number means another profile.
    pub taken: u64,
    /// The reason why the last trace gave no profile, or a shorter one than was asked for.
    pub fault: Option<String>,
}

#[derive(Debug, Default)]
struct Inside {
    state: State,
    /// One profile for each of [`VALUES`], once there was a trace.
    profiles: Option<[Arc<FlameGraph>; 2]>,
}

/// Takes traces from the machines whose memtrace ports it knows, and keeps the profile of the last one.
#[derive(Debug)]
pub(crate) struct Taker {
    addresses: Addresses,
    token: Option<String>,
    inside: Arc<Mutex<Inside>>,
}

/// No code can leave the value under the lock half changed.
fn lock(inside: &Mutex<Inside>) -> MutexGuard<'_, Inside> {
    inside.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taker {
    /// Creates a taker for machines with these memtrace ports, unless there are none. Connects to nothing yet.
    /// `token` is the one that the ports may ask for.
    pub(crate) fn new(addresses: Addresses, token: Option<String>) -> Option<Self> {
        (!addresses.is_empty()).then(|| Self {
            addresses,
            token,
            inside: Arc::default(),
        })
    }

    /// Returns the machines whose traces can be taken: those of `heard` that have a port, and all that were named with
    /// one. If no machine is known, it is a machine without a name.
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

    /// Returns the state.
    pub(crate) fn state(&self) -> State {
        lock(&self.inside).state.clone()
    }

    /// Begins to take a trace of so many seconds, one of [`SECONDS`], and does not wait for it.
    ///
    /// # Errors
    /// [`TakeError`]; then nothing has changed.
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
        let token = self.token.clone();
        // The thread waits for the lock, so that (1) comes before (2) and (3).
        thread::Builder::new()
            .name("trace".to_owned())
            .spawn(move || {
                let work = || capture(&shared, address.into(), token.as_deref(), &vm, seconds);
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
                        let fault = "hermon failed to read the trace: this is a fault of hermon, not of the image";
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

    /// Returns the profile of the last trace, once there was one: of all allocations, or of the blocks alive at the
    /// end.
    pub(crate) fn profile(&self, value: Value) -> Option<Arc<FlameGraph>> {
        let at = VALUES.iter().position(|&known| known == value)?;
        let inside = lock(&self.inside);
        Some(Arc::clone(&inside.profiles.as_ref()?[at]))
    }
}

/// Updates the state while the capture goes on.
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

/// Takes a trace. Returns its profiles, and a remark on the way in which it ended.
fn capture(
    inside: &Mutex<Inside>,
    address: Address,
    token: Option<&str>,
    vm: &str,
    seconds: u64,
) -> Result<([Arc<FlameGraph>; 2], Option<String>), NoProfile> {
    let began = Instant::now();
    let mut connection = capture::connect(&address)?;
    connection.prove(token, &Stop::default())?;
    let mut file = tempfile::tempfile().map_err(NoProfile::File)?;
    let written = file.try_clone().map_err(NoProfile::File)?;
    // The file has no name; the folder says which disk is full.
    let path: PathBuf = std::env::temp_dir();
    let duration = Some(Duration::from_secs(seconds));
    let taken = Capture::new(connection, written, &path, duration, Stop::default())
        .told_to(Teller { inside, began })
        .at_most(MAX_TRACE)
        .within(MAX_MEMORY)
        .run()?;
    file.rewind().map_err(NoProfile::File)?;
    let settings = Settings::default().within(MAX_MEMORY);
    let named = Named::new(Profile::read(file, &settings)?);
    let graphs =
        VALUES.map(|value| Arc::new(FlameGraph::of(title(vm, &named, value), &named, value)));
    let remark = match &named.profile.span.end {
        End::Bad(error) => Some(format!(
            "the trace of \"{vm}\" is not whole, what came of it is shown: {error}"
        )),
        _ => remark(&taken, vm),
    };
    Ok((graphs, remark))
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

/// Returns a remark on a trace that is not what was asked for.
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
            let taker = Taker::new(addresses.parse().unwrap(), None).unwrap();
            taker.machines(heard.iter().copied()).join(" ")
        };
        assert_eq!(machines("b=127.0.0.1:1", &["c", "a"]), "b");
        assert_eq!(
            machines("127.0.0.1:1,b=127.0.0.1:2", &["c", "b", "a"]),
            "a b c"
        );
        let taker = Taker::new("127.0.0.1:1".parse().unwrap(), None).unwrap();
        assert_eq!(taker.machines([].into_iter()), [""]);
        assert_eq!(taker.machines(["a"].into_iter()), ["a"]);
    }

    #[test]
    fn what_cannot_begin_changes_nothing() {
        let taker = Taker::new("a=127.0.0.1:1".parse().unwrap(), None).unwrap();
        for (vm, seconds, want) in [
            ("b", 5, "no memtrace port is known of \"b\": give --trace"),
            ("a", 6, "a trace takes 5, 15 or 60 seconds, not 6"),
        ] {
            assert_eq!(taker.take(vm, seconds).unwrap_err().to_string(), want);
        }
        assert_eq!(taker.state(), State::default());
    }
}
