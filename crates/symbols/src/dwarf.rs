//! Reads the ELF symbol table and DWARF for every address of an image's code.
//!
//! The outermost function of an address comes from its symbol, which every function has, also in assembly. Inlined functions and
//! calls come from `.debug_info`, the innermost line from `.debug_line`. The result is the same as that of the crate `addr2line`
//! 0.27; the tests compare the two.
//!
//! An inlined function has its whole path in its `DW_AT_linkage_name`, a mangled name. Debugging information of the kind
//! `line-tables-only` has neither these names nor namespaces: then only the bare name is known.

use std::collections::HashMap;

use gimli::{AttributeValue, DebuggingInformationEntry, Dwarf, EndianSlice, LittleEndian, UnitRef};
use object::{Object, ObjectSection, SectionKind};

use crate::spans::{Frame, Interned, Spans};
use crate::{names, paths};

type Reader<'a> = EndianSlice<'a, LittleEndian>;

/// The reason why there are no spans.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not an ELF file, or it is broken.
    #[error("no ELF file: {0}")]
    Object(#[from] object::Error),
    /// The debugging information is broken.
    #[error("broken DWARF: {0}")]
    Dwarf(#[from] gimli::Error),
    /// Tables refer to the same bytes again and again, so that they are larger than the image.
    #[error("broken DWARF: its tables are larger than the image")]
    TooLarge,
    /// It has no line tables: it was stripped.
    #[error("no line tables: was it stripped?")]
    NoLines,
}

/// The longest name or path that counts as one item, in bytes.
const TEXT_ITEM: usize = 4096;

/// The deepest function that is read of a chain of inlined ones. It is more than a table holds, which counts the chains that it cuts.
const CHAIN_MAX: usize = 2 * symbol_table::FRAMES_MAX;

/// The number of the empty path, for code whose file is not known.
const NO_FILE: u32 = 0;

/// One row of a line table.
struct Row {
    start: u64,
    end: u64,
    file: u32,
    line: u32,
}

/// A range of addresses of an inlined function. The ranges of one chain follow each other, outermost first.
struct Inlined {
    start: u64,
    end: u64,
    depth: usize,
    function: u32,
    call_file: u32,
    call_line: u32,
}

/// All that was read, before it is combined.
struct Parts {
    names: Interned<String>,
    files: Interned<String>,
    rows: Vec<Row>,
    inlined: Vec<Inlined>,
    /// The number of items that may follow. Each takes a byte of the image or more, unless units share their tables.
    left: usize,
}

impl Parts {
    /// Takes note of an item.
    fn admit(&mut self) -> Result<(), ReadError> {
        self.admit_many(1)
    }

    fn admit_many(&mut self, items: usize) -> Result<(), ReadError> {
        self.left = self.left.checked_sub(items).ok_or(ReadError::TooLarge)?;
        Ok(())
    }

    /// Returns the number of a function's name.
    fn name(&mut self, linkage: &str) -> Result<u32, ReadError> {
        let name = names::normalise(linkage);
        self.admit_many(name.len() / TEXT_ITEM)?;
        Ok(self.names.number(name))
    }
}

/// Returns the spans of an image, which is an ELF file.
///
/// # Errors
/// If it is not an ELF file, is broken, or has no line tables.
pub fn read(image: &[u8]) -> Result<Spans, ReadError> {
    let object = object::File::parse(image)?;
    let code: Vec<(u64, u64)> = object
        .sections()
        .filter(|section| section.kind() == SectionKind::Text && section.size() > 0)
        .map(|section| {
            (
                section.address(),
                section.address().saturating_add(section.size()),
            )
        })
        .collect();
    let is_code = |address: u64| {
        code.iter()
            .any(|&(start, end)| (start..end).contains(&address))
    };

    let dwarf = Dwarf::load(|section| {
        let bytes = object
            .section_by_name(section.name())
            .and_then(|found| found.data().ok());
        Ok::<_, gimli::Error>(EndianSlice::new(bytes.unwrap_or_default(), LittleEndian))
    })?;
    let mut folders = Vec::new();
    let mut functions = Functions::default();
    each_unit(&dwarf, |unit| {
        folders.extend(unit.comp_dir.map(|folder| folder.to_string_lossy()));
        functions.read(unit)
    })?;
    let workspace = paths::workspace(folders.iter().map(AsRef::as_ref));

    let mut parts = Parts {
        names: Interned::new(),
        files: Interned::new(),
        rows: Vec::new(),
        inlined: Vec::new(),
        left: image.len(),
    };
    assert_eq!(parts.files.number(String::new()), NO_FILE);
    each_unit(&dwarf, |unit| {
        let files = files(unit, workspace, &mut parts)?;
        rows(unit, &files, &is_code, &mut parts)?;
        inlined(unit, &files, &is_code, &functions, &mut parts)
    })?;
    if parts.rows.is_empty() {
        return Err(ReadError::NoLines);
    }
    let symbols = symbols(&object, &code, &mut parts)?;
    Ok(together(parts, &symbols))
}

/// Calls `f` with each unit. Only one is in memory, because units may share their tables.
fn each_unit<'a>(
    dwarf: &Dwarf<Reader<'a>>,
    mut f: impl FnMut(UnitRef<'_, Reader<'a>>) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut headers = dwarf.units();
    while let Some(header) = headers.next()? {
        f(dwarf.unit(header)?.unit_ref(dwarf))?;
    }
    Ok(())
}

/// Returns ranges of addresses, each with the number of its function's name.
fn symbols(
    object: &object::File<'_>,
    code: &[(u64, u64)],
    parts: &mut Parts,
) -> Result<Vec<(u64, u64, u32)>, ReadError> {
    let map = object.symbol_map();
    let symbols = map.symbols();
    let mut out = Vec::new();
    for (at, symbol) in symbols.iter().enumerate() {
        let start = symbol.address();
        let Some(&(_, code_end)) = code.iter().find(|(from, to)| (*from..*to).contains(&start))
        else {
            continue;
        };
        let next = symbols
            .get(at + 1)
            .map_or(code_end, |next| next.address().min(code_end));
        // A size of 0, as labels of assembly have it, means up to the next symbol.
        let end = if symbol.size() == 0 {
            next
        } else {
            next.min(start.saturating_add(symbol.size()))
        };
        out.push((start, end, parts.name(symbol.name())?));
    }
    Ok(out)
}

/// Returns the numbers of a unit's files by their index in the line table. The index 0 is no file.
fn files(
    unit: UnitRef<'_, Reader<'_>>,
    workspace: Option<&str>,
    parts: &mut Parts,
) -> Result<Vec<u32>, ReadError> {
    let Some(program) = &unit.line_program else {
        return Ok(Vec::new());
    };
    let header = program.header();
    let mut files = Vec::new();
    let mut index = 0;
    loop {
        let file = match header.file(index) {
            Some(file) => file,
            // Up to version 4 indices begin with 1.
            None if index == 0 => {
                files.push(NO_FILE);
                index = 1;
                continue;
            }
            None => return Ok(files),
        };
        let mut path = unit
            .comp_dir
            .map_or_else(String::new, |folder| folder.to_string_lossy().into_owned());
        // Folder 0 is where the compiler ran.
        if file.directory_index() != 0
            && let Some(folder) = file.directory(header)
        {
            join(&mut path, &unit.attr_string(folder)?.to_string_lossy());
        }
        join(
            &mut path,
            &unit.attr_string(file.path_name())?.to_string_lossy(),
        );
        parts.admit_many(1 + path.len() / TEXT_ITEM)?;
        files.push(parts.files.number(paths::shorten(&path, workspace)));
        index += 1;
    }
}

fn join(path: &mut String, part: &str) {
    if part.starts_with('/') {
        path.clear();
    } else if !path.is_empty() && !path.ends_with('/') {
        path.push('/');
    }
    path.push_str(part);
}

fn rows(
    unit: UnitRef<'_, Reader<'_>>,
    files: &[u32],
    is_code: &dyn Fn(u64) -> bool,
    parts: &mut Parts,
) -> Result<(), ReadError> {
    let Some(program) = unit.line_program.clone() else {
        return Ok(());
    };
    let mut rows = program.rows();
    // The row before: it ends where the next one begins.
    let mut open: Option<Row> = None;
    while let Some((_, row)) = rows.next_row()? {
        let start = row.address();
        if let Some(before) = open.take()
            && before.start < start
            // Code that the linker dropped is left at the address 0 or 1.
            && is_code(before.start)
        {
            parts.admit()?;
            parts.rows.push(Row {
                end: start,
                ..before
            });
        }
        if !row.end_sequence() {
            let line = row
                .line()
                .map_or(0, |line| u32::try_from(line.get()).unwrap_or(0));
            let file = usize::try_from(row.file_index())
                .ok()
                .and_then(|index| files.get(index));
            open = Some(Row {
                start,
                end: start,
                file: file.copied().unwrap_or(NO_FILE),
                line,
            });
        }
    }
    Ok(())
}

fn inlined(
    unit: UnitRef<'_, Reader<'_>>,
    files: &[u32],
    is_code: &dyn Fn(u64) -> bool,
    functions: &Functions<'_>,
    parts: &mut Parts,
) -> Result<(), ReadError> {
    // How deep in the tree of entries the inlined functions are that the walk is inside of.
    let mut inside: Vec<isize> = Vec::new();
    let mut entries = unit.entries();
    while let Some(entry) = entries.next_dfs()? {
        let depth = entry.depth();
        inside.retain(|&outer| outer < depth);
        if entry.tag() != gimli::DW_TAG_inlined_subroutine {
            if entry.tag() == gimli::DW_TAG_subprogram {
                inside.clear();
            }
            continue;
        }
        let call_file = match entry.attr_value(gimli::DW_AT_call_file) {
            Some(AttributeValue::FileIndex(index)) => {
                usize::try_from(index).ok().and_then(|at| files.get(at))
            }
            _ => None,
        };
        let call_file = call_file.copied().unwrap_or(NO_FILE);
        let call_line = entry.attr_value(gimli::DW_AT_call_line);
        let call_line = call_line.and_then(|line| u32::try_from(line.udata_value()?).ok());
        let call_line = call_line.unwrap_or(0);
        let function = origin(unit, entry).and_then(|origin| functions.name(origin));
        let function = parts.name(function.unwrap_or_default())?;
        let mut ranges = unit.die_ranges(entry)?;
        while let Some(range) = ranges.next()? {
            if range.begin < range.end && is_code(range.begin) && inside.len() < CHAIN_MAX {
                parts.admit()?;
                parts.inlined.push(Inlined {
                    start: range.begin,
                    end: range.end,
                    depth: inside.len(),
                    function,
                    call_file,
                    call_line,
                });
            }
        }
        inside.push(depth);
    }
    Ok(())
}

/// Returns the offset in `.debug_info` of the entry that this one is an instance of.
fn origin(
    unit: UnitRef<'_, Reader<'_>>,
    entry: &DebuggingInformationEntry<Reader<'_>>,
) -> Option<usize> {
    let refers = entry
        .attr_value(gimli::DW_AT_abstract_origin)
        .or_else(|| entry.attr_value(gimli::DW_AT_specification))?;
    match refers {
        AttributeValue::UnitRef(offset) => offset
            .to_debug_info_offset(&unit.header)
            .map(|offset| offset.0),
        AttributeValue::DebugInfoRef(offset) => Some(offset.0),
        _ => None,
    }
}

/// The names of all functions in DWARF.
#[derive(Default)]
struct Functions<'a>(HashMap<usize, Function<'a>>);

enum Function<'a> {
    Named(&'a str),
    /// Another entry has its name.
    Refers(usize),
}

impl<'a> Functions<'a> {
    /// The largest number of references to follow: from a function's instance to its description and its declaration.
    const REFERENCES_MAX: usize = 16;

    fn read(&mut self, unit: UnitRef<'_, Reader<'a>>) -> Result<(), ReadError> {
        let mut entries = unit.entries();
        while let Some(entry) = entries.next_dfs()? {
            if entry.tag() != gimli::DW_TAG_subprogram {
                continue;
            }
            let name = entry
                .attr_value(gimli::DW_AT_linkage_name)
                .or_else(|| entry.attr_value(gimli::DW_AT_name));
            let function = match name {
                Some(name) => unit
                    .attr_string(name)?
                    .to_string()
                    .ok()
                    .map(Function::Named),
                None => origin(unit, entry).map(Function::Refers),
            };
            if let (Some(offset), Some(function)) =
                (entry.offset().to_debug_info_offset(&unit.header), function)
            {
                self.0.insert(offset.0, function);
            }
        }
        Ok(())
    }

    fn name(&self, mut offset: usize) -> Option<&'a str> {
        for _ in 0..Self::REFERENCES_MAX {
            match self.0.get(&offset)? {
                Function::Named(name) => return Some(name),
                Function::Refers(to) => offset = *to,
            }
        }
        None
    }
}

/// Cuts the code where anything changes. Returns the spans between the cuts.
fn together(parts: Parts, symbols: &[(u64, u64, u32)]) -> Spans {
    let Parts {
        mut names,
        files,
        mut rows,
        inlined,
        left: _,
    } = parts;
    let no_name = names.number(String::new());
    rows.sort_by_key(|row| row.start);

    let mut cuts: Vec<u64> = symbols
        .iter()
        .flat_map(|&(start, end, _)| [start, end])
        .collect();
    cuts.extend(rows.iter().flat_map(|row| [row.start, row.end]));
    cuts.extend(inlined.iter().flat_map(|it| [it.start, it.end]));
    cuts.sort_unstable();
    cuts.dedup();

    // For each cut, the inlined functions from there to the next, outermost first.
    let mut chains: Vec<Vec<&Inlined>> = vec![Vec::new(); cuts.len()];
    for it in &inlined {
        let from = cuts.partition_point(|&cut| cut < it.start);
        let to = cuts.partition_point(|&cut| cut < it.end);
        for chain in &mut chains[from..to] {
            // Of two at the same depth the first one counts.
            if chain.len() == it.depth {
                chain.push(it);
            }
        }
    }

    let mut spans = Spans::default();
    let mut frames = Vec::new();
    let (mut row, mut symbol) = (0, 0);
    for (&cut, chain) in cuts.iter().zip(&chains) {
        while rows.get(row).is_some_and(|row| row.end <= cut) {
            row += 1;
        }
        while symbols.get(symbol).is_some_and(|symbol| symbol.1 <= cut) {
            symbol += 1;
        }
        let row = rows.get(row).filter(|row| row.start <= cut);
        let symbol = symbols.get(symbol).filter(|symbol| symbol.0 <= cut);
        frames.clear();
        if row.is_some() || symbol.is_some() || !chain.is_empty() {
            let functions = core::iter::once(symbol.map_or(no_name, |symbol| symbol.2))
                .chain(chain.iter().map(|it| it.function));
            let innermost = row.map_or((NO_FILE, 0), |row| (row.file, row.line));
            let places = chain
                .iter()
                .map(|it| (it.call_file, it.call_line))
                .chain([innermost]);
            frames.extend(functions.zip(places).map(|(function, (file, line))| Frame {
                function,
                file,
                line,
            }));
        }
        spans.push(cut, &frames);
    }
    spans.names = names.into_values();
    spans.files = files.into_values();
    spans
}
