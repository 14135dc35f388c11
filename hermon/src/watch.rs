//! `hermon watch`: shows the metrics that arrive.

use core::net::SocketAddr;

use clap::Args;

use crate::address::Addresses;
use crate::control::Control;
use crate::desk::{Desk, DeskOptions, Event, ears};
use crate::exit::{Exit, Failure};
use crate::receive::{MAX_WAITING, Port};
use crate::said::Origin;
use crate::taker::Taker;

/// Options of `hermon watch`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The address on which to listen, for UDP and TCP; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8094")]
    listen: SocketAddr,
    #[command(flatten)]
    desk: DeskOptions,
    /// The image's control port, for the switches on the page; for several images, each by its tag vm
    #[arg(long, value_name = "ADDRESS:PORT[,VM=ADDRESS:PORT]", requires = "web")]
    control: Option<Addresses>,
    /// The image's memtrace port, for heap traces taken on the page; for several images, each by its tag vm
    #[arg(long, value_name = "ADDRESS:PORT[,VM=ADDRESS:PORT]", requires = "web")]
    trace: Option<Addresses>,
    /// The token that the ports of the images require
    #[arg(
        long,
        value_name = "SECRET",
        requires = "web",
        env = "HERMON_TOKEN",
        hide_env_values = true
    )]
    token: Option<String>,
    /// End after so many points
    #[arg(long, value_name = "N")]
    points: Option<u64>,
}

/// Shows what arrives, in a view on a terminal and otherwise as lines. It ends at Ctrl-C, SIGTERM or SIGHUP, or after
/// the number of points that was asked for. Then it prints what arrived and what was lost.
pub(crate) fn watch(options: &Options) -> Result<Exit, Failure> {
    let port = Port::open(options.listen).map_err(|error| {
        Failure::machine(format_args!(
            "{error}: choose another with --listen ADDRESS:PORT"
        ))
    })?;
    let (to, from, ending) = ears()?;
    let controls = options.control.clone().unwrap_or_default();
    let controls = controls.map(|&address| Control::new(address, options.token.clone()));
    let address = port.address();
    let traces = options.trace.clone().unwrap_or_default();
    let taker = Taker::new(traces, options.token.clone());
    let mut desk = Desk::open(
        &options.desk,
        &address.to_string(),
        controls,
        taker,
        &ending,
    )?;
    desk.line(
        Origin::Hermon,
        format_args!("listening on {address} for udp and tcp"),
    )?;
    desk.say_page()?;
    desk.watches(port.start(to));

    while options.points.is_none_or(|points| desk.points() < points) {
        match from.recv() {
            Ok(Event::Arrival(arrival)) => desk.arrival(&arrival)?,
            Ok(Event::Said(_) | Event::Interrupted) => {}
            Err(_) => break,
        }
        if ending.cause().is_some() {
            // Data from before the signal is shown. Data that keeps coming is not waited for.
            for event in from.try_iter().take(MAX_WAITING) {
                if let Event::Arrival(arrival) = event {
                    desk.arrival(&arrival)?;
                }
            }
            break;
        }
    }
    desk.leave()?;
    desk.sum_up()?;
    desk.finish()?;
    Ok(Exit::Success)
}
