//! Reads and writes the header of a table and its checksum.

use core::fmt;

const MAGIC: [u8; 3] = *b"SYM";
const VERSION: u8 = 3;
/// The number of bytes of the header.
pub(crate) const HEADER_BYTES: usize = 76;
/// The offset of the first byte that the checksum covers.
const CHECKED_FROM: usize = 16;
/// The largest number of bytes of a build id: that of SHA-1, the longest that GNU ld makes.
pub(crate) const BUILD_ID_MAX: usize = 20;

/// The addresses whose frames a table has in full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// The addresses that have a row, which are calls. For other addresses the table has only the function.
    Calls,
    /// All addresses: a row holds up to the next row.
    All,
}

/// The error for bytes that are not a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It has only this many bytes: fewer than any table, or fewer than its header says.
    Short(usize),
    /// It does not begin with a table's magic.
    Magic([u8; 3]),
    /// This reader does not know its version.
    Version(u8),
    /// It was changed: the checksum in the header, and the checksum of the bytes.
    Checksum(u64, u64),
    /// The part with this name is inconsistent.
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

/// The sizes of a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Size {
    /// The number of items.
    pub(crate) items: u32,
    /// The number of bytes of its groups.
    pub(crate) bytes: u32,
}

/// The content of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Header<'a> {
    pub(crate) build_id: &'a [u8],
    pub(crate) coverage: Coverage,
    pub(crate) base: u64,
    pub(crate) files: Size,
    pub(crate) functions: Size,
    pub(crate) rows: Size,
    pub(crate) frame_bytes: u32,
}

impl<'a> Header<'a> {
    /// Reads the header at the beginning of `bytes`. Returns it with the parts that follow.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Error> {
        let short = Error::Short(bytes.len());
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(short)?;
        let [m0, m1, m2, version, ..] = *header;
        if [m0, m1, m2] != MAGIC {
            return Err(Error::Magic([m0, m1, m2]));
        }
        if version != VERSION {
            return Err(Error::Version(version));
        }
        let length = word(bytes, 4) as usize;
        let (header, parts) = bytes
            .get(..length)
            .ok_or(short)?
            .split_at_checked(HEADER_BYTES)
            .ok_or(Error::Part("length"))?;
        let (says, has) = (long(header, 8), checksum(&bytes[CHECKED_FROM..length]));
        if says != has {
            return Err(Error::Checksum(says, has));
        }
        let id = usize::from(header[36]);
        if id > BUILD_ID_MAX {
            return Err(Error::Part("build id"));
        }
        let size = |at| Size {
            items: word(header, at),
            bytes: word(header, at + 4),
        };
        let header = Self {
            build_id: &header[16..16 + id],
            coverage: match header[37] {
                0 => Coverage::Calls,
                _ => Coverage::All,
            },
            base: long(header, 40),
            files: size(48),
            functions: size(56),
            rows: size(64),
            frame_bytes: word(header, 72),
        };
        Ok((header, parts))
    }

    /// Writes the header and the checksum at the beginning of a table that has its parts already.
    ///
    /// # Panics
    /// Panics if the build id has more than [`BUILD_ID_MAX`] bytes, or if there is no room for a header. The writer checks both.
    #[cfg(feature = "write")]
    pub(crate) fn put(&self, table: &mut [u8]) {
        table[..3].copy_from_slice(&MAGIC);
        table[3] = VERSION;
        let length = table.len() as u32;
        table[4..8].copy_from_slice(&length.to_le_bytes());
        table[16..16 + self.build_id.len()].copy_from_slice(self.build_id);
        table[36] = self.build_id.len() as u8;
        table[37] = u8::from(self.coverage == Coverage::All);
        table[40..48].copy_from_slice(&self.base.to_le_bytes());
        let sizes = [self.files, self.functions, self.rows].map(|it| [it.items, it.bytes]);
        let words = sizes.as_flattened().iter().chain([&self.frame_bytes]);
        for (to, word) in table[48..HEADER_BYTES].chunks_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        let sum = checksum(&table[CHECKED_FROM..]);
        table[8..16].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Returns the number at the offset `at`. Bytes after the end count as 0.
fn word(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|rest| rest.first_chunk());
    u32::from_le_bytes(bytes.copied().unwrap_or_default())
}

fn long(bytes: &[u8], at: usize) -> u64 {
    u64::from(word(bytes, at + 4)) << 32 | u64::from(word(bytes, at))
}

/// Computes the checksum from words of eight bytes; the last word is filled with zeros. Each step combines the sum with the word by
/// exclusive or, multiplies by an odd number, and folds the upper half into the lower one. It is for accidental damage, and finds
/// every change of a single word.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
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
