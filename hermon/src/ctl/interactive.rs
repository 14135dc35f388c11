//! Reads commands from a terminal, with history and completion, or from standard input line by line.

use std::io::{self, BufRead, IsTerminal};
use std::path::PathBuf;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::answer::{NOT_TEXT, answer, print};
use crate::control::client::{self, Client, ClientError};
use crate::control::complete::Words;
use crate::exit::{Exit, Failure};

/// The number of commands that the history keeps. Nobody looks for older ones.
const HISTORY: usize = 1_000;

impl Completer for Words {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(Self::complete(self, &line[..at]))
    }
}

impl Hinter for Words {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        let [letter] = line.as_bytes() else {
            return None;
        };
        let (form, meaning) = self
            .commands
            .iter()
            .find(|(form, _)| form.as_bytes().first() == Some(letter))?;
        Some(format!("{}   {meaning}", form.get(1..).unwrap_or_default()))
    }
}

impl Highlighter for Words {}
impl Validator for Words {}
impl Helper for Words {}

fn failed(error: ReadlineError) -> Failure {
    Failure::machine(format_args!("cannot use this terminal: {error}"))
}

/// Asks for commands until the end of the input. Returns exit code 1 if the last reply is an error, as a shell does.
pub(super) fn run(client: &mut Client) -> Result<Exit, Failure> {
    if !io::stdin().is_terminal() {
        let lines = io::stdin().lock().split(b'\n').map(|line| {
            let line = line.map_err(Failure::system("cannot read standard input"))?;
            let line = line.strip_suffix(b"\r").unwrap_or(&line);
            Ok(String::from_utf8(line.to_owned()).ok())
        });
        return answer(client, lines);
    }
    let mut question = |command| {
        let reply = client.ask(command).map_err(ClientError::failure);
        reply.map(Option::unwrap_or_default)
    };
    let words = Words::of(&question("?")?, &question("S")?, &question("l*")?);
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(HISTORY)
        .map_err(failed)?
        .auto_add_history(true)
        .build();
    let mut editor: Editor<Words, FileHistory> = Editor::with_config(config).map_err(failed)?;
    editor.set_helper(Some(words));
    let history = history();
    if let Some(path) = &history {
        // At the first time there is no history.
        drop(editor.load_history(path));
    }
    print("? lists the commands, Tab completes, Ctrl-D ends")?;
    let exit = prompt(client, &mut editor);
    if let Some(path) = &history {
        // A history that cannot be kept is not a reason to fail.
        drop(editor.save_history(path));
    }
    exit
}

fn prompt(client: &mut Client, editor: &mut Editor<Words, FileHistory>) -> Result<Exit, Failure> {
    let mut exit = Exit::Success;
    loop {
        let line = match editor.readline("hermon> ") {
            Ok(line) => line,
            // As in shells: Ctrl-C discards the line, Ctrl-D ends.
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(exit),
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::InvalidData => {
                print(NOT_TEXT)?;
                exit = Exit::Guest;
                continue;
            }
            Err(error) => return Err(failed(error)),
        };
        // The image closes a connection that is idle for a minute; a person may think for longer.
        let reply = match client.ask(&line) {
            Err(ClientError::Closed { .. } | ClientError::Broken { .. }) => {
                client.reconnect().and_then(|()| client.ask(&line))
            }
            reply => reply,
        };
        if let Some(reply) = reply.map_err(ClientError::failure)? {
            print(&by_item(&line, &reply))?;
            exit = match client::is_error(&reply) {
                true => Exit::Guest,
                false => Exit::Success,
            };
        }
    }
}

/// Writes a long reply item by item, because that is easier to read.
fn by_item(command: &str, reply: &str) -> String {
    let list = client::text(reply).unwrap_or(reply);
    match command {
        "?" => list.replace("; ", "\n"),
        "S" => list.replace(';', "\n"),
        _ => reply.to_owned(),
    }
}

/// Returns the path of the history: the place for state in XDG's base directory specification.
fn history() -> Option<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/state"));
    let state = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let folder = state.or_else(home)?.join("hermon");
    std::fs::create_dir_all(&folder).ok()?;
    Some(folder.join("ctl-history"))
}
