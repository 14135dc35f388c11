//! Definitions: what a code stands for.
//!
//! ```text
//! code u64 | count u8 | count × (position, 48 bits [, file name] [, function name])
//! position = line 20 bits | start column 8 | end column 10 | file 5 | function 5        from the low end
//! ```

use super::encoder::Counts;
use super::names::{NEW, Names};
use super::packet::{EVENT_HEADER, EventCode, Packet};
use super::text::text_into;
use super::{INLINED_MAX, NAME_MAX, code};

/// A position in the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Location<'a> {
    /// Any text; one longer than [`NAME_MAX`] is cut.
    pub function: &'a str,
    /// Any text; one longer than [`NAME_MAX`] is cut.
    pub file: &'a str,
    /// At most 1,048,575; 0 if it is not known.
    pub line: u32,
    /// First column, at most 255; 0 if it is not known.
    pub column: u32,
    /// Last column, at most 1,023; 0 if it is not known.
    pub end_column: u32,
}

/// Says what a code stands for. The implementer:
///
/// * gives the positions from the outermost to the innermost inlined one, or none if nothing is known: then
///   the tools show the code;
/// * says the same each time: a code that has long not been used may be asked for again.
pub trait Resolve {
    /// Hands the positions of `code` to `out`, one after the other.
    fn resolve(&mut self, code: u64, out: &mut dyn FnMut(Location<'_>));
}

/// A function that resolves.
impl<F: FnMut(u64, &mut dyn FnMut(Location<'_>))> Resolve for F {
    fn resolve(&mut self, code: u64, out: &mut dyn FnMut(Location<'_>)) {
        self(code, out);
    }
}

/// The most bytes of a definition. memtrace's writer has the same limit; what is longer has fewer positions, and
/// the last says so.
pub(super) const DEFINITION_MAX: usize = 4_096;

/// Bytes of a position without its names.
const POSITION: usize = 6;
/// Bytes of a position with two names and their ends.
const POSITION_MAX: usize = POSITION + 2 * (NAME_MAX + 1);
/// The last position of a list that is not whole.
const MORE: &str = "[more inlined frames]";
/// The file of what the encoder itself names.
const NO_FILE: &str = "-";

const FIXED: usize = EVENT_HEADER + 9;
const MORE_MAX: usize = POSITION + MORE.len() + 1 + NO_FILE.len() + 1;
// Some positions with the longest names fit.
const _: () = assert!(FIXED + 3 * POSITION_MAX + MORE_MAX <= DEFINITION_MAX);

/// Writes the definition of `code`. The packet has room for [`DEFINITION_MAX`].
pub(super) fn define(
    code: u32,
    at: u64,
    resolve: &mut (impl Resolve + ?Sized),
    names: &mut Names,
    packet: &mut Packet,
    counts: &mut Counts,
) {
    let start = packet.place();
    packet.event(at, EventCode::LOCATION);
    packet.bytes(&u64::from(code).to_le_bytes());
    let count_place = packet.place();
    packet.bytes(&[0]);
    let (mut count, mut more) = (0_usize, false);
    let mut add = |location: Location<'_>| {
        let written = packet.place() - start;
        if count == INLINED_MAX || written + POSITION_MAX + MORE_MAX > DEFINITION_MAX {
            more = true;
        } else if !more {
            write(location, names, packet, counts);
            count += 1;
        }
    };
    if let Some(name) = code::name(code) {
        add(own(name));
    } else {
        resolve.resolve(u64::from(code), &mut add);
    }
    if more {
        write(own(MORE), names, packet, counts);
        count += 1;
        counts.lists_cut += 1;
    }
    packet.set(count_place, count as u8);
    counts.definitions += 1;
}

const fn own(function: &str) -> Location<'_> {
    Location {
        function,
        file: NO_FILE,
        line: 0,
        column: 0,
        end_column: 0,
    }
}

fn write(location: Location<'_>, names: &mut Names, packet: &mut Packet, counts: &mut Counts) {
    let (file, function) = names.codes(location.file, location.function);
    let mut word = 0;
    let mut at = 0;
    for (value, bits) in [
        (location.line, 20),
        (location.column, 8),
        (location.end_column, 10),
        (file.into(), 5),
        (function.into(), 5),
    ] {
        let most = (1_u32 << bits) - 1;
        counts.clamped += u64::from(value > most);
        word |= u64::from(value.min(most)) << at;
        at += bits;
    }
    packet.bytes(&word.to_le_bytes()[..POSITION]);
    for (code, text) in [(file, location.file), (function, location.function)] {
        if code == NEW {
            counts.texts_changed += u64::from(text_into(text, NAME_MAX, packet));
        }
    }
}
