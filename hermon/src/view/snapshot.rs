//! A snapshot: what the view shows at one moment, taken from the store in one short look.

use crate::format;
use crate::live::Inside;
use crate::meaning::Unit;
use crate::point::UnixMicros;
use crate::said::Said;
use crate::store::{Field, Series, rate};

/// Samples of a field in a sparkline, at most.
pub(super) const MAX_SPARK: usize = 60;

/// A machine that was not heard of for so long is shown as silent: three of the usual intervals, and some patience.
const SILENT: i64 = 35_000_000;

/// All that one picture needs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Snapshot {
    /// Sorted by name.
    pub machines: Vec<MachineLine>,
    /// Index into `machines`.
    pub selected: usize,
    /// Of the selected machine: each source, then its fields.
    pub rows: Vec<Row>,
    /// The console's lines, oldest first.
    pub said: Vec<Said>,
    /// The number of lines that were ever said.
    pub said_ever: u64,
    /// Points since the start.
    pub points: u64,
}

/// A machine.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MachineLine {
    /// Its tag `vm`; `(no vm)` without one.
    pub name: String,
    /// When it was last heard of: `3 s`.
    pub age: String,
    /// It was not heard of for some intervals.
    pub silent: bool,
    /// True if one of its own counts of losses is above zero.
    pub lossy: bool,
}

/// A row of the table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Row {
    /// A source, with its other tags.
    Source {
        /// The measurement.
        name: String,
        /// `key=value,…`, or empty.
        tags: String,
    },
    /// A field.
    Field(FieldRow),
}

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct FieldRow {
    /// The measurement.
    pub source: String,
    /// The key.
    pub name: String,
    /// As people read it.
    pub value: String,
    /// All digits, if `value` has not.
    pub exact: String,
    /// The rate at which it counts, if it does.
    pub rate: String,
    /// Recent values, or rates if it counts, oldest first; `None` where nothing can be said.
    pub spark: Vec<Option<f64>>,
    /// It counts losses, and there are some.
    pub loss: bool,
    /// The meaning, if it is documented.
    pub meaning: &'static str,
}

impl Snapshot {
    /// Looks at a machine by name; at the first one if there is no such or `None`.
    pub(crate) fn of(inside: &Inside, machine: Option<&str>, now: UnixMicros) -> Self {
        let mut names: Vec<(usize, &str)> = inside
            .store
            .machines()
            .iter()
            .enumerate()
            .map(|(at, machine)| (at, machine.name.as_str()))
            .collect();
        names.sort_unstable_by_key(|&(_, name)| name);
        let selected = names
            .iter()
            .position(|&(_, name)| Some(shown_name(name)) == machine)
            .unwrap_or(0);
        let mut lossy = vec![false; names.len()];
        let mut rows = Vec::new();
        for (_, series) in inside.store.series() {
            let losses = series.fields.iter().any(Field::tells_a_loss);
            lossy[series.machine] |= losses;
            if names[selected].0 == series.machine {
                rows.push(Row::Source {
                    name: series.source.clone(),
                    tags: series.tags.clone(),
                });
                rows.extend(series.fields.iter().map(|field| row(series, field)));
            }
        }
        let machines = names
            .iter()
            .map(|&(at, name)| {
                let age = now.0 - inside.store.machines()[at].arrived.0;
                MachineLine {
                    name: shown_name(name).to_owned(),
                    age: format::age(age / 1_000_000),
                    silent: age > SILENT,
                    lossy: lossy[at],
                }
            })
            .collect();
        Self {
            machines,
            selected,
            rows,
            said: inside.said.iter().cloned().collect(),
            said_ever: inside.said_ever,
            points: inside.tally.points,
        }
    }
}

fn shown_name(name: &str) -> &str {
    if name.is_empty() { "(no vm)" } else { name }
}

fn row(series: &Series, field: &Field) -> Row {
    let unit = field.meaning().unit;
    let (value, exact) = field.last().map_or_else(Default::default, |(_, value)| {
        let shown = format::value(value, unit);
        let exact = match unit {
            Unit::Plain => String::new(),
            _ => value.to_string(),
        };
        (shown, exact)
    });
    Row::Field(FieldRow {
        source: series.source.clone(),
        name: field.name().to_owned(),
        value,
        exact,
        rate: field
            .rate()
            .map_or_else(String::new, |per_second| format::rate(per_second, unit)),
        spark: spark(field),
        loss: field.tells_a_loss(),
        meaning: field.meaning().text,
    })
}

fn spark(field: &Field) -> Vec<Option<f64>> {
    let samples = field.samples();
    let newest = samples.iter().skip(samples.len().saturating_sub(MAX_SPARK));
    if field.counts() {
        let newest: Vec<_> = newest.collect();
        newest
            .windows(2)
            .map(|pair| rate(*pair[0], *pair[1]))
            .collect()
    } else {
        newest
            .map(|sample| sample.value.is_finite().then_some(sample.value))
            .collect()
    }
}
