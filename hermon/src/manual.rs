//! `hermon completions` and `hermon man`: made from the description of the command line, so they match `--help`.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use crate::exit::{Exit, Failure};

/// Options of `hermon completions`.
#[derive(Debug, Args)]
pub(crate) struct CompletionsOptions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Options of `hermon man`.
#[derive(Debug, Args)]
pub(crate) struct ManOptions {
    /// The folder; created if it does not exist
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Prints the completions of this command line for a shell.
pub(crate) fn completions(
    options: &CompletionsOptions,
    mut command: Command,
) -> Result<Exit, Failure> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut command, "hermon", &mut text);
    io::stdout().write_all(&text).map_err(Failure::Output)?;
    Ok(Exit::Success)
}

/// Writes `hermon.1` and a page for each subcommand, `hermon-run.1` and so on.
pub(crate) fn man(options: &ManOptions, mut command: Command) -> Result<Exit, Failure> {
    let folder = &options.folder;
    fs::create_dir_all(folder).map_err(failed(folder))?;
    command.build();
    page(folder, "hermon", &command)?;
    for subcommand in command.get_subcommands() {
        match subcommand.get_name() {
            "help" => {}
            name => page(folder, &format!("hermon-{name}"), subcommand)?,
        }
    }
    Ok(Exit::Success)
}

fn page(folder: &Path, name: &str, command: &Command) -> Result<(), Failure> {
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    let page = Man::new(command.clone()).title(name);
    page.render(&mut text)
        .and_then(|()| fs::write(&path, text))
        .map_err(failed(&path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure {
    Failure::system(format!("cannot write {}", path.display()))
}
