//! `hermon completions` and `hermon man`: made from the description of the command line, so they say what `--help` says.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use thiserror::Error;

use crate::cli::{Cli, Exit};

/// Options of `hermon completions`.
#[derive(Debug, Args)]
pub struct CompletionsOptions {
    /// For this shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Options of `hermon man`.
#[derive(Debug, Args)]
pub struct ManOptions {
    /// The folder; made if it is not there
    #[arg(value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// Why something was not written.
#[derive(Debug, Error)]
#[error("cannot write {0}: {1}", path.display(), source)]
pub struct WriteError {
    path: PathBuf,
    source: io::Error,
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError {
        path: path.to_owned(),
        source,
    }
}

/// Prints what a shell needs.
///
/// # Errors
/// [`WriteError`].
pub fn completions(options: &CompletionsOptions) -> Result<Exit, WriteError> {
    let mut text = Vec::new();
    clap_complete::generate(options.shell, &mut Cli::command(), "hermon", &mut text);
    let written = io::stdout().write_all(&text);
    written.map_err(failed(Path::new("standard output")))?;
    Ok(Exit::Success)
}

/// Writes `hermon.1` and a page for each subcommand, `hermon-run.1` and so on.
///
/// # Errors
/// [`WriteError`].
pub fn man(options: &ManOptions) -> Result<Exit, WriteError> {
    let folder = &options.folder;
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let mut command = Cli::command();
    command.build();
    page(folder, "hermon", &command)?;
    for subcommand in command
        .get_subcommands()
        .filter(|sub| sub.get_name() != "help")
    {
        page(
            folder,
            &format!("hermon-{}", subcommand.get_name()),
            subcommand,
        )?;
    }
    Ok(Exit::Success)
}

fn page(folder: &Path, name: &str, command: &Command) -> Result<(), WriteError> {
    let path = folder.join(format!("{name}.1"));
    let mut text = Vec::new();
    let page = Man::new(command.clone()).title(name);
    page.render(&mut text)
        .and_then(|()| fs::write(&path, text))
        .map_err(failed(&path))
}
