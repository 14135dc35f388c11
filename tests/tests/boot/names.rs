//! The table of names and lines in the image, against what the crate `addr2line` reads from its DWARF.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use addr2line::Loader;
use hermon_machine::guest::Ended;
use hermon_machine::qemu::Machine;
use symbol_table::{Scratch, Symbols};
use symbols::{image, names, paths};
use tests::boot::Boot;
use tests::image::{Heap, path};
use tests::measure::report;

/// A frame as text: `FUNCTION at FILE:LINE`.
fn by_table(symbols: &Symbols<'_>, address: u64, scratch: &mut Scratch) -> Vec<String> {
    let mut frames = Vec::new();
    let count = symbols.frames(address, scratch, &mut |frame| {
        frames.push(format!(
            "{} at {}:{}",
            frame.function, frame.file, frame.line
        ));
    });
    assert_eq!(frames.len(), count);
    frames
}

/// The image's file, read by `addr2line`.
struct Oracle {
    loader: Loader,
    workspace: String,
}

impl Oracle {
    fn new(image: &Path) -> Self {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("tests is in the workspace");
        Self {
            loader: Loader::new(image).expect("an ELF file with DWARF"),
            workspace: workspace.display().to_string(),
        }
    }

    fn function(&self, address: u64) -> Option<String> {
        self.loader.find_symbol(address).map(names::normalise)
    }

    /// The file of the outermost function.
    fn file(&self, address: u64) -> String {
        let mut found = self.loader.find_frames(address).expect("DWARF");
        let mut file = None;
        while let Some(frame) = found.next().expect("DWARF") {
            file = frame
                .location
                .and_then(|place| place.file.map(str::to_owned));
        }
        file.map(|file| paths::shorten(&file, Some(&self.workspace)))
            .unwrap_or_default()
    }

    fn frames(&self, address: u64) -> Vec<String> {
        let mut frames = Vec::new();
        let mut found = self.loader.find_frames(address).expect("DWARF");
        while let Some(frame) = found.next().expect("DWARF") {
            let name = frame
                .function
                .as_ref()
                .map(|name| names::normalise(&name.raw_name().expect("UTF-8")));
            let place = frame.location.as_ref();
            let file = place
                .and_then(|place| place.file)
                .map(|file| paths::shorten(file, Some(&self.workspace)));
            let line = place.and_then(|place| place.line).unwrap_or(0);
            let file = file.unwrap_or_default();
            frames.push((name.unwrap_or_default(), format!("{file}:{line}")));
        }
        // The outermost one goes by the name that the linker knows.
        let symbol = self.function(address);
        match frames.last_mut() {
            Some(outermost) => outermost.0 = symbol.unwrap_or_default(),
            None => frames.extend(symbol.map(|symbol| (symbol, ":0".to_owned()))),
        }
        frames
            .into_iter()
            .rev()
            .map(|(name, place)| format!("{name} at {place}"))
            .collect()
    }
}

/// The image's code: its address and its end.
fn code(image: &[u8]) -> (u64, u64) {
    use object::{Object, ObjectSection};
    let object = object::File::parse(image).expect("an ELF file");
    let text = object.section_by_name(".text").expect("code");
    (text.address(), text.address() + text.size())
}

/// The return addresses of all calls, by GNU objdump.
fn return_addresses(image: &Path) -> BTreeSet<u64> {
    let output = Command::new("objdump")
        .args(["-d", "--no-show-raw-insn"])
        .arg(image)
        .output()
        .expect("objdump");
    assert!(output.status.success(), "objdump failed");
    let listing = String::from_utf8(output.stdout).expect("UTF-8");
    let mut after_call = false;
    let mut out = BTreeSet::new();
    for line in listing.lines() {
        let Some((address, instruction)) = line.split_once(":\t") else {
            continue;
        };
        let address = u64::from_str_radix(address.trim(), 16).expect("an address");
        if after_call {
            out.insert(address);
        }
        after_call = instruction.starts_with("call");
    }
    out
}

#[test]
fn every_call_in_the_image_has_the_frames_that_addr2line_finds() {
    for heap in [Heap::Talc, Heap::LinkedList] {
        let path = path(heap);
        let image = fs::read(&path).expect("the image");
        let table = image::table(&image).expect("an ELF file").expect("a table");
        let symbols = Symbols::parse(table).expect("a table");
        let oracle = Oracle::new(&path);
        let mut scratch = Scratch::new();
        let (mut frames, mut inlined, mut without_line) = (0, 0, 0);
        let mut bare = BTreeSet::new();
        let addresses = return_addresses(&path);
        assert!(addresses.len() > 1000, "{} calls", addresses.len());
        for address in &addresses {
            let found = by_table(&symbols, address - 1, &mut scratch);
            assert_eq!(found, oracle.frames(address - 1), "{address:#x}");
            frames += found.len();
            inlined += usize::from(found.len() > 1);
            for frame in &found {
                let (function, place) = frame.split_once(" at ").expect("a place");
                without_line += usize::from(place.ends_with(".rs:0"));
                if !function.contains("::") {
                    bare.insert(function.to_owned());
                }
            }
        }
        // A path is what a name of Rust has, inlined or not; without one are functions that other languages may call.
        assert!(bare.len() < 30, "{bare:#?}");
        for function in ["new", "get", "collect", "from_iter", "{closure#0}"] {
            assert!(!bare.contains(function), "{function} has no path");
        }
        assert!(
            without_line > 10,
            "{without_line} frames of a file but of no line"
        );
        assert!(
            inlined > addresses.len() / 10,
            "{inlined} calls from inlined functions"
        );
        assert!(table.len() <= 200_000, "{} bytes", table.len());
        report(&format!(
            "symbol table with {heap:?}: {} bytes, {} calls of {frames} frames as addr2line has them",
            table.len(),
            addresses.len()
        ));
    }
}

#[test]
fn elsewhere_in_the_image_the_function_is_the_linkers() {
    let path = path(Heap::Talc);
    let image = fs::read(&path).expect("the image");
    let symbols = Symbols::parse(image::table(&image).expect("an ELF file").expect("a table"))
        .expect("a table");
    let oracle = Oracle::new(&path);
    let object = object::File::parse(&*image).expect("an ELF file");
    let calls: BTreeSet<u64> = image::call_ends(&object)
        .expect("code")
        .into_iter()
        .collect();
    let mut scratch = Scratch::new();
    let (start, end) = code(&image);
    let (mut known, mut unknown, mut begun) = (0, 0, 0);
    // One in five, at any place of an instruction: all of them take a minute.
    for address in (start - 64..end + 64)
        .step_by(5)
        .filter(|address| !calls.contains(address))
    {
        let mut found = None;
        symbols.frames(address, &mut scratch, &mut |frame| {
            let place = (
                frame.function.to_owned(),
                format!("{}:{}", frame.file, frame.line),
            );
            assert!(found.replace(place).is_none(), "{address:#x}");
        });
        let function = oracle
            .function(address)
            .filter(|_| (start..end).contains(&address));
        // The file is that of the first byte, and only there it is told.
        let begins = address == start || oracle.function(address - 1) != function;
        let expected = function.map(|function| {
            let file = if begins {
                oracle.file(address)
            } else {
                String::new()
            };
            begun += usize::from(begins);
            (function, format!("{file}:0"))
        });
        assert_eq!(found, expected, "{address:#x}");
        *(if found.is_some() {
            &mut known
        } else {
            &mut unknown
        }) += 1;
    }
    assert!(
        known > 50_000 && unknown > 500 && begun > 100,
        "{known} known, {unknown} unknown, {begun} first bytes of functions"
    );
}

#[test]
fn a_running_image_knows_its_build_id_and_names() {
    use object::Object;
    let mut guest = Boot::new(Machine::Q35).doing("names").start();
    let line = guest.wait_for("names: ");
    assert_eq!(guest.end(), Ended::Success, "the table is the image's");
    let file = fs::read(tests::image::guest()).expect("the image");
    let object = object::File::parse(&*file).expect("an ELF file");
    let id = object.build_id().expect("a note").expect("a build id");
    assert_eq!(id.len(), 20);
    assert!(
        line.ends_with(&format!(
            "names: {id:02x?} guest::image::names at tests/guest/src/image.rs"
        )),
        "{line}"
    );
}

#[test]
fn a_table_of_all_rows_knows_every_stretch_like_addr2line() {
    let path = path(Heap::Talc);
    let image = fs::read(&path).expect("the image");
    let table = image::describe(&image, true).expect("a table");
    let symbols = Symbols::parse(&table.bytes).expect("a table");
    let spans = symbols::dwarf::read(&image).expect("DWARF");
    let oracle = Oracle::new(&path);
    let mut scratch = Scratch::new();
    // Where each stretch begins, and of one in eight the last byte and one in between.
    let mut addresses = BTreeSet::new();
    for (at, pair) in spans.spans.windows(2).enumerate() {
        let (first, last) = (pair[0].start, pair[1].start - 1);
        addresses.insert(first);
        if at % 8 == 0 {
            addresses.extend([last, first + (last - first) / 2]);
        }
    }
    for &address in &addresses {
        assert_eq!(
            by_table(&symbols, address, &mut scratch),
            oracle.frames(address),
            "{address:#x}"
        );
    }
    report(&format!(
        "symbol table of all rows: {table}; {} addresses as addr2line has them",
        addresses.len()
    ));
}
