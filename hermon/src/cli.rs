//! The command line: the top of the tool. Everything else is below it and knows nothing of it.

use clap::{CommandFactory, Parser, Subcommand};

use crate::exit::{self, Exit, Failure};
use crate::{convert, ctl, manual, report, run, trace, watch};

const EXIT_CODES: &str = "\
Exit codes:
  0    success: the guest ended with success, or the watch was ended
  1    the guest ended with failure; `ctl`: a reply was an error; `trace`, `report`, `convert`: the trace breaks its format,
       and all before that was used
  2    bad arguments
  3    something on this machine is missing or in the way; one line on standard error says what to do
  130  `run` was ended by Ctrl-C, the key q, SIGTERM or SIGHUP, and the guest with it; or `watch` was, before its
       output took all lines";

/// The host's side of Hermit monitoring.
#[derive(Debug, Parser)]
#[command(name = "hermon", version, about, after_help = EXIT_CODES, subcommand_required = true)]
struct Cli {
    /// The subcommand.
    #[command(subcommand)]
    command: Task,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
enum Task {
    /// Show the metrics that arrive, in line protocol over UDP and TCP: a view on a terminal, otherwise lines
    #[command(after_help = EXIT_CODES)]
    Watch(watch::Options),
    /// Boot an image under QEMU; show its console and the metrics that it sends
    #[command(after_help = EXIT_CODES)]
    Run(Box<run::Options>),
    /// Take a heap trace from an image, keep it and report on it
    #[command(after_help = EXIT_CODES)]
    Trace(trace::Options),
    /// Report on a heap trace: which code allocates, what is alive, what grows
    #[command(after_help = EXIT_CODES)]
    Report(report::Options),
    /// Convert a heap trace for other tools
    #[command(after_help = EXIT_CODES)]
    Convert(convert::Options),
    /// Send commands to an image's control port
    #[command(after_help = EXIT_CODES)]
    Ctl(ctl::Options),
    /// Print the completions of the tool's arguments for a shell
    Completions(manual::CompletionsOptions),
    /// Write the manual, a page for each subcommand, into a folder
    Man(manual::ManOptions),
}

impl Task {
    fn perform(&self) -> Result<Exit, Failure> {
        match self {
            Self::Watch(options) => watch::watch(options),
            Self::Run(options) => run::run(options),
            Self::Trace(options) => trace::trace(options),
            Self::Report(options) => report::report(options),
            Self::Convert(options) => convert::convert(options),
            Self::Ctl(options) => ctl::ctl(options),
            Self::Completions(options) => manual::completions(options, Cli::command()),
            Self::Man(options) => manual::man(options, Cli::command()),
        }
    }
}

/// Does what this process's arguments say. A failure is one line on standard error.
pub(crate) fn perform() -> Exit {
    Cli::parse().command.perform().unwrap_or_else(|failure| {
        exit::say(&failure);
        failure.exit()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hermon_machine::qemu::Memory;

    fn run_options(line: &str) -> Result<run::Options, clap::Error> {
        Cli::try_parse_from(line.split(' ')).map(|cli| match cli.command {
            Task::Run(options) => *options,
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
