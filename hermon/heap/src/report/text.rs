//! A report as text.

use core::fmt;

use hermon_amounts::{bytes, count, micros, percent, time};

use super::model::{Amount, FunctionRow, Report, SiteRow};
use crate::estimate::Estimate;
use crate::names::place;

/// The longest bar of a histogram, in characters.
const BAR: f64 = 40.0;

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        header(self, f)?;
        let whole = self.totals.allocated.estimate.bytes;
        sites(
            f,
            "Sites by allocated bytes",
            &self.by_allocated,
            whole,
            |site| site.allocated.estimate,
        )?;
        let whole = self.totals.live.estimate.bytes;
        sites(
            f,
            "Sites by bytes alive at the end",
            &self.by_live,
            whole,
            |site| site.live.estimate,
        )?;
        if let Some(growth) = &self.growth {
            let title = format!(
                "Sites by growth from {} to {}",
                micros(growth.from_micros),
                micros(growth.to_micros)
            );
            sites(f, &title, &self.by_growth, growth.estimate.bytes, |site| {
                site.growth.unwrap_or_default()
            })?;
        }
        let title = format!("Sites by temporary bytes: {}", self.temporary);
        let whole = self.totals.temporary.estimate.bytes;
        sites(f, &title, &self.by_temporary, whole, |site| {
            site.temporary.estimate
        })?;
        functions(f, &self.functions, self.totals.allocated.estimate.bytes)?;
        histograms(self, f)
    }
}

fn header(report: &Report, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let trace = &report.trace;
    let mut field = |name: &str, value: fmt::Arguments<'_>| writeln!(f, "{name:<12} {value}");
    for (name, text) in [
        ("host", &trace.host),
        ("executable", &trace.executable),
        ("context", &trace.context),
    ] {
        if !text.is_empty() {
            field(name, format_args!("{}", one_line(text)))?;
        }
    }
    field(
        "started",
        format_args!("{}", started(trace.start_unix_micros)),
    )?;
    field("duration", format_args!("{}", micros(trace.micros)))?;
    let one = trace.word_bytes as f64 / trace.rate;
    field(
        "rate",
        format_args!(
            "{} of all words, a hit stands for {}",
            trace.rate,
            bytes(one)
        ),
    )?;
    let (allocs, frees) = (count(trace.allocs), count(trace.collects));
    field(
        "events",
        format_args!(
            "{allocs} allocations and {frees} frees were sampled, {} of trace",
            bytes(trace.trace_bytes as f64)
        ),
    )?;
    if let Some(why) = &trace.not_read {
        field("not read", format_args!("{why}"))?;
    }
    let totals = &report.totals;
    // The number of lost blocks is not known: the guest reports only the sum of their sizes.
    let and_lost = match totals.lost.hits {
        0 => "",
        _ => " and those that were lost",
    };
    let known = Amount {
        blocks: totals.allocated.blocks - totals.lost.blocks,
        ..totals.allocated
    };
    field("allocated", format_args!("{}{and_lost}", Shown(&known)))?;
    field("alive at end", format_args!("{}", Shown(&totals.live)))?;
    field(
        "most alive",
        format_args!("{} at {}", Shown(&totals.peak), micros(totals.peak_micros)),
    )?;
    field(
        "temporary",
        format_args!("{}, {}", Shown(&totals.temporary), report.temporary),
    )?;
    if let Some(growth) = &report.growth {
        field("growth", format_args!("{}", Interval(growth.estimate)))?;
    }
    let of = share(totals.lost.estimate.bytes, totals.allocated.estimate.bytes);
    match totals.lost.hits {
        0 => field("lost", format_args!("nothing")),
        _ => field(
            "lost",
            format_args!(
                "{}, {of} of what was allocated: in no site but [lost: …], not in what is alive",
                Interval(totals.lost.estimate)
            ),
        ),
    }
}

fn started(micros: u64) -> String {
    i64::try_from(micros)
        .ok()
        .and_then(|micros| jiff::Timestamp::from_microsecond(micros).ok())
        .map_or_else(
            || format!("{micros} µs after 1970"),
            |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        )
}

/// Returns a text in one line. Texts of a trace may contain anything, and must not control a terminal.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, "␀")
}

/// Writes a share of a whole.
fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 {
        percent(100.0 * part / whole)
    } else {
        "-".to_owned()
    }
}

/// Bytes with their interval.
struct Interval(Estimate);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [size, low, high] = [self.0.bytes, self.0.low, self.0.high].map(bytes);
        write!(f, "{size} ({low} to {high})")
    }
}

/// Bytes with their interval, and the number of blocks.
struct Shown<'a>(&'a Amount);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interval = Interval(self.0.estimate);
        let blocks = count(self.0.blocks.round() as u64);
        write!(f, "{interval} in about {blocks} blocks")
    }
}

/// Writes bytes with their interval and their share of a whole, in columns.
fn columns(estimate: Estimate, whole: f64) -> String {
    let [size, low, high] = [estimate.bytes, estimate.low, estimate.high].map(bytes);
    let share = share(estimate.bytes, whole);
    format!("  {size:>10}  {low:>10} – {high:>10}  {share:>7}")
}

/// Writes a title, and below it a head and rows, if there are any.
pub(super) fn table<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    head: fmt::Arguments<'_>,
    rows: &[T],
    mut row: impl FnMut(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    if rows.is_empty() {
        return writeln!(f, "  none");
    }
    writeln!(f, "{head}")?;
    rows.iter().try_for_each(|of| row(f, of))
}

fn sites(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: &[SiteRow],
    whole: f64,
    key: impl Fn(&SiteRow) -> Estimate,
) -> fmt::Result {
    let head = format_args!(
        "  {:>10}  {:>23}  {:>7}  {:>8}  {:>10}  {:>10}  site",
        "bytes", "95 % between", "share", "samples", "alive", "lifetime"
    );
    table(f, title, head, rows, |f, site| {
        let mean = site.mean_lifetime_micros;
        writeln!(
            f,
            "{}  {:>8}  {:>10}  {:>10}  {}",
            columns(key(site), whole),
            count(site.allocated.samples),
            bytes(site.live.estimate.bytes),
            mean.map_or_else(|| "-".to_owned(), |mean| time(mean * 1e3)),
            one_line(&place(&site.function, &site.file, site.line))
        )?;
        let mut callers = site.callers.iter();
        callers.try_for_each(|caller| writeln!(f, "{:>90}{}", "← ", one_line(caller)))
    })
}

fn functions(f: &mut fmt::Formatter<'_>, rows: &[FunctionRow], whole: f64) -> fmt::Result {
    let title = "Functions by bytes allocated while they ran";
    let head = format_args!(
        "  {:>10}  {:>23}  {:>7}  {:>10}  function",
        "bytes", "95 % between", "share", "alive"
    );
    table(f, title, head, rows, |f, row| {
        writeln!(
            f,
            "{}  {:>10}  {}",
            columns(row.allocated.estimate, whole),
            bytes(row.live.estimate.bytes),
            one_line(&place(&row.function, &row.file, 0))
        )
    })
}

fn histograms(report: &Report, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let known = report.totals.allocated.estimate.bytes - report.totals.lost.estimate.bytes;
    let sizes = report.sizes.iter().map(|row| {
        (
            format!("≤ {}", bytes(row.most_bytes as f64)),
            &row.allocated,
        )
    });
    histogram(f, "Sizes of blocks", sizes, known)?;
    let lifetimes = report.lifetimes.iter().map(|row| {
        let class = match (row.alive, row.below_micros) {
            (true, _) => "alive at end".to_owned(),
            (false, Some(below)) => format!("< {}", micros(below)),
            (false, None) => "longer".to_owned(),
        };
        (class, &row.allocated)
    });
    histogram(f, "Lifetimes of blocks", lifetimes, known)
}

fn histogram<'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: impl Iterator<Item = (String, &'a Amount)>,
    whole: f64,
) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    writeln!(
        f,
        "  {:>14}  {:>10}  {:>7}  {:>12}",
        "", "bytes", "share", "blocks"
    )?;
    for (class, amount) in rows {
        let size = amount.estimate.bytes;
        let (shown, share) = (bytes(size), share(size, whole));
        let blocks = count(amount.blocks.round() as u64);
        let bar = "█".repeat((BAR * size / whole).round() as usize);
        let row = format!("  {class:>14}  {shown:>10}  {share:>7}  {blocks:>12}  {bar}");
        writeln!(f, "{}", row.trim_end())?;
    }
    Ok(())
}
