//! Replies on standard output.

use std::io::{self, Write};

use crate::control::client::{self, Client, ClientError};
use crate::exit::{Exit, Failure};

/// Sends each command and prints its reply. All are sent, even if one is answered with an error.
pub(super) fn answer(
    client: &mut Client,
    commands: impl Iterator<Item = Result<String, Failure>>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for command in commands {
        let reply = client.ask(&command?).map_err(ClientError::failure)?;
        if let Some(reply) = reply {
            print(&reply)?;
            if client::is_error(&reply) {
                exit = Exit::Guest;
            }
        }
    }
    Ok(exit)
}

/// Prints a line.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    writeln!(io::stdout(), "{text}").map_err(Failure::Output)
}
