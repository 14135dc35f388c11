//! The writer, for the tool that makes a table. It allocates, so it needs the feature `write`.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use crate::header::{BUILD_ID_MAX, HEADER_BYTES, Header, Size};
use crate::varint::{change, put};
use crate::{Coverage, FRAMES_MAX, Frame, GROUP, TEXT_MAX};

/// The content of a table for one address, or with [`Coverage::All`] for all addresses up to the next row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row<'a> {
    /// The address.
    pub address: u64,
    /// The frames, outermost first; empty where nothing is known.
    pub frames: Vec<Frame<'a>>,
}

/// The reason why no table was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteError {
    /// The rows span more than 4 GiB.
    CodeTooLarge,
    /// The row with this address is not after the row before it.
    Order(u64),
    /// The table would have this many bytes, which is too many.
    TooLarge(usize),
    /// The build id has this many bytes, more than GNU ld writes.
    BuildId(usize),
    /// There are no rows.
    Nothing,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CodeTooLarge => f.write_str("the code spans more than 4 GiB"),
            Self::Order(address) => {
                write!(f, "the row of {address:#x} is not behind the one before")
            }
            Self::TooLarge(bytes) => write!(
                f,
                "a symbol table of {bytes} bytes: at most 2 GiB can be told"
            ),
            Self::BuildId(bytes) => write!(
                f,
                "a build id of {bytes} bytes: at most {BUILD_ID_MAX} are known"
            ),
            Self::Nothing => f.write_str("no symbol and no line is known of any address"),
        }
    }
}

impl core::error::Error for WriteError {}

/// A table, with counts of its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The table.
    pub bytes: Vec<u8>,
    /// The number of rows.
    pub rows: usize,
    /// The number of frames of all rows together.
    pub frames: usize,
    /// The number of functions, each with its file.
    pub functions: usize,
    /// The number of files.
    pub files: usize,
    /// The number of bytes of names and files.
    pub text_bytes: usize,
    /// The number of names and paths that were cut because they have more than [`TEXT_MAX`] bytes.
    pub cut_texts: usize,
    /// The number of chains that were cut because they have more than [`FRAMES_MAX`] frames.
    pub cut_chains: usize,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            bytes,
            rows,
            frames,
            functions,
            files,
            text_bytes,
            cut_texts,
            cut_chains,
        } = self;
        let (bytes, row_bytes) = (bytes.len(), bytes.len() - text_bytes - HEADER_BYTES);
        write!(
            f,
            "{bytes} bytes: {rows} rows of {frames} frames in {row_bytes} bytes, {functions} functions and {files} files in {text_bytes}"
        )?;
        if *cut_texts > 0 {
            write!(f, ", {cut_texts} cut to {TEXT_MAX} bytes")?;
        }
        if *cut_chains > 0 {
            write!(f, ", {cut_chains} chains cut to {FRAMES_MAX} frames")?;
        }
        Ok(())
    }
}

/// Writes a table of `rows`, which are sorted by address, for the image with this build id.
///
/// # Errors
/// If the rows are not sorted, or exceed a bound of the format.
pub fn write(rows: &[Row<'_>], coverage: Coverage, build_id: &[u8]) -> Result<Table, WriteError> {
    if build_id.len() > BUILD_ID_MAX {
        return Err(WriteError::BuildId(build_id.len()));
    }
    let base = rows.first().ok_or(WriteError::Nothing)?.address;
    let mut cut = Cut::default();
    let chains: Vec<Vec<Frame<'_>>> = rows.iter().map(|row| cut.chain(&row.frames)).collect();
    let functions = functions(&chains);
    let texts: BTreeSet<&str> = functions.keys().map(|(_, file)| *file).collect();

    let mut files = List::default();
    for text in &texts {
        files.text(text);
    }
    let texts: Vec<&str> = texts.into_iter().collect();
    let mut names = List::default();
    for ((name, file), function) in &functions {
        names.text(name);
        names.number(texts.binary_search(file).unwrap_or_else(|at| at) as u32);
        names.number(function.first);
    }

    let mut frames = Frames::default();
    let mut list = List::default();
    let (mut address, mut frame) = (base, 0);
    for (row, chain) in rows.iter().zip(&chains) {
        if list.items > 0 && row.address <= address {
            return Err(WriteError::Order(row.address));
        }
        if u32::try_from(row.address - base).is_err() {
            return Err(WriteError::CodeTooLarge);
        }
        if list.begin() {
            (address, frame) = (base, 0);
        }
        let (innermost, line) = frames.chain(chain, &functions);
        list.number((row.address - address) as u32);
        list.number(change(frame, innermost));
        list.number(line);
        (address, frame) = (row.address, innermost);
    }

    let mut bytes = vec![0; HEADER_BYTES];
    files.append(&mut bytes);
    names.append(&mut bytes);
    let text_bytes = bytes.len() - HEADER_BYTES;
    list.append(&mut bytes);
    bytes.extend(&frames.bytes);
    // Also a difference of two places is then a number that a varint holds.
    if i32::try_from(bytes.len()).is_err() {
        return Err(WriteError::TooLarge(bytes.len()));
    }
    let header = Header {
        build_id,
        coverage,
        base,
        files: files.size(),
        functions: names.size(),
        rows: list.size(),
        frame_bytes: frames.bytes.len() as u32,
    };
    header.put(&mut bytes);
    Ok(Table {
        bytes,
        rows: rows.len(),
        frames: chains.iter().map(Vec::len).sum(),
        functions: functions.len(),
        files: texts.len(),
        text_bytes,
        cut_texts: cut.texts.len(),
        cut_chains: cut.chains,
    })
}

/// Counts of what did not fit.
#[derive(Default)]
struct Cut<'a> {
    texts: BTreeSet<&'a str>,
    chains: usize,
}

impl<'a> Cut<'a> {
    /// Returns as many frames of a chain as fit.
    fn chain(&mut self, frames: &[Frame<'a>]) -> Vec<Frame<'a>> {
        let over = frames.len().saturating_sub(FRAMES_MAX);
        self.chains += usize::from(over > 0);
        // The function that the linker knows and the innermost ones tell the most.
        let kept = frames.iter().take(1).chain(frames.iter().skip(1 + over));
        kept.map(|frame| Frame {
            function: self.text(frame.function),
            file: self.text(frame.file),
            line: frame.line,
        })
        .collect()
    }

    fn text(&mut self, text: &'a str) -> &'a str {
        if text.len() <= TEXT_MAX {
            return text;
        }
        self.texts.insert(text);
        &text[..text.floor_char_boundary(TEXT_MAX)]
    }
}

struct Function {
    number: u32,
    first: u32,
}

impl Function {
    /// Returns a line of the function as the table stores it.
    fn line(&self, line: u32) -> u32 {
        line.checked_sub(self.first)
            .filter(|_| line > 0)
            .map_or(0, |over| over + 1)
    }
}

/// Functions by name and file.
type Functions<'a> = BTreeMap<(&'a str, &'a str), Function>;

/// Returns the functions of all chains, numbered in their order.
fn functions<'a>(chains: &[Vec<Frame<'a>>]) -> Functions<'a> {
    let mut functions = Functions::new();
    for frame in chains.iter().flatten() {
        let function = functions
            .entry((frame.function, frame.file))
            .or_insert(Function {
                number: 0,
                first: 0,
            });
        if frame.line > 0 && (function.first == 0 || frame.line < function.first) {
            function.first = frame.line;
        }
    }
    for (number, function) in functions.values_mut().enumerate() {
        function.number = number as u32;
    }
    functions
}

/// The tree of frames.
#[derive(Default)]
struct Frames {
    bytes: Vec<u8>,
    /// The number of the frame for each function in an outer frame at a line of that. It is the offset of its record plus 1.
    known: BTreeMap<(u32, u32, u32), u32>,
}

impl Frames {
    /// Adds the new frames of a chain. Returns the innermost frame, 0 for a chain without frames, and the line in it.
    fn chain(&mut self, chain: &[Frame<'_>], functions: &Functions<'_>) -> (u32, u32) {
        let (mut outer, mut line) = (0, 0);
        for frame in chain {
            let function = &functions[&(frame.function, frame.file)];
            let bytes = &mut self.bytes;
            let place = (outer, function.number, line);
            outer = *self.known.entry(place).or_insert_with(|| {
                let begin = bytes.len() as u32 + 1;
                if outer == 0 {
                    put(0, bytes);
                    put(function.number, bytes);
                } else {
                    put(begin - outer, bytes);
                    put(function.number, bytes);
                    put(line, bytes);
                }
                begin
            });
            line = function.line(frame.line);
        }
        (outer, line)
    }
}

/// A list that is being written.
#[derive(Default)]
struct List<'a> {
    starts: Vec<u8>,
    groups: Vec<u8>,
    items: u32,
    /// The previous text.
    text: &'a str,
}

impl<'a> List<'a> {
    /// Begins an item. Returns `true` if it is the first one of a group.
    fn begin(&mut self) -> bool {
        let is_first = self.items.is_multiple_of(GROUP as u32);
        if is_first {
            self.starts.extend((self.groups.len() as u32).to_le_bytes());
        }
        self.items += 1;
        is_first
    }

    fn number(&mut self, number: u32) {
        put(number, &mut self.groups);
    }

    /// Begins an item with a text.
    fn text(&mut self, text: &'a str) {
        if self.begin() {
            self.text = "";
        }
        let pairs = self.text.bytes().zip(text.bytes());
        let shared = pairs.take_while(|(before, now)| before == now).count();
        self.number(shared as u32);
        self.number((text.len() - shared) as u32);
        self.groups.extend(&text.as_bytes()[shared..]);
        self.text = text;
    }

    fn size(&self) -> Size {
        Size {
            items: self.items,
            bytes: self.groups.len() as u32,
        }
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.extend(&self.starts);
        out.extend(&self.groups);
    }
}
