//! The parts of a line in a terminal: the time of day, where it came from, and its text made harmless.

use core::fmt::{self, Write as _};

use anstyle::{AnsiColor, Style};
use jiff::Zoned;

use crate::receive::Transport;

/// The origin of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
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
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Console => "console",
            Self::Qemu => "qemu",
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Hermon => "hermon",
        }
    }

    /// Returns how its name is coloured.
    pub(crate) fn style(self) -> Style {
        match self {
            Self::Console => Style::new().dimmed(),
            Self::Qemu => AnsiColor::Red.on_default(),
            Self::Udp | Self::Tcp => AnsiColor::Green.on_default(),
            Self::Hermon => Style::new().bold(),
        }
    }
}

/// A line that somebody said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// The time of day, as it is shown.
    pub time: String,
    /// The speaker.
    pub origin: Origin,
    /// The content.
    pub text: String,
}

/// Now, in this machine's time zone, as lines begin with it.
pub(crate) fn time_of_day() -> String {
    Zoned::now().strftime("%H:%M:%S%.3f").to_string()
}

/// Bytes from outside, made harmless for a terminal: control characters are escaped, what is not UTF-8 is replaced.
pub(crate) struct Printable<'a>(pub &'a [u8]);

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
