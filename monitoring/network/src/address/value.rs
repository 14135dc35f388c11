//! The error of an argument whose text is not a valid value.

use core::error::Error;
use core::fmt;

use super::Cidr;

/// The error of an invalid value. It is one line that shows the text, escaped as in a Rust string: `"x" is not a port:
/// want 0 to 65535, 0 for off`.
///
/// ```
/// use network::BadValue;
/// let error = BadValue::new("1\n", " is not a port: want 0 to 65535, 0 for off");
/// assert_eq!(error.to_string(), r#""1\n" is not a port: want 0 to 65535, 0 for off"#);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadValue<'a> {
    before: &'static str,
    shown: Shown<'a>,
    after: &'static str,
    network: Option<Cidr>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown<'a> {
    Text(&'a str),
    Port(u16),
    Nothing,
}

impl<'a> BadValue<'a> {
    const fn of(shown: Shown<'a>, after: &'static str) -> Self {
        Self {
            before: "",
            shown,
            after,
            network: None,
        }
    }

    /// Creates an error for this text. `after` says what is wrong and what is wanted.
    #[must_use]
    pub const fn new(text: &'a str, after: &'static str) -> Self {
        Self::of(Shown::Text(text), after)
    }

    /// Creates an error for a port that is given to two services.
    #[must_use]
    pub const fn of_port(port: u16, after: &'static str) -> Self {
        Self::of(Shown::Port(port), after).after("port ")
    }

    /// Creates an error for a secret text, which is not shown.
    #[must_use]
    pub const fn of_secret(message: &'static str) -> Self {
        Self::of(Shown::Nothing, message)
    }

    /// Adds words before the text.
    #[must_use]
    pub const fn after(mut self, before: &'static str) -> Self {
        self.before = before;
        self
    }

    /// Adds a network after the words.
    #[must_use]
    pub const fn in_network(mut self, network: Cidr) -> Self {
        self.network = Some(network);
        self
    }
}

impl fmt::Display for BadValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.before)?;
        match self.shown {
            Shown::Text(text) => write!(f, "{text:?}")?,
            Shown::Port(port) => write!(f, "{port}")?,
            Shown::Nothing => {}
        }
        f.write_str(self.after)?;
        self.network.map_or(Ok(()), |network| network.fmt(f))
    }
}

impl Error for BadValue<'_> {}
