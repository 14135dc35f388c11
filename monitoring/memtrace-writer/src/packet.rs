//! One packet in the making: bytes behind a header that is filled in when the packet is handed out.

use alloc::boxed::Box;
use alloc::vec;

use super::cache::Check;
use super::{PACKET_MAX, SPAN_MAX_MICROS};

/// Bytes of the header, version 2.
pub(super) const HEADER: usize = 66;
/// Bytes in front of every event's fields.
pub(super) const EVENT_HEADER: usize = 4;
/// The first four bytes of every packet: C1 1F FC C1.
const MAGIC: u32 = 0xC1FC_1FC1;
const VERSION: u16 = 2;
/// How many bits of its time an event holds itself; its code has the rest.
const TIME_BITS: u32 = 25;

// The spec's rule for recovering a time holds for spans below 2^25 µs.
const _: () = assert!(SPAN_MAX_MICROS < 1 << TIME_BITS);

/// Bytes outside the value itself.
pub(super) const MEMORY: usize = PACKET_MAX;

/// The event's code in its header.
#[derive(Clone, Copy)]
pub(super) struct EventCode(pub(super) u32);

impl EventCode {
    pub(super) const TRACE_INFO: Self = Self(0);
    pub(super) const LOCATION: Self = Self(1);
    pub(super) const ALLOC: Self = Self(2);
    pub(super) const COLLECT: Self = Self(4);

    /// The short form for blocks of 1 to 16 words.
    pub(super) const fn short_alloc(words: u64) -> Self {
        debug_assert!(words >= 1 && words <= 16);
        Self(100 + words as u32)
    }
}

/// What a header says of its packet that the packet itself does not know.
pub(super) struct Sealed {
    pub(super) pid: u64,
    pub(super) first_id: u64,
    pub(super) next_id: u64,
    pub(super) check: Option<Check>,
}

/// A state of a packet to come back to.
pub(super) struct Mark {
    len: usize,
    end: u64,
}

/// A packet in the making.
///
/// The caller asks for [`room`](Packet::room) before it writes; were it wrong, the slices' own checks stop the
/// program before a byte beyond the packet is written.
pub(super) struct Packet {
    content: Box<[u8; PACKET_MAX]>,
    /// Bytes written, the header's place included.
    len: usize,
    /// Times of the first and the last event.
    begin: u64,
    end: u64,
}

impl Packet {
    pub(super) fn new() -> Self {
        let content = vec![0; PACKET_MAX].into_boxed_slice();
        Self {
            content: content.try_into().expect("as long as was asked for"),
            len: HEADER,
            begin: 0,
            end: 0,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == HEADER
    }

    pub(super) const fn clear(&mut self) {
        self.len = HEADER;
    }

    /// Whether an event at `at` with at most `bytes` bytes, its header included, can still be written.
    #[inline]
    pub(super) const fn has_room(&self, at: u64, bytes: usize) -> bool {
        bytes <= PACKET_MAX - self.len && (self.is_empty() || at - self.begin <= SPAN_MAX_MICROS)
    }

    /// The header of an event. Its time is not before the last one's.
    #[inline]
    pub(super) fn event(&mut self, at: u64, code: EventCode) {
        if self.is_empty() {
            self.begin = at;
        }
        debug_assert!(self.is_empty() || at >= self.end);
        self.end = at;
        let word = header_word(at, code);
        self.bytes(&word);
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.content[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// A number in the format's variable size: a byte, or a tag and 2, 4 or 8 bytes. Readers take the 4 bytes as
    /// signed, so that 2^31 and more have 8.
    #[inline]
    pub(super) fn number(&mut self, value: u64) {
        if value < 253 {
            return self.bytes(&[value as u8]);
        }
        self.long_number(value);
    }

    #[inline(never)]
    fn long_number(&mut self, value: u64) {
        if let Ok(value) = u16::try_from(value) {
            self.bytes(&[253]);
            self.bytes(&value.to_le_bytes());
        } else if let Ok(value) = i32::try_from(value) {
            self.bytes(&[254]);
            self.bytes(&value.to_le_bytes());
        } else {
            self.bytes(&[255]);
            self.bytes(&value.to_le_bytes());
        }
    }

    /// Where the next byte goes.
    pub(super) const fn place(&self) -> usize {
        self.len
    }

    /// A byte that was written before its value was known.
    pub(super) fn set(&mut self, place: usize, byte: u8) {
        self.content[place] = byte;
    }

    /// What [`take_back`](Self::take_back) needs to know.
    pub(super) const fn mark(&self) -> Mark {
        Mark {
            len: self.len,
            end: self.end,
        }
    }

    /// Takes back what was written since the mark was made.
    pub(super) const fn take_back(&mut self, to: &Mark) {
        debug_assert!(to.len >= HEADER && to.len <= self.len);
        self.len = to.len;
        self.end = to.end;
    }

    /// The first bytes of what was sealed last, as long as nothing was written since.
    pub(super) fn sealed(&self, len: usize) -> &[u8] {
        &self.content[..len]
    }

    /// Writes the header, and makes the packet empty: the next event writes over what is returned.
    pub(super) fn seal(&mut self, of: &Sealed) -> &[u8] {
        let len = self.len;
        let bits = 8 * len as u32;
        let (slot, prediction, code) = of.check.as_ref().map_or((u16::MAX, 0, 0), |check| {
            (check.slot, check.prediction, u64::from(check.code))
        });
        self.len = 0;
        self.bytes(&MAGIC.to_le_bytes());
        self.bytes(&bits.to_le_bytes());
        self.bytes(&self.begin.to_le_bytes());
        self.bytes(&self.end.to_le_bytes());
        // How long the flush took: no reader uses it.
        self.bytes(&0_u32.to_le_bytes());
        self.bytes(&VERSION.to_le_bytes());
        self.bytes(&of.pid.to_le_bytes());
        self.bytes(&slot.to_le_bytes());
        self.bytes(&prediction.to_le_bytes());
        self.bytes(&code.to_le_bytes());
        self.bytes(&of.first_id.to_le_bytes());
        self.bytes(&of.next_id.to_le_bytes());
        debug_assert!(self.len == HEADER);
        &self.content[..len]
    }
}

const fn header_word(at: u64, code: EventCode) -> [u8; EVENT_HEADER] {
    let time = at as u32 & ((1 << TIME_BITS) - 1);
    (time | code.0 << TIME_BITS).to_le_bytes()
}
