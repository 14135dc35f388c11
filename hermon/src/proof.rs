//! The proof that this side knows the token of a port, without sending it.
//!
//! The image sends a challenge that is different each time; the answer is the HMAC-SHA-256 (RFC 2104) of its text, with
//! the token as the key, in hexadecimal.

use core::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// The line that asks for a challenge.
pub(crate) const ASK: &str = "auth";

/// Returns the line that answers the reply to [`ASK`]. Returns `None` if that is no challenge.
pub(crate) fn answer(reply: &str, token: &str) -> Option<String> {
    let challenge = reply.strip_prefix("ok: ")?;
    let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).ok()?;
    mac.update(challenge.as_bytes());
    let mut line = String::from("auth ");
    for byte in mac.finalize().into_bytes() {
        let _ = write!(line, "{byte:02x}");
    }
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_that_of_the_rfcs_example() {
        // RFC 4231, section 4.3: the key "Jefe".
        let answer = answer("ok: what do ya want for nothing?", "Jefe");
        let want = "auth 5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(answer.as_deref(), Some(want));
    }

    #[test]
    fn what_is_no_challenge_is_not_answered() {
        assert_eq!(answer("error: unknown command", "Jefe"), None);
    }
}
