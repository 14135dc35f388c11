//! Reads durations from command lines and writes numbers for people, in the same way in all of `hermon`.
//!
//! * [`duration`] reads `250ms`, `90s`, `1m 30s`, `12h`, `7d` from a command line.
//! * [`bytes`], [`time`], [`count`], [`percent`] and [`short`] write numbers. The page writes them in the same way
//!   (`web/charts.js`).
//!
//! A number whose unit fits its size has three digits, `1.23 MiB`, and no zeros at the end. Other numbers keep their
//! digits up to the first decimal. Only 0 is written as 0. Needs Rust 1.91. Runs on the host, never in an image.
#![deny(unsafe_code)]

use core::time::Duration;

use thiserror::Error;

/// The error for a text that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not a time such as 30s, 250ms, 1m 30s, 12h or 7d")]
pub struct NotATime(String);

/// The units of a time, with their length in seconds.
const UNITS: [(&str, f64); 7] = [
    ("us", 1e-6),
    ("µs", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3_600.0),
    ("d", 86_400.0),
];

/// Reads a time: a number and its unit, or several of them, as `1m 30s` or `1m30s`. A number may have decimals.
///
/// # Errors
/// [`NotATime`].
///
/// ```
/// assert_eq!(hermon_amounts::duration("1m 30s").unwrap().as_secs(), 90);
/// assert_eq!(hermon_amounts::duration("0.5ms").unwrap().as_micros(), 500);
/// ```
pub fn duration(text: &str) -> Result<Duration, NotATime> {
    let wrong = || NotATime(text.to_owned());
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut sum = Duration::ZERO;
    let mut rest = text;
    loop {
        let (number, behind) = rest.split_at(rest.find(|c| !is_number(c)).ok_or_else(wrong)?);
        let end = behind.find(|c: char| !c.is_alphabetic());
        let (unit, behind) = behind.split_at(end.unwrap_or(behind.len()));
        let unit = UNITS.iter().find(|(name, _)| *name == unit);
        let (_, seconds) = unit.ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let part = Duration::try_from_secs_f64(number * seconds).map_err(|_| wrong())?;
        sum = sum.checked_add(part).ok_or_else(wrong)?;
        rest = behind.trim_start();
        if rest.is_empty() {
            return Ok(sum);
        }
    }
}

/// Reads a time longer than 0.
///
/// # Errors
/// [`NotATime`], also for `0s`.
pub fn some_duration(text: &str) -> Result<Duration, NotATime> {
    duration(text).and_then(|time| match time {
        Duration::ZERO => Err(NotATime(text.to_owned())),
        time => Ok(time),
    })
}

/// Writes bytes, in powers of 1,024.
///
/// ```
/// assert_eq!(hermon_amounts::bytes(764_034.0), "746 KiB");
/// ```
pub fn bytes(bytes: f64) -> String {
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let (mut scaled, mut unit) = (bytes, units.next());
    // A value that would be shown as 1,024 of a unit is shown as 1 of the next.
    while scaled.abs() >= 1_023.5 && !units.as_slice().is_empty() {
        scaled /= 1_024.0;
        unit = units.next();
    }
    with_unit(scaled, unit.unwrap_or_default())
}

/// Writes a time in nanoseconds, in the unit that fits.
///
/// ```
/// assert_eq!(hermon_amounts::time(1.5e6), "1.5 ms");
/// ```
pub fn time(nanos: f64) -> String {
    let (one, unit) = match nanos.abs() {
        ..999.5 => (1.0, "ns"),
        ..999.5e3 => (1e3, "µs"),
        ..999.5e6 => (1e6, "ms"),
        ..120e9 => (1e9, "s"),
        ..7_200e9 => (60e9, "min"),
        ..172_800e9 => (3_600e9, "h"),
        _ => (86_400e9, "d"),
    };
    with_unit(nanos / one, unit)
}

/// Writes a time in microseconds, the unit of a trace.
pub fn micros(micros: u64) -> String {
    match micros {
        0 => "0 µs".to_owned(),
        micros => time(micros as f64 * 1e3),
    }
}

/// Writes a whole number, with commas between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(",")
}

/// Writes a percentage.
pub fn percent(number: f64) -> String {
    format!("{} %", short(number))
}

/// Writes a number without a unit: one decimal below 1,000, two nonzero digits below 1, and no zeros at the end.
pub fn short(number: f64) -> String {
    match number.abs() {
        size if number.fract() == 0.0 && size < 1e15 => whole(number),
        size if !(0.001..1e15).contains(&size) => format!("{number:.1e}"),
        ..0.01 => decimals(number, 4),
        ..0.1 => decimals(number, 3),
        ..1.0 => decimals(number, 2),
        ..1_000.0 => decimals(number, 1),
        _ => whole(number.round()),
    }
}

/// Writes a number with three digits and its unit.
fn with_unit(number: f64, unit: &str) -> String {
    let number = match number.abs() {
        _ if number.fract() == 0.0 => whole(number),
        ..1.0 => short(number),
        ..9.995 => decimals(number, 2),
        ..99.95 => decimals(number, 1),
        _ => whole(number.round()),
    };
    format!("{number} {unit}")
}

fn whole(number: f64) -> String {
    let sign = if number < 0.0 { "-" } else { "" };
    format!("{sign}{}", count(number.abs() as u64))
}

/// Writes a number with at most `most` decimals.
fn decimals(number: f64, most: usize) -> String {
    let text = format!("{number:.most$}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_numbers_with_units() {
        for (text, micros) in [
            ("250ms", 250_000),
            ("90s", 90_000_000),
            ("30m", 1_800_000_000),
            ("12h", 43_200_000_000),
            ("7d", 604_800_000_000),
            ("1m 30s", 90_000_000),
            ("1m30s", 90_000_000),
            ("1.5s", 1_500_000),
            ("10us", 10),
            ("0.5µs", 0),
            ("0s", 0),
        ] {
            assert_eq!(duration(text).unwrap().as_micros(), micros, "{text}");
        }
        assert!(some_duration("1us").is_ok());
    }

    #[test]
    fn what_is_no_time_is_named() {
        for text in [
            "",
            "s",
            "-1s",
            "+1s",
            "1",
            "1w",
            "99999999999999999999d",
            "1 h",
            "1e3s",
            ".s",
            "1s,",
            "soon",
            "1 parsec",
            "é",
        ] {
            let error = duration(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is not a time ")));
            assert_eq!(some_duration(text).unwrap_err().to_string(), error);
        }
        assert!(some_duration("0s").is_err() && some_duration("0ms 0s").is_err());
    }

    #[test]
    fn bytes_have_three_digits_and_no_zeros_at_the_end() {
        for (number, want) in [
            (0.0, "0 B"),
            (0.5, "0.5 B"),
            (-247.3, "-247 B"),
            (1_023.4, "1,023 B"),
            (1_024.0, "1 KiB"),
            (-2_048.0, "-2 KiB"),
            (10_240.0, "10 KiB"),
            (102_400.0, "100 KiB"),
            (1_036_500.0, "1,012 KiB"),
            (1_048_575.9, "1 MiB"),
            (6.7e7, "63.9 MiB"),
            (5e9, "4.66 GiB"),
            (5e12, "4.55 TiB"),
            (1.8e19, "15.6 EiB"),
            (1e30, "867,361,737,988 EiB"),
        ] {
            assert_eq!(bytes(number), want, "{number}");
        }
    }

    #[test]
    fn times_have_the_unit_that_fits() {
        for (nanos, want) in [
            (0.0, "0 ns"),
            (999.0, "999 ns"),
            (999.9, "1 µs"),
            (1.5e6, "1.5 ms"),
            (1.234e6, "1.23 ms"),
            (90e9, "90 s"),
            (7_000e9, "117 min"),
            (36_000e9, "10 h"),
            (604_800e9, "7 d"),
        ] {
            assert_eq!(time(nanos), want);
        }
        assert_eq!([micros(0), micros(7)], ["0 µs", "7 µs"]);
    }

    #[test]
    fn numbers_without_a_unit_keep_their_digits() {
        for (number, want) in [
            (0.0123, "0.012"),
            (0.00002, "2.0e-5"),
            (0.5, "0.5"),
            (27.73, "27.7"),
            (1_234_567.8, "1,234,568"),
            (-3.0, "-3"),
            (1e15, "1.0e15"),
        ] {
            assert_eq!(short(number), want);
        }
        assert_eq!([percent(12.54), percent(100.0)], ["12.5 %", "100 %"]);
        let counts = [0, 999, 1_000, 1_234_567, u64::MAX].map(count);
        let want = [
            "0",
            "999",
            "1,000",
            "1,234,567",
            "18,446,744,073,709,551,615",
        ];
        assert_eq!(counts, want);
    }
}
