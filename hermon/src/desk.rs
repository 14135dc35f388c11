//! Combines everything that a session receives and gives it to lines or the view, the file, and the page.
//!
//! ```text
//!  arrivals, console ──▶ Desk ──▶ lines on standard output            (--plain, or no terminal)
//!                          └────▶ Live ──▶ view, page, file           (those that there are)
//! ```

use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use clap::Args;
use hermon_amounts as amounts;
use hermon_heap::flame::FlameFile;
use hermon_machine::guest;

use crate::address::{self, Each};
use crate::control::Control;
use crate::database::{self, Database, Keep};
use crate::ending::Ending;
use crate::exit::{self, Failure};
use crate::live::Live;
use crate::outlet::Outlet;
use crate::point::UnixMicros;
use crate::receive::{Arrival, Losses, MAX_WAITING};
use crate::said::Origin;
use crate::show::Show;
use crate::taker::Taker;
use crate::tally::{Tally, Told};
use crate::view::draw::Around;
use crate::view::{self, View};
use crate::web::{self, Heap};

/// The number of the console's lines that are printed when the view is left: enough to see why a guest ended.
const LAST_WORDS: usize = 40;

/// The time limit for closing the file. The lines that are queued for it are written before the end.
const CLOSE: Duration = Duration::from_secs(10);

/// The options for showing and keeping a session: the same for all subcommands that receive.
#[derive(Debug, Clone, Args)]
pub(crate) struct DeskOptions {
    /// Lines without colours instead of the view, also on a terminal
    #[arg(long)]
    pub plain: bool,
    /// Keep the points in this file, and begin with those that are in it
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Remove older points from the file
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = amounts::some_duration)]
    pub db_age: Duration,
    /// Remove the oldest points when the file would be larger
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = database::size)]
    pub db_size: u64,
    /// Serve a page with live charts, switches and the heap profile here; port 0 is any free one
    #[arg(
        long,
        value_name = "[ADDRESS:]PORT",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:8080",
        value_parser = address::served
    )]
    pub web: Option<SocketAddr>,
    /// Show this heap profile on the page: folded stacks, or a document of speedscope
    #[arg(long, value_name = "FILE", requires = "web")]
    pub profile: Option<PathBuf>,
}

/// An event of a session.
pub(crate) enum Event {
    /// Data came to the port for metrics.
    Arrival(Arrival),
    /// The guest or QEMU printed a line.
    Said(guest::Said),
    /// A signal or a key asked for the end.
    Interrupted,
}

impl From<Arrival> for Event {
    fn from(arrival: Arrival) -> Self {
        Self::Arrival(arrival)
    }
}

/// Makes signals end the session from now on. A signal also wakes the receiver that is returned.
pub(crate) fn ears() -> Result<(SyncSender<Event>, Receiver<Event>, Ending), Failure> {
    let (to, from) = sync_channel(MAX_WAITING);
    let ending = Ending::on_signals({
        let to = to.clone();
        // If the channel is full, the receiver is awake.
        move || drop(to.try_send(Event::Interrupted))
    });
    let ending = ending.map_err(Failure::system("cannot catch signals"))?;
    Ok((to, from, ending))
}

enum Face {
    Lines(Show<Outlet>),
    View(View),
}

/// The outputs that the session's loop uses.
pub(crate) struct Desk {
    face: Face,
    plain: bool,
    /// Present if there is a view, a page or a file.
    live: Option<Arc<Live>>,
    page: Option<SocketAddr>,
    /// The counts, if `live` does not count.
    tally: Tally,
    losses: Option<Losses>,
}

impl Desk {
    /// Opens the outputs that the options ask for. `title` says what is watched; `traces` has the ports at which the
    /// page can take heap traces.
    pub(crate) fn open(
        options: &DeskOptions,
        title: &str,
        controls: Each<Control>,
        taker: Option<Taker>,
        ending: &Ending,
    ) -> Result<Self, Failure> {
        let drawn = !options.plain && view::is_possible();
        let keep = Keep {
            age: options.db_age,
            size: options.db_size,
        };
        let database = options.db.as_ref().map(|path| Database::open(path, keep));
        let database = database.transpose()?;
        if database.is_some() {
            ending.allow(CLOSE);
        }
        let live = if drawn || database.is_some() || options.web.is_some() {
            Some(Arc::new(Live::new(database)?))
        } else {
            None
        };
        let page = match (options.web, &live) {
            (Some(address), Some(live)) => {
                let file = options.profile.clone().map(FlameFile::open);
                let heap = Heap {
                    file: file.transpose()?,
                    taker,
                };
                Some(web::serve(address, Arc::clone(live), controls, heap)?)
            }
            _ => None,
        };
        let face = match &live {
            Some(live) if drawn => {
                let around = Around {
                    title: title.to_owned(),
                    page: page.map(|page| format!("http://{page}")),
                    ..Around::default()
                };
                let view = View::start(Arc::clone(live), ending.clone(), around);
                Face::View(view.map_err(|error| {
                    Failure::machine(format_args!(
                        "cannot draw on this terminal: {error}: use --plain"
                    ))
                })?)
            }
            _ => Face::Lines(lines(options.plain)),
        };
        Ok(Self {
            face,
            plain: options.plain,
            live,
            page,
            tally: Tally::default(),
            losses: None,
        })
    }

    /// Says at which address the page is, if there is one, and who can open it.
    pub(crate) fn say_page(&mut self) -> Result<(), Failure> {
        let Some(page) = self.page else {
            return Ok(());
        };
        self.line(Origin::Hermon, format_args!("the page is at http://{page}"))?;
        if !page.ip().is_loopback() {
            let open = "everybody who can reach this address can see the page, use its switches and take traces";
            self.line(Origin::Hermon, open)?;
        }
        Ok(())
    }

    /// Sets the port whose losses are reported.
    pub(crate) fn watches(&mut self, losses: Losses) {
        if let Some(live) = &self.live {
            live.watches(losses.clone());
        }
        self.losses = Some(losses);
    }

    /// Shows a line that is not a metric.
    pub(crate) fn line(&mut self, origin: Origin, text: impl fmt::Display) -> Result<(), Failure> {
        match (&mut self.face, &self.live) {
            (Face::Lines(show), _) => show.line(origin, text).map_err(Failure::Output),
            (Face::View(_), Some(live)) => {
                live.say(origin, text.to_string());
                Ok(())
            }
            (Face::View(_), None) => Ok(()),
        }
    }

    /// Shows and counts what arrived.
    pub(crate) fn arrival(&mut self, arrival: &Arrival) -> Result<(), Failure> {
        let told = Told::of(&arrival.what);
        let shown = match &mut self.face {
            Face::Lines(show) => show.arrival(arrival, &told),
            Face::View(_) => Ok(()),
        };
        match &self.live {
            Some(live) => live.arrival(arrival, told, UnixMicros::now()),
            None => self.tally.count(&told),
        }
        shown.map_err(Failure::Output)?;
        self.remark()
    }

    /// Says what the memory and the file have to say.
    fn remark(&mut self) -> Result<(), Failure> {
        let remarks = self.live.as_ref().map(|live| live.remarks());
        for remark in remarks.unwrap_or_default() {
            self.line(Origin::Hermon, remark)?;
        }
        Ok(())
    }

    /// Returns the number of points so far.
    pub(crate) fn points(&self) -> u64 {
        match &self.live {
            Some(live) => live.look(|inside| inside.tally.points),
            None => self.tally.points,
        }
    }

    /// Leaves the view and prints the console's last lines on the terminal as it was before. Lines go on.
    pub(crate) fn leave(&mut self) -> Result<(), Failure> {
        if matches!(self.face, Face::Lines(_)) {
            return Ok(());
        }
        let face = core::mem::replace(&mut self.face, Face::Lines(lines(self.plain)));
        let (Face::View(view), Face::Lines(show), Some(live)) = (face, &mut self.face, &self.live)
        else {
            return Ok(());
        };
        let closed = view.close();
        let said: Vec<_> = live.look(|inside| {
            let skip = inside.said.len().saturating_sub(LAST_WORDS);
            inside.said.iter().skip(skip).cloned().collect()
        });
        let mut said = said.iter();
        said.try_for_each(|said| show.line_at(&said.time, said.origin, &said.text))
            .and(closed)
            .map_err(Failure::Output)
    }

    /// Waits until all lines are written, for a bounded time: a reader that has stopped is not waited for.
    pub(crate) fn finish(&mut self) -> Result<(), Failure> {
        let Face::Lines(show) = &mut self.face else {
            return Ok(());
        };
        let lost = show.out().drain().map_err(Failure::Output)?;
        if lost > 0 {
            exit::say(format_args!(
                "the last {lost} lines were lost: nobody reads standard output"
            ));
        }
        Ok(())
    }

    /// Closes the file, and shows what arrived and what was lost.
    pub(crate) fn sum_up(&mut self) -> Result<(), Failure> {
        let mut text;
        match &self.live {
            None => text = self.tally.clone().with(self.losses.as_ref()).to_string(),
            Some(live) => {
                live.close();
                text = live.tally().to_string();
                for (count, what) in live.unkept() {
                    text.push_str(&format!(", {count} {what}"));
                }
                if let Some(fault) = live.fault() {
                    text.push_str(&format!(": {fault}"));
                }
            }
        }
        self.line(Origin::Hermon, text)
    }
}

/// Creates the lines on standard output. They are coloured on a terminal, unless `--plain` or the variable `NO_COLOR`
/// says otherwise (no-color.org).
fn lines(plain: bool) -> Show<Outlet> {
    let colour = !plain
        && io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let note = move |lost| {
        let mut line = Vec::new();
        let text = format!("{lost} lines lost: nobody read standard output");
        // Memory takes every line.
        Show::new(&mut line, colour)
            .line(Origin::Hermon, text)
            .unwrap_or_default();
        line
    };
    Show::new(Outlet::start(io::stdout(), note), colour)
}
