//! `hermon ctl`: sends commands to an image's control port.

mod answer;
mod interactive;

use clap::Args;

use crate::address::Address;
use crate::control::client::{self, Client, ClientError, REPLY};
use crate::exit::{Exit, Failure};

/// Options of `hermon ctl`.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The image, as HOST or HOST:PORT; the port is 2323 if none is given
    #[arg(value_name = "ADDRESS")]
    address: Address,
    /// Commands, sent one after the other, such as ? or 'Lapp:debug'; without one, a prompt on a terminal, otherwise
    /// lines from standard input
    #[arg(value_name = "COMMAND", allow_hyphen_values = true)]
    commands: Vec<String>,
    #[command(flatten)]
    secret: client::Secret,
}

/// Runs `hermon ctl`. A reply that is an error is not a failure: it is printed like any other, and the exit code
/// reports it.
pub(crate) fn ctl(options: &Options) -> Result<Exit, Failure> {
    let mut commands = options.commands.iter();
    if let Some(command) = commands.find(|command| !client::is_a_line(command)) {
        return Err(ClientError::NotALine(command.clone()).failure());
    }
    let mut client = Client::connect(&options.address, options.secret.token(), REPLY)
        .map_err(ClientError::failure)?;
    if options.commands.is_empty() {
        return interactive::run(&mut client);
    }
    answer::answer(
        &mut client,
        options.commands.iter().cloned().map(|it| Ok(Some(it))),
    )
}
