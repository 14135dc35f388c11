//! Decodes stacks from codewords with a cache of codes, which also predicts the code after each.

use crate::bytes::Bytes;
use crate::error::{Error, Fault};
use crate::header::Check;

const SLOTS: usize = 16_384;

/// The most frames of a stack that are read. A few bytes can stand for 255 frames each, so a packet of 32 KiB could hold stacks of
/// millions. Programs whose stacks are deeper than this end by the system's limit of their size, usually 8 MiB.
pub const FRAMES_MAX: usize = 65_536;

#[derive(Clone, Copy, Default)]
struct Slot {
    code: u64,
    prediction: u16,
    is_filled: bool,
}

/// The knowledge of earlier stacks that one domain's writer and reader share.
pub(crate) struct Cache {
    /// Empty until the domain's first stack.
    slots: Box<[Slot]>,
    /// The stack of the last alloc event, outermost frame first.
    pub(crate) stack: Vec<u64>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self {
            slots: Box::default(),
            stack: Vec::new(),
        }
    }

    /// Returns the bytes that the cache holds.
    pub(crate) fn memory(&self) -> usize {
        size_of_val(&*self.slots) + self.stack.capacity() * size_of::<u64>()
    }

    /// Checks a header's statement about a slot. Codes are compared as memtrace's readers do, without their highest bit.
    pub(crate) fn compare(&self, check: &Check) -> Result<(), Fault> {
        if usize::from(check.slot) >= SLOTS {
            return Err(Fault::CheckedSlot(check.slot));
        }
        let slot = self.slots.get(usize::from(check.slot));
        let slot = slot.copied().unwrap_or_default();
        if slot.prediction == check.prediction && slot.code << 1 == check.code << 1 {
            return Ok(());
        }
        Err(Fault::Check {
            slot: check.slot,
            said: (check.prediction, check.code),
            known: (slot.prediction, slot.code),
        })
    }

    /// Reads `words` codewords behind the first `prefix` frames of the last stack.
    pub(crate) fn read(
        &mut self,
        prefix: usize,
        words: u16,
        bytes: &mut Bytes<'_>,
    ) -> Result<(), Error> {
        if self.slots.is_empty() {
            self.slots = vec![Slot::default(); SLOTS].into_boxed_slice();
        }
        self.stack.truncate(prefix);
        let mut previous = 0;
        for _ in 0..words {
            let at = bytes.clone();
            let word = bytes.u16()?;
            let number = word >> 2;
            self.slots[previous].prediction = number;
            previous = number.into();
            let predicted = match word & 3 {
                0 => 0,
                1 => 1,
                2 => bytes.u8()?,
                _ => {
                    let code = bytes.u64()?;
                    if code >> 63 != 0 {
                        return at.fault(Fault::CodeTooLarge(code));
                    }
                    let slot = &mut self.slots[previous];
                    (slot.code, slot.is_filled) = (code, true);
                    0
                }
            };
            self.push(previous, &at)?;
            for _ in 0..predicted {
                previous = self.slots[previous].prediction.into();
                self.push(previous, &at)?;
            }
        }
        Ok(())
    }

    fn push(&mut self, number: usize, at: &Bytes<'_>) -> Result<(), Error> {
        let slot = self.slots[number];
        if !slot.is_filled {
            return at.fault(Fault::EmptySlot(number as u16));
        }
        if self.stack.len() == FRAMES_MAX {
            return at.fault(Fault::StackTooDeep);
        }
        self.stack.push(slot.code);
        Ok(())
    }
}
