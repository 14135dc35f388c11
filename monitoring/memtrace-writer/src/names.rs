//! The names that the readers still know: move-to-front lists of file names, and of functions for each file.
//!
//! A name at place `i < 31` is written as `i`; any other is written in full and comes to the front, where the
//! last of 31 falls off. Readers keep the same lists, over the whole trace.

use alloc::boxed::Box;
use alloc::vec;

/// Places of a list: five bits say which, and the last value says "none, the name follows".
const PLACES: usize = 31;
/// The code of a name that is written in full.
pub(super) const NEW: u8 = PLACES as u8;

/// Bytes outside the value itself.
pub(super) const MEMORY: usize = PLACES * size_of::<List>();

/// A name, as the lists keep it: 64 bits of hash. Names of up to 512 bytes times 31 times 31 would be half a
/// megabyte. A wrong name would need two names in one list with one hash: once in 10^16 traces of an image
/// with 30,000 names, even if all of them met.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Name(u64);

impl Name {
    /// FNV-1a over the bytes (Fowler, Noll and Vo), and Murmur's finisher, which spreads its high bits.
    fn of(text: &str) -> Self {
        let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self((hash ^ hash >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd))
    }
}

#[derive(Clone, Default)]
struct List {
    names: [Name; PLACES],
    len: usize,
}

impl List {
    /// The name's place if it has one. It is at the front afterwards.
    fn find(&mut self, name: Name) -> Option<u8> {
        let place = self.names[..self.len].iter().position(|of| *of == name)?;
        self.names[..=place].rotate_right(1);
        Some(place as u8)
    }

    /// Puts a name that has no place to the front.
    fn push(&mut self, name: Name) {
        self.len = (self.len + 1).min(PLACES);
        self.names[..self.len].rotate_right(1);
        self.names[0] = name;
    }
}

/// The lists of one trace.
pub(super) struct Names {
    files: List,
    /// Which of `functions` belongs to the file at this place.
    owners: [u8; PLACES],
    functions: Box<[List]>,
}

impl Names {
    pub(super) fn new() -> Self {
        Self {
            files: List::default(),
            owners: [0; PLACES],
            functions: vec![List::default(); PLACES].into_boxed_slice(),
        }
    }

    pub(super) fn clear(&mut self) {
        self.files.len = 0;
    }

    /// The codes of a file's and of a function's name; [`NEW`] for one that has to be written. Cost: a pass over
    /// both texts and at most 62 comparisons.
    pub(super) fn codes(&mut self, file: &str, function: &str) -> (u8, u8) {
        let (file, function) = (Name::of(file), Name::of(function));
        let file = if let Some(place) = self.files.find(file) {
            self.owners[..=usize::from(place)].rotate_right(1);
            place
        } else {
            self.add_file(file);
            NEW
        };
        let list = &mut self.functions[usize::from(self.owners[0])];
        let function = list.find(function).unwrap_or_else(|| {
            list.push(function);
            NEW
        });
        (file, function)
    }
    /// A new file takes the list of the one that falls off, if all are in use; its own is empty.
    fn add_file(&mut self, file: Name) {
        let owner = if self.files.len < PLACES {
            self.files.len as u8
        } else {
            self.owners[PLACES - 1]
        };
        self.files.push(file);
        self.owners[..self.files.len].rotate_right(1);
        self.owners[0] = owner;
        self.functions[usize::from(owner)].len = 0;
    }
}
