//! What a field means: its unit, whether it counts, whether it tells a loss.
//!
//! Line protocol carries names and numbers only. What the image's own sources mean is read from the project's
//! `docs/METRICS.md`, which is written from their declarations; for others, their names' words tell.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The document that is written from the declarations.
const METRICS: &str = include_str!("../../docs/METRICS.md");

/// A unit that numbers are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Bytes, shown in powers of 1,024.
    Bytes,
    /// A duration, in this many nanoseconds each.
    Time(u64),
    /// Thousandths, shown as per cent.
    Permille,
    /// Per cent.
    Percent,
    /// Seconds since 1970, shown as a date.
    Date,
    /// Anything that is counted.
    Plain,
}

impl Unit {
    /// The name that the page knows it by.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Time(1) => "ns",
            Self::Time(1_000) => "us",
            Self::Time(1_000_000) => "ms",
            Self::Time(_) => "s",
            Self::Permille => "permille",
            Self::Percent => "percent",
            Self::Date => "date",
            Self::Plain => "",
        }
    }
}

/// The words for a field of the image's own, as documented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Documented {
    /// The unit's name: `bytes`, `lines`, `µs`, …; may be empty.
    pub unit: &'static str,
    /// What it means, one sentence without a full stop.
    pub text: &'static str,
}

static DOCUMENTED: LazyLock<HashMap<(&'static str, &'static str), Documented>> =
    LazyLock::new(|| read(METRICS).collect());

/// What the documentation says about a field.
///
/// ```
/// use hermon::meaning::documented;
/// assert_eq!(documented("memory", "live_bytes").unwrap().text, "bytes allocated now");
/// assert_eq!(documented("memory", "no such field"), None);
/// ```
pub fn documented(source: &str, field: &str) -> Option<Documented> {
    DOCUMENTED.get(&(source, field)).copied()
}

/// The tables of the document: a heading names the source, a row in four columns is a field.
fn read(
    document: &'static str,
) -> impl Iterator<Item = ((&'static str, &'static str), Documented)> {
    let mut source = "";
    document.lines().filter_map(move |line| {
        if let Some(name) = line.strip_prefix("## `") {
            source = name.trim_end_matches('`');
            return None;
        }
        let mut cells = line
            .strip_prefix("| `")?
            .trim_end_matches(" |")
            .splitn(4, '|');
        let field = cells.next()?.trim().trim_end_matches('`');
        let (_, unit, text) = (cells.next()?, cells.next()?.trim(), cells.next()?.trim());
        Some(((source, field), Documented { unit, text }))
    })
}

/// The unit of a field: as documented, else by the end of its name.
pub fn unit(source: &str, field: &str) -> Unit {
    let documented = documented(source, field).map(|documented| documented.unit);
    match documented {
        Some("bytes") => Unit::Bytes,
        Some("µs") => Unit::Time(1_000),
        Some("ms") => Unit::Time(1_000_000),
        Some("seconds") => Unit::Time(1_000_000_000),
        Some("thousandths") => Unit::Permille,
        Some("seconds since 1970") => Unit::Date,
        Some(_) => Unit::Plain,
        None => match field.rsplit('_').next().unwrap_or_default() {
            "bytes" => Unit::Bytes,
            "ns" => Unit::Time(1),
            "us" => Unit::Time(1_000),
            "ms" => Unit::Time(1_000_000),
            "s" | "seconds" => Unit::Time(1_000_000_000),
            "permille" => Unit::Permille,
            "percent" => Unit::Percent,
            _ => Unit::Plain,
        },
    }
}

/// Words of names of fields that tell a state: how it rises and falls is not a rate of anything, even while it only rises.
const STATES: &[&str] = &[
    "largest", "last", "lead", "live", "max", "mean", "min", "open", "p50", "p90", "p95", "p99",
    "p999", "peak", "percent", "permille", "seconds", "size", "time", "uptime", "waiting", "water",
];

/// Whether a field's name says that it tells a state and does not count.
pub fn tells_a_state(field: &str) -> bool {
    field.split('_').any(|word| STATES.contains(&word))
}

/// Words of names of fields that count what went wrong or missing.
const LOSSES: &[&str] = &[
    "clamped", "doubt", "dropped", "failed", "failures", "lost", "missed", "refused",
];

/// Whether a field counts losses: then anything above zero is shown in red.
///
/// ```
/// use hermon::meaning::tells_a_loss;
/// assert!(tells_a_loss("lines_lost_queue_full") && tells_a_loss("intervals_missed"));
/// assert!(!tells_a_loss("lines_sent"));
/// ```
pub fn tells_a_loss(field: &str) -> bool {
    field.contains("left_out") || field.split('_').any(|word| LOSSES.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_document_is_read() {
        let rows = METRICS
            .lines()
            .filter(|line| line.starts_with("| `"))
            .count();
        assert!(rows > 50);
        assert_eq!(DOCUMENTED.len(), rows);
        assert!(DOCUMENTED.values().all(|row| !row.text.is_empty()));
    }

    #[test]
    fn units_are_the_documents_then_the_names() {
        for (source, field, expected) in [
            ("memory", "live_bytes", Unit::Bytes),
            ("memory", "live_blocks", Unit::Plain),
            ("monitoring", "turn_p99_us", Unit::Time(1_000)),
            ("cpu", "busy_permille", Unit::Permille),
            ("uptime", "boot_time_s", Unit::Date),
            ("uptime", "seconds", Unit::Time(1_000_000_000)),
            ("clock", "rtc_lead_ms", Unit::Time(1_000_000)),
            ("mine", "sent_bytes", Unit::Bytes),
            ("mine", "wait_ns", Unit::Time(1)),
            ("mine", "things", Unit::Plain),
        ] {
            assert_eq!(unit(source, field), expected, "{source} {field}");
        }
    }

    #[test]
    fn states_are_told_from_counts_by_their_words() {
        for state in [
            "live_bytes",
            "peak_live_bytes",
            "largest_free_bytes",
            "turn_max_us",
            "uptime_us",
            "seconds",
            "boot_time_s",
            "stack_high_water_bytes",
            "heap_size_bytes",
            "busy_permille",
        ] {
            assert!(tells_a_state(state), "{state}");
        }
        for count in [
            "allocations",
            "freed_bytes",
            "busy_us",
            "lines_sent",
            "steps",
        ] {
            assert!(!tells_a_state(count), "{count}");
        }
    }

    #[test]
    fn the_documented_losses_are_losses() {
        for loss in [
            "lines_lost",
            "lines_in_doubt",
            "values_left_out",
            "values_clamped",
            "connect_failures",
            "failed_allocations",
            "dropped_packets",
            "series_refused",
        ] {
            assert!(tells_a_loss(loss), "{loss}");
        }
        for other in [
            "lines_resent",
            "turns",
            "live_bytes",
            "control_idle_closed",
            "time_left",
        ] {
            assert!(!tells_a_loss(other), "{other}");
        }
    }
}
