//! Admission to the control port: a client must know the token, if there is one.
//!
//! ```text
//!            1 a first line that is not `auth TOKEN`: one more failure; the third
//!   open ────────────────────────────────────────────────────────────────────▶ closed
//!    ▲ │ 2 the right token: forget failures                                      │
//!    │ └─▶ open                          3 DOOR_CLOSED after the last failure    │
//!    └──────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! Each address has its own door. Connections that were admitted stay open.

use core::fmt;
use core::net::Ipv4Addr;

use crate::config::Token;
use units::Micros;

/// Failures after which the door closes. A person may mistype; an attacker has three guesses per [`DOOR_CLOSED`].
pub const DOOR_FAILURES: u8 = 3;

/// The time for which a door stays closed after the last failure, and for which a failure is remembered.
pub const DOOR_CLOSED: Micros = Micros::from_secs(30);

/// Addresses whose failures are remembered. A private network needs fewer. An attacker with more addresses can make the
/// door forget the oldest one; against that, the token must be hard to guess.
pub const DOOR_ADDRESSES: usize = 16;

/// The reason why a client is not admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The first line is not `auth TOKEN`.
    NoToken,
    /// The token is wrong.
    WrongToken,
    /// The door is closed; the token was not compared.
    Closed,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoToken => "the first line must be auth and the token",
            Self::WrongToken => "wrong token",
            Self::Closed => "too many failures, try later",
        })
    }
}

impl core::error::Error for Refusal {}

#[derive(Clone, Copy, Debug)]
struct Failures {
    peer: Ipv4Addr,
    count: u8,
    last: Micros,
}

impl Failures {
    fn count_at(&self, now: Micros) -> u8 {
        if now < self.last + DOOR_CLOSED {
            self.count
        } else {
            0 // 3
        }
    }
}

/// The doors of all addresses.
#[derive(Debug)]
pub struct Door {
    token: Option<Token>,
    failures: [Option<Failures>; DOOR_ADDRESSES],
}

impl Door {
    /// Creates doors that are all open. Without a token they stay open.
    #[must_use]
    pub const fn new(token: Option<Token>) -> Self {
        Self {
            token,
            failures: [None; DOOR_ADDRESSES],
        }
    }

    /// Returns `true` if a connection has to begin with the token.
    #[must_use]
    pub const fn is_guarded(&self) -> bool {
        self.token.is_some()
    }

    /// Returns `true` if this address may try. Cost: a comparison with every address that has failed.
    #[must_use]
    pub fn is_open(&self, peer: Ipv4Addr, now: Micros) -> bool {
        let known = self.failures.iter().flatten().find(|f| f.peer == peer);
        known.is_none_or(|failures| failures.count_at(now) < DOOR_FAILURES)
    }

    /// Checks the first line of a connection. The duration of the comparison does not depend on the token.
    ///
    /// # Errors
    /// [`Refusal`]. Every refusal but [`Refusal::Closed`] counts against the address.
    pub fn knock(&mut self, peer: Ipv4Addr, now: Micros, line: &[u8]) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        if !self.is_open(peer, now) {
            return Err(Refusal::Closed);
        }
        let refusal = match line.strip_prefix(b"auth ") {
            Some(offered) if token.is(offered) => {
                self.forget(peer); // 2
                return Ok(());
            }
            Some(_) => Refusal::WrongToken,
            None => Refusal::NoToken,
        };
        self.remember(peer, now); // 1
        Err(refusal)
    }

    fn forget(&mut self, peer: Ipv4Addr) {
        for place in &mut self.failures {
            if place.is_some_and(|failures| failures.peer == peer) {
                *place = None;
            }
        }
    }

    fn remember(&mut self, peer: Ipv4Addr, now: Micros) {
        let of_peer = |place: &Option<Failures>| place.is_some_and(|f| f.peer == peer);
        let known = self.failures.iter().position(of_peer);
        let age = |(_, place): &(usize, &Option<Failures>)| place.map(|failures| failures.last);
        // An empty place counts as older than every failure.
        let oldest = || self.failures.iter().enumerate().min_by_key(age);
        let at = known.or_else(|| oldest().map(|(at, _)| at)).unwrap_or(0);
        let before = known.and(self.failures[at]);
        self.failures[at] = Some(Failures {
            peer,
            count: 1 + before.map_or(0, |failures| failures.count_at(now)),
            last: now,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_token;

    const PEER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

    fn door() -> Door {
        Door::new(Some(parse_token("open sesame").unwrap()))
    }

    fn other(number: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 0, 3, number)
    }

    #[test]
    fn without_a_token_everyone_is_let_in() {
        let mut door = Door::new(None);
        assert!(!door.is_guarded());
        assert_eq!(door.knock(PEER, Micros::ZERO, b"s"), Ok(()));
    }

    #[test]
    fn only_the_token_itself_opens() {
        let mut door = door();
        for (line, refusal) in [
            (&b""[..], Refusal::NoToken),
            (b"auth", Refusal::NoToken),
            (b"auth ", Refusal::WrongToken),
            (b"auth open sesam", Refusal::WrongToken),
            (b"auth open sesame ", Refusal::WrongToken),
            (b"auth open sesame\0", Refusal::WrongToken),
            (b"auth Open sesame", Refusal::WrongToken),
            (b"AUTH open sesame", Refusal::NoToken),
            (b" auth open sesame", Refusal::NoToken),
            (
                &[b"auth ".as_slice(), &[b'x'; 900]].concat(),
                Refusal::WrongToken,
            ),
        ] {
            assert_eq!(door.knock(PEER, Micros::ZERO, line), Err(refusal));
            assert_eq!(door.knock(PEER, Micros::ZERO, b"auth open sesame"), Ok(()));
        }
    }

    #[test]
    fn three_failures_close_the_door_of_their_address_for_30_seconds() {
        let mut door = door();
        let at = |second| Micros::from_secs(second);
        for second in [1, 2, 3] {
            assert!(door.is_open(PEER, at(second)));
            assert_eq!(
                door.knock(PEER, at(second), b"auth x"),
                Err(Refusal::WrongToken)
            );
        }
        let right = b"auth open sesame";
        let last = Micros(at(33).0 - 1);
        assert!(!door.is_open(PEER, last));
        assert_eq!(door.knock(PEER, last, right), Err(Refusal::Closed));
        assert!(door.is_open(other(1), last));
        assert_eq!(door.knock(other(1), last, right), Ok(()));
        assert!(door.is_open(PEER, at(33)));
        assert_eq!(door.knock(PEER, at(33), b"s"), Err(Refusal::NoToken));
        assert_eq!(
            door.knock(PEER, at(33), right),
            Ok(()),
            "counted from the start"
        );
    }

    #[test]
    fn failures_are_forgotten_after_a_success_and_after_a_while() {
        let mut door = door();
        let mut now = Micros::ZERO;
        for _ in 0..20 {
            assert_eq!(door.knock(PEER, now, b"auth x"), Err(Refusal::WrongToken));
            assert_eq!(door.knock(PEER, now, b"auth y"), Err(Refusal::WrongToken));
            assert_eq!(door.knock(PEER, now, b"auth open sesame"), Ok(()));
            assert_eq!(door.knock(PEER, now, b"auth x"), Err(Refusal::WrongToken));
            now += DOOR_CLOSED;
        }
    }

    #[test]
    fn many_addresses_push_out_the_oldest_only() {
        let mut door = door();
        let fail = |door: &mut Door, peer, now| {
            for _ in 0..DOOR_FAILURES {
                assert_eq!(door.knock(peer, Micros(now), b"x"), Err(Refusal::NoToken));
            }
        };
        for number in 0..=DOOR_ADDRESSES as u8 {
            fail(&mut door, other(number), u64::from(number));
        }
        assert!(door.is_open(other(0), Micros(99)));
        for number in 1..=DOOR_ADDRESSES as u8 {
            assert!(!door.is_open(other(number), Micros(99)));
        }
    }

    #[test]
    fn every_refusal_has_its_text() {
        for (refusal, text) in [
            (
                Refusal::NoToken,
                "the first line must be auth and the token",
            ),
            (Refusal::WrongToken, "wrong token"),
            (Refusal::Closed, "too many failures, try later"),
        ] {
            assert_eq!(refusal.to_string(), text);
        }
    }
}
