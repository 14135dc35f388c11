//! Is a line what the Influx line protocol allows?

use influxdb_line_protocol::parse_lines;

/// The judgement on one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A point.
    Point,
    /// Blank, or a comment: nothing to store.
    Nothing,
    /// No parser would take it; why, in one line.
    Unparsable(String),
}

/// Parses one line, without its end, with the parser of InfluxDB 3.
///
/// ```
/// use hermon::judge::{judge, Verdict};
/// assert_eq!(judge(b"memory,vm=hermit live_bytes=1i 1"), Verdict::Point);
/// assert_eq!(judge(b"# a comment"), Verdict::Nothing);
/// assert!(matches!(judge(b"memory,vm=hermit "), Verdict::Unparsable(_)));
/// ```
pub fn judge(line: &[u8]) -> Verdict {
    let text = match core::str::from_utf8(line) {
        Ok(text) => text,
        Err(error) => {
            return Verdict::Unparsable(format!("not UTF-8 after {} bytes", error.valid_up_to()));
        }
    };
    let mut points = 0;
    for point in parse_lines(text) {
        match point {
            Ok(_) => points += 1,
            Err(error) => return Verdict::Unparsable(one_line(&error.to_string())),
        }
    }
    match points {
        0 => Verdict::Nothing,
        1 => Verdict::Point,
        // A line break inside the text: the caller did not split.
        _ => Verdict::Unparsable(format!("{points} points in one line")),
    }
}

/// The parser quotes the whole rest of the input, line breaks included.
fn one_line(message: &str) -> String {
    message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(160)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_with_every_escape_and_type_are_points() {
        for line in [
            "m v=1",
            "m,a=b v=1i,w=2u,x=t,y=\"a \\\"b\\\", c\" 1700000000000000000",
            "my\\ source\\,x,tag\\ key=a\\=b,vm=caf\u{e9} live\\ bytes=1e300",
        ] {
            assert_eq!(judge(line.as_bytes()), Verdict::Point, "{line}");
        }
    }

    #[test]
    fn blank_lines_and_comments_are_nothing() {
        for line in ["", " ", "#", "# m v=1"] {
            assert_eq!(judge(line.as_bytes()), Verdict::Nothing, "{line:?}");
        }
    }

    #[test]
    fn what_servers_reject_is_unparsable_and_says_why_in_one_line() {
        for line in [
            &b"m"[..],
            b"m,vm=a",
            b"m v",
            b"m v=",
            b"m v=nan(1",
            b"m v=9223372036854775808i",
            b"m v=1i notatime",
            b",a=b v=1",
            b"m v=\"open",
            b"m v=\"caf\xe9\"",
            b"m v=1\nm v=2",
        ] {
            let Verdict::Unparsable(why) = judge(line) else {
                panic!("{:?} was taken", String::from_utf8_lossy(line));
            };
            assert!(!why.is_empty() && !why.contains('\n') && why.chars().count() <= 160);
        }
    }
}
