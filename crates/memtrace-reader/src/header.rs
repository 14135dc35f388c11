//! Packets and their headers.

use crate::bytes::Bytes;
use crate::error::{Error, Fault};

const MAGIC: u32 = 0xC1FC_1FC1;
/// The header's size up to the part that version 3 inserts. This part is enough to find the next packet.
const SHORT_HEADER: usize = 66;
const LONG_HEADER: usize = 68;

/// The most bytes that may follow a header: the size of the readers' buffer (memtrace 0.2.3).
pub const CONTENT_MAX: usize = 32_768;

/// A header's statement about the cache at the beginning of the packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The slot of the cache.
    pub slot: u16,
    /// The slot that is predicted after it.
    pub prediction: u16,
    /// The code in it.
    pub code: u64,
}

/// The header of a packet. Times are in microseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The size of the packet in bytes, with its header.
    pub size: usize,
    /// A time that is not after any event.
    pub begin: u64,
    /// A time that is not before any event.
    pub end: u64,
    /// The duration of the flush; 0 in every known writer.
    pub flush_duration: u32,
    /// The version of the format: 1, 2 or 3.
    pub version: u16,
    /// The process.
    pub pid: u64,
    /// The domain that wrote the packet; 0 before version 3.
    pub domain: u16,
    /// The statement about the cache, if the writer makes one.
    pub check: Option<Check>,
    /// The id of the first alloc event.
    pub first_id: u64,
    /// The id after that of the last alloc event.
    pub next_id: u64,
}

impl Header {
    /// Returns the bytes of the header itself.
    #[must_use]
    pub const fn len(&self) -> usize {
        header_len(self.version)
    }

    /// Returns false: a header has bytes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    fn parse(bytes: &[u8], offset: usize) -> Result<Self, Error> {
        let fault = |at: usize, fault| Error {
            offset: offset + at,
            fault,
        };
        let cut = |wanted| {
            fault(
                bytes.len(),
                Fault::Cut {
                    wanted,
                    left: bytes.len(),
                },
            )
        };
        if let Some(magic) = bytes.first_chunk()
            && u32::from_le_bytes(*magic) != MAGIC
        {
            return Err(fault(0, Fault::NotAPacket(u32::from_le_bytes(*magic))));
        }
        if bytes.len() < SHORT_HEADER {
            return Err(cut(SHORT_HEADER));
        }
        let mut at = Bytes::new(&bytes[4..], offset + 4);
        let bits = at.u32()?;
        let (begin, end) = (at.u64()?, at.u64()?);
        let flush_duration = at.u32()?;
        let version = at.u16()?;
        if !(1..=3).contains(&version) {
            return Err(fault(28, Fault::Version(version)));
        }
        let len = header_len(version);
        if bits % 8 != 0 {
            return Err(fault(4, Fault::SizeNotInBytes(bits)));
        }
        let size = bits as usize / 8;
        if size < len {
            return Err(fault(4, Fault::SmallerThanItsHeader(size)));
        }
        if size - len > CONTENT_MAX {
            return Err(fault(4, Fault::LargerThanReadersTake(size)));
        }
        if bytes.len() < len {
            return Err(cut(len));
        }
        if end < begin {
            return Err(fault(16, Fault::EndBeforeBegin { begin, end }));
        }
        let pid = at.u64()?;
        let domain = if version == 3 { at.u16()? } else { 0 };
        let check = Check {
            slot: at.u16()?,
            prediction: at.u16()?,
            code: at.u64()?,
        };
        let (first_id, next_id) = (at.u64()?, at.u64()?);
        if next_id < first_id {
            return Err(fault(
                len - 8,
                Fault::IdsEndBeforeTheyBegin {
                    begin: first_id,
                    end: next_id,
                },
            ));
        }
        Ok(Self {
            size,
            begin,
            end,
            flush_duration,
            version,
            pid,
            domain,
            check: (check.slot != u16::MAX).then_some(check),
            first_id,
            next_id,
        })
    }
}

const fn header_len(version: u16) -> usize {
    if version == 3 {
        LONG_HEADER
    } else {
        SHORT_HEADER
    }
}

/// A packet of a stream.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// The offset of its first byte in the stream.
    pub offset: usize,
    /// Its header.
    pub header: Header,
    /// Its events.
    pub content: &'a [u8],
}

impl<'a> Packet<'a> {
    /// Parses the packet at the front of `bytes`, which is at `offset` of the stream.
    ///
    /// # Errors
    /// Fails with the rule that the header breaks, or with [`Fault::Cut`].
    pub fn parse(bytes: &'a [u8], offset: usize) -> Result<Self, Error> {
        let header = Header::parse(bytes, offset)?;
        let Some(packet) = bytes.get(..header.size) else {
            return Err(Error {
                offset: offset + bytes.len(),
                fault: Fault::Cut {
                    wanted: header.size,
                    left: bytes.len(),
                },
            });
        };
        Ok(Self {
            offset,
            content: &packet[header.len()..],
            header,
        })
    }
}

/// The packets of a stream, see [`packets`].
#[derive(Clone, Debug)]
pub struct Packets<'a> {
    stream: &'a [u8],
    offset: usize,
}

/// Returns the packets of a stream, up to its end or the first error.
#[must_use]
pub const fn packets(stream: &[u8]) -> Packets<'_> {
    Packets { stream, offset: 0 }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = &self.stream[self.offset..];
        if rest.is_empty() {
            return None;
        }
        let packet = Packet::parse(rest, self.offset);
        self.offset = match &packet {
            Ok(packet) => self.offset + packet.header.size,
            Err(_) => self.stream.len(),
        };
        Some(packet)
    }
}

/// The bytes after the last whole packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// There are none.
    None,
    /// They are part of a packet.
    Cut,
    /// They are something else.
    Bad(Error),
}

/// The whole packets of a stream, see [`whole`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Whole {
    /// The bytes up to the end of the last whole packet.
    pub end: usize,
    /// The number of packets up to there.
    pub packets: usize,
    /// The bytes after them.
    pub rest: Rest,
}

/// Finds the end of the last whole packet of a stream: `stream[..whole(stream).end]` is the readable part of a file that was cut
/// off. Reads only headers.
#[must_use]
pub fn whole(stream: &[u8]) -> Whole {
    let mut found = Whole {
        end: 0,
        packets: 0,
        rest: Rest::None,
    };
    for packet in packets(stream) {
        match packet {
            Ok(packet) => {
                found.end = packet.offset + packet.header.size;
                found.packets += 1;
            }
            Err(error) if matches!(error.fault, Fault::Cut { .. }) => found.rest = Rest::Cut,
            Err(error) => found.rest = Rest::Bad(error),
        }
    }
    found
}
