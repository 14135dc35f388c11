//! A report as text.

use core::fmt::{self, Write};

use super::estimate::Estimate;
use super::human::{bytes, count, share, time};
use super::model::{Amount, FunctionRow, Report, SiteRow};

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
                time(growth.from_micros),
                time(growth.to_micros)
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
    field("duration", format_args!("{}", time(trace.micros)))?;
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
    // How many blocks were lost nobody knows: the guest tells their size together.
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
        format_args!("{} at {}", Shown(&totals.peak), time(totals.peak_micros)),
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

/// Texts of a trace may have anything in them; a terminal must not be steered by it.
pub(super) fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { '␀' } else { c })
        .collect()
}

/// Bytes with their interval.
struct Interval(Estimate);

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Estimate {
            bytes: size,
            low,
            high,
        } = self.0;
        write!(f, "{} ({} to {})", bytes(size), bytes(low), bytes(high))
    }
}

/// The same, and the number of blocks.
struct Shown<'a>(&'a Amount);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Amount {
            estimate, blocks, ..
        } = *self.0;
        write!(
            f,
            "{} in about {} blocks",
            Interval(estimate),
            count(blocks.round() as u64)
        )
    }
}

fn sites(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    rows: &[SiteRow],
    whole: f64,
    key: impl Fn(&SiteRow) -> Estimate,
) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    if rows.is_empty() {
        return writeln!(f, "  none");
    }
    writeln!(
        f,
        "  {:>10}  {:>23}  {:>7}  {:>8}  {:>10}  {:>10}  site",
        "bytes", "95 % between", "share", "samples", "alive", "lifetime"
    )?;
    for site in rows {
        let Estimate {
            bytes: size,
            low,
            high,
        } = key(site);
        let lifetime = site
            .mean_lifetime_micros
            .map_or_else(|| "-".to_owned(), |mean| time(three_digits(mean)));
        let mut name = site.function.clone();
        match (site.file.as_str(), site.line) {
            ("" | "-", _) => {}
            (file, line) => write!(name, " {file}:{line}")?,
        }
        let alive = bytes(site.live.estimate.bytes);
        writeln!(
            f,
            "  {:>10}  {:>10} – {:>10}  {:>7}  {:>8}  {alive:>10}  {lifetime:>10}  {}",
            bytes(size),
            bytes(low),
            bytes(high),
            share(size, whole),
            count(site.allocated.samples),
            one_line(&name)
        )?;
        for caller in &site.callers {
            writeln!(f, "{:>90}{}", "← ", one_line(caller))?;
        }
    }
    Ok(())
}

/// An estimate has no more digits that mean anything; from seconds on there are no more than that anyway.
fn three_digits(mean: f64) -> u64 {
    if mean >= 1e6 {
        return mean.round() as u64;
    }
    let unit = 10_f64.powf((mean.max(1.0).log10().floor() - 2.0).max(0.0));
    ((mean / unit).round() * unit) as u64
}

/// A function and its file, if that is known.
pub(super) fn name(function: &str, file: &str) -> String {
    match file {
        "" | "-" => function.to_owned(),
        file => format!("{function} {file}"),
    }
}

fn functions(f: &mut fmt::Formatter<'_>, rows: &[FunctionRow], whole: f64) -> fmt::Result {
    writeln!(f, "\nFunctions by bytes allocated while they ran")?;
    if rows.is_empty() {
        return writeln!(f, "  none");
    }
    writeln!(
        f,
        "  {:>10}  {:>23}  {:>7}  {:>10}  function",
        "bytes", "95 % between", "share", "alive"
    )?;
    for row in rows {
        let Estimate {
            bytes: size,
            low,
            high,
        } = row.allocated.estimate;
        writeln!(
            f,
            "  {:>10}  {:>10} – {:>10}  {:>7}  {:>10}  {}",
            bytes(size),
            bytes(low),
            bytes(high),
            share(size, whole),
            bytes(row.live.estimate.bytes),
            one_line(&name(&row.function, &row.file))
        )?;
    }
    Ok(())
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
            (false, Some(below)) => format!("< {}", time(below)),
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
        let bar = "█".repeat((BAR * size / whole).round() as usize);
        writeln!(
            f,
            "{}",
            format!(
                "  {class:>14}  {:>10}  {:>7}  {:>12}  {bar}",
                bytes(size),
                share(size, whole),
                count(amount.blocks.round() as u64)
            )
            .trim_end()
        )?;
    }
    Ok(())
}
