//! Foreign text on one line.

use core::fmt::{self, Write};

/// Writes a text with its control characters escaped as in Rust. So a reply or a line of the log stays one line, and no
/// escape sequence reaches a terminal.
#[derive(Clone, Copy, Debug)]
pub struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|char| {
            if char.is_control() {
                write!(f, "{}", char.escape_default())
            } else {
                f.write_char(char)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped_and_nothing_else_is() {
        let text = "a, b=\"c\"\\ é漢\n\r\0\u{1b}[31m\u{85}";
        let shown = "a, b=\"c\"\\ é漢\\n\\r\\u{0}\\u{1b}[31m\\u{85}";
        assert_eq!(OneLine(text).to_string(), shown);
    }
}
