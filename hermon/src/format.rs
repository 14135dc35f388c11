//! Numbers for people: short, with their unit, never rounded to something that reads as nothing.

use jiff::Timestamp;

use crate::meaning::Unit;
use crate::point::Value;

/// A value in at most about ten characters, text and dates aside.
///
/// ```
/// use hermon::{format::value, meaning::Unit, point::Value};
/// assert_eq!(value(&Value::Int(764_034), Unit::Bytes), "746.1 KiB");
/// assert_eq!(value(&Value::Int(51_011), Unit::Plain), "51,011");
/// assert_eq!(value(&Value::Int(998), Unit::Permille), "99.8 %");
/// ```
pub fn value(value: &Value, unit: Unit) -> String {
    match (value, unit) {
        (Value::Text(text), _) => text.clone(),
        (Value::Bool(yes), _) => yes.to_string(),
        (Value::Int(seconds), Unit::Date) => date(*seconds),
        (Value::Int(whole), Unit::Plain) => {
            let sign = if *whole < 0 { "-" } else { "" };
            format!("{sign}{}", grouped(whole.unsigned_abs()))
        }
        (Value::Uint(whole), Unit::Plain) => grouped(*whole),
        (other, unit) => number(other.number().unwrap_or_default(), unit),
    }
}

/// A number in its unit.
pub fn number(number: f64, unit: Unit) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    match unit {
        Unit::Bytes => bytes(number),
        Unit::Time(nanos) => time(number * nanos as f64),
        Unit::Permille => format!("{} %", short(number / 10.0)),
        Unit::Percent => format!("{} %", short(number)),
        Unit::Date | Unit::Plain => short(number),
    }
}

/// How fast something counts. A time per second is a share of one core.
pub fn rate(per_second: f64, unit: Unit) -> String {
    match unit {
        Unit::Time(nanos) => format!("{} %", short(per_second * nanos as f64 / 1e7)),
        unit => format!("{}/s", number(per_second, unit)),
    }
}

/// A duration in one unit: `3 s`, `5 min`, `2 h`, `4 d`.
pub fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A whole number with commas between thousands.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| seconds.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

fn bytes(number: f64) -> String {
    let mut scaled = number;
    let mut units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"].into_iter();
    let mut unit = "B";
    for next in &mut units {
        unit = next;
        if scaled.abs() < 1_024.0 {
            break;
        }
        if unit != "EiB" {
            scaled /= 1_024.0;
        }
    }
    format!("{} {unit}", short(scaled))
}

fn time(nanos: f64) -> String {
    let size = nanos.abs();
    let (scaled, unit) = match size {
        _ if size < 1e3 => (nanos, "ns"),
        _ if size < 1e6 => (nanos / 1e3, "µs"),
        _ if size < 1e9 => (nanos / 1e6, "ms"),
        _ if size < 120e9 => (nanos / 1e9, "s"),
        _ if size < 7_200e9 => (nanos / 60e9, "min"),
        _ if size < 172_800e9 => (nanos / 3_600e9, "h"),
        _ => (nanos / 86_400e9, "d"),
    };
    format!("{} {unit}", short(scaled))
}

/// One decimal below 1,000, two significant digits below 1, else none; no zeros at the end.
fn short(number: f64) -> String {
    let size = number.abs();
    if number.fract() == 0.0 && size < 1e15 {
        let sign = if number < 0.0 { "-" } else { "" };
        return format!("{sign}{}", grouped(size as u64));
    }
    let text = match size {
        _ if !(0.001..1e15).contains(&size) => return format!("{number:.1e}"),
        _ if size < 0.01 => format!("{number:.4}"),
        _ if size < 0.1 => format!("{number:.3}"),
        _ if size < 1.0 => format!("{number:.2}"),
        _ if size < 1_000.0 => format!("{number:.1}"),
        _ => return short(number.round()),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_has_its_scale() {
        for (given, unit, expected) in [
            (0.0, Unit::Bytes, "0 B"),
            (1_023.0, Unit::Bytes, "1,023 B"),
            (1_024.0, Unit::Bytes, "1 KiB"),
            (6.7e7, Unit::Bytes, "63.9 MiB"),
            (1.8e19, Unit::Bytes, "15.6 EiB"),
            (-2_048.0, Unit::Bytes, "-2 KiB"),
            (999.0, Unit::Time(1), "999 ns"),
            (1_500.0, Unit::Time(1_000), "1.5 ms"),
            (90.0, Unit::Time(1_000_000_000), "90 s"),
            (7_000.0, Unit::Time(1_000_000_000), "116.7 min"),
            (5.0, Unit::Permille, "0.5 %"),
            (0.0123, Unit::Plain, "0.012"),
            (0.00002, Unit::Plain, "2.0e-5"),
            (1_234_567.8, Unit::Plain, "1,234,568"),
            (f64::NAN, Unit::Bytes, "NaN"),
        ] {
            assert_eq!(number(given, unit), expected);
        }
    }

    #[test]
    fn a_counted_time_is_a_share_of_the_core() {
        assert_eq!(rate(499_000.0, Unit::Time(1_000)), "49.9 %");
        assert_eq!(rate(2_048.0, Unit::Bytes), "2 KiB/s");
        assert_eq!(rate(0.1, Unit::Plain), "0.1/s");
    }

    #[test]
    fn whole_numbers_are_exact_to_the_last_digit() {
        assert_eq!(
            value(&Value::Uint(u64::MAX), Unit::Plain),
            "18,446,744,073,709,551,615"
        );
        assert_eq!(
            value(&Value::Int(i64::MIN), Unit::Plain),
            "-9,223,372,036,854,775,808"
        );
    }

    #[test]
    fn dates_and_ages_read_as_such() {
        assert_eq!(
            value(&Value::Int(1_700_000_000), Unit::Date),
            "2023-11-14 22:13:20Z"
        );
        assert_eq!(
            value(&Value::Int(i64::MAX), Unit::Date),
            i64::MAX.to_string()
        );
        let ages = [-1, 59, 60, 7_199, 86_400].map(age);
        assert_eq!(ages, ["0 s", "59 s", "1 min", "1 h", "1 d"]);
    }
}
