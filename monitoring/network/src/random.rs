//! Numbers that nobody outside can predict: SipHash-2-4 with a secret key.

use core::hash::Hasher as _;

use siphasher::sip::SipHasher24;

/// A secret of 128 bits, from which a stack derives sequence numbers, ports and transaction numbers.
///
/// ```
/// use network::Key;
/// let key = Key::new([7; 16]);
/// assert_eq!(format!("{key:?}"), "Key");
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Key([u8; 16]);

impl core::fmt::Debug for Key {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        // A log must not contain it.
        f.write_str("Key")
    }
}

impl Key {
    /// Takes the secret. It should differ from boot to boot and be unknown to everybody else.
    #[must_use]
    pub const fn new(secret: [u8; 16]) -> Self {
        Self(secret)
    }

    /// Returns the keyed hash of these bytes.
    pub(crate) fn hash(&self, bytes: &[u8]) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(bytes);
        hasher.finish()
    }
}

/// A sequence of such numbers: the hash of a purpose and a counter.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Random {
    key: Key,
    purpose: u8,
    drawn: u64,
}

impl Random {
    /// Creates the sequence for a purpose. Two purposes have unrelated sequences.
    pub(crate) const fn new(key: Key, purpose: u8) -> Self {
        Self {
            key,
            purpose,
            drawn: 0,
        }
    }

    /// Returns the next number.
    pub(crate) fn u32(&mut self) -> u32 {
        self.drawn += 1;
        let mut input = [0; 9];
        input[0] = self.purpose;
        input[1..].copy_from_slice(&self.drawn.to_le_bytes());
        self.key.hash(&input) as u32
    }

    /// Returns the next number, as a port of the dynamic range (RFC 6335, section 6).
    pub(crate) fn port(&mut self) -> u16 {
        DYNAMIC_PORTS | self.u32() as u16
    }
}

/// First port of the dynamic range; it ends at 65535.
pub(crate) const DYNAMIC_PORTS: u16 = 49_152;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_siphash_2_4() {
        // The vector of the paper: Aumasson, Bernstein, "SipHash: a fast short-input PRF", appendix A.
        let key = Key::new(core::array::from_fn(|place| place as u8));
        let input: [u8; 15] = core::array::from_fn(|place| place as u8);
        assert_eq!(key.hash(&input), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn ports_are_in_the_dynamic_range_and_are_not_counted_up() {
        let mut random = Random::new(Key::new([1; 16]), 3);
        let ports: Vec<_> = (0..1_000).map(|_| random.port()).collect();
        assert!(ports.iter().all(|&port| port >= DYNAMIC_PORTS));
        let steps = ports
            .windows(2)
            .filter(|pair| pair[0].abs_diff(pair[1]) <= 1);
        // One in 5,461 by chance.
        assert!(steps.count() <= 5);
    }
}
