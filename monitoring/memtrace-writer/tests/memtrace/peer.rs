//! The number of bytes that memtrace's own writer takes for a trace: a model of its choices, which counts and writes
//! nothing.
//!
//! Facts of memtrace's version of September 2024, the last that writes version 2. It looks for a code in two slots of
//! the cache, and uses the one that no codeword has named for longer. Each miss defines the code, again if necessary,
//! in packets of definitions alone before the packet of events. A packet of events ends when fewer than 4,196 bytes are
//! free, after more than 128 definitions, or after 30 s. By hand, the real writer copied the traces of `size.rs`: the
//! model agrees with it to the byte.

use std::collections::HashMap;

use memtrace_writer::{Location, Resolve};

use crate::program::Happening;

const SLOTS: usize = 1 << 14;
const HEADER: usize = 66;
const PACKET: usize = 32_768;

/// The model, see the [module](self).
pub struct Peer<N> {
    names: N,
    /// Bytes of the packets that are finished.
    pub bytes: usize,
    events: usize,
    begin: Option<u64>,
    allocs: u64,
    slots: Vec<(u64, usize, u64)>,
    stack: Vec<u64>,
    new: Vec<u64>,
    files: Vec<(String, Vec<String>)>,
}

fn number(value: u64) -> usize {
    match value {
        0..253 => 1,
        253..0x1_0000 => 3,
        0x1_0000..0x8000_0000 => 5,
        _ => 9,
    }
}

impl<N: Resolve> Peer<N> {
    /// Creates a model. `first` is the number of bytes in the first packet.
    pub fn new(first: usize, names: N) -> Self {
        Self {
            names,
            bytes: first,
            events: HEADER,
            begin: None,
            allocs: 0,
            slots: vec![(0, 0, 0); SLOTS],
            stack: Vec::new(),
            new: Vec::new(),
            files: Vec::new(),
        }
    }

    fn before_event(&mut self, at: u64) {
        let is_long = self.begin.is_some_and(|begin| at - begin > 30_000_000);
        if PACKET - self.events < 4_196 || self.new.len() > 128 || is_long {
            self.flush();
        }
        self.begin.get_or_insert(at);
    }

    pub fn alloc(&mut self, at: u64, words: u64, hits: u64, minor: bool, stack: &[u64]) {
        self.before_event(at);
        let common = self
            .stack
            .iter()
            .zip(stack)
            .take_while(|(a, b)| a == b)
            .count();
        self.stack = stack.to_vec();
        let is_short = minor && hits == 1 && (1..=16).contains(&words);
        let fields = if is_short {
            1
        } else {
            number(words) + number(hits) + 1 + 2
        };
        self.events += 4 + fields + number(common as u64) + self.codewords(&stack[common..]);
        self.allocs += 1;
    }

    fn codewords(&mut self, codes: &[u64]) -> usize {
        let (mut bytes, mut at, mut previous) = (0, 0, 0);
        while at < codes.len() {
            let code = codes[at];
            at += 1;
            let hash =
                |factor: u64, shift: u32| (code.wrapping_mul(factor) >> shift) as usize % SLOTS;
            let (first, second) = (hash(0x0498_3723, 11), hash(0x0FDE_A731, 21));
            let hit = [first, second]
                .into_iter()
                .find(|slot| self.slots[*slot].0 == code);
            let slot = hit.unwrap_or(if self.slots[first].2 < self.slots[second].2 {
                first
            } else {
                second
            });
            self.slots[previous].1 = slot;
            previous = slot;
            self.slots[slot].2 = self.allocs;
            if hit.is_none() {
                self.slots[slot].0 = code;
                self.new.push(code);
                bytes += 10;
                continue;
            }
            let mut predicted = 0;
            while at < codes.len() && predicted < 255 {
                let next = self.slots[previous].1;
                if self.slots[next].0 != codes[at] {
                    break;
                }
                previous = next;
                predicted += 1;
                at += 1;
            }
            bytes += if predicted < 2 { 2 } else { 3 };
        }
        bytes
    }

    pub fn collect(&mut self, at: u64, id: u64) {
        self.before_event(at);
        self.events += 4 + number(self.allocs - 1 - id);
    }

    pub fn flush(&mut self) {
        let mut packet = HEADER;
        for code in core::mem::take(&mut self.new) {
            // A packet of definitions ends when another might not fit.
            if PACKET - packet <= 4_096 {
                self.bytes += packet;
                packet = HEADER;
            }
            packet += 4 + 8 + 1 + self.positions(code);
        }
        if packet > HEADER {
            self.bytes += packet;
        }
        if self.events > HEADER {
            self.bytes += self.events;
        }
        self.events = HEADER;
        self.begin = None;
    }

    fn positions(&mut self, code: u64) -> usize {
        let (files, mut bytes, mut index) = (&mut self.files, 0, 0);
        while let Some(Location { function, file, .. }) = self.names.location(code, index) {
            bytes += 6 + front(
                files,
                |entry| entry.0 == file,
                || (file.into(), Vec::new()),
                file,
            );
            bytes += front(
                &mut files[0].1,
                |entry| entry == function,
                || function.into(),
                function,
            );
            index += 1;
        }
        bytes
    }

    /// Counts a whole trace, like [`Tracer::happen`](crate::tracer::Tracer::happen).
    pub fn happen(&mut self, happenings: &[Happening]) -> usize {
        let mut at = 0;
        let mut stacks: HashMap<*const u64, Vec<u64>> = HashMap::new();
        for happening in happenings {
            at += 20;
            match happening {
                Happening::Alloc(words, hits, stack) => {
                    let outermost_first = stacks
                        .entry(stack.as_ptr())
                        .or_insert_with(|| stack.iter().rev().copied().collect());
                    self.alloc(at, *words, *hits, *words <= 256, &outermost_first.clone());
                }
                Happening::Free(id) => self.collect(at, *id),
            }
        }
        self.flush();
        self.bytes
    }
}

/// Moves an entry to the front of a list of 31. Returns the bytes of its name if it is new.
fn front<T>(
    list: &mut Vec<T>,
    is: impl Fn(&T) -> bool,
    new: impl FnOnce() -> T,
    name: &str,
) -> usize {
    let (entry, bytes) = match list.iter().position(is) {
        Some(place) => (list.remove(place), 0),
        None => (new(), name.len() + 1),
    };
    list.insert(0, entry);
    list.truncate(31);
    bytes
}
