//! An encoder and its output stream.

use core::num::NonZeroU64;

use memtrace_writer::{
    Alloc, CollectError, Encoder, Info, ObjectId, PACKET_MAX, Resolve, UnixMicros,
};

use crate::program::Happening;

/// The start of every trace of these tests. An event soon makes its low 25 bits wrap around.
pub const START: u64 = (1_700_000_000_000_000 >> 25 << 25) + (1 << 25) - 1_000;

pub fn info() -> Info<'static> {
    Info {
        start: UnixMicros(START),
        rate: 1e-4,
        executable: "app.elf",
        host: "web-1",
        parameters: "",
        pid: u64::MAX,
        context: "version 0.1",
    }
}

/// The encoder and its stream.
pub struct Tracer<N> {
    pub encoder: Encoder,
    pub names: N,
    pub stream: Vec<u8>,
    /// The end of each packet of the stream.
    pub ends: Vec<usize>,
}

impl<N: Resolve> Tracer<N> {
    pub fn new(info: &Info<'_>, names: N) -> Self {
        let mut tracer = Self {
            encoder: Encoder::new(info),
            names,
            stream: Vec::new(),
            ends: Vec::new(),
        };
        tracer.flush();
        tracer
    }

    pub fn flush(&mut self) {
        if let Some(packet) = self.encoder.flush() {
            assert!(packet.len() <= PACKET_MAX, "{} bytes", packet.len());
            self.stream.extend_from_slice(packet);
            self.ends.push(self.stream.len());
        }
    }

    /// Writes an alloc at a time since the start.
    pub fn alloc(&mut self, at: u64, block: Alloc, stack: &[u64]) -> ObjectId {
        // Each attempt defines at least one more code.
        for _ in 0..=stack.len() + 1 {
            let at = UnixMicros(START + at);
            let stack = stack.iter().copied();
            if let Ok(id) = self.encoder.alloc(at, block, stack, &mut self.names) {
                return id;
            }
            self.flush();
        }
        panic!("the event does not get any further")
    }

    pub fn collect(&mut self, at: u64, id: ObjectId) {
        let at = UnixMicros(START + at);
        if self.encoder.collect(at, id) == Err(CollectError::Full) {
            self.flush();
            assert_eq!(self.encoder.collect(at, id), Ok(()), "an empty packet");
        }
    }

    /// Writes the events, 20 µs apart.
    pub fn happen(&mut self, happenings: &[Happening]) {
        let mut at = 0;
        for happening in happenings {
            at += 20;
            match happening {
                Happening::Alloc(words, hits, stack) => {
                    let hits = NonZeroU64::new(*hits).expect("a hit");
                    self.alloc(at, Alloc::new(*words, hits), stack);
                }
                Happening::Free(id) => self.collect(at, ObjectId(*id)),
            }
        }
        self.flush();
    }
}
