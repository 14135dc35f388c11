//! The parts of a table, and whether it is one.

use core::fmt;

use super::bits::Bits;
use super::code::{Code, NUMBER_SYMBOLS_MAX, Numbers};
use super::rows::BLOCK;
use super::text::{Dictionary, GROUP, PIECES_MAX, Text, Texts};

const MAGIC: [u8; 3] = *b"SYM";
const VERSION: u8 = 2;
const HEADER_BYTES: usize = 92;
/// Where what the checksum covers begins.
const CHECKED_FROM: usize = 16;
/// Bytes of a build id: SHA-1, the longest that GNU ld makes.
const BUILD_ID_MAX: usize = 20;

/// Bits of a guess's number, at most; a writer tries up to 15.
const GUESS_BITS_MAX: u32 = 24;

/// Why bytes are no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Shorter than a table, or than it says to be; the bytes that there are.
    Short(usize),
    /// Does not begin like one.
    Magic([u8; 3]),
    /// Of a version that is not known.
    Version(u8),
    /// Not what was written: the checksum that it says, and the one that it has.
    Checksum(u64, u64),
    /// The part with this name contradicts itself.
    Part(&'static str),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short(bytes) => write!(f, "the symbol table is cut off after {bytes} bytes"),
            Self::Magic(magic) => write!(
                f,
                "no symbol table: it begins with \"{}\"",
                magic.escape_ascii()
            ),
            Self::Version(version) => {
                write!(f, "symbol table of version {version}, known is {VERSION}")
            }
            Self::Checksum(says, has) => write!(
                f,
                "the symbol table is damaged: its checksum is {has:016x} instead of {says:016x}"
            ),
            Self::Part(part) => write!(f, "the symbol table contradicts itself: {part}"),
        }
    }
}

impl core::error::Error for Error {}

/// A symbol table. See the [module](super).
pub struct Symbols<'a> {
    build_id: &'a [u8],
    pub(super) rows_hold_on: bool,
    pub(super) base: u64,
    pub(super) gap: Numbers<'a>,
    pub(super) pop: Numbers<'a>,
    pub(super) push: Numbers<'a>,
    pub(super) change: Numbers<'a>,
    pub(super) line: Numbers<'a>,
    pub(super) function_code: Code,
    functions: Functions<'a>,
    /// Bits of a function's number.
    pub(super) function_bits: u32,
    /// Bits of a guess's number; 0: there are none.
    pub(super) guess_bits: u32,
    pub(super) guesses: &'a [u8],
    dictionary: Dictionary<'a>,
    names: Texts<'a>,
    files: Texts<'a>,
    pub(super) block_addresses: &'a [[u8; 4]],
    pub(super) block_starts: &'a [[u8; 3]],
    pub(super) rows: &'a [u8],
    pub(super) row_count: usize,
    bytes: usize,
}

/// What a function is.
pub(super) struct Function {
    pub(super) name: u32,
    pub(super) file: u32,
    pub(super) usual_line: u32,
}

/// Records of bits, one for each function.
struct Functions<'a> {
    bytes: &'a [u8],
    name_bits: u32,
    file_bits: u32,
    line_bits: u32,
    count: u32,
}

impl Functions<'_> {
    #[inline]
    fn get(&self, number: u32) -> Option<Function> {
        if number >= self.count {
            return None;
        }
        let record = self.name_bits + self.file_bits + self.line_bits;
        let mut bits = Bits::new(self.bytes, number as usize * record as usize);
        if record > Bits::MOST_WIDE {
            return Some(Function {
                name: bits.take(self.name_bits),
                file: bits.take(self.file_bits),
                usual_line: bits.take(self.line_bits),
            });
        }
        // All of it in one read.
        let wide = bits.take_wide(record);
        let part = |above: u32, count: u32| (wide >> above) as u32 & ((1_u64 << count) - 1) as u32;
        Some(Function {
            name: part(self.file_bits + self.line_bits, self.name_bits),
            file: part(self.line_bits, self.file_bits),
            usual_line: part(0, self.line_bits),
        })
    }
}

/// What is left of the bytes behind the header.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, bytes: usize, part: &'static str) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(bytes).ok_or(Error::Part(part))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(
        &mut self,
        count: usize,
        part: &'static str,
    ) -> Result<&'a [[u8; N]], Error> {
        let bytes = count.checked_mul(N).ok_or(Error::Part(part))?;
        Ok(self.take(bytes, part)?.as_chunks().0)
    }
}

impl<'a> Symbols<'a> {
    /// The table that `bytes` begin with; what follows it is not looked at.
    ///
    /// # Errors
    /// If it is not one, or is damaged. A table that is wrong although its checksum is right makes addresses unknown, no more.
    ///
    /// # Cost
    /// One pass for the checksum: 20 µs for 95 KB. Neither memory nor locks.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(Error::Short(bytes.len()))?;
        let [m0, m1, m2, version, ..] = *header;
        if [m0, m1, m2] != MAGIC {
            return Err(Error::Magic([m0, m1, m2]));
        }
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let length = word(header, 4) as usize;
        let bytes = bytes.get(..length).ok_or(Error::Short(bytes.len()))?;
        let checked = bytes.get(CHECKED_FROM..).ok_or(Error::Part("length"))?;
        let (says, has) = (long(header, 8), checksum(checked));
        if says != has {
            return Err(Error::Checksum(says, has));
        }
        let mut rest = Rest(bytes.get(HEADER_BYTES..).ok_or(Error::Part("length"))?);

        let build_id = header[16..]
            .get(..usize::from(header[36]))
            .filter(|id| id.len() <= BUILD_ID_MAX);
        let [name_bits, file_bits, line_bits] = [38, 39, 40].map(|at: usize| u32::from(header[at]));
        let symbols: [usize; 5] = [41, 42, 43, 44, 45].map(|at: usize| usize::from(header[at]));
        let pieces = usize::from(header[46]);
        let counts: [u32; 8] = core::array::from_fn(|at| word(header, 56 + 4 * at));
        let [
            functions,
            names,
            files,
            rows,
            dictionary_bytes,
            names_bytes,
            files_bytes,
            rows_bytes,
        ] = counts;

        let codes: &[[u8; Code::BYTES]] = rest.array(6, "codes")?;
        if symbols.iter().any(|&count| count > NUMBER_SYMBOLS_MAX) {
            return Err(Error::Part("symbols"));
        }
        let mut numbers = |at: usize| {
            let listed = rest.take(symbols[at], "symbols")?;
            Numbers::parse(&codes[at], listed).ok_or(Error::Part("codes"))
        };
        let (gap, pop, push, change, line) = (
            numbers(0)?,
            numbers(1)?,
            numbers(2)?,
            numbers(3)?,
            numbers(4)?,
        );
        let (function_code, coded) = Code::parse(&codes[5]).ok_or(Error::Part("codes"))?;
        if coded != functions {
            return Err(Error::Part("functions"));
        }

        if name_bits > 32 || file_bits > 32 || line_bits > 32 {
            return Err(Error::Part("functions"));
        }
        let record = (name_bits + file_bits + line_bits) as usize;
        let function_bits = (functions as usize)
            .checked_mul(record)
            .ok_or(Error::Part("functions"))?;
        let function_records = rest.take(function_bits.div_ceil(8), "functions")?;
        let function_bits = u32::BITS - functions.saturating_sub(1).leading_zeros();
        let guess_bits = u32::from(header[47]);
        if guess_bits > GUESS_BITS_MAX {
            return Err(Error::Part("guesses"));
        }
        let guessed = if guess_bits == 0 {
            0
        } else {
            1_usize << guess_bits
        };
        let guesses = rest.take((guessed * function_bits as usize).div_ceil(8), "guesses")?;
        if pieces > PIECES_MAX {
            return Err(Error::Part("dictionary"));
        }
        let dictionary = Dictionary::new(
            rest.array(pieces, "dictionary")?,
            rest.take(dictionary_bytes as usize, "dictionary")?,
        );
        let mut texts = |count: u32, bytes: u32, part| {
            let starts = rest.array((count as usize).div_ceil(GROUP), part)?;
            Ok(Texts::new(starts, rest.take(bytes as usize, part)?, count))
        };
        let names = texts(names, names_bytes, "names")?;
        let files = texts(files, files_bytes, "files")?;
        let blocks = (rows as usize).div_ceil(BLOCK);
        Ok(Self {
            build_id: build_id.ok_or(Error::Part("build id"))?,
            rows_hold_on: header[37] != 0,
            base: long(header, 48),
            gap,
            pop,
            push,
            change,
            line,
            function_code,
            functions: Functions {
                bytes: function_records,
                name_bits,
                file_bits,
                line_bits,
                count: functions,
            },
            function_bits,
            guess_bits,
            guesses,
            dictionary,
            names,
            files,
            block_addresses: rest.array(blocks, "blocks")?,
            block_starts: rest.array(blocks, "blocks")?,
            rows: rest.take(rows_bytes as usize, "rows")?,
            row_count: rows as usize,
            bytes: length,
        })
    }

    /// The build id of the image that the table was made for, as the linker made it; empty if it made none.
    #[must_use]
    pub fn build_id(&self) -> &'a [u8] {
        self.build_id
    }

    /// Bytes of the table.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn function(&self, number: u32) -> Option<Function> {
        self.functions.get(number)
    }

    pub(super) fn name<'t>(&self, number: u32, text: &'t mut Text) -> &'t str {
        self.names
            .get(number, &self.dictionary, text)
            .unwrap_or_default()
    }

    pub(super) fn file<'t>(&self, number: u32, text: &'t mut Text) -> &'t str {
        self.files
            .get(number, &self.dictionary, text)
            .unwrap_or_default()
    }
}

fn word(header: &[u8; HEADER_BYTES], at: usize) -> u32 {
    header[at..]
        .first_chunk()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

fn long(header: &[u8; HEADER_BYTES], at: usize) -> u64 {
    header[at..]
        .first_chunk()
        .map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Eight bytes at a time, the last ones with zeros behind them: the sum so far, exclusive or the word, times an odd number, with
/// the upper half folded into the lower one. Finds what breaks by accident, each change of a single word for certain.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    // The multiplier of the hash FNV-1a for 64 bits.
    const FACTOR: u64 = 0x0000_0100_0000_01b3;
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    words
        .iter()
        .chain(core::iter::once(&last))
        .fold(bytes.len() as u64, |sum, word| {
            let mixed = (sum ^ u64::from_le_bytes(*word)).wrapping_mul(FACTOR);
            mixed ^ mixed >> 32
        })
}
