//! Counts what arrived: points, and what was lost on the way to the terminal.

use core::fmt;
use core::time::Duration;

use hermon_amounts as amounts;

use crate::point::Point;
use crate::receive::{Closing, Losses, What};
use crate::said::Printable;

/// A fault in what arrives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A line that no parser accepts.
    Unparsable,
    /// A line whose connection ended before the line did.
    Cut,
    /// A line longer than [`hermon_machine::split::MAX_LINE`].
    TooLong,
    /// A TCP connection over the limit.
    Refused,
    /// A datagram or a connection of another protocol.
    Foreign,
    /// A TCP connection that was closed here.
    Closed,
}

/// The meaning of an arrival.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// A blank line or a comment.
    Nothing,
    /// A point.
    Point(Point),
    /// A fault, and its description in one line.
    Fault(Fault, String),
}

impl Told {
    /// Returns the meaning of what arrived.
    pub(crate) fn of(what: &What) -> Self {
        match what {
            What::Line(bytes) => match Point::parse(bytes) {
                Ok(None) => Self::Nothing,
                Ok(Some(point)) => Self::Point(point),
                Err(why) => {
                    let line = Printable(bytes);
                    Self::Fault(Fault::Unparsable, format!("unparsable, {why}: {line}"))
                }
            },
            What::Cut(bytes) => {
                let line = Printable(bytes);
                Self::Fault(Fault::Cut, format!("cut by the connection's end: {line}"))
            }
            What::TooLong(bytes) => Self::Fault(
                Fault::TooLong,
                format!("a line of {bytes} bytes is too long, left out"),
            ),
            What::Refused => {
                Self::Fault(Fault::Refused, "refused, too many connections".to_owned())
            }
            What::Foreign(foreign) => {
                let name = foreign.name();
                Self::Fault(
                    Fault::Foreign,
                    format!("{name}, not line protocol: left out"),
                )
            }
            What::Closed(why) => Self::Fault(Fault::Closed, closed(*why)),
        }
    }
}

fn closed(why: Closing) -> String {
    let length = |silent: Duration| amounts::micros(silent.as_micros() as u64);
    match why {
        Closing::Replaced(silent) => format!(
            "closed after {} of silence, to make room for a new connection",
            length(silent)
        ),
        Closing::Silent(silent) => format!("closed after {} without a point", length(silent)),
        Closing::Vanished => "closed, its peer is gone without a word".to_owned(),
        Closing::Garbage => "closed, it sends only lines that are not line protocol".to_owned(),
    }
}

/// Counts since the start. Nothing is ever reset.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Tally {
    /// The number of lines that are points.
    pub points: u64,
    /// See [`Fault::Unparsable`].
    pub unparsable: u64,
    /// See [`Fault::Cut`].
    pub cut: u64,
    /// See [`Fault::TooLong`].
    pub too_long: u64,
    /// Lines that arrived over UDP while this process was behind with earlier ones.
    pub lost: u64,
    /// See [`Fault::Refused`].
    pub refused: u64,
    /// See [`Fault::Foreign`].
    pub foreign: u64,
    /// See [`Fault::Closed`].
    pub closed: u64,
    /// Datagrams that the system dropped before this process read them.
    pub dropped: u64,
}

impl Tally {
    /// Counts what arrived.
    pub(crate) fn count(&mut self, told: &Told) {
        *match told {
            Told::Nothing => return,
            Told::Point(_) => &mut self.points,
            Told::Fault(Fault::Unparsable, _) => &mut self.unparsable,
            Told::Fault(Fault::Cut, _) => &mut self.cut,
            Told::Fault(Fault::TooLong, _) => &mut self.too_long,
            Told::Fault(Fault::Refused, _) => &mut self.refused,
            Told::Fault(Fault::Foreign, _) => &mut self.foreign,
            Told::Fault(Fault::Closed, _) => &mut self.closed,
        } += 1;
    }

    /// Adds the losses of the port until now.
    pub(crate) fn with(mut self, losses: Option<&Losses>) -> Self {
        if let Some(losses) = losses {
            self.lost = losses.lost();
            self.dropped = losses.dropped();
        }
        self
    }

    /// Returns the losses that happened: amounts and their kinds.
    pub(crate) fn losses(&self) -> impl Iterator<Item = (u64, &'static str)> {
        [
            (self.unparsable, "lines unparsable"),
            (self.cut, "lines cut by their connection's end"),
            (self.too_long, "lines too long"),
            (self.lost, "lines lost here"),
            (self.refused, "connections refused"),
            (self.foreign, "messages of another protocol"),
            (self.closed, "connections closed here"),
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
