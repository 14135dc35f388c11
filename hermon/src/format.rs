//! Values of points as people read them: short, with their unit, never rounded to something that reads as nothing.

use hermon_amounts::{bytes, count, percent, short, time};
use jiff::Timestamp;

use crate::meaning::Unit;
use crate::point::Value;

/// A value in at most about ten characters, text and dates aside. A whole number without a unit is exact.
pub(crate) fn value(value: &Value, unit: Unit) -> String {
    match (value, unit) {
        (Value::Text(text), _) => text.clone(),
        (Value::Bool(yes), _) => yes.to_string(),
        (Value::Int(seconds), Unit::Date) => date(*seconds),
        (Value::Int(whole), Unit::Plain) => {
            let sign = if *whole < 0 { "-" } else { "" };
            format!("{sign}{}", count(whole.unsigned_abs()))
        }
        (Value::Uint(whole), Unit::Plain) => count(*whole),
        (other, unit) => number(other.number().unwrap_or_default(), unit),
    }
}

/// A number in its unit.
pub(crate) fn number(number: f64, unit: Unit) -> String {
    if !number.is_finite() {
        return number.to_string();
    }
    match unit {
        Unit::Bytes => bytes(number),
        Unit::Time(nanos) => time(number * nanos as f64),
        Unit::Permille => percent(number / 10.0),
        Unit::Percent => percent(number),
        Unit::Date | Unit::Plain => short(number),
    }
}

/// Writes how fast something counts. A time per second is a share of one core.
pub(crate) fn rate(per_second: f64, unit: Unit) -> String {
    match unit {
        Unit::Time(nanos) => percent(per_second * nanos as f64 / 1e7),
        unit => format!("{}/s", number(per_second, unit)),
    }
}

/// A duration in one unit: `3 s`, `5 min`, `2 h`, `4 d`.
pub(crate) fn age(seconds: i64) -> String {
    match seconds {
        ..60 => format!("{} s", seconds.max(0)),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

fn date(seconds: i64) -> String {
    Timestamp::from_second(seconds).map_or_else(
        |_| seconds.to_string(),
        |time| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_unit_has_its_scale() {
        for (given, unit, expected) in [
            (6.7e7, Unit::Bytes, "63.9 MiB"),
            (1_500.0, Unit::Time(1_000), "1.5 ms"),
            (90.0, Unit::Time(1_000_000_000), "90 s"),
            (5.0, Unit::Permille, "0.5 %"),
            (12.5, Unit::Percent, "12.5 %"),
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
