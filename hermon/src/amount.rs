//! Durations, sizes and addresses as people write them on a command line.

use core::net::{Ipv4Addr, SocketAddr};
use core::time::Duration;

use thiserror::Error;

/// Why a text is none of them.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AmountError {
    /// For durations.
    #[error("\"{0}\" is not a duration: 90s, 30m, 12h and 7d are")]
    Duration(String),
    /// For sizes.
    #[error("\"{0}\" is not a size: 64M and 2G are, 8M at least")]
    Size(String),
    /// For addresses.
    #[error("\"{0}\" is no address: 8080 (on this machine only) and 10.0.0.1:8080 are")]
    Address(String),
}

/// `90s`, `30m`, `12h`, `7d`.
///
/// # Errors
/// [`AmountError::Duration`], also for none at all.
///
/// ```
/// assert_eq!(hermon::amount::duration("12h").unwrap().as_secs(), 43_200);
/// ```
pub fn duration(text: &str) -> Result<Duration, AmountError> {
    split(text, &[("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)])
        .filter(|&seconds| seconds > 0)
        .map(Duration::from_secs)
        .ok_or_else(|| AmountError::Duration(text.to_owned()))
}

/// `64M`, `2G`: bytes, in powers of 1,024.
///
/// # Errors
/// [`AmountError::Size`], also below what a database needs.
pub fn size(text: &str) -> Result<u64, AmountError> {
    split(text, &[("M", 1 << 20), ("G", 1 << 30)])
        .filter(|&bytes| bytes >= crate::database::MIN_SIZE)
        .ok_or_else(|| AmountError::Size(text.to_owned()))
}

/// `10.0.0.1:8080`, or a port of loopback: `8080`.
///
/// # Errors
/// [`AmountError::Address`].
pub fn address(text: &str) -> Result<SocketAddr, AmountError> {
    text.parse()
        .or_else(|_| {
            text.parse()
                .map(|port: u16| (Ipv4Addr::LOCALHOST, port).into())
        })
        .map_err(|_| AmountError::Address(text.to_owned()))
}

fn split(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let (number, factor) = units
        .iter()
        .find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    // `parse` alone would take a sign.
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    number
        .parse::<u64>()
        .ok()
        .filter(|_| digits)?
        .checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_amount_is_named() {
        for text in [
            "",
            "s",
            "0s",
            "-1s",
            "+1s",
            "1",
            "1w",
            "99999999999999999999d",
            "1 h",
        ] {
            let error = duration(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" is not a duration")));
        }
        for text in ["", "M", "7M", "64", "64K", "99999999999G"] {
            let error = size(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" is not a size")));
        }
        assert_eq!(size("8M"), Ok(8 << 20));
    }
}
