//! Two traces beside each other: what the second has more of.
//!
//! Traces have different lengths, so what was allocated is compared per second; what is alive at the end as it is. A site is
//! the same in both if its function and file are: lines move from build to build.

use core::fmt;
use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use hermon_amounts::{bytes, micros};

use super::sites;
use super::text::{one_line, table};
use crate::estimate::{Estimate, Scale};
use crate::named::Named;
use crate::names::place;
use crate::profile::Tally;

/// Names this shape, as [`SCHEMA`](super::SCHEMA) does.
const SCHEMA: &str = "hermon-diff/1";

/// One trace of two.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// The machine.
    pub host: String,
    /// The program.
    pub executable: String,
    /// The length of the trace.
    pub micros: u64,
    /// Probability that a word was sampled.
    pub rate: f64,
}

/// An amount in both traces.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Change {
    /// In the first.
    pub before: Estimate,
    /// In the second.
    pub after: Estimate,
    /// The difference, with its 95 % confidence interval.
    pub more: Estimate,
    /// True if the interval leaves out 0.
    pub is_sure: bool,
}

impl Change {
    fn of(before: Estimate, after: Estimate) -> Self {
        let more = after.minus(before);
        Self {
            before,
            after,
            more,
            is_sure: more.is_sure(),
        }
    }
}

/// A site in both traces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// The function.
    pub function: String,
    /// The file, empty if it is not known.
    pub file: String,
    /// Bytes allocated per second.
    pub allocated_per_second: Change,
    /// Bytes alive at the end.
    pub live: Change,
}

/// Two traces.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The shape.
    pub schema: &'static str,
    /// The first trace.
    pub before: Side,
    /// The second.
    pub after: Side,
    /// All bytes allocated per second.
    pub allocated_per_second: Change,
    /// All bytes alive at the end.
    pub live: Change,
    /// Sites whose allocation changed most, in either direction.
    pub by_allocated: Vec<Row>,
    /// Sites of which more or less is alive.
    pub by_live: Vec<Row>,
}

impl Comparison {
    /// Compares two traces; `top`: how many sites of each list.
    pub fn new(before: &Named, after: &Named, all_frames: bool, top: usize) -> Self {
        let mut tallies: BTreeMap<(&Arc<str>, &Arc<str>), [Tally; 2]> = BTreeMap::new();
        for (at, named) in [before, after].into_iter().enumerate() {
            for site in sites::sites(named, all_frames) {
                let key = (&site.place.function, &site.place.file);
                tallies.entry(key).or_default()[at].add(&site.tally);
            }
        }
        let scales = [before, after].map(|named| named.profile.scale());
        let seconds = [before, after].map(|named| named.profile.span.micros.max(1) as f64 / 1e6);
        let changes = |tallies: &[Tally; 2]| changes(tallies, &scales, &seconds);
        let rows: Vec<Row> = tallies
            .iter()
            .map(|((function, file), tallies)| {
                let [allocated_per_second, live] = changes(tallies);
                Row {
                    function: function.to_string(),
                    file: file.to_string(),
                    allocated_per_second,
                    live,
                }
            })
            .collect();
        let list = |key: fn(&Row) -> f64| {
            let mut chosen: Vec<&Row> = rows.iter().filter(|row| key(row) != 0.0).collect();
            chosen.sort_by(|a, b| key(b).abs().total_cmp(&key(a).abs()));
            chosen.into_iter().take(top).cloned().collect()
        };
        let whole = [before, after].map(|named| {
            let (mut known, lost) = named.profile.totals();
            known.allocated += lost.allocated;
            known
        });
        let [allocated_per_second, live] = changes(&whole);
        Self {
            schema: SCHEMA,
            before: side(before),
            after: side(after),
            allocated_per_second,
            live,
            by_allocated: list(|row| row.allocated_per_second.more.bytes),
            by_live: list(|row| row.live.more.bytes),
        }
    }
}

fn changes(tallies: &[Tally; 2], scales: &[Scale; 2], seconds: &[f64; 2]) -> [Change; 2] {
    let allocated = |at: usize| {
        scales[at]
            .bytes(tallies[at].allocated.hits)
            .over(seconds[at])
    };
    let live = |at: usize| scales[at].bytes(tallies[at].live.hits);
    [
        Change::of(allocated(0), allocated(1)),
        Change::of(live(0), live(1)),
    ]
}

fn side(named: &Named) -> Side {
    let profile = &named.profile;
    Side {
        host: profile.info.host.to_string(),
        executable: profile.info.executable.to_string(),
        micros: profile.span.micros,
        rate: profile.info.rate,
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, side) in [("before", &self.before), ("after", &self.after)] {
            let text = one_line(&format!("{} {}", side.host, side.executable));
            let (length, rate) = (micros(side.micros), side.rate);
            writeln!(f, "{name:<12} {text}, {length} at rate {rate}")?;
        }
        let allocated = shown(&self.allocated_per_second, "/s");
        writeln!(f, "allocated    {allocated}")?;
        writeln!(f, "alive at end {}", shown(&self.live, ""))?;
        let title = "Sites by change of bytes allocated per second";
        sites(f, title, &self.by_allocated, |row| {
            &row.allocated_per_second
        })?;
        let title = "Sites by change of bytes alive at the end";
        sites(f, title, &self.by_live, |row| &row.live)?;
        writeln!(
            f,
            "\n  ! more than chance: the 95 % interval of the change leaves out 0"
        )
    }
}

fn shown(change: &Change, per: &str) -> String {
    let (before, after) = (bytes(change.before.bytes), bytes(change.after.bytes));
    let [more, low, high] = signed(&change.more);
    format!("{before}{per}, then {after}{per}: {more}{per} ({low} to {high})")
}

fn sites(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: &[Row],
    key: fn(&Row) -> &Change,
) -> fmt::Result {
    let head = format_args!(
        "  {:>10}  {:>10}  {:>11}  {:>25}     site",
        "before", "after", "change", "95 % between"
    );
    table(f, title, head, rows, |f, row| {
        let change = key(row);
        let (before, after) = (bytes(change.before.bytes), bytes(change.after.bytes));
        let [more, low, high] = signed(&change.more);
        let mark = if change.is_sure { '!' } else { ' ' };
        let site = one_line(&place(&row.function, &row.file, 0));
        writeln!(
            f,
            "  {before:>10}  {after:>10}  {more:>11}  {low:>11} – {high:>11}  {mark}  {site}"
        )
    })
}

/// The bytes and both ends of their interval.
fn signed(estimate: &Estimate) -> [String; 3] {
    [estimate.bytes, estimate.low, estimate.high].map(|size| {
        let sign = if size > 0.0 { "+" } else { "" };
        format!("{sign}{}", bytes(size))
    })
}
