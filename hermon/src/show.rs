//! Writes lines to a terminal, each with the time of day and its origin.
//!
//! ```text
//! 14:03:07.123 console [    0.081 INFO monitoring] monitoring: ready, …
//! 14:03:07.131 udp     127.0.0.1:40211 memory,vm=hermit live_bytes=81920i …
//! 14:03:07.131 hermon  …
//! ```

use core::fmt;
use std::io::{self, Write};

use crate::receive::Arrival;
use crate::said::{Origin, Printable, time_of_day};
use crate::tally::Told;

/// Writes lines as they come.
#[derive(Debug)]
pub(crate) struct Show<W> {
    out: W,
    colour: bool,
}

impl<W: Write> Show<W> {
    /// Creates a writer. With `colour` the names of origins are coloured; the text of a line never is.
    pub(crate) fn new(out: W, colour: bool) -> Self {
        Self { out, colour }
    }

    /// Returns the output.
    pub(crate) const fn out(&mut self) -> &mut W {
        &mut self.out
    }

    /// Writes one line with the present time of day in this machine's time zone.
    ///
    /// # Errors
    /// The error of the output, for example if it is closed.
    pub(crate) fn line(&mut self, origin: Origin, text: impl fmt::Display) -> io::Result<()> {
        self.line_at(&time_of_day(), origin, text)
    }

    /// Shows what arrived, except blank lines and comments.
    ///
    /// # Errors
    /// The error of the output.
    pub(crate) fn arrival(&mut self, arrival: &Arrival, told: &Told) -> io::Result<()> {
        let origin = arrival.transport.into();
        let peer = arrival.peer;
        match told {
            Told::Nothing => Ok(()),
            Told::Point(_) => {
                let line = Printable(arrival.what.bytes());
                self.line(origin, format_args!("{peer} {line}"))
            }
            Told::Fault(_, fault) => self.line(origin, format_args!("{peer} {fault}")),
        }
    }

    /// Writes one line with a given time of day.
    ///
    /// # Errors
    /// The error of the output.
    pub(crate) fn line_at(
        &mut self,
        time: &str,
        origin: Origin,
        text: impl fmt::Display,
    ) -> io::Result<()> {
        let name = origin.name();
        let text = text.to_string();
        let text = Printable(text.as_bytes());
        let line = if self.colour {
            let style = origin.style();
            format!("{time} {style}{name:<7}{style:#} {text}\n")
        } else {
            format!("{time} {name:<7} {text}\n")
        };
        // In one piece, so that another process on the same terminal cannot write into the middle.
        self.out.write_all(line.as_bytes())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::{Transport, What};
    use crate::tally::Tally;

    fn shown(colour: bool, text: &str) -> String {
        let mut out = Vec::new();
        Show::new(&mut out, colour)
            .line_at("01:02:03.004", Origin::Console, text)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_line_has_the_time_the_origin_and_the_text() {
        assert_eq!(shown(false, "hello"), "01:02:03.004 console hello\n");
    }

    #[test]
    fn colour_is_on_the_origin_only() {
        assert_eq!(
            shown(true, "hello"),
            "01:02:03.004 \u{1b}[2mconsole\u{1b}[0m hello\n"
        );
    }

    #[test]
    fn what_a_guest_says_cannot_drive_the_terminal() {
        assert_eq!(
            shown(false, "\u{1b}[2Jcaf\u{e9}\t\r\0"),
            "01:02:03.004 console \\u{1b}[2Jcaf\u{e9}\t\\r\\u{0}\n"
        );
    }

    #[test]
    fn every_kind_of_arrival_is_counted_once() {
        let mut out = Vec::new();
        let mut tally = Tally::default();
        let mut show = Show::new(&mut out, false);
        for what in [
            What::Line(b"m v=1".to_vec()),
            What::Line(b"# comment".to_vec()),
            What::Line(b"m v=".to_vec()),
            What::Cut(b"m".to_vec()),
            What::TooLong(70_000),
            What::Refused,
        ] {
            let told = Told::of(&what);
            tally.count(&told);
            let peer = "127.0.0.1:7".parse().unwrap();
            let arrival = Arrival::by(Transport::Tcp, peer, what);
            show.arrival(&arrival, &told).unwrap();
        }
        let expected = Tally {
            points: 1,
            unparsable: 1,
            cut: 1,
            too_long: 1,
            lost: 0,
            refused: 1,
            ..Tally::default()
        };
        assert_eq!(tally, expected);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 5, "the comment is not shown: {text}");
        assert!(text.contains("tcp     127.0.0.1:7 m v=1\n"), "{text}");
        assert!(text.contains("127.0.0.1:7 unparsable, "), "{text}");
    }
}
