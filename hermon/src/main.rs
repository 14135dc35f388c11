//! `hermon`: see `hermon --help`.
#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use hermon::cli::{Cli, Exit, Task};
use hermon::{convert, ctl, manual, report, run, trace, watch};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Task::Watch(options) => {
            watch::watch(&options).map_err(|error| (Exit::Machine, error.to_string()))
        }
        Task::Run(options) => run::run(&options).map_err(|error| (error.exit(), error.to_string())),
        Task::Trace(options) => {
            trace::trace(&options).map_err(|error| (error.exit(), error.to_string()))
        }
        Task::Report(options) => {
            report::report(&options).map_err(|error| (error.exit(), error.to_string()))
        }
        Task::Convert(options) => {
            convert::convert(&options).map_err(|error| (error.exit(), error.to_string()))
        }
        Task::Completions(options) => {
            manual::completions(&options).map_err(|error| (Exit::Machine, error.to_string()))
        }
        Task::Man(options) => {
            manual::man(&options).map_err(|error| (Exit::Machine, error.to_string()))
        }
        Task::Ctl(options) => ctl::ctl(&options).map_err(|error| (error.exit(), error.to_string())),
    };
    result
        .unwrap_or_else(|(exit, message)| {
            eprintln!("hermon: {message}");
            exit
        })
        .into()
}
