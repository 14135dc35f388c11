//! A signal ends the tool and its guest, whatever the rest of the tool is doing.
//!
//! ```text
//!             signal (1)             the caller is done (2)
//!   running ─────────────▶ ending ─────────────────────────▶ the process ends as the caller says
//!                             │
//!                             │ a second signal (3), standard output blocked (4), or ORDERLY over (5)
//!                             └────────────────────────────▶ the process ends at once with 130
//! ```
//!
//! At (1) the guest is killed, by the thread that waits for signals: the one that shows lines may be blocked in a write
//! to a pipe that nobody reads.

use core::fmt;
use core::time::Duration;
use std::io;
use std::process;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::Instant;

use hermon_machine::guest::Killer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit::Exit;
use crate::terminal;

/// The time that the caller has to show what has come and to end. It needs less, and nobody minds waiting for it.
const ORDERLY: Duration = Duration::from_secs(1);

/// Standard output that takes nothing for so long is blocked: a reader that is only slow makes room sooner.
const BLOCKED: Duration = Duration::from_millis(100);

/// Signals within this time are one wish to end: `timeout` (coreutils) signals its child and then the child's group, and
/// a person presses a key twice more slowly.
pub(crate) const SAME: Duration = Duration::from_millis(50);

/// The time between two looks while ending.
const TICK: Duration = Duration::from_millis(10);

/// The cause of the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// SIGINT, by a terminal's key as a rule.
    CtrlC,
    /// SIGTERM.
    Term,
    /// SIGHUP: the terminal is gone.
    Hup,
    /// A key of the view.
    Key,
    /// The view failed, and has said why.
    View,
}

impl Cause {
    fn of(signal: i32) -> Self {
        match signal {
            SIGINT => Self::CtrlC,
            SIGHUP => Self::Hup,
            _ => Self::Term,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CtrlC => "Ctrl-C",
            Self::Term => "SIGTERM",
            Self::Hup => "SIGHUP",
            Self::Key => "the key q",
            Self::View => "a failure of the view",
        })
    }
}

/// Knows whether the end has been asked for, and who must be ended then.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ending(Arc<State>);

#[derive(Debug, Default)]
struct State {
    cause: OnceLock<Cause>,
    /// The time that the caller has, if not [`ORDERLY`].
    allowed: OnceLock<Duration>,
    guest: Mutex<Option<Killer>>,
}

impl Ending {
    /// From now on SIGINT, SIGTERM and SIGHUP end this process. `wake` is called once, after [`Ending::cause`] is set; it
    /// must not block.
    ///
    /// # Errors
    /// The system's, if signals cannot be caught.
    pub(crate) fn on_signals(wake: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let mut signals = catch()?;
        let ending = Self::default();
        thread::Builder::new().name("signals".to_owned()).spawn({
            let ending = ending.clone();
            move || {
                if let Some(signal) = signals.forever().next() {
                    // (1)
                    ending.begin(Cause::of(signal));
                    wake();
                    let allowed = ending.0.allowed.get().copied().unwrap_or(ORDERLY);
                    wait_for_the_end(&mut signals, allowed);
                    ending.kill();
                    if output_takes_more() {
                        terminal::leave();
                    } else {
                        terminal::leave_without_a_word();
                    }
                    process::exit(Exit::Interrupted.code().into());
                }
            }
        })?;
        Ok(ending)
    }

    /// The caller may take so long to end in order: it has something to put away. Only the first word counts.
    pub(crate) fn allow(&self, long: Duration) {
        self.0.allowed.get_or_init(|| long);
    }

    /// Returns what asked for the end, if anything has.
    pub(crate) fn cause(&self) -> Option<Cause> {
        self.0.cause.get().copied()
    }

    /// This guest is killed when the end is asked for: at once if it has been. It replaces the one before.
    pub(crate) fn takes(&self, guest: Killer) {
        *self.0.guest.lock().unwrap_or_else(PoisonError::into_inner) = Some(guest);
        // The order matters, here and in `begin`: one of the two sees the other's.
        if self.cause().is_some() {
            self.kill();
        }
    }

    /// Asks for the end as a signal would, for another cause; from any thread, without waiting.
    pub(crate) fn ask(&self, cause: Cause) {
        self.0.cause.get_or_init(|| cause);
        // The thread above does all the rest. A process can always signal itself.
        kill_process(getpid(), Signal::INT).unwrap_or_default();
    }

    fn begin(&self, cause: Cause) {
        self.0.cause.get_or_init(|| cause);
        self.kill();
    }

    fn kill(&self) {
        let guest = self.0.guest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(guest) = &*guest {
            guest.kill();
        }
    }
}

/// From now on these signals are caught.
pub(crate) fn catch() -> io::Result<Signals> {
    Signals::new([SIGINT, SIGTERM, SIGHUP])
}

/// Returns if the process must be ended by force. As a rule it ends meanwhile (2).
fn wait_for_the_end(signals: &mut Signals, allowed: Duration) {
    let began = Instant::now();
    let mut taken = began;
    loop {
        thread::sleep(TICK);
        let now = Instant::now();
        if output_takes_more() {
            taken = now;
        }
        let again = signals.pending().count() > 0;
        if by_force(now - began, now - taken, again, allowed) {
            return;
        }
    }
}

/// Returns whether to end by force: so long after the first signal, so long after the output last took something, and with
/// another signal or none since the last look, if the end may take so long.
fn by_force(since_signal: Duration, since_taken: Duration, again: bool, allowed: Duration) -> bool {
    (again && since_signal > SAME) // (3)
        || since_taken >= BLOCKED // (4)
        || since_signal >= allowed // (5)
}

/// Returns whether a write to standard output would go on at once, be it with an error.
fn output_takes_more() -> bool {
    let stdout = io::stdout();
    let mut files = [PollFd::new(&stdout, PollFlags::OUT)];
    let at_once = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // That this cannot be found out is no sign of being blocked.
    poll(&mut files, Some(&at_once)).map_or(true, |ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_second_signal_ends_at_once_unless_it_is_the_first_ones_echo() {
        assert!(!by_force(SAME, Duration::ZERO, true, ORDERLY));
        assert!(by_force(SAME + MS, Duration::ZERO, true, ORDERLY));
        assert!(!by_force(SAME + MS, Duration::ZERO, false, ORDERLY));
    }

    #[test]
    fn a_blocked_output_and_a_late_end_are_not_waited_for() {
        assert!(!by_force(BLOCKED, BLOCKED - MS, false, ORDERLY));
        assert!(by_force(BLOCKED, BLOCKED, false, ORDERLY));
        assert!(!by_force(ORDERLY - MS, Duration::ZERO, false, ORDERLY));
        assert!(by_force(ORDERLY, Duration::ZERO, false, ORDERLY));
    }

    #[test]
    fn causes_have_the_names_that_people_know() {
        let names = [SIGINT, SIGTERM, SIGHUP].map(|signal| Cause::of(signal).to_string());
        assert_eq!(names, ["Ctrl-C", "SIGTERM", "SIGHUP"]);
    }
}
