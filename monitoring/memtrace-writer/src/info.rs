//! What the first packet says of the whole trace.

use super::UnixMicros;
use super::packet::Packet;
use super::text::text_into;

/// The longest text in the first packet, in bytes. With all of them at their longest it still fits a packet;
/// a command line, the longest of them, is at most a few kilobytes.
const TEXT_MAX: usize = 4_096;

// Four texts with their ends, and 17 bytes of numbers, after the header of the packet and of the event.
const _: () = assert!(4 * (TEXT_MAX + 1) + 17 + 70 <= super::PACKET_MAX);

/// What is known of a trace when it begins. Texts may be empty; one longer than 4,096 bytes is cut, and a NUL
/// becomes `␀`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Info<'a> {
    /// When it begins; no event is earlier.
    pub start: UnixMicros,
    /// The probability for each allocated word to be sampled: more than 0, at most 1. Readers divide by it.
    pub rate: f64,
    /// The image, with its build id.
    pub executable: &'a str,
    /// The name of the machine: the tag `vm` of its metrics.
    pub host: &'a str,
    /// Parameters of the run-time system. memtrace's tools show them.
    pub parameters: &'a str,
    /// Tells this boot from others: unique, so that two traces are not taken for one.
    pub pid: u64,
    /// Free text: version and command line.
    pub context: &'a str,
}

impl Info<'_> {
    /// Writes the event's fields. How many texts were changed.
    pub(super) fn write(&self, packet: &mut Packet) -> u32 {
        const BITS_PER_WORD: u8 = 64;
        packet.bytes(&self.rate.to_le_bytes());
        packet.bytes(&[BITS_PER_WORD]);
        let mut changed = 0;
        for text in [self.executable, self.host, self.parameters] {
            changed += u32::from(text_into(text, TEXT_MAX, packet));
        }
        packet.bytes(&self.pid.to_le_bytes());
        changed + u32::from(text_into(self.context, TEXT_MAX, packet))
    }
}
