//! Finds whole packets in a stream that arrives in pieces, such as a file or a connection.
//!
//! Of the format it knows only what [`Packet::parse`] says: the number of bytes still to come. It holds one packet and
//! the bytes that were read with it, at most 160 KiB, however long the stream is.

use std::io::{self, Read};

use memtrace_reader::{Error, Fault, Packet};

/// The number of bytes to read at once: the size of two packets.
const CHUNK: usize = 64 * 1024;

/// The front of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Front {
    /// A whole packet, see [`Stream::packet`].
    Packet,
    /// The end of the stream.
    End {
        /// The number of bytes that belong to no whole packet.
        left: usize,
    },
    /// Bytes that are not a packet.
    Bad(Error),
}

/// A stream and its packets.
#[derive(Debug)]
pub struct Stream<R> {
    from: R,
    buffer: Vec<u8>,
    /// The beginning of the packet at the front and the end of the bytes that were read, as positions in the buffer.
    start: usize,
    end: usize,
    /// Size of the packet at the front, once it is whole.
    size: usize,
    /// The position of the front in the stream.
    offset: usize,
}

impl<R: Read> Stream<R> {
    /// Creates a stream at its beginning.
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
    /// The system's error. If it says that there is nothing to read yet, the next call goes on.
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

    /// Returns the packet at the front.
    ///
    /// # Panics
    /// Panics if the last [`Stream::advance`] did not return [`Front::Packet`].
    pub fn packet(&self) -> Packet<'_> {
        Packet::parse(self.bytes(), self.offset).expect("the packet was whole before")
    }

    /// Returns the bytes of the packet at the front.
    pub fn bytes(&self) -> &[u8] {
        &self.buffer[self.start..self.start + self.size]
    }

    /// Returns the number of bytes of whole packets, up to the end of the one at the front.
    pub fn taken(&self) -> u64 {
        (self.offset + self.size) as u64
    }

    /// Returns the source of the bytes.
    pub fn source(&self) -> &R {
        &self.from
    }

    /// Reads once, with room for at least `wanted` bytes.
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
