//! A cursor over a packet's bytes.

use crate::error::{Error, Fault};

/// Reads little-endian values, and never beyond the end.
#[derive(Clone, Debug)]
pub(crate) struct Bytes<'a> {
    bytes: &'a [u8],
    /// The offset of the next byte in the stream.
    offset: usize,
}

impl<'a> Bytes<'a> {
    pub(crate) const fn new(bytes: &'a [u8], offset: usize) -> Self {
        Self { bytes, offset }
    }

    pub(crate) const fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) const fn fault<T>(&self, fault: Fault) -> Result<T, Error> {
        Err(Error {
            offset: self.offset,
            fault,
        })
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((first, rest)) = self.bytes.split_first_chunk() else {
            return self.fault(Fault::BeyondThePacket);
        };
        self.bytes = rest;
        self.offset += N;
        Ok(*first)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.take()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    pub(crate) fn u48(&mut self) -> Result<u64, Error> {
        let [a, b, c, d, e, f] = self.take()?;
        Ok(u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    /// Reads a number of variable size. Longer forms than needed are legal; the form with four bytes is signed.
    pub(crate) fn number(&mut self) -> Result<i64, Error> {
        Ok(match self.u8()? {
            253 => self.u16()?.into(),
            254 => i32::from_le_bytes(self.take()?).into(),
            // memtrace's readers keep 63 bits: the sign is the second highest bit.
            255 => (self.u64()? << 1) as i64 >> 1,
            small => small.into(),
        })
    }

    /// Reads a number that must not be negative.
    pub(crate) fn count(&mut self) -> Result<u64, Error> {
        let at = self.clone();
        let number = self.number()?;
        u64::try_from(number).or_else(|_| at.fault(Fault::Number(number)))
    }

    /// Reads bytes that end in a NUL, and returns them without it.
    pub(crate) fn text(&mut self) -> Result<&'a [u8], Error> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == 0) else {
            return self.fault(Fault::TextWithoutEnd);
        };
        let text = &self.bytes[..end];
        self.bytes = &self.bytes[end + 1..];
        self.offset += end + 1;
        Ok(text)
    }
}
