//! Spans: ranges of addresses of the code, each with its chain of frames.

use core::hash::Hash;
use std::collections::HashMap;

/// A place in the source: a function, a file and a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Frame {
    /// Index into [`Spans::names`].
    pub function: u32,
    /// Index into [`Spans::files`].
    pub file: u32,
    /// From 1; 0 if the compiler gives none.
    pub line: u32,
}

/// The addresses from `start` to the next span's start, and their frames: outermost first, inlined functions last. Without a frame,
/// nothing is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first address.
    pub start: u64,
    /// The frames.
    pub frames: Vec<Frame>,
}

/// All spans of an image, in the order of their addresses. Two neighbours are never equal. The last one is empty: it ends the code.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    /// Names of functions.
    pub names: Vec<String>,
    /// Paths of source files. One is empty if the compiler gives none.
    pub files: Vec<String>,
    /// The spans.
    pub spans: Vec<Span>,
}

impl Spans {
    /// Adds a span after all others, unless it is equal to the last one.
    pub fn push(&mut self, start: u64, frames: &[Frame]) {
        let last: &[Frame] = self.spans.last().map_or(&[], |last| &last.frames);
        if last != frames {
            let frames = frames.to_vec();
            self.spans.push(Span { start, frames });
        }
    }

    /// Returns the frames at an address.
    pub fn at(&self, address: u64) -> &[Frame] {
        let after = self.spans.partition_point(|span| span.start <= address);
        after
            .checked_sub(1)
            .map_or(&[], |at| &self.spans[at].frames)
    }
}

/// Numbers values in the order of their first use.
pub(crate) struct Interned<T> {
    numbers: HashMap<T, u32>,
    values: Vec<T>,
}

impl<T: Clone + Eq + Hash> Interned<T> {
    pub(crate) fn new() -> Self {
        Self {
            numbers: HashMap::new(),
            values: Vec::new(),
        }
    }

    pub(crate) fn number(&mut self, value: T) -> u32 {
        if let Some(&number) = self.numbers.get(&value) {
            return number;
        }
        let number = u32::try_from(self.values.len()).expect("fewer values than bytes of an image");
        self.numbers.insert(value.clone(), number);
        self.values.push(value);
        number
    }

    pub(crate) fn into_values(self) -> Vec<T> {
        self.values
    }
}
