//! The tool `hermon`: the host's side of Hermit monitoring. Not a library: what is public here is what its own tests need.
//!
//! Its modules, from low to high. A module uses those above it in this table, never one below (`tests/floors.rs` holds that).
//!
//! | module | what it is |
//! |---|---|
//! | `exit` | how the tool ends |
//! | `meaning`, `point` | what a field means; a line of the protocol as a value |
//! | `format` | values for people |
//! | `dropped`, `receive` | datagrams that the system dropped; line protocol over UDP and TCP from one port |
//! | `said`, `tally`, `show` | what lines are made of; what has arrived and what was lost; lines in a terminal |
//! | `store` | recent points in bounded memory |
//! | `database`, `recorder` | points in a file that survives restarts, and the thread that writes it |
//! | `live` | what has come so far, shared by all who show it |
//! | [`terminal`], `ending` | the terminal is taken over and given back; a signal ends the tool and its guest, whatever else goes on |
//! | [`address`], `control` | where images are; the client of their control port |
//! | [`progress`], [`capture`], `taker` | a trace is taken from an image: how far it is, into a file, for the page |
//! | `view`, `web` | the terminal view; the page: live charts, switches, log levels, the heap profile |
//! | `desk` | where all that a session hears comes together |
//! | `watch`, `run` | the subcommands that receive and boot |
//! | `report`, `convert`, `trace` | the subcommands that say what is in a heap trace, write it for other tools, and take it |
//! | `ctl`, `manual` | the subcommand that talks to a control port; manual pages and completions |
//! | `cli` | the command line |
//!
//! Below the tool are the crates `hermon-machine` (boots images), `hermon-heap` (reads traces) and `hermon-amounts` (times and
//! numbers). Needs Rust 1.91. Runs on the host, never in an image.
#![deny(unsafe_code)]
#![warn(unreachable_pub)]

pub mod address;
pub mod capture;
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
mod point;
pub mod progress;
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
