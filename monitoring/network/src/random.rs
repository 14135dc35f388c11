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
