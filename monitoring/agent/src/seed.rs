//! The secret of one boot, and what is derived from it.

use core::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

use network::Key;

/// A secret that differs from boot to boot and that nobody else knows.
///
/// ```
/// use agent::Seed;
/// assert_eq!(format!("{:?}", Seed::of_samples(&[1, 2, 3])), "Seed");
/// ```
#[derive(Clone, Copy)]
pub struct Seed([u8; 32]);

impl Seed {
    /// Makes a seed from samples of which at least some bits cannot be guessed: their SHA-256 (FIPS 180-4).
    #[must_use]
    pub fn of_samples(samples: &[u64]) -> Self {
        let mut hash = Sha256::new();
        for sample in samples {
            hash.update(sample.to_le_bytes());
        }
        Self(hash.finalize().into())
    }

    /// Returns the secret for one purpose: an HMAC of its name. Who knows one cannot compute another.
    #[must_use]
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(purpose.as_bytes());
        mac.finalize().into_bytes().into()
    }

    /// Returns the key of the network's numbers.
    #[must_use]
    pub fn network_key(&self) -> Key {
        Key::new(half(self.derive("network")))
    }

    /// Returns a number that differs from boot to boot, for what may be known: pauses, the profile's choices.
    #[must_use]
    pub fn number(&self, purpose: &str) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.derive(purpose);
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }
}

fn half(secret: [u8; 32]) -> [u8; 16] {
    let (half, _) = secret.split_at(16);
    half.try_into().expect("16 bytes")
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A log must not contain it.
        f.write_str("Seed")
    }
}
