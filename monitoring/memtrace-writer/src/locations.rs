//! Definitions: the functions, files and lines that a code stands for.
//!
//! ```text
//! definition = event header | code u64 | count u8 | count × (position, 48 bits [, file\0] [, function\0])
//! position   = line 20 bits | first column 8 | last column 10 | file 5 | function 5        from the low end
//! ```
//!
//! File and function are places in two move-to-front lists that readers keep as well: one of 31 files, and for each
//! file one of 31 functions. Place 31 marks a new name, which follows. It moves to the front of its list, and the last
//! of 31 names is dropped. The lists last as long as the trace.

use alloc::boxed::Box;
use alloc::vec;

use crate::encoder::Counts;
use crate::packet::{EVENT_HEADER, EventCode, Packet};
use crate::{INLINED_MAX, NAME_MAX, code};

/// A position in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location<'a> {
    /// The function, any text. A text longer than [`NAME_MAX`] is cut.
    pub function: &'a str,
    /// The file, any text. A text longer than [`NAME_MAX`] is cut.
    pub file: &'a str,
    /// The line, at most 1,048,575; 0 if it is not known.
    pub line: u32,
    /// The first column, at most 255; 0 if it is not known.
    pub column: u32,
    /// The last column, at most 1,023; 0 if it is not known.
    pub end_column: u32,
}

/// Finds the positions that codes stand for. The caller implements it, usually over a symbol table.
pub trait Resolve {
    /// Returns the position at `index` in the list of `code`. The function that the linker knows is at 0, and each
    /// function inlined into the one before follows. `None` ends the list.
    ///
    /// The encoder asks for one code at a time, from 0 on. The implementer must return the same list each time: the
    /// encoder asks again for a code that made room for others. An empty list is allowed; tools then show the code.
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>>;
}

/// The most bytes of a definition, as in memtrace's writer. A longer list is cut, and its last position says so.
pub(crate) const DEFINITION_MAX: usize = 4_096;

/// Bytes of a position without its names.
const POSITION: usize = 6;
/// Bytes of a position with two names and the NULs at their ends.
const POSITION_MAX: usize = POSITION + 2 * (NAME_MAX + 1);
/// The last position of a list that was cut.
const MORE: Location<'_> = own("[more inlined frames]");
const MORE_MAX: usize = POSITION + MORE.function.len() + 1 + MORE.file.len() + 1;

// At least three positions with the longest names fit.
const _: () = assert!(EVENT_HEADER + 9 + 3 * POSITION_MAX + MORE_MAX <= DEFINITION_MAX);

/// Returns a position that the encoder names.
const fn own(function: &str) -> Location<'_> {
    Location {
        function,
        file: "-",
        line: 0,
        column: 0,
        end_column: 0,
    }
}

/// Places of a list.
const PLACES: usize = 31;
/// The place of a name that follows.
const NEW: u8 = PLACES as u8;

/// A move-to-front list of names, as hashes of 64 bits.
///
/// The names themselves, 31 times 31 of up to 512 bytes, would take half a megabyte. A wrong name would need two names
/// with one hash in one list: once in 10^16 traces of an image with 30,000 names, even if all of them met.
#[derive(Clone, Default)]
struct List {
    names: [u64; PLACES],
    len: usize,
}

impl List {
    /// Moves a name to the front. Returns its former place, or for a new name, as an error, the place that it fills.
    fn move_to_front(&mut self, text: &str) -> Result<usize, usize> {
        let name = hash(text);
        let known = self.names[..self.len].iter().position(|of| *of == name);
        let place = known.unwrap_or_else(|| {
            self.len = (self.len + 1).min(PLACES);
            self.len - 1
        });
        self.names[..=place].rotate_right(1);
        self.names[0] = name;
        known.ok_or(place)
    }
}

/// Computes FNV-1a over the bytes (Fowler, Noll and Vo), with Murmur's finisher, which spreads its high bits.
fn hash(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    (hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd)
}

/// Writes the definitions of one trace.
pub(crate) struct Locations {
    files: List,
    /// The list of functions that belongs to the file at each place.
    owned: [u8; PLACES],
    functions: Box<[List]>,
}

impl Locations {
    /// Bytes outside the value.
    pub(crate) const MEMORY: usize = PLACES * size_of::<List>();

    pub(crate) fn new() -> Self {
        Self {
            files: List::default(),
            owned: core::array::from_fn(|place| place as u8),
            functions: vec![List::default(); PLACES].into_boxed_slice(),
        }
    }

    pub(crate) const fn clear(&mut self) {
        self.files.len = 0;
    }

    /// Writes the definition of `code`. The packet has room for [`DEFINITION_MAX`].
    pub(crate) fn define(
        &mut self,
        code: u32,
        at: u64,
        names: &mut dyn Resolve,
        packet: &mut Packet,
        counts: &mut Counts,
    ) {
        let end = packet.len() + DEFINITION_MAX;
        packet.event(at, EventCode::LOCATION);
        packet.bytes(&u64::from(code).to_le_bytes());
        let count_place = packet.len();
        packet.bytes(&[0]);
        let mut count = 0;
        while let Some(location) = location(code, count, names) {
            count += 1;
            if count > INLINED_MAX || packet.len() + POSITION_MAX + MORE_MAX > end {
                self.position(MORE, packet, counts);
                counts.lists_cut += 1;
                break;
            }
            self.position(location, packet, counts);
        }
        packet.set(count_place, count as u8);
        counts.definitions += 1;
    }

    fn position(&mut self, of: Location<'_>, packet: &mut Packet, counts: &mut Counts) {
        let (file, function) = self.places(of.file, of.function);
        let (mut word, mut shift) = (0, 0);
        for (value, bits) in [
            (of.line, 20),
            (of.column, 8),
            (of.end_column, 10),
            (file.into(), 5),
            (function.into(), 5),
        ] {
            let most = (1_u32 << bits) - 1;
            counts.clamped += u64::from(value > most);
            word |= u64::from(value.min(most)) << shift;
            shift += bits;
        }
        packet.bytes(&word.to_le_bytes()[..POSITION]);
        for (place, text) in [(file, of.file), (function, of.function)] {
            if place == NEW {
                counts.texts_changed += u64::from(packet.text(text, NAME_MAX));
            }
        }
    }

    /// Returns the places of a file's and of a function's name, and moves both to the front.
    fn places(&mut self, file: &str, function: &str) -> (u8, u8) {
        let file = self.files.move_to_front(file);
        let (Ok(place) | Err(place)) = file;
        // A new file takes over the list at the place that it fills, and clears it.
        self.owned[..=place].rotate_right(1);
        let functions = &mut self.functions[usize::from(self.owned[0])];
        if file.is_err() {
            functions.len = 0;
        }
        let function = functions.move_to_front(function);
        let place = |of: Result<usize, usize>| of.map_or(NEW, |place| place as u8);
        (place(file), place(function))
    }
}

/// Returns a position of a code: the encoder's name for it, or the caller's.
fn location<'n>(code: u32, index: usize, names: &'n mut dyn Resolve) -> Option<Location<'n>> {
    match code::name(code) {
        Some(name) => (index == 0).then_some(own(name)),
        None => names.location(u64::from(code), index),
    }
}
