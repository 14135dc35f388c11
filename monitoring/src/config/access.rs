//! Who may connect, and with what a control connection has to begin.

use core::fmt;
use core::net::Ipv4Addr;

use subtle::ConstantTimeEq as _;

use super::error::{AllowError, TokenError};

/// The most networks in an [`Allow`]. An operator's, a colleague's, and some machines that watch.
pub const ALLOW_MAX: usize = 8;

/// Longest token, in bytes: 32 random bytes in hexadecimal.
pub const TOKEN_MAX: usize = 64;

/// The addresses that may connect: up to [`ALLOW_MAX`] networks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allow {
    /// The first address of each network and its mask; from `len` on equal to the first.
    networks: [(u32, u32); ALLOW_MAX],
    len: usize,
}

impl Allow {
    /// Every address.
    pub const ALL: Self = Self {
        networks: [(0, 0); ALLOW_MAX],
        len: 1,
    };

    /// Parses the value of `--allow`: `A.B.C.D/LEN` or `A.B.C.D`, divided by commas. Bits of the address behind the prefix
    /// make no difference.
    ///
    /// # Errors
    /// Anything else, a prefix above 32, and more than [`ALLOW_MAX`] networks.
    ///
    /// ```
    /// use monitoring::config::Allow;
    /// let allow = Allow::parse("10.0.2.0/24,192.168.7.1").unwrap();
    /// assert!(allow.contains([10, 0, 2, 9].into()) && !allow.contains([192, 168, 7, 2].into()));
    /// ```
    pub fn parse(text: &str) -> Result<Self, AllowError<'_>> {
        let mut allow = Self::ALL;
        for (at, item) in text.split(',').enumerate() {
            let network = parse_network(item)?;
            if at == 0 {
                allow.networks = [network; ALLOW_MAX];
            }
            *allow
                .networks
                .get_mut(at)
                .ok_or(AllowError::TooMany(item))? = network;
            allow.len = at + 1;
        }
        Ok(allow)
    }

    /// Whether this address may connect. Cost: [`ALLOW_MAX`] comparisons at most.
    #[must_use]
    pub fn contains(&self, address: Ipv4Addr) -> bool {
        let networks = &self.networks[..self.len];
        let is_in = |(first, mask): &(u32, u32)| address.to_bits() & mask == *first;
        networks.iter().any(is_in)
    }
}

/// The form that [`Allow::parse`] reads.
impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut divider = "";
        self.networks[..self.len]
            .iter()
            .try_for_each(|(first, mask)| {
                let address = Ipv4Addr::from_bits(*first);
                write!(f, "{divider}{address}/{}", mask.count_ones())?;
                divider = ",";
                Ok(())
            })
    }
}

fn parse_network(text: &str) -> Result<(u32, u32), AllowError<'_>> {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
    let address: Ipv4Addr = address.parse().map_err(|_| AllowError::Form(text))?;
    let plain = |prefix: &str| prefix.len() <= 2 && prefix.bytes().all(|b| b.is_ascii_digit());
    let prefix = Some(prefix).filter(|prefix| plain(prefix));
    let prefix: u32 = prefix
        .and_then(|prefix| prefix.parse().ok())
        .ok_or(AllowError::Form(text))?;
    if prefix > 32 {
        return Err(AllowError::Prefix(text));
    }
    let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
    Ok((address.to_bits() & mask, mask))
}

/// A secret: 1 to [`TOKEN_MAX`] bytes of UTF-8 without control characters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Token {
    bytes: [u8; TOKEN_MAX],
    len: u8,
}

const _: () = assert!(TOKEN_MAX <= u8::MAX as usize);

impl Token {
    /// Whether this is the token. Takes the same time for every text that is not longer than a token can be.
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

/// Shows nothing of it.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Parses the value of `--token`.
///
/// # Errors
/// An empty one, one longer than [`TOKEN_MAX`] bytes, or one with a control character (which could not be sent in a line).
pub fn parse_token(text: &str) -> Result<Token, TokenError> {
    if text.is_empty() {
        return Err(TokenError::Empty);
    }
    if text.len() > TOKEN_MAX {
        return Err(TokenError::TooLong);
    }
    if text.chars().any(char::is_control) {
        return Err(TokenError::Control);
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
