//! Reads a whole stream.

use crate::decoder::{Decoder, Info, Progress};
use crate::error::{Error, Fault};
use crate::event::Event;
use crate::header::{Packets, packets};

/// The events of a stream, in order.
pub struct Trace<'a> {
    packets: Packets<'a>,
    decoder: Decoder,
    packet: Option<Progress<'a>>,
}

impl<'a> Trace<'a> {
    /// Reads the first packet.
    ///
    /// # Errors
    /// Returns the first broken rule. An empty stream counts as cut.
    pub fn new(stream: &'a [u8]) -> Result<Self, Error> {
        let mut packets = packets(stream);
        let Some(first) = packets.next() else {
            return Err(Error {
                offset: 0,
                fault: Fault::Cut { wanted: 1, left: 0 },
            });
        };
        Ok(Self {
            decoder: Decoder::new(&first?)?,
            packets,
            packet: None,
        })
    }

    /// Returns the description in the first packet.
    #[must_use]
    pub const fn info(&self) -> &Info {
        self.decoder.info()
    }

    /// Returns the number of live blocks after the events so far.
    #[must_use]
    pub fn live(&self) -> usize {
        self.decoder.live()
    }

    /// Returns the next event, or `None` at the end.
    ///
    /// # Errors
    /// Returns the first broken rule. Events that are read after an error have no meaning.
    pub fn next_event(&mut self) -> Result<Option<Event<'_>>, Error> {
        loop {
            // Ask first whether there is an event, because an event borrows the decoder.
            match &mut self.packet {
                Some(packet) if !packet.is_done() => break,
                Some(packet) => {
                    self.decoder.next_event(packet)?;
                    self.packet = None;
                }
                None => match self.packets.next() {
                    Some(packet) => self.packet = Some(self.decoder.begin(&packet?)?),
                    None => return Ok(None),
                },
            }
        }
        match &mut self.packet {
            Some(packet) => self.decoder.next_event(packet),
            None => Ok(None),
        }
    }
}
