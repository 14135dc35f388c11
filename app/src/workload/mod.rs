//! The image's six workloads, each deterministic for a seed.
//!
//! A workload has no clock and never sleeps. The image calls [`Workload::step`], which does a bounded amount of work, and then
//! pauses as [`Workload::pause`] says.

pub mod cache;
pub mod churn;
pub mod exact;
pub mod leak;
pub mod mixed;
pub mod request;
pub mod sites;
pub mod size;
pub mod spin;

use alloc::boxed::Box;
use core::fmt;
use core::time::Duration;

/// The workloads by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A service: text parsed into strings and maps, a cache, sorted batches.
    #[default]
    Mixed,
    /// Only allocations and frees of mixed sizes.
    Churn,
    /// `Mixed`, and each step leaks 4 KiB.
    Leak,
    /// Computing without allocating or sleeping.
    Spin,
    /// Known allocation sites with exact counts, reported in the last line.
    Exact,
    /// Nothing.
    Idle,
}

impl Kind {
    /// All workloads, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::Mixed,
        Self::Churn,
        Self::Leak,
        Self::Spin,
        Self::Exact,
        Self::Idle,
    ];

    /// Returns the name for arguments and log lines.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Churn => "churn",
            Self::Leak => "leak",
            Self::Spin => "spin",
            Self::Exact => "exact",
            Self::Idle => "idle",
        }
    }

    /// Returns the workload of this name, exactly as [`Kind::name`] writes it.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The pause between two steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// Go on at once.
    None,
    /// Let other tasks of the same priority run.
    Yield,
    /// Sleep this long, or until the end if that is earlier.
    Sleep(Duration),
}

/// The pause between the steps of a service, which is busy for a part of the time like a real one.
const SERVICE_PAUSE: Duration = Duration::from_millis(10);
/// The pause between the steps of `idle`, which do nothing: long enough to cost nothing.
const IDLE_PAUSE: Duration = Duration::from_secs(10);

/// A running workload.
///
/// | workload | a step | mean time | then | most alive |
/// |---|---|---|---|---|
/// | `mixed` | 8 requests: 200 to 400 allocations | 0.6 ms | sleeps 10 ms | 2 MiB |
/// | `churn` | up to 256 allocations and frees | 0.2 ms | yields | 0.6 MiB |
/// | `leak` | as `mixed`, and 16 × 256 bytes | 0.6 ms | sleeps 10 ms | 2 MiB and the leak |
/// | `spin` | 20,000 random numbers | 0.1 ms | goes on | 0 |
/// | `exact` | 256 uses of 8 sites | 0.3 ms | sleeps 10 ms | 512 KiB |
/// | `idle` | nothing | 0 | sleeps 10 s | 0 |
///
/// The times were measured with the `talc` heap under QEMU's TCG on a busy host; the heap `linked-list` takes longer.
///
/// `exact` sleeps so that the samples of one step, which come in a burst, can be fetched before those of the next.
///
/// ```
/// use app::workload::{Kind, Pause, Workload};
/// let mut workload = Workload::new(Kind::Mixed, 1);
/// workload.step(false);
/// assert!(matches!(workload.pause(), Pause::Sleep(_)));
/// ```
#[derive(Debug)]
pub enum Workload {
    /// See [`mixed`].
    Mixed(mixed::Mixed),
    /// See [`churn`].
    Churn(churn::Churn),
    /// See [`leak`].
    Leak(leak::Leak),
    /// See [`spin`].
    Spin(spin::Spin),
    /// See [`exact`].
    Exact(Box<exact::Exact>),
    /// No work.
    Idle,
}

impl Workload {
    /// Returns the workload `kind` at its beginning. Its actions follow from `seed` alone.
    pub fn new(kind: Kind, seed: u64) -> Self {
        match kind {
            Kind::Mixed => Self::Mixed(mixed::Mixed::new(seed)),
            Kind::Churn => Self::Churn(churn::Churn::new(seed)),
            Kind::Leak => Self::Leak(leak::Leak::new(seed)),
            Kind::Spin => Self::Spin(spin::Spin::new(seed)),
            Kind::Exact => Self::Exact(Box::new(exact::Exact::new(seed))),
            Kind::Idle => Self::Idle,
        }
    }

    /// Does the work of one step, see the table above. `traced` says whether a heap trace is running; only `exact` uses it.
    pub fn step(&mut self, traced: bool) {
        match self {
            Self::Mixed(mixed) => mixed.step(),
            Self::Churn(churn) => churn.step(),
            Self::Leak(leak) => leak.step(),
            Self::Spin(spin) => spin.step(),
            Self::Exact(exact) => exact.step(traced),
            Self::Idle => {}
        }
    }

    /// Returns the pause before the next step.
    pub fn pause(&self) -> Pause {
        match self {
            Self::Mixed(_) | Self::Leak(_) | Self::Exact(_) => Pause::Sleep(SERVICE_PAUSE),
            Self::Churn(_) => Pause::Yield,
            Self::Spin(_) => Pause::None,
            Self::Idle => Pause::Sleep(IDLE_PAUSE),
        }
    }

    /// Returns the image's last line, if this workload has one.
    pub fn last_line(&self) -> Option<&dyn fmt::Display> {
        match self {
            Self::Exact(exact) => Some(exact.as_ref()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_found_by_its_exact_name_only() {
        for kind in Kind::ALL {
            assert_eq!(Kind::from_name(kind.name()), Some(kind));
        }
        for name in ["", "Mixed", "mixed ", "mix", "exact\0"] {
            assert_eq!(Kind::from_name(name), None, "{name:?}");
        }
    }

    #[test]
    fn only_spin_never_pauses_and_only_exact_has_a_last_line() {
        for kind in Kind::ALL {
            let mut workload = Workload::new(kind, 1);
            workload.step(false);
            assert_eq!(workload.pause() == Pause::None, kind == Kind::Spin);
            assert_eq!(workload.last_line().is_some(), kind == Kind::Exact);
        }
    }

    #[test]
    fn only_a_step_while_a_trace_runs_changes_the_second_half_of_exacts_line() {
        let traced_is_zero = |workload: &Workload| {
            let line = alloc::format!("{}", workload.last_line().unwrap());
            line.contains(
                r#""while_traced": {"allocs": 0, "frees": 0, "bytes": 0, "words": 0}, "sites""#,
            )
        };
        let mut exact = Workload::new(Kind::Exact, 1);
        exact.step(false);
        assert!(traced_is_zero(&exact));
        exact.step(true);
        assert!(!traced_is_zero(&exact));
    }
}
