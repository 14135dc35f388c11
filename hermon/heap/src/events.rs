//! The events of a trace, one after the other, in memory that does not grow with their number.

use std::io::{self, Read};

use memtrace_reader::{Decoder, Error, Event, Info};
use thiserror::Error;

use crate::stream::{Front, Stream};

/// The reason why a trace cannot be read at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The system's.
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    /// No byte.
    #[error("is empty: no trace began")]
    Empty,
    /// Less than the first packet.
    #[error("ends after {0} bytes, before its first packet does: no trace began")]
    Cut(usize),
    /// Something else.
    #[error("is no memtrace trace: {0}")]
    NotATrace(Error),
}

/// The way a trace ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// With a whole packet.
    Whole,
    /// In the middle of a packet: so many bytes are left out.
    Cut(usize),
    /// With something that breaks a rule of the format; all before it was read.
    Bad(Error),
}

/// The part of a trace that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Bytes of whole packets.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
    /// The time of the last packet's end, in microseconds since the trace began.
    pub micros: u64,
    /// The way it ended.
    pub end: End,
}

/// A trace of which the first packet has been read.
pub(crate) struct Trace<R> {
    stream: Stream<R>,
    decoder: Decoder,
}

impl<R: Read> Trace<R> {
    /// Reads the first packet.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn open(from: R) -> Result<Self, OpenError> {
        let mut stream = Stream::new(from);
        match stream.advance()? {
            Front::Packet => {}
            Front::End { left: 0 } => return Err(OpenError::Empty),
            Front::End { left } => return Err(OpenError::Cut(left)),
            Front::Bad(error) => return Err(OpenError::NotATrace(error)),
        }
        let decoder = Decoder::new(&stream.packet()).map_err(OpenError::NotATrace)?;
        Ok(Self { stream, decoder })
    }

    /// Returns what the first packet says.
    pub(crate) fn info(&self) -> &Info {
        self.decoder.info()
    }

    /// Hands over every event, up to the end or to what breaks a rule.
    ///
    /// # Errors
    /// The system's, if the trace cannot be read on.
    pub(crate) fn each(mut self, take: &mut dyn FnMut(&Event<'_>)) -> io::Result<Span> {
        let mut packets = 1;
        let mut bytes = self.stream.taken();
        let mut micros = 0;
        let end = loop {
            match self.stream.advance()? {
                Front::Packet => {}
                Front::End { left: 0 } => break End::Whole,
                Front::End { left } => break End::Cut(left),
                Front::Bad(error) => break End::Bad(error),
            }
            let packet = self.stream.packet();
            if let Err(error) = events(&mut self.decoder, &packet, take) {
                break End::Bad(error);
            }
            packets += 1;
            bytes = self.stream.taken();
            micros = packet.header.end - self.decoder.info().start;
        };
        Ok(Span {
            bytes,
            packets,
            micros,
            end,
        })
    }
}

/// The events of one packet.
///
/// # Errors
/// The first rule that it breaks; what was before it has been handed over.
pub fn events(
    decoder: &mut Decoder,
    packet: &memtrace_reader::Packet<'_>,
    take: &mut dyn FnMut(&Event<'_>),
) -> Result<(), Error> {
    let mut progress = decoder.begin(packet)?;
    while let Some(event) = decoder.next_event(&mut progress)? {
        take(&event);
    }
    Ok(())
}
