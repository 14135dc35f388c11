//! What has arrived, and what was lost on the way to the terminal.

use core::fmt;

use crate::judge::{Verdict, judge};
use crate::receive::What;
use crate::show::Printable;

/// Counts since the start. Nothing is ever reset.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Tally {
    /// Lines that are points.
    pub points: u64,
    /// Lines that no parser takes.
    pub unparsable: u64,
    /// Lines whose connection ended before the line did.
    pub cut: u64,
    /// Lines longer than [`crate::split::MAX_LINE`].
    pub too_long: u64,
    /// Lines that arrived over UDP while this process was behind with showing earlier ones.
    pub lost: u64,
    /// TCP connections over the limit.
    pub refused: u64,
    /// Datagrams that the system dropped before this process read them.
    pub dropped: u64,
}

/// What an arrival is, and the words for it if it is a fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A blank line or a comment.
    Nothing,
    /// A point.
    Point,
    /// Something that went wrong, in one line.
    Fault(String),
}

impl Tally {
    /// Counts what arrived.
    pub fn count(&mut self, what: &What) -> Told {
        match what {
            What::Line(bytes) => match judge(bytes) {
                Verdict::Nothing => Told::Nothing,
                Verdict::Point => {
                    self.points += 1;
                    Told::Point
                }
                Verdict::Unparsable(why) => {
                    self.unparsable += 1;
                    Told::Fault(format!("unparsable, {why}: {}", Printable(bytes)))
                }
            },
            What::Cut(bytes) => {
                self.cut += 1;
                Told::Fault(format!("cut by the connection's end: {}", Printable(bytes)))
            }
            What::TooLong(bytes) => {
                self.too_long += 1;
                Told::Fault(format!("a line of {bytes} bytes is too long, left out"))
            }
            What::Refused => {
                self.refused += 1;
                Told::Fault("refused, too many connections".to_owned())
            }
        }
    }

    /// What was lost, as far as it happened: how much, of what.
    pub fn losses(&self) -> impl Iterator<Item = (u64, &'static str)> {
        [
            (self.unparsable, "lines unparsable"),
            (self.cut, "lines cut by their connection's end"),
            (self.too_long, "lines too long"),
            (self.lost, "lines lost here"),
            (self.refused, "connections refused"),
            (
                self.dropped,
                "datagrams dropped by the system before they were read",
            ),
        ]
        .into_iter()
        .filter(|&(count, _)| count > 0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points", self.points)?;
        for (count, what) in self.losses() {
            write!(f, ", {count} {what}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_losses_that_happened_are_told() {
        let mut tally = Tally {
            points: 3,
            ..Tally::default()
        };
        assert_eq!(tally.to_string(), "3 points");
        tally.cut = 1;
        tally.lost = 2;
        assert_eq!(
            tally.to_string(),
            "3 points, 1 lines cut by their connection's end, 2 lines lost here"
        );
    }
}
