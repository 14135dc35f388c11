//! Where all that a session hears comes together: lines or the view, the file, the page.
//!
//! ```text
//!  arrivals, console ──▶ Desk ──▶ lines on standard output            (--plain, or no terminal)
//!                          └────▶ Live ──▶ view, page, file           (what of them there is)
//! ```

use core::fmt;
use core::net::SocketAddr;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::io::{self, IsTerminal, Stdout};
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use crate::cli::DeskOptions;
use crate::clock::unix_now;
use crate::control::Addresses;
use crate::database::{Database, DatabaseError, Keep};
use crate::dropped;
use crate::ending::Ending;
use crate::live::Live;
use crate::profile::{ProfileError, ProfileFile, ProfileSource};
use crate::receive::Arrival;
use crate::show::{Origin, Show};
use crate::taker::Taker;
use crate::tally::Tally;
use crate::view::draw::Around;
use crate::view::{self, View};
use crate::web::{self, Controls, Heap, WebError};

/// Lines of the console that are printed when the view is left: enough to see why a guest ended.
const LAST_WORDS: usize = 40;

/// How long the file may take to be closed: what is queued for it is written before the end.
const CLOSE: Duration = Duration::from_secs(10);

/// Why there is nothing to show things with.
#[derive(Debug, Error)]
pub enum DeskError {
    /// The file for the points.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The page.
    #[error(transparent)]
    Web(#[from] WebError),
    /// The profile for the page.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The terminal cannot be taken over.
    #[error("cannot draw on this terminal: {0}: use --plain")]
    View(io::Error),
}

enum Face {
    Lines(Show<Stdout>),
    View(View),
}

/// What the session's loop talks to.
pub struct Desk {
    face: Face,
    /// Whenever anything else than lines is wanted.
    live: Option<Arc<Live>>,
    page: Option<SocketAddr>,
    /// What the lines have shown; with the view, `live` counts.
    tally: Tally,
    lost: Option<(SocketAddr, Arc<AtomicU64>)>,
}

impl Desk {
    /// Opens what the options ask for. `title` says what is watched, `traces` where the page can take heap traces.
    ///
    /// # Errors
    /// [`DeskError`].
    pub fn open(
        options: &DeskOptions,
        title: &str,
        controls: Controls,
        traces: Addresses,
        ending: &Ending,
    ) -> Result<Self, DeskError> {
        let drawn = !options.plain && view::is_possible();
        let database = match &options.db {
            Some(path) => Some(Database::open(
                path,
                Keep {
                    age: options.db_age,
                    size: options.db_size,
                },
            )?),
            None => None,
        };
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
                let heap = Heap {
                    file: file(options.profile.as_ref())?,
                    taker: (!traces.is_empty()).then(|| Taker::new(traces)),
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
                Face::View(view.map_err(DeskError::View)?)
            }
            _ => Face::Lines(Show::new(io::stdout(), colour(options.plain))),
        };
        Ok(Self {
            face,
            live,
            page,
            tally: Tally::default(),
            lost: None,
        })
    }

    /// Says where the page is, if there is one, and who can open it.
    ///
    /// # Errors
    /// The output's.
    pub fn say_page(&mut self) -> io::Result<()> {
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

    /// Whose losses are told: those of the port with this address, and with this count of lines.
    pub fn watches(&mut self, address: SocketAddr, lost: Arc<AtomicU64>) {
        if let Some(live) = &self.live {
            live.watches(address, Arc::clone(&lost));
        }
        self.lost = Some((address, lost));
    }

    /// Shows a line that is no metric.
    ///
    /// # Errors
    /// The output's.
    pub fn line(&mut self, origin: Origin, text: impl fmt::Display) -> io::Result<()> {
        match (&mut self.face, &self.live) {
            (Face::Lines(show), _) => show.line(origin, text),
            (Face::View(_), Some(live)) => {
                live.say(origin, text.to_string());
                Ok(())
            }
            (Face::View(_), None) => Ok(()),
        }
    }

    /// Shows and counts what arrived.
    ///
    /// # Errors
    /// The output's.
    pub fn arrival(&mut self, arrival: &Arrival) -> io::Result<()> {
        if let Some(live) = &self.live {
            live.arrival(arrival, unix_now());
        }
        match &mut self.face {
            Face::Lines(show) => show.arrival(arrival, &mut self.tally),
            Face::View(_) => Ok(()),
        }
    }

    /// Points so far.
    pub fn points(&self) -> u64 {
        match (&self.face, &self.live) {
            (Face::View(_), Some(live)) => live.look(|inside| inside.tally.points),
            _ => self.tally.points,
        }
    }

    /// Leaves the view, with the console's last lines and the losses on the terminal as it was before; lines go on.
    ///
    /// # Errors
    /// The output's, or what ended the view before.
    pub fn leave(&mut self, plain: bool) -> io::Result<()> {
        let mut show = Show::new(io::stdout(), colour(plain));
        let Face::View(view) = core::mem::replace(
            &mut self.face,
            Face::Lines(Show::new(io::stdout(), colour(plain))),
        ) else {
            return Ok(());
        };
        let closed = view.close();
        if let Some(live) = &self.live {
            let said: Vec<_> = live.look(|inside| {
                let skip = inside.said.len().saturating_sub(LAST_WORDS);
                inside.said.iter().skip(skip).cloned().collect()
            });
            for said in said {
                show.line_at(&said.time, said.origin, said.text)?;
            }
            self.tally = live.tally();
        }
        closed
    }

    /// Closes the file, and shows what arrived and what was lost.
    ///
    /// # Errors
    /// The output's.
    pub fn sum_up(&mut self) -> io::Result<()> {
        if let Some((address, lost)) = &self.lost {
            self.tally.lost = lost.load(Ordering::Relaxed);
            self.tally.dropped = dropped::datagrams(*address).unwrap_or(0);
        }
        if let Some(live) = &self.live {
            live.close();
        }
        let mut text = self.tally.to_string();
        for (count, what) in self.live.iter().flat_map(|live| live.unkept()) {
            text.push_str(&format!(", {count} {what}"));
        }
        if let Some(fault) = self.live.as_ref().and_then(|live| live.fault()) {
            text.push_str(&format!(": {fault}"));
        }
        self.line(Origin::Hermon, text)
    }
}

fn file(path: Option<&PathBuf>) -> Result<Option<Box<dyn ProfileSource>>, ProfileError> {
    let file = path
        .map(|path| ProfileFile::open(path.clone()))
        .transpose()?;
    Ok(file.map(|file| Box::new(file) as Box<dyn ProfileSource>))
}

/// Whether to colour: on a terminal, unless `--plain` or the variable `NO_COLOR` says otherwise (no-color.org).
fn colour(plain: bool) -> bool {
    !plain
        && io::stdout().is_terminal()
        && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
