//! Numbers as people read them.

/// Bytes with three digits or four, in powers of 1,024.
pub fn bytes(bytes: f64) -> String {
    let size = bytes.abs();
    if size < 1_024.0 {
        return format!("{} B", bytes.round());
    }
    let (unit, name) = [
        (1_099_511_627_776.0, "TiB"),
        (1_073_741_824.0, "GiB"),
        (1_048_576.0, "MiB"),
    ]
    .into_iter()
    // What would be shown as 1,024 of a unit is 1.00 of the next.
    .find(|&(unit, _)| size >= unit * 0.999_5)
    .unwrap_or((1_024.0, "KiB"));
    let value = bytes / unit;
    let digits = match value.abs() {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.digits$} {name}")
}

/// A time in microseconds, in the unit that fits.
pub fn time(micros: u64) -> String {
    match micros {
        ..1_000 => format!("{micros} µs"),
        1_000..1_000_000 => format!("{} ms", micros as f64 / 1e3),
        1_000_000..120_000_000 => format!("{:.1} s", micros as f64 / 1e6),
        120_000_000..7_200_000_000 => format!("{:.1} min", micros as f64 / 6e7),
        _ => format!("{:.1} h", micros as f64 / 3.6e9),
    }
}

/// A whole number with commas between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A share of a whole.
pub fn share(part: f64, whole: f64) -> String {
    if whole > 0.0 {
        format!("{:.1} %", 100.0 * part / whole)
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_have_three_or_four_digits() {
        for (number, want) in [
            (0.0, "0 B"),
            (1_023.4, "1023 B"),
            (1_024.0, "1.00 KiB"),
            (-2_048.0, "-2.00 KiB"),
            (10_240.0, "10.0 KiB"),
            (102_400.0, "100 KiB"),
            (1_048_575.9, "1.00 MiB"),
            (5e9, "4.66 GiB"),
            (5e12, "4.55 TiB"),
        ] {
            assert_eq!(bytes(number), want, "{number}");
        }
    }

    #[test]
    fn times_and_counts() {
        assert_eq!(
            [
                time(7),
                time(1_500),
                time(30_000_000),
                time(600_000_000),
                time(36_000_000_000)
            ],
            ["7 µs", "1.5 ms", "30.0 s", "10.0 min", "10.0 h"]
        );
        assert_eq!(
            [count(0), count(999), count(1_000), count(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!([share(1.0, 8.0), share(0.0, 0.0)], ["12.5 %", "-"]);
    }
}
