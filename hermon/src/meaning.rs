//! The meaning of fields: the unit, whether it tells a state, whether it tells a loss.
//!
//! Line protocol carries names and numbers only. What the image's own sources mean stands in `meaning.tsv`, which is written from
//! their declarations, together with `docs/METRICS.md`; for others, their names' words tell.

/// A line for each field of the image's own sources: source, field, unit, meaning, with tabs between them. Written by
/// `ACCEPT=1 cargo test -p monitoring --test sources`.
const TABLE: &str = include_str!("meaning.tsv");

/// A unit that numbers are shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
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
    pub(crate) const fn name(self) -> &'static str {
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

/// The meaning of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meaning {
    /// The unit of its values.
    pub unit: Unit,
    /// One sentence without a full stop, if it is a field of the image's own; else empty.
    pub text: &'static str,
    /// It tells a state and does not count.
    pub is_state: bool,
    /// It counts losses: then anything above zero is shown in red.
    pub is_loss: bool,
}

impl Meaning {
    /// Of a field. Cost: reads the table once.
    pub(crate) fn of(source: &str, field: &str) -> Self {
        let (unit, text) = match documented(source, field) {
            Some([unit, text]) => (by_name(unit), text),
            None => (by_word(field.rsplit('_').next().unwrap_or_default()), ""),
        };
        Self {
            unit,
            text,
            is_state: unit == Unit::Date || field.split('_').any(|word| STATES.contains(&word)),
            is_loss: field.contains("left_out")
                || field.split('_').any(|word| LOSSES.contains(&word)),
        }
    }
}

/// The unit and the meaning of a field, as they were declared.
fn documented(source: &str, field: &str) -> Option<[&'static str; 2]> {
    TABLE.lines().find_map(|line| {
        let mut cells = line.split('\t');
        let is_it = cells.next() == Some(source) && cells.next() == Some(field);
        is_it.then(|| {
            [
                cells.next().unwrap_or_default(),
                cells.next().unwrap_or_default(),
            ]
        })
    })
}

/// A unit by the name that declarations call it by.
fn by_name(unit: &str) -> Unit {
    match unit {
        "bytes" => Unit::Bytes,
        "µs" => Unit::Time(1_000),
        "ms" => Unit::Time(1_000_000),
        "seconds" => Unit::Time(1_000_000_000),
        "thousandths" => Unit::Permille,
        "seconds since 1970" => Unit::Date,
        _ => Unit::Plain,
    }
}

/// A unit by the last word of a field's name.
fn by_word(word: &str) -> Unit {
    match word {
        "ns" => Unit::Time(1),
        "us" => Unit::Time(1_000),
        "s" => Unit::Time(1_000_000_000),
        "permille" => Unit::Permille,
        "percent" => Unit::Percent,
        word => by_name(word),
    }
}

/// Words of names of fields that tell a state: how it rises and falls is not a rate of anything, even while it only rises.
const STATES: &[&str] = &[
    "largest", "last", "lead", "live", "max", "mean", "min", "open", "p50", "p90", "p95", "p99",
    "p999", "peak", "percent", "permille", "seconds", "size", "time", "uptime", "waiting", "water",
];

/// Words of names of fields that count what went wrong or missing.
const LOSSES: &[&str] = &[
    "clamped", "doubt", "dropped", "failed", "failures", "lost", "missed", "refused",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_has_four_cells_and_is_found() {
        assert!(TABLE.lines().count() > 50);
        for line in TABLE.lines() {
            let cells: Vec<&str> = line.split('\t').collect();
            let [source, field, unit, text] = cells[..] else {
                panic!("{line:?}");
            };
            assert!(![source, field, text].contains(&""), "{line:?}");
            assert_eq!(documented(source, field), Some([unit, text]));
        }
        assert_eq!(documented("memory", "no such field"), None);
        let live = Meaning::of("memory", "live_bytes");
        assert_eq!(live.text, "bytes allocated now");
    }

    #[test]
    fn units_are_the_tables_then_the_names() {
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
            ("mine", "wait_s", Unit::Time(1_000_000_000)),
            ("mine", "things", Unit::Plain),
        ] {
            assert_eq!(
                Meaning::of(source, field).unit,
                expected,
                "{source} {field}"
            );
        }
    }

    #[test]
    fn states_are_told_from_counts_by_their_words() {
        let is_state = |field| Meaning::of("mine", field).is_state;
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
            assert!(is_state(state), "{state}");
        }
        for count in [
            "allocations",
            "freed_bytes",
            "busy_us",
            "lines_sent",
            "steps",
        ] {
            assert!(!is_state(count), "{count}");
        }
    }

    #[test]
    fn the_documented_losses_are_losses() {
        let is_loss = |field| Meaning::of("mine", field).is_loss;
        for loss in [
            "lines_lost",
            "lines_lost_queue_full",
            "intervals_missed",
            "lines_in_doubt",
            "values_left_out",
            "values_clamped",
            "connect_failures",
            "failed_allocations",
            "dropped_packets",
            "series_refused",
        ] {
            assert!(is_loss(loss), "{loss}");
        }
        for other in [
            "lines_sent",
            "lines_resent",
            "turns",
            "live_bytes",
            "control_idle_closed",
            "time_left",
        ] {
            assert!(!is_loss(other), "{other}");
        }
    }
}
