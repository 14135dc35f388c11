//! Reads the events of a trace one after the other, in memory that does not grow with their number.

use std::io::{self, Read};

use memtrace_reader::{Decoder, Error, Event, Fault, Info};
use thiserror::Error;

use crate::stream::{Front, Stream};

/// The reason why a trace cannot be read at all.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The system's error.
    #[error("cannot read: {0}")]
    Read(#[from] io::Error),
    /// There is no byte.
    #[error("is empty: no trace began")]
    Empty,
    /// There are fewer bytes than the first packet has.
    #[error("ends after {0} bytes, before its first packet does: no trace began")]
    Cut(usize),
    /// The bytes are something else.
    #[error("is no memtrace trace: {0}")]
    NotATrace(Error),
}

/// The way in which a trace ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It ended with a whole packet.
    Whole,
    /// It ended in the middle of a packet; so many bytes are left out.
    Cut(usize),
    /// It ended with bytes that break a rule of the format; everything before them was read.
    Bad(Error),
}

/// The part of a trace that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The bytes of whole packets.
    pub bytes: u64,
    /// The number of packets.
    pub packets: u64,
    /// The time of the last packet's end, in microseconds since the trace began.
    pub micros: u64,
    /// The way in which it ended.
    pub end: End,
}

/// A trace whose first packet has been read.
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

    /// Returns the content of the first packet.
    pub(crate) fn info(&self) -> &Info {
        self.decoder.info()
    }

    /// Passes on every event, up to the end or to a fault in the format. `take` returns the bytes of memory that the
    /// caller holds by now. If these and the reader's are more than `limit`, that counts as a fault.
    ///
    /// # Errors
    /// The system's error, if the rest of the trace cannot be read.
    pub(crate) fn each(
        mut self,
        limit: usize,
        take: &mut dyn FnMut(&Event<'_>) -> usize,
    ) -> io::Result<Span> {
        let mut held = 0;
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
            if let Err(error) = self.events(limit, &mut held, take) {
                break End::Bad(error);
            }
            let packet = self.stream.packet();
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

    /// Passes on the events of the packet at the front.
    fn events(
        &mut self,
        limit: usize,
        held: &mut usize,
        take: &mut dyn FnMut(&Event<'_>) -> usize,
    ) -> Result<(), Error> {
        let packet = self.stream.packet();
        self.decoder.limit(limit.saturating_sub(*held));
        let mut progress = self.decoder.begin(&packet)?;
        loop {
            let Some(event) = self.decoder.next_event(&mut progress)? else {
                return Ok(());
            };
            let offset = event.offset;
            *held = take(&event);
            if self.decoder.memory() + *held > limit {
                let fault = Fault::Memory(limit);
                return Err(Error { offset, fault });
            }
        }
    }
}

/// Passes on the events of one packet.
///
/// # Errors
/// The first rule that the packet breaks; the events before it have been passed on.
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
