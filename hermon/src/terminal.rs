//! Takes the terminal over, and gives it back in every case.
//!
//! ```text
//!              enter (1)
//!   the shell's ─────────▶ ours ──┐ Ctrl-Z, SIGTSTP: leave, stop, enter (3)
//!        ▲                  │  ◀──┘
//!        └──────────────────┘
//!          leave (2): quit, the end of what is watched, a signal, a panic
//! ```
//!
//! One flag says whether the terminal is ours, so that any thread can ask for (2), any number of times.

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::io::{self, Write, stdout};
use std::panic;
use std::sync::Once;
use std::time::Instant;

use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use rustix::process::{Signal, kill_current_process_group};

/// `true` while the terminal is ours.
static OURS: AtomicBool = AtomicBool::new(false);

/// The time in which a stop must take effect. In a session without a shell that could wake the process again, the
/// system ignores the stop.
const STOP: Duration = Duration::from_millis(250);

/// Takes the terminal over (1). From now on a panic gives it back before it prints its message.
///
/// # Errors
/// The system's error, for example if it is not a terminal.
pub fn enter() -> io::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
    // First, so that a failure in the middle is undone.
    OURS.store(true, Ordering::SeqCst);
    enable_raw_mode()
        .and_then(|()| execute!(stdout(), EnterAlternateScreen))
        .inspect_err(|_| leave())
}

/// Gives the terminal back (2). Does nothing if it is not ours.
pub(crate) fn leave() {
    if OURS.swap(false, Ordering::SeqCst) {
        // The settings first, because they do not wait for a terminal that accepts no output. If the terminal is gone,
        // nothing needs to be done.
        drop(disable_raw_mode());
        drop(execute!(stdout(), LeaveAlternateScreen, Show));
    }
}

/// Gives only the settings back. For a terminal that accepts no output, where a write would block permanently.
pub(crate) fn leave_without_a_word() {
    if OURS.swap(false, Ordering::SeqCst) {
        drop(disable_raw_mode());
    }
}

/// Stops this process and those that were started with it, as the shell's Ctrl-Z would. Goes on when `awake` says that
/// the process has been woken (3).
///
/// # Errors
/// The terminal's error, when it is taken over again.
pub(crate) fn suspend(awake: impl Fn() -> bool) -> io::Result<()> {
    leave();
    drop(stdout().flush());
    // SIGTSTP is caught here, so it would stop nothing. SIGTTOU is not caught and stops the group in the same way. Like
    // SIGTSTP, and unlike SIGSTOP, the system ignores it where nobody could wake the group.
    kill_current_process_group(Signal::TTOU).unwrap_or_default();
    let asked = Instant::now();
    while !awake() && asked.elapsed() < STOP {
        std::thread::yield_now();
    }
    enter()
}
