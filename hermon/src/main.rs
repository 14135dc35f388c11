//! `hermon`: see `hermon --help`.
#![deny(unsafe_code)]

use std::process::ExitCode;

use clap::Parser;
use hermon::cli::{Cli, Exit, Task};
use hermon::{run, watch};

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Task::Watch(options) => {
            watch::watch(&options).map_err(|error| (Exit::Machine, error.to_string()))
        }
        Task::Run(options) => run::run(&options).map_err(|error| (error.exit(), error.to_string())),
    };
    result
        .unwrap_or_else(|(exit, message)| {
            eprintln!("hermon: {message}");
            exit
        })
        .into()
}
