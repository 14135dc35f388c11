//! Whole packets out of a stream that arrives in pieces: a file, a connection.
//!
//! Knows nothing of the format but what [`Packet::parse`] says: how many bytes are still to come. Holds one packet and
//! what was read with it, 160 KiB at most, however long the stream is.

use std::io::{self, Read};

use memtrace_reader::{Error, Fault, Packet};

/// The bytes that are read at once: what two packets take.
const CHUNK: usize = 64 * 1024;

/// The thing at the front of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Front {
    /// A whole packet, see [`Stream::packet`].
    Packet,
    /// The end, and this many bytes of a packet that is not whole.
    End {
        /// Bytes that belong to no whole packet.
        left: usize,
    },
    /// Something that is not a packet.
    Bad(Error),
}

/// A stream and its packets.
#[derive(Debug)]
pub struct Stream<R> {
    from: R,
    buffer: Vec<u8>,
    /// The place in the buffer where the packet at the front begins, and the one where what was read ends.
    start: usize,
    end: usize,
    /// Size of the packet at the front, once it is whole.
    size: usize,
    /// Of the front, in the stream.
    offset: usize,
}

impl<R: Read> Stream<R> {
    /// A stream from its beginning.
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            start: 0,
            end: 0,
            size: 0,
            offset: 0,
        }
    }

    /// Goes to the next packet and reads until it is whole.
    ///
    /// # Errors
    /// The system's. After one that says that there is nothing yet the next call goes on.
    pub fn advance(&mut self) -> io::Result<Front> {
        self.start += self.size;
        self.offset += self.size;
        self.size = 0;
        loop {
            let wanted = match Packet::parse(&self.buffer[self.start..self.end], self.offset) {
                Ok(packet) => {
                    self.size = packet.header.size;
                    return Ok(Front::Packet);
                }
                Err(Error {
                    fault: Fault::Cut { wanted, .. },
                    ..
                }) => wanted,
                Err(error) => return Ok(Front::Bad(error)),
            };
            if self.read(wanted)? == 0 {
                let left = self.end - self.start;
                return Ok(Front::End { left });
            }
        }
    }

    /// The packet at the front.
    ///
    /// # Panics
    /// If the last [`Stream::advance`] did not say [`Front::Packet`].
    pub fn packet(&self) -> Packet<'_> {
        Packet::parse(self.bytes(), self.offset).expect("the packet was whole before")
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.size]
    }

    /// Bytes of whole packets, up to the end of the one at the front.
    pub fn taken(&self) -> u64 {
        (self.offset + self.size) as u64
    }

    /// Returns where the bytes come from.
    pub fn source(&self) -> &R {
        &self.from
    }

    /// Reads once, so that at least `wanted` bytes have room.
    fn read(&mut self, wanted: usize) -> io::Result<usize> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let room = wanted.max(self.end) + CHUNK;
        if self.buffer.len() < room {
            self.buffer.resize(room, 0);
        }
        loop {
            match self.from.read(&mut self.buffer[self.end..]) {
                Ok(count) => {
                    self.end += count;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }
}
