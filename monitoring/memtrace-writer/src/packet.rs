//! The bytes of a packet: its header, event headers, numbers, texts, and the event of the first packet.

use alloc::boxed::Box;
use alloc::vec;
use core::ops::Range;

use crate::cache::Check;
use crate::{PACKET_MAX, SPAN_MAX_MICROS, UnixMicros};

/// Bytes of the header of a packet.
pub(crate) const HEADER: usize = 66;
/// Bytes of the header of an event.
pub(crate) const EVENT_HEADER: usize = 4;
/// The first four bytes of a packet: C1 1F FC C1.
const MAGIC: u32 = 0xC1FC_1FC1;
const VERSION: u16 = 2;
/// Bits of an event's time in its header. The code is above them.
const TIME_BITS: u32 = 25;

// The readers' rule for recovering a time holds for spans below 2^25 µs.
const _: () = assert!(SPAN_MAX_MICROS < 1 << TIME_BITS);

/// The longest text of the first packet, in bytes. Four of this size fit a packet; the longest of them, a command
/// line, has a few kilobytes at most.
const TEXT_MAX: usize = 4_096;
/// Bytes of the other fields of the first packet: rate, bits of a word, process id.
const INFO_NUMBERS: usize = 8 + 1 + 8;
const _: () = assert!(HEADER + EVENT_HEADER + INFO_NUMBERS + 4 * (TEXT_MAX + 1) <= PACKET_MAX);

/// The code of an event, in its header.
#[derive(Clone, Copy)]
pub(crate) struct EventCode(u32);

impl EventCode {
    pub(crate) const TRACE_INFO: Self = Self(0);
    pub(crate) const LOCATION: Self = Self(1);
    pub(crate) const ALLOC: Self = Self(2);
    pub(crate) const COLLECT: Self = Self(4);

    /// Returns the short form for blocks of 1 to 16 words.
    pub(crate) const fn short_alloc(words: u64) -> Self {
        debug_assert!(words >= 1 && words <= 16);
        Self(100 + words as u32)
    }
}

/// The facts in the first packet of a trace.
///
/// Texts may be empty. A text longer than 4,096 bytes is cut, and a NUL becomes `␀`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Info<'a> {
    /// The beginning of the trace. No event is earlier.
    pub start: UnixMicros,
    /// The probability of each allocated word to be sampled: 0 < rate ≤ 1. Readers divide by it; the encoder writes it
    /// unchanged.
    pub rate: f64,
    /// The image, with its build id.
    pub executable: &'a str,
    /// The name of the machine.
    pub host: &'a str,
    /// Parameters of the run-time system. memtrace's tools show them.
    pub parameters: &'a str,
    /// The number of this run of the program. Readers may take two traces with one number for one trace.
    pub pid: u64,
    /// Free text, such as version and command line.
    pub context: &'a str,
}

/// A packet that is being written, with room for its header in front.
///
/// The caller checks [`has_room`](Self::has_room) before it writes. If that were wrong, the checks of the slices would
/// stop the program before a byte beyond the packet is written.
pub(crate) struct Packet {
    content: Box<[u8; PACKET_MAX]>,
    /// Bytes written, including the header.
    len: usize,
    /// Times of the first and the last event.
    begin: u64,
    end: u64,
}

impl Packet {
    /// Bytes outside the value.
    pub(crate) const MEMORY: usize = PACKET_MAX;

    pub(crate) fn new() -> Self {
        let content = vec![0; PACKET_MAX].into_boxed_slice();
        Self {
            content: content.try_into().expect("as long as was asked for"),
            len: HEADER,
            begin: 0,
            end: 0,
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.len == HEADER
    }

    pub(crate) const fn clear(&mut self) {
        self.len = HEADER;
    }

    /// Returns the bytes so far, including the header: the place of the next byte.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns `true` if an event at the time `at` fits. It has at most `bytes` bytes, including its header.
    #[inline]
    pub(crate) const fn has_room(&self, at: u64, bytes: usize) -> bool {
        bytes <= PACKET_MAX - self.len && (self.is_empty() || at - self.begin <= SPAN_MAX_MICROS)
    }

    /// Writes the header of an event. Its time must not be before that of the last event.
    #[inline]
    pub(crate) fn event(&mut self, at: u64, code: EventCode) {
        if self.is_empty() {
            self.begin = at;
        }
        debug_assert!(self.is_empty() || at >= self.end);
        self.end = at;
        let time = at as u32 & ((1 << TIME_BITS) - 1);
        self.bytes(&(time | code.0 << TIME_BITS).to_le_bytes());
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.content[self.len..][..bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Writes a number in the variable size of the format: a byte, or a tag and 2, 4 or 8 bytes. Readers take 4 bytes
    /// as signed, so numbers from 2^31 on have 8.
    #[inline]
    pub(crate) fn number(&mut self, value: u64) {
        match value {
            0..253 => self.bytes(&[value as u8]),
            _ => self.long_number(value),
        }
    }

    #[inline(never)]
    fn long_number(&mut self, value: u64) {
        let (tag, bytes) = match value {
            0..0x1_0000 => (253, 2),
            0x1_0000..0x8000_0000 => (254, 4),
            _ => (255, 8),
        };
        self.bytes(&[tag]);
        self.bytes(&value.to_le_bytes()[..bytes]);
    }

    /// Writes a text and a NUL at its end, at most `most` + 1 bytes. A NUL inside becomes `␀`, and a text that is too
    /// long ends in `…`. Returns `true` if the text was changed.
    pub(crate) fn text(&mut self, text: &str, most: usize) -> bool {
        let nuls = text.bytes().filter(|byte| *byte == 0).count();
        let is_cut = text.len() + nuls * ('␀'.len_utf8() - 1) > most;
        if nuls == 0 && !is_cut {
            self.bytes(text.as_bytes());
        } else {
            let room = if is_cut {
                most - '…'.len_utf8()
            } else {
                most
            };
            let end = self.len + room;
            for char in text.chars() {
                let char = if char == '\0' { '␀' } else { char };
                if self.len + char.len_utf8() > end {
                    break;
                }
                self.bytes(char.encode_utf8(&mut [0; 4]).as_bytes());
            }
            if is_cut {
                self.bytes("…".as_bytes());
            }
        }
        self.bytes(&[0]);
        is_cut || nuls > 0
    }

    /// Writes a byte at a place that was left for it.
    pub(crate) fn set(&mut self, place: usize, byte: u8) {
        self.content[place] = byte;
    }

    /// Writes the event of the first packet. Returns the number of texts that were changed.
    pub(crate) fn info(&mut self, at: u64, info: &Info<'_>) -> u64 {
        const BITS_OF_A_WORD: u8 = 64;
        self.event(at, EventCode::TRACE_INFO);
        self.bytes(&info.rate.to_le_bytes());
        self.bytes(&[BITS_OF_A_WORD]);
        let mut changed = 0;
        for text in [info.executable, info.host, info.parameters] {
            changed += u64::from(self.text(text, TEXT_MAX));
        }
        self.bytes(&info.pid.to_le_bytes());
        changed + u64::from(self.text(info.context, TEXT_MAX))
    }

    /// Writes the header and begins an empty packet. Returns the packet; the next event overwrites it.
    ///
    /// `ids` are those of the alloc events in the packet; `check` is a slot of the cache at the beginning of the
    /// packet.
    pub(crate) fn seal(&mut self, pid: u64, ids: Range<u64>, check: Option<Check>) -> &[u8] {
        let len = self.len;
        // No slot has the number 0xFFFF: readers then compare nothing.
        let check = check.unwrap_or(Check {
            slot: u16::MAX,
            prediction: 0,
            code: 0,
        });
        self.len = 0;
        self.bytes(&MAGIC.to_le_bytes());
        self.bytes(&(8 * len as u32).to_le_bytes());
        self.bytes(&self.begin.to_le_bytes());
        self.bytes(&self.end.to_le_bytes());
        // The duration of the flush: no reader uses it.
        self.bytes(&0_u32.to_le_bytes());
        self.bytes(&VERSION.to_le_bytes());
        self.bytes(&pid.to_le_bytes());
        self.bytes(&check.slot.to_le_bytes());
        self.bytes(&check.prediction.to_le_bytes());
        self.bytes(&u64::from(check.code).to_le_bytes());
        self.bytes(&ids.start.to_le_bytes());
        self.bytes(&ids.end.to_le_bytes());
        debug_assert!(self.len == HEADER);
        &self.content[..len]
    }

    /// Returns the first bytes of the packet that was sealed last, until the next write.
    pub(crate) fn sealed(&self, len: usize) -> &[u8] {
        &self.content[..len]
    }
}
