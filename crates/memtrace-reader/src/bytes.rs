//! A place in a packet's bytes, moving forward.

use crate::error::{Error, Fault};

/// Reads little-endian values, and nothing beyond the end.
#[derive(Clone, Debug)]
pub(crate) struct Bytes<'a> {
    bytes: &'a [u8],
    /// Of the next byte, in the stream.
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

    /// A number of variable size. Forms longer than needed are legal; four bytes are signed.
    pub(crate) fn number(&mut self) -> Result<i64, Error> {
        Ok(match self.u8()? {
            253 => self.u16()?.into(),
            254 => i32::from_le_bytes(self.take()?).into(),
            // Readers keep 63 bits: the sign is the second highest.
            255 => (self.u64()? << 1) as i64 >> 1,
            small => small.into(),
        })
    }

    /// A number that counts something.
    pub(crate) fn count(&mut self) -> Result<u64, Error> {
        let at = self.clone();
        let number = self.number()?;
        u64::try_from(number).or_else(|_| at.fault(Fault::Number(number)))
    }

    /// Bytes that end in a NUL, without it.
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
