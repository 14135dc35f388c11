//! Canonical Huffman codes: numbers that occur often take few bits.

use super::bits::Bits;

/// Bits of the longest code: enough for a million functions, and within one window of [`Bits`].
pub(super) const CODE_BITS_MAX: usize = 20;
/// Numbers below have a symbol each; larger ones share a symbol with those of the same length.
pub(super) const DIRECT: u8 = 48;
/// Symbols of a code for numbers: the direct ones and 32 lengths.
pub(super) const NUMBER_SYMBOLS_MAX: usize = DIRECT as usize + 32;

const _: () = assert!(CODE_BITS_MAX <= Bits::MOST as usize);

/// Codes of the same length are consecutive numbers, and longer codes are larger than shorter ones, as far as these go.
pub(super) struct Code {
    /// For each length, from 1 bit on, the first code that is longer, and how far symbols are from codes.
    lengths: [Length; CODE_BITS_MAX],
}

#[derive(Clone, Copy)]
struct Length {
    /// Of [`CODE_BITS_MAX`] bits.
    end: u32,
    /// To be added to a code of this length, wrapping, for its symbol.
    offset: u32,
}

impl Code {
    /// Bytes in the table.
    pub(super) const BYTES: usize = 2 * CODE_BITS_MAX;

    /// `None` if there are more codes than bits can tell apart. Also returns how many symbols there are.
    pub(super) fn parse(bytes: &[u8; Self::BYTES]) -> Option<(Self, u32)> {
        let mut lengths = [Length { end: 0, offset: 0 }; CODE_BITS_MAX];
        let (mut code, mut symbol) = (0_u32, 0_u32);
        for (at, (length, count)) in lengths.iter_mut().zip(bytes.as_chunks().0).enumerate() {
            let count = u32::from(u16::from_le_bytes(*count));
            code <<= 1;
            length.offset = symbol.wrapping_sub(code);
            code += count;
            symbol += count;
            let bits = at + 1;
            if code > 1 << bits {
                return None;
            }
            length.end = code << (CODE_BITS_MAX - bits);
        }
        Some((Self { lengths }, symbol))
    }

    /// The next symbol; `None` if there is no code like this.
    #[inline]
    pub(super) fn symbol(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let window = bits.peek(CODE_BITS_MAX as u32);
        let at = self.lengths.iter().position(|length| window < length.end)?;
        bits.skip(at as u32 + 1);
        let code = window >> (CODE_BITS_MAX - at - 1);
        Some(code.wrapping_add(self.lengths[at].offset))
    }
}

/// A code for numbers of up to 32 bits.
pub(super) struct Numbers<'a> {
    code: Code,
    symbols: &'a [u8],
}

impl<'a> Numbers<'a> {
    /// `None` if a symbol means nothing, or if there are not as many symbols as codes.
    pub(super) fn parse(code: &[u8; Code::BYTES], symbols: &'a [u8]) -> Option<Self> {
        let (code, count) = Code::parse(code)?;
        let known = symbols
            .iter()
            .all(|&symbol| usize::from(symbol) < NUMBER_SYMBOLS_MAX);
        (known && count as usize == symbols.len()).then_some(Self { code, symbols })
    }

    /// The next number; `None` if there is no code like this, or if it is larger than 32 bits.
    #[inline]
    pub(super) fn number(&self, bits: &mut Bits<'_>) -> Option<u32> {
        let symbol = *self.symbols.get(self.code.symbol(bits)? as usize)?;
        match symbol.checked_sub(DIRECT) {
            None => Some(u32::from(symbol)),
            Some(length) => {
                let base = (1_u32 << length) - 1 + u32::from(DIRECT);
                base.checked_add(bits.take(u32::from(length)))
            }
        }
    }
}
