//! Reads from an image's file what a symbol table needs, and puts the table into the file.
//!
//! The linker script puts a section `.symbols` after everything else, in a segment of its own. It has eight bytes: the length of the
//! table that follows, which the linker sets to 0. [`embed`] appends length and table to the file, and makes section and segment
//! point there. So nothing else moves, nothing is linked twice, and no space is reserved.
//!
//! ```text
//! file    headers │ segments │ debugging information │ symbol table, section headers │ length, table
//! memory  code │ constants │ data │ zeros │ length, table
//! ```

use object::elf::{FileHeader64, PT_LOAD, ProgramHeader64, SectionHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, Object, ObjectSection, SectionKind, U64};
use symbol_table::write::{Table, WriteError};

use crate::{calls, dwarf, table};

const SECTION: &str = ".symbols";
/// Segments begin on a page, in the file as in memory.
const PAGE: u64 = 4096;
/// The length in front of the table.
const LENGTH_BYTES: usize = 8;

/// The reason why an image got no table.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Its names and lines cannot be read.
    #[error(transparent)]
    Read(#[from] dwarf::ReadError),
    /// It is not an ELF file, or it is broken.
    #[error("no ELF file: {0}")]
    Object(#[from] object::Error),
    /// It was linked without kernel/image.ld.
    #[error("no section {SECTION}: was it linked with kernel/image.ld?")]
    NoSection,
    /// The loaded image would overlap its own table.
    #[error("{SECTION} is not the last segment in memory")]
    NotLast,
    /// It has a table already.
    #[error("it has a symbol table already: take the image as the linker left it")]
    Filled,
    /// The table cannot be written.
    #[error(transparent)]
    Table(#[from] WriteError),
}

/// Returns the table for an image.
///
/// # Errors
/// If the image is not one, or if the table would exceed a bound of its format.
pub fn describe(image: &[u8], all: bool) -> Result<Table, ImageError> {
    let spans = dwarf::read(image)?;
    let object = object::File::parse(image)?;
    let build_id = object.build_id()?.unwrap_or_default();
    let ends = if all { None } else { Some(call_ends(&object)?) };
    Ok(table::write(&spans, ends.as_deref(), build_id)?)
}

/// Returns the addresses of the last bytes of all calls in an image, in order.
///
/// # Errors
/// If a section of code cannot be read.
pub fn call_ends(object: &object::File<'_>) -> Result<Vec<u64>, object::Error> {
    let code: Vec<_> = object
        .sections()
        .filter(|section| section.kind() == SectionKind::Text)
        .collect();
    let is_code = |address| {
        code.iter().any(|section| {
            let end = section.address().saturating_add(section.size());
            (section.address()..end).contains(&address)
        })
    };
    let mut ends = Vec::new();
    for section in &code {
        ends.extend(calls::ends(section.data()?, section.address(), is_code));
    }
    ends.sort_unstable();
    Ok(ends)
}

/// Returns the image with a table in it.
///
/// # Errors
/// If it has no place for a table, or has one already.
pub fn embed(image: &[u8], table: &[u8]) -> Result<Vec<u8>, ImageError> {
    let header = FileHeader64::<LittleEndian>::parse(image)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, image)?;
    let (index, section) = sections
        .section_by_name(endian, SECTION.as_bytes())
        .ok_or(ImageError::NoSection)?;
    if section.sh_size(endian) != LENGTH_BYTES as u64 {
        return Err(ImageError::Filled);
    }
    let segments = header.program_headers(endian, image)?;
    let address = section.sh_addr(endian);
    let is_loaded = |segment: &&ProgramHeader64<LittleEndian>| segment.p_type(endian) == PT_LOAD;
    let of_section = segments
        .iter()
        .position(|segment| is_loaded(&segment) && segment.p_vaddr(endian) == address)
        .ok_or(ImageError::NoSection)?;
    if segments
        .iter()
        .filter(is_loaded)
        .any(|segment| segment.p_vaddr(endian) > address)
    {
        return Err(ImageError::NotLast);
    }

    let offset = (image.len() as u64).next_multiple_of(PAGE);
    let bytes = (LENGTH_BYTES + table.len()) as u64;
    let number = |value| U64::new(endian, value);
    let mut section: SectionHeader64<LittleEndian> = *section;
    section.sh_offset = number(offset);
    section.sh_size = number(bytes);
    let mut segment = segments[of_section];
    segment.p_offset = number(offset);
    segment.p_filesz = number(bytes);
    segment.p_memsz = number(bytes);

    let mut out = image.to_vec();
    let at = header.e_shoff(endian) as usize + index.0 * size_of_val(&section);
    replace(&mut out, at, object::bytes_of(&section));
    let at = header.e_phoff(endian) as usize + of_section * size_of_val(&segment);
    replace(&mut out, at, object::bytes_of(&segment));
    out.resize(offset as usize, 0);
    out.extend((table.len() as u64).to_le_bytes());
    out.extend(table);
    Ok(out)
}

/// Both positions were read from these bytes, so they are inside.
fn replace(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Returns the table in an image, or `None` if it has none.
///
/// # Errors
/// If it is not an ELF file.
pub fn table(image: &[u8]) -> Result<Option<&[u8]>, object::Error> {
    let object = object::File::parse(image)?;
    let Some(section) = object.section_by_name(SECTION) else {
        return Ok(None);
    };
    Ok(section
        .data()?
        .get(LENGTH_BYTES..)
        .filter(|table| !table.is_empty()))
}
