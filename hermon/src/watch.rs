//! `hermon watch`: shows the metrics that arrive.

use std::io;
use std::sync::mpsc::sync_channel;

use thiserror::Error;

use crate::cli::{Exit, WatchOptions};
use crate::desk::{Desk, DeskError};
use crate::ending::Ending;
use crate::receive::{Arrival, BindError, MAX_WAITING, Port};
use crate::show::Origin;
use crate::web::Controls;

/// Why nothing can be watched.
#[derive(Debug, Error)]
pub enum WatchError {
    /// The port cannot be had.
    #[error("{0}: choose another with --listen ADDRESS:PORT")]
    Port(#[from] BindError),
    /// Ctrl-C cannot be caught.
    #[error("cannot catch signals: {0}")]
    Signals(io::Error),
    /// What it should be shown or kept with.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The output cannot be written.
    #[error("cannot write to standard output: {0}")]
    Output(#[from] io::Error),
}

enum Event {
    Arrival(Arrival),
    Interrupted,
}

impl From<Arrival> for Event {
    fn from(arrival: Arrival) -> Self {
        Self::Arrival(arrival)
    }
}

/// Shows what arrives, in a view on a terminal and else as lines, until Ctrl-C, SIGTERM or SIGHUP, or until as many points as asked for have come; then what arrived and what was lost.
///
/// # Errors
/// [`WatchError`].
pub fn watch(options: &WatchOptions) -> Result<Exit, WatchError> {
    let port = Port::open(options.listen)?;
    let (to, from) = sync_channel(MAX_WAITING);
    let ending = Ending::on_signals({
        let to = to.clone();
        // When the channel is full, nobody needs to be woken.
        move || drop(to.try_send(Event::Interrupted))
    })
    .map_err(WatchError::Signals)?;
    let controls = options
        .control
        .as_ref()
        .map(|addresses| Controls::at(addresses, options.token.as_ref()))
        .unwrap_or_default();
    let title = port.address().to_string();
    let traces = options.trace.clone().unwrap_or_default();
    let mut desk = Desk::open(&options.desk, &title, controls, traces, &ending)?;
    desk.line(
        Origin::Hermon,
        format_args!("listening on {} for udp and tcp", port.address()),
    )?;
    desk.say_page()?;
    let address = port.address();
    desk.watches(address, port.start(to));

    while options.points.is_none_or(|points| desk.points() < points) {
        match from.recv() {
            Ok(Event::Arrival(arrival)) => desk.arrival(&arrival)?,
            Ok(Event::Interrupted) => {}
            Err(_) => break,
        }
        if ending.cause().is_some() {
            // What had come before the signal is shown; what keeps coming is not waited for.
            for event in from.try_iter().take(MAX_WAITING) {
                if let Event::Arrival(arrival) = event {
                    desk.arrival(&arrival)?;
                }
            }
            break;
        }
    }
    desk.leave(options.desk.plain)?;
    desk.sum_up()?;
    Ok(Exit::Success)
}
