//! The terminal is taken over, and given back on every way out.
//!
//! ```text
//!              enter (1)
//!   the shell's ─────────▶ ours ──┐ Ctrl-Z, SIGTSTP: leave, stop, enter (3)
//!        ▲                  │  ◀──┘
//!        └──────────────────┘
//!          leave (2): quit, the end of what is watched, a signal, a panic
//! ```
//!
//! One flag says whether it is ours, so that (2) can be asked for from any thread, any number of times.

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

/// The terminal is ours.
static OURS: AtomicBool = AtomicBool::new(false);

/// The time in which a stop takes effect. In a session without a shell that could wake us again the system ignores it.
const STOP: Duration = Duration::from_millis(250);

/// Takes the terminal over (1). From now on a panic gives it back before it says anything.
///
/// # Errors
/// The system's: it is not a terminal, say.
pub fn enter() -> io::Result<()> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            before(info);
        }));
    });
    // First, so that whatever fails half way is undone.
    OURS.store(true, Ordering::SeqCst);
    enable_raw_mode()
        .and_then(|()| execute!(stdout(), EnterAlternateScreen))
        .inspect_err(|_| leave())
}

/// Gives the terminal back (2). Nothing happens if it is not ours.
pub(crate) fn leave() {
    if OURS.swap(false, Ordering::SeqCst) {
        // The settings first: they do not wait for a terminal that takes no output. If it is gone, so is the need.
        drop(disable_raw_mode());
        drop(execute!(stdout(), LeaveAlternateScreen, Show));
    }
}

/// Gives only the settings back: for when the terminal takes no output and a write would never return.
pub(crate) fn leave_without_a_word() {
    if OURS.swap(false, Ordering::SeqCst) {
        drop(disable_raw_mode());
    }
}

/// Stops this process and those that it was started with, as the shell's Ctrl-Z would, and goes on when `awake` says that
/// it has been woken (3).
///
/// # Errors
/// The terminal's, when it is taken over again.
pub(crate) fn suspend(awake: impl Fn() -> bool) -> io::Result<()> {
    leave();
    drop(stdout().flush());
    // SIGTSTP itself is caught here, so it would stop nothing. SIGTTOU is not, stops the group in the same way, and like
    // SIGTSTP, unlike SIGSTOP, is ignored by the system where nobody could wake the group.
    kill_current_process_group(Signal::TTOU).unwrap_or_default();
    let asked = Instant::now();
    while !awake() && asked.elapsed() < STOP {
        std::thread::yield_now();
    }
    enter()
}
