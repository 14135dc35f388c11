//! The tool `hermon`: the host's side of Hermit monitoring. This is not a library; only its own tests use what is
//! public here.
//!
//! Its modules, from low to high. A module uses only modules above it in this table (`tests/floors.rs` checks that).
//!
//! | module | content |
//! |---|---|
//! | `exit` | exit codes and failures |
//! | `meaning`, `point` | the meaning of a field; a line of the protocol as a value |
//! | `format` | values for people |
//! | `dropped`, `receive` | datagrams that the system dropped; line protocol over UDP and TCP from one port |
//! | `said`, `tally`, `show` | the parts of a line; what has arrived and what was lost; lines in a terminal |
//! | `outlet` | standard output behind a queue, so that a reader that has stopped delays nothing |
//! | `store` | recent points in bounded memory |
//! | `database`, `recorder` | points in a file that survives restarts, and the thread that writes it |
//! | `live` | everything that has come so far, shared by view and page |
//! | [`terminal`], `ending` | takes the terminal over and gives it back; ends the tool and its guest after a signal |
//! | `address`, `control` | the addresses of images; the client of their control port |
//! | `progress`, `capture`, `taker` | a trace from an image: its progress, into a file, for the page |
//! | `view`, `web` | the terminal view; the page: live charts, switches, log levels, the heap profile |
//! | `desk` | the outputs of a session |
//! | `watch`, `run` | the subcommands that receive and boot |
//! | `report`, `convert`, `trace` | the subcommands that report on a heap trace, convert it, and take it |
//! | `ctl`, `manual` | the subcommand for a control port; manual pages and completions |
//! | `cli` | the command line |
//!
//! Below the tool are the crates `hermon-machine` (boots images), `hermon-heap` (reads traces) and `hermon-amounts`
//! (times and numbers). Needs Rust 1.91. Runs on the host, never in an image.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]
// They panic where nobody reads: `exit::say` and the writers of the outputs do not.
#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod address;
mod alive;
mod capture;
mod cli;
mod control;
mod convert;
mod ctl;
mod database;
mod desk;
mod dropped;
mod ending;
mod exit;
mod format;
mod live;
mod manual;
mod meaning;
mod outlet;
mod point;
mod progress;
mod proof;
mod receive;
mod recorder;
mod report;
mod run;
mod said;
mod show;
mod store;
mod taker;
mod tally;
pub mod terminal;
mod trace;
mod view;
mod watch;
mod web;

/// Does what the process's arguments say.
pub fn main() -> std::process::ExitCode {
    cli::perform().into()
}
