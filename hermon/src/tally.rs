//! What has arrived, and what was lost on the way to the terminal.

use core::fmt;

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
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} points", self.points)?;
        for (count, what) in [
            (self.unparsable, "lines unparsable"),
            (self.cut, "lines cut by their connection's end"),
            (self.too_long, "lines too long"),
            (self.lost, "lines lost here"),
            (self.refused, "connections refused"),
        ] {
            if count > 0 {
                write!(f, ", {count} {what}")?;
            }
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
