//! The token that a control connection must send first.

use core::fmt;

use network::BadValue;
use subtle::ConstantTimeEq as _;

/// Longest token, in bytes: 32 random bytes in hexadecimal.
pub const TOKEN_MAX: usize = 64;

/// A secret: 1 to [`TOKEN_MAX`] bytes of UTF-8 without control characters.
///
/// ```
/// use agent::config::parse_token;
/// let token = parse_token("open sesame")?;
/// assert!(token.is(b"open sesame") && !token.is(b"open"));
/// # Ok::<(), network::BadValue<'static>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    bytes: [u8; TOKEN_MAX],
    len: u8,
}

const _: () = assert!(TOKEN_MAX <= u8::MAX as usize);

impl Token {
    /// Returns `true` if this is the token. The time depends only on whether the text is longer than [`TOKEN_MAX`].
    #[must_use]
    pub fn is(&self, offered: &[u8]) -> bool {
        let mut bytes = [0; TOKEN_MAX];
        let Some(room) = bytes.get_mut(..offered.len()) else {
            return false;
        };
        room.copy_from_slice(offered);
        let same = bytes.ct_eq(&self.bytes) & (offered.len() as u8).ct_eq(&self.len);
        same.into()
    }
}

impl Token {
    /// Returns the secret.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Does not show the secret.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Parses the value of `--token`.
///
/// # Errors
/// An empty token, one longer than [`TOKEN_MAX`] bytes, or one with a control character (which a line cannot hold).
///
/// ```
/// use agent::config::parse_token;
/// assert!(parse_token("open sesame").is_ok());
/// assert_eq!(parse_token("").unwrap_err().to_string(), "not a token: empty");
/// ```
pub fn parse_token(text: &str) -> Result<Token, BadValue<'static>> {
    if text.is_empty() {
        return Err(BadValue::of_secret("not a token: empty"));
    }
    if text.len() > TOKEN_MAX {
        return Err(BadValue::of_secret("not a token: longer than 64 bytes"));
    }
    if text.chars().any(char::is_control) {
        return Err(BadValue::of_secret(
            "not a token: holds a control character",
        ));
    }
    let mut bytes = [0; TOKEN_MAX];
    bytes[..text.len()].copy_from_slice(text.as_bytes());
    Ok(Token {
        bytes,
        len: text.len() as u8,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_else_and_is_not_shown() {
        let token = parse_token("sésame 1").unwrap();
        assert!(token.is("sésame 1".as_bytes()));
        for other in ["", "sésame ", "sésame 12", "sésame 1\0", "Sésame 1"] {
            assert!(!token.is(other.as_bytes()), "{other:?}");
        }
        assert!(!token.is(&[0; 200]));
        assert_eq!(format!("{token:?}"), "Token");
        let longest = "x".repeat(TOKEN_MAX);
        assert!(parse_token(&longest).unwrap().is(longest.as_bytes()));
    }

    #[test]
    fn what_is_no_token_is_said_without_showing_it() {
        let error = |text: &str| parse_token(text).unwrap_err().to_string();
        assert_eq!(error(""), "not a token: empty");
        let long = "x".repeat(TOKEN_MAX + 1);
        assert_eq!(error(&long), "not a token: longer than 64 bytes");
        assert_eq!(error("a\nb"), "not a token: holds a control character");
    }
}
