//! The person's choices: the machine, the row, the filter, the pause. Keys in, decisions out; nothing is drawn here.
//!
//! ```text
//!            / (1)              ? (3)
//!  typing ◀──────── table ────────────▶ help
//!     │   ────────▶   ▲  ◀────────────    │
//!     Enter, Esc (2)  │     any key (4)   │
//!                     └──── q, Ctrl-C: the end, from anywhere; in the filter q is a letter
//! ```

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::snapshot::{Row, Snapshot};

/// The longest filter. Names of fields are shorter.
const MAX_FILTER: usize = 64;

/// The present meaning of keys.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    /// They move in the table.
    #[default]
    Table,
    /// They are letters of the filter.
    Typing,
    /// The help is shown.
    Help,
}

/// A wish of a key that is not the state's to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Nothing more.
    Nothing,
    /// The end, by `q`.
    Quit,
    /// The end, by Ctrl-C.
    Interrupt,
    /// To be put to sleep by the shell, by Ctrl-Z.
    Suspend,
    /// Draw all anew, by Ctrl-L.
    Redraw,
}

/// The state.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    /// The meaning of keys.
    pub mode: Mode,
    /// The machine that was chosen; `None`: the first.
    pub machine: Option<String>,
    /// The row that is marked, among those that the filter leaves.
    pub row: usize,
    /// Parts of names, separated by spaces; a row must contain all.
    pub filter: String,
    /// Only losses.
    pub losses_only: bool,
    /// The picture stands still; receiving goes on.
    pub paused: bool,
    /// The pane with the console is hidden.
    pub console_hidden: bool,
    /// The console is scrolled back by so many lines.
    pub console_back: usize,
    /// Rows of the table that fitted when it was last drawn: how far a page is.
    pub page: usize,
}

impl State {
    /// The rows that the filter leaves, with each source that has any.
    pub(crate) fn rows<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Row> {
        let filter = self.filter.to_lowercase();
        let parts: Vec<&str> = filter.split_whitespace().collect();
        let mut rows = Vec::new();
        // The source's row, until it is shown; and its names.
        let (mut heading, mut names) = (None, String::new());
        for row in &snapshot.rows {
            match row {
                Row::Source { name, tags } => {
                    heading = Some(row);
                    names = format!("{name} {tags}");
                }
                Row::Field(field) => {
                    let name = format!("{names} {}", field.name).to_lowercase();
                    if parts.iter().all(|part| name.contains(part))
                        && (field.loss || !self.losses_only)
                    {
                        rows.extend(heading.take());
                        rows.push(row);
                    }
                }
            }
        }
        rows
    }

    /// Takes a key.
    pub(crate) fn key(&mut self, key: KeyEvent, snapshot: &Snapshot) -> Wish {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match (key.code, control) {
            (KeyCode::Char('c'), true) => return Wish::Interrupt,
            (KeyCode::Char('z'), true) => return Wish::Suspend,
            (KeyCode::Char('l'), true) => return Wish::Redraw,
            (_, true) => return Wish::Nothing,
            _ => {}
        }
        match self.mode {
            Mode::Typing => self.typed(key.code),
            // (4)
            Mode::Help => {
                self.mode = Mode::Table;
                if key.code == KeyCode::Char('q') {
                    return Wish::Quit;
                }
            }
            Mode::Table => return self.command(key.code, snapshot),
        }
        Wish::Nothing
    }

    fn typed(&mut self, key: KeyCode) {
        match key {
            // (2)
            KeyCode::Enter => self.mode = Mode::Table,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Table;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) if self.filter.len() < MAX_FILTER => self.filter.push(c),
            _ => {}
        }
        self.row = 0;
    }

    fn command(&mut self, key: KeyCode, snapshot: &Snapshot) -> Wish {
        let last = self.rows(snapshot).len().saturating_sub(1);
        let page = self.page.max(1);
        match key {
            KeyCode::Char('q') => return Wish::Quit,
            // (1)
            KeyCode::Char('/') => self.mode = Mode::Typing,
            // (3)
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.mode = Mode::Help,
            KeyCode::Esc => {
                self.filter.clear();
                self.losses_only = false;
            }
            KeyCode::Char('p' | ' ') => self.paused = !self.paused,
            KeyCode::Char('l') => self.losses_only = !self.losses_only,
            KeyCode::Char('c') => self.console_hidden = !self.console_hidden,
            KeyCode::Char('[') => {
                self.console_back = (self.console_back + 1).min(snapshot.said.len());
            }
            KeyCode::Char(']') => self.console_back = self.console_back.saturating_sub(1),
            KeyCode::Up | KeyCode::Char('k') => self.row = self.row.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => self.row += 1,
            KeyCode::PageUp => self.row = self.row.saturating_sub(page),
            KeyCode::PageDown => self.row += page,
            KeyCode::Home | KeyCode::Char('g') => self.row = 0,
            KeyCode::End | KeyCode::Char('G') => self.row = last,
            KeyCode::Right | KeyCode::Tab => self.turn(snapshot, 1),
            KeyCode::Left | KeyCode::BackTab => self.turn(snapshot, -1),
            _ => {}
        }
        self.row = self.row.min(last);
        Wish::Nothing
    }

    /// To the next machine or the one before, around the end.
    fn turn(&mut self, snapshot: &Snapshot, by: isize) {
        let count = snapshot.machines.len();
        if count > 0 {
            let at = snapshot.selected.checked_add_signed(by);
            let at = at.map_or(count - 1, |at| at % count);
            self.machine = Some(snapshot.machines[at].name.clone());
            self.row = 0;
        }
    }
}
