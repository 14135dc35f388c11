//! Writes the table that `monitoring::symbols` reads; its format is drawn there.

mod bits;
mod code;
mod rows;
mod text;

use core::cmp::Reverse;
use core::fmt;
use std::collections::{BTreeMap, HashMap};

use crate::spans::{Frame, Interned, Spans};

/// Frames of the longest chain.
const FRAMES_MAX: usize = 64;
/// Bytes of the header.
const HEADER_BYTES: usize = 92;
/// Where what the checksum covers begins.
const CHECKED_FROM: usize = 16;
/// Bytes of a build id.
const BUILD_ID_MAX: usize = 20;
/// Starts of groups and blocks are of 24 bits.
const PART_BYTES_MAX: usize = 1 << 24;
/// The largest line, so that twice a difference of two is a number of 32 bits.
const LINE_MAX: u32 = (1 << 30) - 1;

/// Of which addresses everything is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage<'a> {
    /// Of these, which are the last bytes of calls; of others only the function.
    Calls(&'a [u64]),
    /// Of every address. Takes about four times as much.
    All,
}

/// Why there is no table.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// More than 4 GiB.
    #[error("the code spans more than 4 GiB")]
    CodeTooLarge,
    /// More functions than their codes can tell apart.
    #[error("{0} functions are more than a symbol table can hold")]
    TooManyFunctions(usize),
    /// A part is too large.
    #[error("the {0} of the symbol table take {1} bytes, more than 16 MiB")]
    PartTooLarge(&'static str, usize),
    /// The build id is none that GNU ld makes.
    #[error("a build id of {0} bytes: at most 20 are known")]
    BuildId(usize),
    /// Nothing is known of any address.
    #[error("no symbol and no line is known of any address")]
    Nothing,
}

/// A table and what it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// The table.
    pub bytes: Vec<u8>,
    /// Rows: calls, and where functions begin and end; or all stretches.
    pub rows: usize,
    /// Frames of all rows together.
    pub frames: usize,
    /// Functions, each with its file.
    pub functions: usize,
    /// Names of functions.
    pub names: usize,
    /// Files.
    pub files: usize,
    /// Bytes of the rows with their index.
    pub row_bytes: usize,
    /// Bytes of names, files and their dictionary.
    pub text_bytes: usize,
    /// Names and paths that were cut, because they have more than 255 bytes.
    pub cut_texts: usize,
    /// Chains that were cut, because they have more than 64 frames.
    pub cut_chains: usize,
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rows,
            frames,
            functions,
            names,
            files,
            ..
        } = self;
        write!(
            f,
            "{} bytes: {rows} rows of {frames} frames in {} bytes, {functions} functions, {names} names and {files} files in {}",
            self.bytes.len(),
            self.row_bytes,
            self.text_bytes,
        )?;
        if self.cut_texts > 0 {
            write!(f, ", {} cut to 255 bytes", self.cut_texts)?;
        }
        if self.cut_chains > 0 {
            write!(f, ", {} chains cut to {FRAMES_MAX} frames", self.cut_chains)?;
        }
        Ok(())
    }
}

/// A chain of functions and lines that begins to hold at an address.
struct Row {
    address: u64,
    places: Vec<(u32, u32)>,
}

/// The table of `spans` for the image with this build id.
///
/// # Errors
/// If a bound of the format is in the way.
pub fn write(spans: &Spans, coverage: Coverage<'_>, build_id: &[u8]) -> Result<Table, TableError> {
    if build_id.len() > BUILD_ID_MAX {
        return Err(TableError::BuildId(build_id.len()));
    }
    let mut functions = Interned::new();
    let (rows, cut_chains) = rows(spans, coverage, &mut functions);
    let functions: Vec<(u32, u32)> = functions.into_values();
    let Some(base) = rows.first().map(|row| row.address) else {
        return Err(TableError::Nothing);
    };
    let (names, name_numbers, cut_names) = sorted(functions.iter().map(|it| it.0), &spans.names);
    let (files, file_numbers, cut_files) = sorted(functions.iter().map(|it| it.1), &spans.files);
    let texts = text::pack(&[&names, &files]);
    let piece_bytes: usize = texts.pieces.iter().map(Vec::len).sum();

    let usual = usual_lines(&rows, functions.len());
    let functions: Vec<rows::Function> = functions
        .iter()
        .zip(usual)
        .map(|((name, file), usual_line)| rows::Function {
            text: (name_numbers[name], file_numbers[file]),
            usual_line,
        })
        .collect();
    let packed = rows::pack(&rows, base, &functions)?;

    // Functions stand in the order of their codes.
    let name_bits = bits_for(names.len() as u32 - 1);
    let file_bits = bits_for(files.len() as u32 - 1);
    let line_bits = bits_for(
        functions
            .iter()
            .map(|function| function.usual_line)
            .max()
            .unwrap_or(0),
    );
    let mut records = bits::Bits::default();
    for &function in &packed.functions.symbols {
        let function = &functions[function as usize];
        records.put(function.text.0, name_bits);
        records.put(function.text.1, file_bits);
        records.put(function.usual_line, line_bits);
    }

    let [name_texts, file_texts] = &texts.lists[..] else {
        unreachable!("two lists were packed");
    };
    for (part, bytes) in [
        ("names", name_texts.groups.len()),
        ("files", file_texts.groups.len()),
        ("rows", packed.bytes.len()),
    ] {
        if bytes >= PART_BYTES_MAX {
            return Err(TableError::PartTooLarge(part, bytes));
        }
    }

    let mut out = vec![0; HEADER_BYTES];
    let codes = || packed.numbers.iter();
    for code in codes().chain([&packed.functions]) {
        out.extend(code.counts.iter().flat_map(|count| count.to_le_bytes()));
    }
    out.extend(codes().flat_map(|code| code.symbols.iter().map(|&symbol| symbol as u8)));
    out.extend(records.into_bytes());
    out.extend(&packed.guesses);
    let before_texts = out.len();
    let mut end = 0;
    for piece in &texts.pieces {
        end += piece.len() as u16;
        out.extend(end.to_le_bytes());
    }
    out.extend(texts.pieces.concat());
    let put_starts = |out: &mut Vec<u8>, starts: &[u32]| {
        out.extend(
            starts
                .iter()
                .flat_map(|start| start.to_le_bytes().into_iter().take(3)),
        );
    };
    for list in [name_texts, file_texts] {
        put_starts(&mut out, &list.starts);
        out.extend(&list.groups);
    }
    let before_rows = out.len();
    out.extend(
        packed
            .addresses
            .iter()
            .flat_map(|address| address.to_le_bytes()),
    );
    put_starts(&mut out, &packed.starts);
    out.extend(&packed.bytes);

    out[..4].copy_from_slice(b"SYM\x02");
    let length =
        u32::try_from(out.len()).map_err(|_| TableError::PartTooLarge("parts", out.len()))?;
    out[4..8].copy_from_slice(&length.to_le_bytes());
    out[16..16 + build_id.len()].copy_from_slice(build_id);
    out[36] = build_id.len() as u8;
    out[37] = u8::from(coverage == Coverage::All);
    for (at, bits) in [name_bits, file_bits, line_bits].into_iter().enumerate() {
        out[38 + at] = bits as u8;
    }
    for (at, code) in codes().enumerate() {
        out[41 + at] = code.symbols.len() as u8;
    }
    out[46] = texts.pieces.len() as u8;
    out[47] = packed.guess_bits as u8;
    out[48..56].copy_from_slice(&base.to_le_bytes());
    let counts = [
        functions.len(),
        names.len(),
        files.len(),
        rows.len(),
        piece_bytes,
        name_texts.groups.len(),
        file_texts.groups.len(),
        packed.bytes.len(),
    ];
    for (to, count) in out[56..].chunks_mut(4).zip(counts) {
        to.copy_from_slice(&(count as u32).to_le_bytes());
    }
    let sum = checksum(&out[CHECKED_FROM..]);
    out[8..16].copy_from_slice(&sum.to_le_bytes());

    Ok(Table {
        rows: rows.len(),
        frames: rows.iter().map(|row| row.places.len()).sum(),
        functions: functions.len(),
        names: names.len(),
        files: files.len(),
        row_bytes: out.len() - before_rows,
        text_bytes: before_rows - before_texts,
        cut_texts: cut_names + cut_files,
        cut_chains,
        bytes: out,
    })
}

/// The rows of a table, and how many of their chains were cut. `functions` numbers pairs of a name and a file.
fn rows(
    spans: &Spans,
    coverage: Coverage<'_>,
    functions: &mut Interned<(u32, u32)>,
) -> (Vec<Row>, usize) {
    let mut cut = 0;
    let mut row = |address: u64, frames: &[Frame]| {
        let mut places: Vec<(u32, u32)> = frames
            .iter()
            .map(|frame| {
                (
                    functions.number((frame.function, frame.file)),
                    frame.line.min(LINE_MAX),
                )
            })
            .collect();
        if places.len() > FRAMES_MAX {
            // The function that the linker knows and the innermost ones tell the most.
            places.drain(1..=places.len() - FRAMES_MAX);
            cut += 1;
        }
        Row { address, places }
    };
    let Coverage::Calls(calls) = coverage else {
        return (
            spans
                .spans
                .iter()
                .map(|span| row(span.start, &span.frames))
                .collect(),
            cut,
        );
    };

    let mut rows = Vec::new();
    let mut calls = calls.iter().copied().peekable();
    let mut function = None;
    for (at, span) in spans.spans.iter().enumerate() {
        let end = spans.spans.get(at + 1).map_or(u64::MAX, |next| next.start);
        while calls.next_if(|&call| call < span.start).is_some() {}
        let outermost = span.frames.first().map(|frame| frame.function);
        if outermost != function {
            function = outermost;
            // The row of a call says more, and one address has one row.
            if span.frames.is_empty() || calls.peek() != Some(&span.start) {
                let frames = span.frames.first().map(|&frame| Frame { line: 0, ..frame });
                rows.push(row(span.start, frames.as_slice()));
            }
        }
        while let Some(call) = calls.next_if(|&call| call < end) {
            if !span.frames.is_empty() {
                rows.push(row(call, &span.frames));
            }
        }
    }
    (rows, cut)
}

/// Bits of the numbers up to this one.
fn bits_for(largest: u32) -> u32 {
    u32::BITS - largest.leading_zeros()
}

/// For each function the line that most of its rows have; the smallest, if there are several.
fn usual_lines(rows: &[Row], functions: usize) -> Vec<u32> {
    let mut counts: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); functions];
    for &(function, line) in rows.iter().flat_map(|row| &row.places) {
        if line > 0 {
            *counts[function as usize].entry(line).or_default() += 1;
        }
    }
    let most = |counts: &BTreeMap<u32, u32>| {
        counts
            .iter()
            .max_by_key(|&(&line, &count)| (count, Reverse(line)))
            .map_or(0, |it| *it.0)
    };
    counts.iter().map(most).collect()
}

/// Those texts of `all` that are used, sorted, with their new numbers by the old ones, and how many had to be cut.
fn sorted(
    used: impl Iterator<Item = u32>,
    all: &[String],
) -> (Vec<&str>, HashMap<u32, u32>, usize) {
    let used: std::collections::BTreeSet<u32> = used.collect();
    let short: Vec<(u32, &str)> = used
        .iter()
        .map(|&number| (number, shortened(&all[number as usize])))
        .collect();
    let cut = short
        .iter()
        .filter(|(number, text)| text.len() < all[*number as usize].len())
        .count();
    let mut texts: Vec<&str> = short.iter().map(|it| it.1).collect();
    texts.sort_unstable();
    texts.dedup();
    let number = |text| texts.binary_search(text).expect("it is one of them") as u32;
    let numbers = short
        .iter()
        .map(|(old, text)| (*old, number(text)))
        .collect();
    (texts, numbers, cut)
}

/// As much of a text as fits, in the form that takes the most bytes.
fn shortened(text: &str) -> &str {
    let mut bytes = 0;
    for (at, character) in text.char_indices() {
        // Bytes that are no ASCII take two each; so do control characters.
        bytes += if (' '..='\x7f').contains(&character) {
            1
        } else {
            2 * character.len_utf8()
        };
        if bytes > text::TEXT_MAX {
            return &text[..at];
        }
    }
    text
}

fn checksum(bytes: &[u8]) -> u64 {
    bytes
        .chunks(8)
        .chain(bytes.len().is_multiple_of(8).then_some(&[][..]))
        .fold(bytes.len() as u64, |sum, word| {
            let mut padded = [0; 8];
            padded[..word.len()].copy_from_slice(word);
            let mixed = (sum ^ u64::from_le_bytes(padded)).wrapping_mul(0x0000_0100_0000_01b3);
            mixed ^ mixed >> 32
        })
}
