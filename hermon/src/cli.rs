//! The command line and the exit codes.

use core::net::SocketAddr;
use core::time::Duration;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::amount;
use crate::control::Addresses;
use crate::qemu::{Machine, Memory};

const EXIT_CODES: &str = "\
Exit codes:
  0    all went well: the guest ended with success, or the watch was ended
  1    the guest ended with failure; `ctl`: a reply was an error; `trace`, `report`, `convert`: the trace breaks its format,
       and all before that was used
  2    bad arguments
  3    something on this machine is missing or in the way; one line on standard error says what to do
  130  `run` was ended by Ctrl-C, the key q, SIGTERM or SIGHUP, and the guest with it; or `watch` with lines that its
       output did not take";

/// How the tool ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All went well.
    Success,
    /// The guest ended with failure, answered with an error, or wrote a trace that breaks its format.
    Guest,
    /// Bad arguments that only a look at all of them shows; clap ends with the same code for the others.
    Arguments,
    /// Something on this machine is missing or in the way.
    Machine,
    /// By Ctrl-C (128 + SIGINT, as shells count), or another signal that asks for the end.
    Interrupted,
}

impl Exit {
    /// The process's exit code.
    pub const fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Guest => 1,
            Self::Arguments => 2,
            Self::Machine => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// The host's side of Hermit monitoring.
#[derive(Debug, Parser)]
#[command(name = "hermon", version, about, after_help = EXIT_CODES, subcommand_required = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Task,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Task {
    /// Show the metrics that arrive, in line protocol over UDP and TCP: a view on a terminal, else lines
    #[command(after_help = EXIT_CODES)]
    Watch(WatchOptions),
    /// Boot an image under QEMU; show its console and the metrics that it sends
    #[command(after_help = EXIT_CODES)]
    Run(RunOptions),
    /// Take a heap trace from an image, keep it and report on it
    #[command(after_help = EXIT_CODES)]
    Trace(crate::trace::Options),
    /// Report on a heap trace: who allocates, what is alive, what grows
    #[command(after_help = EXIT_CODES)]
    Report(crate::report::Options),
    /// Write a heap trace as other tools read it
    #[command(after_help = EXIT_CODES)]
    Convert(crate::convert::Options),
    /// Send commands to an image's control port
    #[command(after_help = EXIT_CODES)]
    Ctl(crate::ctl::Options),
    /// Print what a shell needs to complete the tool's arguments
    Completions(crate::manual::CompletionsOptions),
    /// Write the manual, a page for each subcommand, into a folder
    Man(crate::manual::ManOptions),
}

/// How a session is shown and kept: the same for all subcommands that receive.
#[derive(Debug, Clone, Args)]
pub struct DeskOptions {
    /// Lines without colours instead of the view, also on a terminal
    #[arg(long)]
    pub plain: bool,
    /// Keep the points in this file, and begin with those that it has
    #[arg(long, value_name = "FILE")]
    pub db: Option<PathBuf>,
    /// Remove from the file what is older
    #[arg(long, value_name = "AGE", default_value = "7d", value_parser = amount::duration)]
    pub db_age: Duration,
    /// Remove the oldest from the file when it would be larger
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = amount::size)]
    pub db_size: u64,
    /// Serve a page with live charts, switches and the heap profile here; port 0 is any free one
    #[arg(
        long,
        value_name = "[ADDRESS:]PORT",
        num_args = 0..=1,
        default_missing_value = "127.0.0.1:8080",
        value_parser = amount::address
    )]
    pub web: Option<SocketAddr>,
    /// Show this heap profile on the page: folded stacks, or a document of speedscope
    #[arg(long, value_name = "FILE", requires = "web")]
    pub profile: Option<PathBuf>,
}

/// Options of `hermon watch`.
#[derive(Debug, Args)]
pub struct WatchOptions {
    /// Where to listen, for UDP and TCP; port 0 is any free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8094")]
    pub listen: SocketAddr,
    /// How it is shown and kept.
    #[command(flatten)]
    pub desk: DeskOptions,
    /// Where the image's control port is, for the switches on the page; for several images, each by its tag vm
    #[arg(long, value_name = "ADDRESS:PORT[,VM=ADDRESS:PORT]", requires = "web")]
    pub control: Option<Addresses>,
    /// Where the image's memtrace port is, for heap traces taken on the page; for several images, each by its tag vm
    #[arg(long, value_name = "ADDRESS:PORT[,VM=ADDRESS:PORT]", requires = "web")]
    pub trace: Option<Addresses>,
    /// The token that the control port wants
    #[arg(
        long,
        value_name = "SECRET",
        requires = "control",
        env = "HERMON_TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// End after so many points
    #[arg(long, value_name = "N")]
    pub points: Option<u64>,
}

/// Which accelerator to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AccelChoice {
    /// KVM if a probe boot of the image works with it, else TCG
    Auto,
    /// KVM
    Kvm,
    /// QEMU's translator
    Tcg,
}

/// The heap that the demo image is built with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Heap {
    /// talc
    Talc,
    /// linked_list_allocator
    LinkedList,
}

/// Options of `hermon run`.
#[derive(Debug, Args)]
pub struct RunOptions {
    /// The machine type
    #[arg(long, value_enum, default_value = "q35")]
    pub machine: Machine,
    /// The guest's memory, such as 24M or 8G
    #[arg(long, value_name = "SIZE", default_value = "64M")]
    pub memory: Memory,
    /// QEMU's processor model; the most capable one if not given
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<String>,
    /// Who executes the guest's instructions
    #[arg(long, value_enum, default_value = "auto")]
    pub accel: AccelChoice,
    /// Port on 127.0.0.1 that leads to the guest's control port; 0: none
    #[arg(long, value_name = "PORT", default_value_t = crate::application::CONTROL_PORT)]
    pub control_port: u16,
    /// Port on 127.0.0.1 that leads to the guest's port for traces; 0: none
    #[arg(long, value_name = "PORT", default_value_t = crate::application::MEMTRACE_PORT)]
    pub memtrace_port: u16,
    /// Port on 127.0.0.1 where metrics are received; 0: any free one
    #[arg(long, value_name = "PORT", default_value_t = 8094)]
    pub influx_port: u16,
    /// The guest sends its metrics by UDP (the default)
    #[arg(long, conflicts_with = "tcp")]
    pub udp: bool,
    /// The guest sends its metrics by TCP
    #[arg(long)]
    pub tcp: bool,
    /// The heap to build the image with
    #[arg(long, value_enum, default_value = "talc", conflicts_with = "image")]
    pub heap: Heap,
    /// How it is shown and kept.
    #[command(flatten)]
    pub desk: DeskOptions,
    /// The image to boot, as it is
    #[arg(long, value_name = "FILE")]
    pub image: Option<PathBuf>,
    /// The program that builds the image when none is given: gets `--heap NAME`, prints the image's path last
    #[arg(long, value_name = "PROGRAM", default_value = "scripts/build.sh")]
    pub build: PathBuf,
    /// The QEMU to run
    #[arg(
        long,
        value_name = "PROGRAM",
        default_value = "qemu-system-x86_64",
        env = "QEMU"
    )]
    pub qemu: PathBuf,
    /// Arguments of the application
    #[arg(last = true, value_name = "APPLICATION ARGUMENTS")]
    pub arguments: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn run_options(line: &str) -> Result<RunOptions, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| match cli.command {
            Task::Run(options) => options,
            _ => panic!("{line} is not run"),
        })
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn all_after_two_dashes_is_the_applications() {
        let options = run_options("hermon run --memory 24M -- --vm=a --memory 1 -h").unwrap();
        assert_eq!(options.arguments, ["--vm=a", "--memory", "1", "-h"]);
        assert_eq!(Some(options.memory), Memory::mib(24));
    }

    #[test]
    fn transports_exclude_each_other_and_so_do_image_and_heap() {
        assert!(run_options("hermon run --udp --tcp").is_err());
        assert!(run_options("hermon run --image a --heap talc").is_err());
    }

    #[test]
    fn a_page_is_on_loopback_unless_an_address_is_given() {
        for (line, address) in [
            ("hermon run --web", "127.0.0.1:8080"),
            ("hermon run --web 0", "127.0.0.1:0"),
            ("hermon run --web 9000 -- --vm a", "127.0.0.1:9000"),
            ("hermon run --web 0.0.0.0:80", "0.0.0.0:80"),
        ] {
            let web = run_options(line).unwrap().desk.web;
            assert_eq!(web, Some(address.parse().unwrap()), "{line}");
        }
        assert!(run_options("hermon run --profile a").is_err());
        let watch = |line: &str| Cli::try_parse_from(line.split(' ')).is_ok();
        assert!(watch(
            "hermon watch --web 0 --trace 127.0.0.1:4242,a=10.0.0.7:4242"
        ));
        assert!(!watch("hermon watch --trace 127.0.0.1:4242"));
        assert!(!watch("hermon watch --web 0 --trace 4242"));
    }

    #[test]
    fn a_bad_value_is_named() {
        let error = run_options("hermon run --memory 1T")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("\"1T\" is not an amount of memory"),
            "{error}"
        );
    }

    #[test]
    fn help_lists_the_exit_codes() {
        let help = Cli::command().render_help().to_string();
        assert!(help.contains("130  `run` was ended by Ctrl-C"), "{help}");
    }
}
