//! Reads the image's build id and its table of names and lines.

use core::ops::Range;
use core::slice;

unsafe extern "C" {
    // Defined in image.ld. Except for the last, only their addresses have a meaning.
    static __text_start: u8;
    static __text_end: u8;
    static __build_id_start: u8;
    static __build_id_end: u8;
    /// The length of the table that follows it.
    static __symbols: u64;
}

/// Returns the addresses of the image's code, the kernel's included.
#[must_use]
pub fn code() -> Range<usize> {
    (&raw const __text_start).addr()..(&raw const __text_end).addr()
}

/// The bytes of an ELF note before its name: the lengths of name and description, and the type.
const NOTE_HEADER_BYTES: usize = 12;
/// `GNU` and a zero.
const NOTE_NAME_BYTES: usize = 4;

/// Returns the build id, which matches an image, its ELF file and the data it sent: 20 bytes, which `readelf -n` shows in
/// hexadecimal. Empty if the linker made none.
#[must_use]
pub fn build_id() -> &'static [u8] {
    let start = &raw const __build_id_start;
    let bytes = (&raw const __build_id_end).addr() - start.addr();
    // SAFETY: the linker script puts both symbols around one note or around nothing; a note is read-only data.
    let note = unsafe { slice::from_raw_parts(start, bytes) };
    note.get(NOTE_HEADER_BYTES + NOTE_NAME_BYTES..).unwrap_or_default()
}

/// Returns the table of names and lines for the crate `symbol-table`. Empty if the image was built without one.
#[must_use]
pub fn symbols() -> &'static [u8] {
    let length = &raw const __symbols;
    // SAFETY: the linker script puts the length there, and this workspace's tool `symbols` puts that many bytes behind it. Both are
    // read-only data.
    unsafe { slice::from_raw_parts(length.add(1).cast(), length.read() as usize) }
}

/// Returns the end of the image in memory: the table is the last part of it.
pub(crate) fn end() -> usize {
    symbols().as_ptr_range().end.addr()
}
