//! Replies on standard output.

use std::io::{self, Write};

use crate::control::client::{self, Client, ClientError};
use crate::exit::{Exit, Failure};

/// The reply to a line that is no text: the image's, but the line is not sent.
pub(super) const NOT_TEXT: &str = "error: command is not UTF-8";

/// Sends each command and prints its reply. All are sent, even if one is answered with an error. `None` stands for a
/// line that is no text.
pub(super) fn answer(
    client: &mut Client,
    commands: impl Iterator<Item = Result<Option<String>, Failure>>,
) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    for command in commands {
        let reply = match command? {
            Some(command) => client.ask(&command).map_err(ClientError::failure)?,
            None => Some(NOT_TEXT.to_owned()),
        };
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
