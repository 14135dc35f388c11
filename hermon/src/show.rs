//! How it looks in a terminal: one line each, with the time of day and where it came from.
//!
//! ```text
//! 14:03:07.123 console [    0.081 INFO monitoring] monitoring: ready, …
//! 14:03:07.131 udp     127.0.0.1:40211 memory,vm=hermit live_bytes=81920i …
//! 14:03:07.131 hermon  …
//! ```

use core::fmt::{self, Write as _};
use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use jiff::Zoned;

use crate::receive::{Arrival, Transport, What};
use crate::tally::{Tally, Told};

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// The guest's console.
    Console,
    /// QEMU itself.
    Qemu,
    /// Metrics by UDP.
    Udp,
    /// Metrics by TCP.
    Tcp,
    /// This tool.
    Hermon,
}

impl From<Transport> for Origin {
    fn from(transport: Transport) -> Self {
        match transport {
            Transport::Udp => Self::Udp,
            Transport::Tcp => Self::Tcp,
        }
    }
}

impl Origin {
    /// As it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Qemu => "qemu",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Hermon => "hermon",
        }
    }

    fn style(self) -> Style {
        match self {
            Self::Console => Style::new().dimmed(),
            Self::Qemu => AnsiColor::Red.on_default(),
            Self::Udp | Self::Tcp => AnsiColor::Green.on_default(),
            Self::Hermon => Style::new().bold(),
        }
    }
}

/// Writes lines as they come.
#[derive(Debug)]
pub struct Show<W> {
    out: W,
    colour: bool,
}

impl<W: Write> Show<W> {
    /// `colour`: the origins' names are coloured; the text of a line never is.
    pub fn new(out: W, colour: bool) -> Self {
        Self { out, colour }
    }

    /// One line, stamped with the present time of day of this machine's time zone.
    ///
    /// # Errors
    /// The output's: it is closed, say.
    pub fn line(&mut self, origin: Origin, text: impl fmt::Display) -> io::Result<()> {
        self.line_at(&time_of_day(), origin, text)
    }

    /// Shows what arrived, and counts it. Blank lines and comments are not shown.
    ///
    /// # Errors
    /// The output's.
    pub fn arrival(&mut self, arrival: &Arrival, tally: &mut Tally) -> io::Result<()> {
        let origin = arrival.transport.into();
        let peer = arrival.peer;
        match (tally.count(&arrival.what), &arrival.what) {
            (Told::Point, What::Line(bytes)) => {
                self.line(origin, format_args!("{peer} {}", Printable(bytes)))
            }
            (Told::Fault(fault), _) => self.line(origin, format_args!("{peer} {fault}")),
            (Told::Nothing | Told::Point, _) => Ok(()),
        }
    }

    /// The same with a time of day of its own.
    ///
    /// # Errors
    /// The output's.
    pub fn line_at(
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

/// Now, in this machine's time zone, as lines begin with it.
pub fn time_of_day() -> String {
    Zoned::now().strftime("%H:%M:%S%.3f").to_string()
}

/// Bytes from outside, made harmless for a terminal: control characters are escaped, what is not UTF-8 is replaced.
pub struct Printable<'a>(pub &'a [u8]);

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in String::from_utf8_lossy(self.0).chars() {
            if c.is_control() && c != '\t' {
                write!(f, "{}", c.escape_default())?;
            } else {
                f.write_char(c)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let peer = "127.0.0.1:7".parse().unwrap();
            show.arrival(
                &Arrival {
                    transport: Transport::Tcp,
                    peer,
                    what,
                },
                &mut tally,
            )
            .unwrap();
        }
        let expected = Tally {
            points: 1,
            unparsable: 1,
            cut: 1,
            too_long: 1,
            lost: 0,
            refused: 1,
            dropped: 0,
        };
        assert_eq!(tally, expected);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 5, "the comment is not shown: {text}");
        assert!(text.contains("tcp     127.0.0.1:7 m v=1\n"), "{text}");
        assert!(text.contains("127.0.0.1:7 unparsable, "), "{text}");
    }
}
