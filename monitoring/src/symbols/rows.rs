//! Chains of frames by address.

use super::bits::Bits;
use super::table::Symbols;

/// Frames of the longest chain; the writer cuts longer ones. The deepest in the demo image has 36.
pub const FRAMES_MAX: usize = 64;
/// Rows of a block: a lookup reads half of one, and a block costs 7 bytes and its first row in full.
pub(super) const BLOCK: usize = 16;

/// A function and a line.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) function: u32,
    pub(super) line: u32,
}

/// The frames at an address, outermost first.
pub(super) struct Chain {
    places: [Place; FRAMES_MAX],
    len: usize,
    is_between_calls: bool,
}

impl Chain {
    pub(super) const fn new() -> Self {
        Self {
            places: [Place {
                function: 0,
                line: 0,
            }; FRAMES_MAX],
            len: 0,
            is_between_calls: false,
        }
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places[..self.len]
    }

    /// Whether only the outermost function is known: its file is that of another instruction.
    pub(super) fn is_between_calls(&self) -> bool {
        self.is_between_calls
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    fn pop(&mut self, count: u32) -> Option<()> {
        self.len = self.len.checked_sub(count as usize)?;
        Some(())
    }

    fn last(&mut self) -> Option<&mut Place> {
        self.places[..self.len].last_mut()
    }

    fn push(&mut self, place: Place) -> Option<()> {
        *self.places.get_mut(self.len)? = place;
        self.len += 1;
        Some(())
    }
}

impl Symbols<'_> {
    /// The frames at an address; `None` if nothing is known.
    pub(super) fn chain(&self, address: u64, chain: &mut Chain) -> Option<()> {
        let wanted = u32::try_from(address.checked_sub(self.base)?).ok()?;
        // The last block that begins at or below the address.
        let first_address = |block: &[u8; 4]| u32::from_le_bytes(*block);
        let after = self
            .block_addresses
            .partition_point(|block| first_address(block) <= wanted);
        let block = after.checked_sub(1)?;
        let [low, middle, high] = *self.block_starts.get(block)?;
        let start = u32::from_le_bytes([low, middle, high, 0]) as usize;
        let mut bits = Bits::new(self.rows.get(start..)?, 0);
        let rows = (self.row_count - block * BLOCK).min(BLOCK);

        chain.len = 0;
        let mut at = first_address(&self.block_addresses[block]);
        self.push(&mut bits, chain)?;
        for _ in 1..rows {
            let next = at.checked_add(self.gap.number(&mut bits)?)?;
            if next > wanted {
                break;
            }
            at = next;
            chain.pop(self.pop.number(&mut bits)?)?;
            if let Some(place) = chain.last() {
                place.line = changed(place.line, self.change.number(&mut bits)?)?;
            }
            self.push(&mut bits, chain)?;
        }
        if bits.overrun() || chain.len == 0 {
            return None;
        }
        chain.is_between_calls = at != wanted && !self.rows_hold_on;
        if chain.is_between_calls {
            // The function is the same, where in it is not known.
            chain.len = 1;
            chain.places[0].line = 0;
        }
        Some(())
    }

    fn push(&self, bits: &mut Bits<'_>, chain: &mut Chain) -> Option<()> {
        for _ in 0..self.push.number(bits)? {
            let guess = match chain.last() {
                Some(caller) if self.guess_bits > 0 && bits.take(1) == 1 => {
                    Some(self.guess(caller)?)
                }
                _ => None,
            };
            let function = match guess {
                Some(function) => function,
                None => self.function_code.symbol(bits)?,
            };
            let line = match self.line.number(bits)? {
                0 => 0,
                distance => changed(self.function(function)?.usual_line, distance - 1)?,
            };
            chain.push(Place { function, line })?;
        }
        Some(())
    }

    /// What is usually called from here.
    fn guess(&self, caller: &Place) -> Option<u32> {
        let it = self.function(caller.function)?;
        let mixed = it.name.wrapping_mul(0x9e37_79b1)
            ^ it.file.wrapping_mul(0x85eb_ca77)
            ^ caller.line.wrapping_mul(0xc2b2_ae3d);
        let hash = (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d);
        let slot = hash.checked_shr(u32::BITS - self.guess_bits)? as usize;
        let width = self.function_bits;
        Some(Bits::new(self.guesses, slot * width as usize).take(width))
    }
}

/// A line after a change: 0, 1, 2, 3, … are 0, -1, 1, -2, …
fn changed(line: u32, change: u32) -> Option<u32> {
    line.checked_add_signed((change >> 1) as i32 ^ -((change & 1) as i32))
}
