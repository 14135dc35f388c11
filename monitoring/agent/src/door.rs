//! Admission to a port: who connects must prove to know the token, if there is one.
//!
//! The image sends a challenge that is different each time. The client answers with the HMAC-SHA-256 (RFC 2104, FIPS
//! 198-1) of the challenge, with the token as the key. So who listens on the network learns nothing that works a second
//! time.
//!
//! ```text
//! client                              image
//!   auth                       ───▶
//!                              ◀───   ok: control 5f1c… (32 hexadecimal digits)
//!   auth HMAC(token, "control 5f1c…")  ───▶
//!                              ◀───   ok
//! ```
//!
//! Proofs are compared at a bounded rate, whoever sends them. Those that come faster wait; the right one waits like all
//! others. There is no memory of addresses: behind a NAT, or QEMU's user network, all clients have one.

use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::config::{Config, Token};
use units::Micros;

/// Proofs that are compared at once. A person and a few tools connect at a time.
pub const PROOFS_BURST: u64 = 8;

/// The time after which one more is compared: four guesses a second are 350,000 a day, in all.
pub const PROOF_EVERY: Micros = Micros::from_millis(250);

/// Bytes of a challenge: who sees as many as there are cannot expect to see one again.
const CHALLENGE_BYTES: usize = 16;

/// Bytes of a proof.
const PROOF_BYTES: usize = 32;

/// The number of challenges, of which the next one is made.
pub type Number = u64;

/// The reason why a client is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first line is not `auth`.
    NoToken,
    /// The proof is wrong, or the token in the clear.
    WrongToken,
    /// The token was sent in the clear, and `--token-plain` is off.
    Plain,
    /// There was no proof in time.
    TooLate,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "the first line must be auth and the token",
            Self::WrongToken => "wrong token",
            Self::Plain => {
                "the token is not taken in the clear: send auth alone and answer the challenge, or boot with --token-plain on"
            }
            Self::TooLate => "no token in time",
        })
    }
}

impl core::error::Error for Refusal {}

/// The result of a line of a client that has not been admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knock {
    /// It asks for a challenge.
    Challenge,
    /// It knows the token.
    Admitted,
    /// It does not.
    Refused(Refusal),
    /// Too many proofs came before; call again at this time.
    Wait(Micros),
}

/// A challenge. Its `Display` is the text that the proof is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Challenge {
    port: &'static str,
    random: [u8; CHALLENGE_BYTES],
}

impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.port)?;
        self.random
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The settings of a port's door.
#[derive(Clone, Copy, Debug)]
pub struct Lock {
    /// The token; without it every client is admitted.
    pub token: Option<Token>,
    /// `true` if the token may come in the clear.
    pub plain: bool,
    /// The secret of the challenges.
    pub key: [u8; 32],
}

impl Lock {
    /// Returns the lock that the configuration asks for.
    #[must_use]
    pub const fn new(config: &Config, key: [u8; 32]) -> Self {
        Self {
            token: config.token,
            plain: config.token_plain,
            key,
        }
    }
}

/// The door of one port.
#[derive(Debug)]
pub struct Door {
    lock: Lock,
    port: &'static str,
    challenges: Number,
    /// Proofs that may be compared now, and the time when the last one was added.
    left: u64,
    since: Micros,
}

impl Door {
    /// Creates a door for the port of this name.
    #[must_use]
    pub const fn new(lock: Lock, port: &'static str) -> Self {
        Self {
            lock,
            port,
            challenges: 0,
            left: PROOFS_BURST,
            since: Micros::ZERO,
        }
    }

    /// Returns `true` if a connection has to begin with a proof.
    #[must_use]
    pub const fn is_guarded(&self) -> bool {
        self.lock.token.is_some()
    }

    /// Returns a new challenge.
    pub fn challenge(&mut self) -> Challenge {
        self.challenges += 1;
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.lock.key).expect("a key of any length");
        mac.update(self.port.as_bytes());
        mac.update(&self.challenges.to_le_bytes());
        let bytes: [u8; PROOF_BYTES] = mac.finalize().into_bytes().into();
        let mut random = [0; CHALLENGE_BYTES];
        random.copy_from_slice(&bytes[..CHALLENGE_BYTES]);
        Challenge {
            port: self.port,
            random,
        }
    }

    /// Checks the first lines of a connection. `challenge` is the one that it got, if any. The duration of the
    /// comparison does not depend on the token.
    pub fn knock(&mut self, now: Micros, line: &[u8], challenge: Option<&Challenge>) -> Knock {
        let Some(token) = self.lock.token else {
            return Knock::Admitted;
        };
        if line == b"auth" {
            return Knock::Challenge;
        }
        let Some(offered) = line.strip_prefix(b"auth ") else {
            return Knock::Refused(Refusal::NoToken);
        };
        let is_proof = challenge.is_some() && offered.len() == 2 * PROOF_BYTES;
        if !is_proof && !self.lock.plain {
            return Knock::Refused(Refusal::Plain);
        }
        if let Some(until) = self.wait(now) {
            return Knock::Wait(until);
        }
        let proves = challenge.is_some_and(|challenge| proves(&token, challenge, offered));
        if proves || (self.lock.plain && token.is(offered)) {
            Knock::Admitted
        } else {
            Knock::Refused(Refusal::WrongToken)
        }
    }

    /// Takes one comparison, or returns the time when there is one.
    fn wait(&mut self, now: Micros) -> Option<Micros> {
        let earned = (now - self.since).0 / PROOF_EVERY.0;
        self.left = (self.left + earned).min(PROOFS_BURST);
        self.since += Micros(earned * PROOF_EVERY.0);
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                None
            }
            None => Some(self.since + PROOF_EVERY),
        }
    }
}

/// Returns `true` if this is the hexadecimal HMAC of the challenge's text with the token as the key.
fn proves(token: &Token, challenge: &Challenge, offered: &[u8]) -> bool {
    struct Text<'m>(&'m mut Hmac<Sha256>);
    impl fmt::Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.0.update(text.as_bytes());
            Ok(())
        }
    }
    let mut mac = Hmac::<Sha256>::new_from_slice(token.bytes()).expect("a key of any length");
    let written = fmt::Write::write_fmt(&mut Text(&mut mac), format_args!("{challenge}"));
    debug_assert!(written.is_ok());
    let right: [u8; PROOF_BYTES] = mac.finalize().into_bytes().into();
    let mut proof = [0; PROOF_BYTES];
    let digit = |byte: u8| {
        (byte as char)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    for (byte, pair) in proof.iter_mut().zip(offered.chunks(2)) {
        let &[high, low] = pair else { return false };
        let (Some(high), Some(low)) = (digit(high), digit(low)) else {
            return false;
        };
        *byte = high << 4 | low;
    }
    offered.len() == 2 * PROOF_BYTES && bool::from(right.ct_eq(&proof))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_token;

    fn lock(plain: bool) -> Lock {
        Lock {
            token: Some(parse_token("open sesame").unwrap()),
            plain,
            key: [7; 32],
        }
    }

    fn door(plain: bool) -> Door {
        Door::new(lock(plain), "control")
    }

    /// Returns the line that answers a challenge.
    fn answer(token: &str, challenge: &Challenge) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(token.as_bytes()).unwrap();
        mac.update(challenge.to_string().as_bytes());
        let bytes = mac.finalize().into_bytes();
        let proof: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("auth {proof}")
    }

    #[test]
    fn without_a_token_everyone_is_let_in() {
        let open = Lock {
            token: None,
            ..lock(false)
        };
        let mut door = Door::new(open, "control");
        assert!(!door.is_guarded());
        assert_eq!(door.knock(Micros::ZERO, b"s", None), Knock::Admitted);
    }

    #[test]
    fn only_the_proof_of_the_challenge_that_was_sent_opens() {
        let mut door = door(false);
        let now = Micros::from_secs(1_000);
        assert_eq!(door.knock(now, b"auth", None), Knock::Challenge);
        let (first, second) = (door.challenge(), door.challenge());
        assert_ne!(first, second);
        assert_eq!(first.to_string().len(), "control ".len() + 32);
        let right = answer("open sesame", &first);
        assert_eq!(
            door.knock(now, right.as_bytes(), Some(&first)),
            Knock::Admitted
        );
        for (line, challenge, refusal) in [
            (right.clone(), Some(&second), Refusal::WrongToken),
            (right.clone(), None, Refusal::Plain),
            (
                answer("open sesam", &first),
                Some(&first),
                Refusal::WrongToken,
            ),
            (
                right.replace("auth", "AUTH"),
                Some(&first),
                Refusal::NoToken,
            ),
            (
                right[..right.len() - 1].into(),
                Some(&first),
                Refusal::Plain,
            ),
            (format!("{right}0"), Some(&first), Refusal::Plain),
            (
                format!("auth {}", "g".repeat(64)),
                Some(&first),
                Refusal::WrongToken,
            ),
            ("auth open sesame".into(), Some(&first), Refusal::Plain),
            ("s".into(), Some(&first), Refusal::NoToken),
            (String::new(), None, Refusal::NoToken),
        ] {
            let knock = door.knock(now, line.as_bytes(), challenge);
            assert_eq!(knock, Knock::Refused(refusal), "{line}");
        }
    }

    #[test]
    fn the_challenges_of_two_boots_and_of_two_ports_differ() {
        let challenge = |key, port| {
            let lock = Lock { key, ..lock(false) };
            Door::new(lock, port).challenge().random
        };
        assert_ne!(challenge([1; 32], "control"), challenge([2; 32], "control"));
        assert_ne!(
            challenge([1; 32], "control"),
            challenge([1; 32], "memtrace")
        );
    }

    #[test]
    fn a_token_in_the_clear_opens_if_that_was_allowed() {
        let mut door = door(true);
        for (line, knock) in [
            (&b"auth open sesame"[..], Knock::Admitted),
            (b"auth open sesam", Knock::Refused(Refusal::WrongToken)),
            (b"auth ", Knock::Refused(Refusal::WrongToken)),
            (b"auth open sesame ", Knock::Refused(Refusal::WrongToken)),
        ] {
            assert_eq!(door.knock(Micros::ZERO, line, None), knock);
        }
    }

    #[test]
    fn guesses_are_compared_at_a_bounded_rate_and_the_right_token_is_never_shut_out() {
        let mut door = door(true);
        let (mut compared, mut now) = (0, Micros::ZERO);
        for _ in 0..100_000 {
            now += Micros::from_millis(1);
            if door.knock(now, b"auth guess", None) == Knock::Refused(Refusal::WrongToken) {
                compared += 1;
            }
        }
        assert_eq!(compared, PROOFS_BURST + 100_000_000 / PROOF_EVERY.0);
        let Knock::Wait(until) = door.knock(now, b"auth open sesame", None) else {
            panic!("it waits like all others");
        };
        assert!(until <= now + PROOF_EVERY);
        assert_eq!(
            door.knock(until, b"auth open sesame", None),
            Knock::Admitted
        );
    }

    #[test]
    fn every_refusal_has_its_text() {
        for refusal in [
            Refusal::NoToken,
            Refusal::WrongToken,
            Refusal::Plain,
            Refusal::TooLate,
        ] {
            let text = refusal.to_string();
            assert!(text.contains("token") && !text.ends_with('.'), "{text}");
        }
    }
}
