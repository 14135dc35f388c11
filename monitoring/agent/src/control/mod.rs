//! The control port without its sockets: the commands of a client, their effects, and the replies.
//!
//! ```text
//!  bytes ─▶ Session ─ a line ─▶ Door ─▶ Command::parse ─▶ answer ─▶ Reply ─▶ bytes
//!                              token      a borrowed        │         a line, or a Listing that
//!                                         command           ▼         is written as it is taken
//!                                               Managed: sources, log levels, status, heap profiler
//! ```
//!
//! The grammar and the replies are those of `mirage-monitoring` 0.0.7, with repairs. A command ends with a line, not
//! with a segment; a connection takes many commands; a reply ends with a line feed. A command with an unknown name is
//! an error, and then none of its parts is executed.
//!
//! To add a command: a row in [`COMMANDS`], which is its help; a variant of [`Command`] and an arm of its `parse`; an
//! arm of [`answer`]. A reply that may be longer than [`REPLY_MAX`](network::bounds::REPLY_MAX) is a variant of
//! `Item` in `listing.rs`, with a constructor of [`Listing`]. `cargo test -p agent` says what is still missing, and how
//! to accept it.

mod answer;
mod command;
mod foreign;
mod listing;
mod profiler;
mod reply;
mod service;
mod session;
mod status;
mod switches;

pub use self::answer::{Managed, answer};
pub use self::command::{COMMANDS, Command, CommandError, Help, PROTOCOL, Query};
pub use self::listing::{Listing, Which};
pub use self::reply::{Full, Reply};
pub use self::service::{Control, Serving};
pub use self::session::{ControlCounts, SESSION_BYTES, Session};
pub use self::status::Status;
pub use self::switches::{Switch, Switches, SwitchesError};
