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

use crate::judge::{Verdict, judge};
use crate::receive::{Arrival, What};
use crate::tally::Tally;

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

impl Origin {
    fn name(self) -> &'static str {
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
        let now = Zoned::now();
        self.line_at(&now.strftime("%H:%M:%S%.3f").to_string(), origin, text)
    }

    /// Shows what arrived, and counts it. Blank lines and comments are not shown.
    ///
    /// # Errors
    /// The output's.
    pub fn arrival(&mut self, arrival: &Arrival, tally: &mut Tally) -> io::Result<()> {
        let origin = match arrival.transport {
            crate::receive::Transport::Udp => Origin::Udp,
            crate::receive::Transport::Tcp => Origin::Tcp,
        };
        let peer = arrival.peer;
        match &arrival.what {
            What::Line(bytes) => match judge(bytes) {
                Verdict::Nothing => Ok(()),
                Verdict::Point => {
                    tally.points += 1;
                    self.line(origin, format_args!("{peer} {}", Printable(bytes)))
                }
                Verdict::Unparsable(why) => {
                    tally.unparsable += 1;
                    self.line(
                        origin,
                        format_args!("{peer} unparsable, {why}: {}", Printable(bytes)),
                    )
                }
            },
            What::Cut(bytes) => {
                tally.cut += 1;
                self.line(
                    origin,
                    format_args!("{peer} cut by the connection's end: {}", Printable(bytes)),
                )
            }
            What::TooLong(bytes) => {
                tally.too_long += 1;
                self.line(
                    origin,
                    format_args!("{peer} a line of {bytes} bytes is too long, left out"),
                )
            }
            What::Refused => {
                tally.refused += 1;
                self.line(origin, format_args!("{peer} refused, too many connections"))
            }
        }
    }

    fn line_at(&mut self, time: &str, origin: Origin, text: impl fmt::Display) -> io::Result<()> {
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

/// Bytes from outside, made harmless for a terminal: control characters are escaped, what is not UTF-8 is replaced.
struct Printable<'a>(&'a [u8]);

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
    use crate::receive::Transport;

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
        };
        assert_eq!(tally, expected);
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.lines().count(), 5, "the comment is not shown: {text}");
        assert!(text.contains("tcp     127.0.0.1:7 m v=1\n"), "{text}");
        assert!(text.contains("127.0.0.1:7 unparsable, "), "{text}");
    }
}
