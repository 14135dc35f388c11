//! Draws one picture. A pure function of what there is, what was chosen, and the size of the terminal.

use hermon_amounts::count;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph};

use super::snapshot::{FieldRow, Row, Snapshot};
use super::state::{Mode, State};
use crate::said::{Origin, Printable, Said};

/// The lines around the table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Around {
    /// The name of what is watched: `127.0.0.1:8094`.
    pub title: String,
    /// The address of the page, if there is one.
    pub page: Option<String>,
    /// Points a second, over the last few seconds.
    pub per_second: u64,
    /// Counts of what was received and is not where it should be.
    pub losses: Vec<(u64, &'static str)>,
    /// The reason why the file does not take more, if so.
    pub fault: Option<String>,
}

const LOSS: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const QUIET: Style = Style::new().add_modifier(Modifier::DIM);
const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const SOURCE: Style = Style::new().fg(Color::Cyan).add_modifier(Modifier::BOLD);
const MARKED: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Widths of the columns, in characters.
const NAME: usize = 27;
const VALUE: usize = 15;
const RATE: usize = 13;

/// Narrower than this, there are no rates; and narrower than that and a sparkline of this width, no sparklines.
const WITH_RATE: usize = NAME + VALUE + RATE;
const MIN_SPARK: usize = 8;

/// Lines of the console's pane with its heading, if the terminal is high enough: a third, at most this.
const CONSOLE: u16 = 12;

/// The table needs this many rows before the console gets any.
const MIN_TABLE: u16 = 8;

const KEYS: &[(&str, &str)] = &[
    ("q, Ctrl-C", "quit; `hermon run` ends the guest, too"),
    ("\u{2190} \u{2192}, Tab", "the machine before, the next one"),
    (
        "\u{2191} \u{2193}, j k",
        "move by a row; PgUp PgDn, Home End",
    ),
    ("/", "show only what contains these words; Esc: all again"),
    ("l", "only losses"),
    ("p, Space", "hold the picture; receiving goes on"),
    ("c", "hide or show the console; [ ] scroll it"),
    ("Ctrl-Z, Ctrl-L", "suspend; draw anew"),
];

/// Draws the picture, and notes in the state how many rows fit.
pub(crate) fn draw(frame: &mut Frame<'_>, snapshot: &Snapshot, state: &mut State, around: &Around) {
    let area = frame.area();
    let bad = !around.losses.is_empty() || around.fault.is_some();
    let console = console_height(area.height, snapshot, state);
    let [title, losses, machines, table, detail, said, keys] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(bad.into()),
        Constraint::Length(1),
        Constraint::Min(0),
        Constraint::Length((area.height > 6).into()),
        Constraint::Length(console),
        Constraint::Length((area.height > 4).into()),
    ])
    .areas(area);

    frame.render_widget(title_line(snapshot, state, around), title);
    frame.render_widget(loss_line(around), losses);
    frame.render_widget(machine_line(snapshot, machines.width), machines);
    let rows = state.rows(snapshot);
    state.row = state.row.min(rows.len().saturating_sub(1));
    state.page = table.height.into();
    draw_table(frame, table, &rows, state.row);
    if rows.is_empty() {
        frame.render_widget(Paragraph::new(nothing(snapshot, state)).style(QUIET), table);
    }
    frame.render_widget(detail_line(rows.get(state.row).copied()), detail);
    draw_console(frame, said, snapshot, state);
    frame.render_widget(key_line(state), keys);
    if state.mode == Mode::Help {
        draw_help(frame, area);
    }
}

fn console_height(height: u16, snapshot: &Snapshot, state: &State) -> u16 {
    if state.console_hidden || snapshot.said.is_empty() {
        return 0;
    }
    let room = height.saturating_sub(MIN_TABLE);
    (height / 3).min(CONSOLE).min(room)
}

fn title_line<'a>(snapshot: &Snapshot, state: &State, around: &'a Around) -> Line<'a> {
    let mut spans = vec![
        Span::styled("hermon", BOLD),
        Span::raw(format!(
            "  {}  {} points  {}/s",
            around.title,
            count(snapshot.points),
            count(around.per_second)
        )),
    ];
    if state.paused {
        spans.push(Span::styled("  HELD", MARKED));
    }
    if let Some(page) = &around.page {
        spans.push(Span::raw(format!("  {page}")));
    }
    Line::from(spans)
}

fn loss_line(around: &Around) -> Line<'_> {
    let mut parts: Vec<String> = around
        .losses
        .iter()
        .map(|(number, what)| format!("{} {what}", count(*number)))
        .collect();
    parts.extend(around.fault.clone());
    Line::styled(parts.join(", "), LOSS)
}

/// The machines side by side, begun so far left that the selected one is seen.
fn machine_line(snapshot: &Snapshot, width: u16) -> Line<'_> {
    let texts: Vec<String> = snapshot
        .machines
        .iter()
        .map(|machine| format!(" {} {} ", machine.name, machine.age))
        .collect();
    let mut first = 0;
    while first < snapshot.selected
        && texts[first..=snapshot.selected]
            .iter()
            .map(|text| text.chars().count())
            .sum::<usize>()
            > width.into()
    {
        first += 1;
    }
    Line::from_iter(texts.into_iter().enumerate().skip(first).map(|(at, text)| {
        let machine = &snapshot.machines[at];
        let mut style = match (machine.lossy, machine.silent) {
            (true, _) => LOSS,
            (false, true) => Style::new().fg(Color::Yellow),
            (false, false) => BOLD,
        };
        if at == snapshot.selected {
            style = style.patch(MARKED);
        }
        Span::styled(text, style)
    }))
}

fn nothing(snapshot: &Snapshot, state: &State) -> &'static str {
    match (snapshot.machines.is_empty(), state.losses_only) {
        (true, _) => "waiting for the first point",
        (false, true) => "no losses",
        (false, false) => "nothing contains these words",
    }
}

fn draw_table(frame: &mut Frame<'_>, area: Rect, rows: &[&Row], marked: usize) {
    let height = usize::from(area.height);
    // The marked row is in the middle, as far as there are rows.
    let first = marked
        .saturating_sub(height / 2)
        .min(rows.len().saturating_sub(height));
    let width = usize::from(area.width);
    let lines: Vec<Line<'_>> = rows
        .iter()
        .enumerate()
        .skip(first)
        .take(height)
        .map(|(at, row)| {
            let line = match row {
                Row::Source { name, tags } => Line::from(vec![
                    Span::styled(harmless(name), SOURCE),
                    Span::styled(format!("  {}", harmless(tags)), QUIET),
                ]),
                Row::Field(field) => field_line(field, width),
            };
            if at == marked {
                line.patch_style(MARKED)
            } else {
                line
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn field_line(field: &FieldRow, width: usize) -> Line<'static> {
    let name = cut(&harmless(&field.name), NAME - 3);
    let with_rate = width >= WITH_RATE;
    // A date or a version has no rate and takes its place.
    let (value_width, rate) = match field.rate.as_str() {
        "" if with_rate => (VALUE + RATE, String::new()),
        rate if with_rate => (VALUE, format!("{:>RATE$}", cut(rate, RATE - 1))),
        _ => (VALUE, String::new()),
    };
    let value = cut(&harmless(&field.value), value_width - 1);
    // What fits stands in its column.
    let value = if value.chars().count() < VALUE {
        format!("{value:>VALUE$}")
    } else {
        value
    };
    let text = format!(
        "  {name:<name_width$}{value:<value_width$}{rate}",
        name_width = NAME - 2
    );
    let mut spans = vec![if field.loss {
        Span::styled(text, LOSS)
    } else {
        Span::raw(text)
    }];
    let left = width.saturating_sub(WITH_RATE + 2);
    if left >= MIN_SPARK {
        let spark = sparkline(&field.spark, left);
        spans.push(Span::styled(
            format!("  {spark}"),
            Style::new().fg(Color::Green),
        ));
    }
    Line::from(spans)
}

/// Bars of eight heights, the newest rightmost. Between the least and the greatest of what is shown; all equal: the least
/// height, so that a standstill reads as one.
fn sparkline(values: &[Option<f64>], width: usize) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let shown = &values[values.len().saturating_sub(width)..];
    let known = || shown.iter().copied().flatten();
    let (least, most) = (
        known().fold(f64::INFINITY, f64::min),
        known().fold(f64::NEG_INFINITY, f64::max),
    );
    shown
        .iter()
        .map(|value| match value {
            None => ' ',
            // Halved, so that the difference of two finite numbers is finite.
            Some(value) if most > least => {
                let share = (value / 2.0 - least / 2.0) / (most / 2.0 - least / 2.0);
                BARS[(share * 7.0).round() as usize % BARS.len()]
            }
            Some(_) => BARS[0],
        })
        .collect()
}

fn detail_line(row: Option<&Row>) -> Line<'static> {
    let text = match row {
        Some(Row::Field(field)) => {
            let meaning = match field.meaning {
                "" => String::new(),
                meaning => format!(": {meaning}"),
            };
            let exact = match field.exact.as_str() {
                "" => String::new(),
                exact => format!(" ({})", harmless(exact)),
            };
            format!(
                "{} {}{meaning} = {}{exact}",
                harmless(&field.source),
                harmless(&field.name),
                harmless(&field.value)
            )
        }
        _ => String::new(),
    };
    Line::styled(text, QUIET)
}

fn draw_console(frame: &mut Frame<'_>, area: Rect, snapshot: &Snapshot, state: &State) {
    let block = Block::new()
        .borders(ratatui::widgets::Borders::TOP)
        .border_style(QUIET)
        .title(match state.console_back {
            0 => " console ".to_owned(),
            back => format!(" console, {back} lines back "),
        });
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let height = usize::from(inner.height);
    let end = snapshot.said.len() - state.console_back.min(snapshot.said.len());
    let lines: Vec<Line<'_>> = snapshot.said[..end]
        .iter()
        .skip(end.saturating_sub(height))
        .map(said_line)
        .collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn said_line(said: &Said) -> Line<'_> {
    let style = match said.origin {
        Origin::Console => Style::new(),
        Origin::Hermon => BOLD,
        // What went wrong with something that arrived, or QEMU complains.
        Origin::Qemu | Origin::Udp | Origin::Tcp => Style::new().fg(Color::Red),
    };
    Line::from(vec![
        Span::styled(format!("{} ", said.time), QUIET),
        Span::styled(
            format!("{} {}", said.origin.name(), harmless(&said.text)),
            style,
        ),
    ])
}

fn key_line(state: &State) -> Line<'_> {
    match state.mode {
        Mode::Typing => Line::from(vec![
            Span::raw("/"),
            Span::styled(state.filter.as_str(), BOLD),
            Span::styled("▏", QUIET),
            Span::styled("  Enter keeps it, Esc shows all", QUIET),
        ]),
        _ if !state.filter.is_empty() || state.losses_only => Line::styled(
            format!(
                "{}{}  Esc shows all",
                if state.losses_only {
                    "only losses  "
                } else {
                    ""
                },
                match state.filter.as_str() {
                    "" => String::new(),
                    filter => format!("/{filter}"),
                }
            ),
            QUIET,
        ),
        _ => Line::styled(
            "q quit  \u{2190}\u{2192} machine  \u{2191}\u{2193} move  / filter  l losses  p hold  c console  ? help",
            QUIET,
        ),
    }
}

fn draw_help(frame: &mut Frame<'_>, area: Rect) {
    let lines: Vec<Line<'_>> = KEYS
        .iter()
        .map(|(key, what)| {
            Line::from(vec![
                Span::styled(format!(" {key:<16}"), BOLD),
                Span::raw(*what),
            ])
        })
        .collect();
    let height = (lines.len() as u16 + 2).min(area.height);
    let width = 72.min(area.width);
    let place = Rect {
        x: (area.width - width) / 2,
        y: (area.height - height) / 2,
        width,
        height,
    };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(" keys ");
    frame.render_widget(Paragraph::new(lines).block(block), place);
}

/// At most so many characters, with an ellipsis if there were more.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    let mut cut: String = text.chars().take(width.saturating_sub(1)).collect();
    cut.push('…');
    cut
}

fn harmless(text: &str) -> String {
    Printable(text.as_bytes()).to_string()
}
