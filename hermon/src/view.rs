//! The terminal view: machines, sources, fields with value, rate and sparkline, losses in red, the console below.
//!
//! It draws and takes keys in its own thread, so that receiving never waits for a terminal. `snapshot` has the values
//! to show, `state` the user's choices; `draw` is a pure function of both. [`terminal`] gives the terminal back in
//! every case.

pub(crate) mod draw;
mod snapshot;
mod state;

use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, IsTerminal, Stdout, stdout};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{Clear, ClearType};
use signal_hook::consts::{SIGCONT, SIGTSTP};
use signal_hook::flag;

use crate::ending::{Cause, Ending};
use crate::live::Live;
use crate::point::UnixMicros;
use crate::terminal;
use draw::{Around, draw};
use snapshot::Snapshot;
use state::{State, Wish};

/// The longest time until a key, a signal or the end is noticed.
const TURN: Duration = Duration::from_millis(50);

/// The time that the end waits for a terminal that takes no output.
const LAST: Duration = Duration::from_secs(1);

/// The time between new values. Nobody can read numbers that change faster.
const FRESH: Duration = Duration::from_millis(250);

/// A look at very many fields takes long, and the receiver waits meanwhile. So looks take at most one part in so many
/// of the time.
const SHARE: u32 = 20;

/// The number of looks over which the points per second are computed.
const OVER: usize = 20;

/// A running view.
#[derive(Debug)]
pub(crate) struct View {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Returns `true` if there is a terminal to draw on and to take keys from.
pub(crate) fn is_possible() -> bool {
    stdout().is_terminal()
        && io::stdin().is_terminal()
        && std::env::var_os("TERM").is_some_and(|term| term != "dumb")
}

impl View {
    /// Takes the terminal over and shows the content of `live`, until it is closed. `q` and Ctrl-C ask for the end.
    ///
    /// # Errors
    /// The terminal's error.
    pub(crate) fn start(live: Arc<Live>, ending: Ending, around: Around) -> io::Result<Self> {
        let signals = Signals::catch()?;
        terminal::enter()?;
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::Builder::new().name("view".to_owned()).spawn({
            let stop = Arc::clone(&stop);
            move || {
                // Whatever ends this thread, the terminal is given back, and no thread waits for keys that are never
                // read.
                let _ask = AskAtTheEnd(ending.clone());
                let shown = show(&live, &ending, around, &stop, &signals);
                terminal::leave();
                shown
            }
        })?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }

    /// Gives the terminal back.
    ///
    /// # Errors
    /// The error that ended the view before.
    pub(crate) fn close(mut self) -> io::Result<()> {
        self.stop.store(true, Ordering::SeqCst);
        // A terminal that takes no output, after Ctrl-S for example, holds the thread for as long.
        let until = Instant::now() + LAST;
        let is_blocked = |thread: &JoinHandle<_>| {
            while !thread.is_finished() && Instant::now() < until {
                thread::sleep(TURN / 10);
            }
            !thread.is_finished()
        };
        if self.thread.as_ref().is_some_and(is_blocked) {
            terminal::leave_without_a_word();
            return Ok(());
        }
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(shown)) => shown,
            // The thread has printed the reason.
            Some(Err(_)) => Err(io::Error::other("the view has failed")),
            None => Ok(()),
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        terminal::leave();
    }
}

/// Asks for the end when the thread ends. It has no effect if the end was already asked for.
struct AskAtTheEnd(Ending);

impl Drop for AskAtTheEnd {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.ask(Cause::View);
        }
    }
}

/// The signals of job control, as flags.
#[derive(Debug)]
struct Signals {
    stop: Arc<AtomicBool>,
    awake: Arc<AtomicBool>,
}

impl Signals {
    fn catch() -> io::Result<Self> {
        let signals = Self {
            stop: Arc::default(),
            awake: Arc::default(),
        };
        flag::register(SIGTSTP, Arc::clone(&signals.stop))?;
        flag::register(SIGCONT, Arc::clone(&signals.awake))?;
        Ok(signals)
    }
}

fn show(
    live: &Live,
    ending: &Ending,
    mut around: Around,
    stop: &AtomicBool,
    signals: &Signals,
) -> io::Result<()> {
    let mut terminal = fresh()?;
    let mut state = State::default();
    let mut snapshot = Snapshot::default();
    let mut counted: VecDeque<(Instant, u64)> = VecDeque::new();
    let mut looked: Option<Instant> = None;
    let mut every = FRESH;
    let mut changed = true;
    while !stop.load(Ordering::SeqCst) {
        let now = Instant::now();
        if looked.is_none_or(|before| now - before >= every) {
            looked = Some(now);
            live.forget_old(UnixMicros::now());
            around.losses = live.losses();
            around.fault = live.fault();
            if !state.paused {
                let machine = state.machine.as_deref();
                let before = snapshot.said_ever;
                snapshot = live.look(|inside| Snapshot::of(inside, machine, UnixMicros::now()));
                // The lines that the user reads stay in their place.
                if state.console_back > 0 {
                    let new = (snapshot.said_ever - before) as usize;
                    state.console_back = (state.console_back + new).min(snapshot.said.len());
                }
                every = FRESH.max(now.elapsed() * SHARE);
                around.per_second = per_second(&mut counted, now, snapshot.points);
            }
            changed = true;
        }
        if changed {
            terminal.draw(|frame| draw(frame, &snapshot, &mut state, &around))?;
            changed = false;
        }
        let mut wish = Wish::Nothing;
        if event::poll(TURN)? {
            match event::read()? {
                Event::Key(key) if key.kind != KeyEventKind::Release => {
                    wish = state.key(key, &snapshot);
                    // Another machine is shown at once.
                    looked = None;
                }
                Event::Resize(..) => changed = true,
                _ => {}
            }
        }
        if signals.stop.swap(false, Ordering::SeqCst) {
            wish = Wish::Suspend;
        }
        match wish {
            Wish::Nothing => {}
            Wish::Quit => ending.ask(Cause::Key),
            Wish::Interrupt => ending.ask(Cause::CtrlC),
            Wish::Redraw => terminal = fresh()?,
            Wish::Suspend => {
                signals.awake.store(false, Ordering::SeqCst);
                terminal::suspend(|| signals.awake.load(Ordering::SeqCst))?;
                signals.awake.store(true, Ordering::SeqCst);
            }
        }
        if signals.awake.swap(false, Ordering::SeqCst) {
            // After SIGSTOP the program was not asked, and the shell may have changed any setting.
            terminal::leave();
            terminal::enter()?;
            terminal = fresh()?;
            changed = true;
        }
    }
    Ok(())
}

/// Creates an empty screen without memory of its content. (ratatui's own `clear` asks the terminal for the position of
/// its cursor, and not all terminals answer.)
fn fresh() -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    execute!(stdout(), Clear(ClearType::All))?;
    Terminal::new(CrosstermBackend::new(stdout()))
}

/// Returns the mean over the last few seconds.
fn per_second(counted: &mut VecDeque<(Instant, u64)>, now: Instant, points: u64) -> u64 {
    counted.push_back((now, points));
    if counted.len() > OVER {
        counted.pop_front();
    }
    let (then, before) = counted[0];
    let seconds = (now - then).as_secs_f64();
    if seconds > 0.0 {
        ((points - before) as f64 / seconds).round() as u64
    } else {
        0
    }
}

#[cfg(test)]
mod tests;
