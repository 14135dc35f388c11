//! The names of codes, from the trace or else from an image.

use core::fmt;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memtrace_reader::{Info, Position};
use object::Object;
use symbols::dwarf::{self, ReadError};
use symbols::spans::Spans;
use thiserror::Error;

use crate::profile::Profile;
use crate::whole::whole;

/// A place in the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The function, or the code if the function is not known.
    pub(crate) function: Arc<str>,
    /// The file; empty if it is not known.
    pub(crate) file: Arc<str>,
    /// The line; 0 if it is not known.
    pub(crate) line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&place(&self.function, &self.file, self.line))
    }
}

/// Writes a function and, as far as they are known, its file and its line. A line of 0 is not known.
pub(crate) fn place(function: &str, file: &str, line: u32) -> String {
    match (file, line) {
        ("" | "-", _) => function.to_owned(),
        (file, 0) => format!("{function} {file}"),
        (file, line) => format!("{function} {file}:{line}"),
    }
}

/// Files of the allocator's hook: those of the crate `heap-profiler`, and of `monitoring`, of which it was a part
/// before.
const HOOK_FILES: [&str; 2] = ["monitoring/heap-profiler/", "monitoring/src/heap"];

/// Functions of the hook, for frames without a file, and functions of Rust that call it.
const HOOK_FUNCTIONS: [&str; 4] = ["__rust", "__rdl_", "heap_profiler::", "monitoring::heap::"];

/// Files of code that allocates for its callers, beside the hook: Rust's library and its hash tables.
const LIBRARY_FILES: [&str; 5] = [
    "core/src/",
    "alloc/src/",
    "std/src/",
    "hashbrown-",
    "/rustc/",
];

/// The same code by function.
const LIBRARY_FUNCTIONS: [&str; 4] = ["core::", "alloc::", "std::", "hashbrown::"];

impl Place {
    fn is_of(&self, files: &[&str], functions: &[&str]) -> bool {
        let begins = |text: &str, with: &[&str]| with.iter().any(|part| text.starts_with(part));
        begins(&self.file, files) || begins(&self.function, functions)
    }

    /// Returns `true` for the allocator's hook and for its callers in Rust. These are the innermost frames of every
    /// stack and have no information.
    fn is_hook(&self) -> bool {
        self.is_of(&HOOK_FILES, &HOOK_FUNCTIONS)
    }

    /// Returns `true` for code that allocates for its callers, and so says little about who needed the memory.
    pub(crate) fn is_plumbing(&self) -> bool {
        self.is_hook() || self.is_of(&LIBRARY_FILES, &LIBRARY_FUNCTIONS)
    }

    /// Returns the name of a frame for places without room for its file and line.
    pub(crate) fn label(&self) -> &str {
        match &*self.function {
            "" => "[unknown]",
            function => function,
        }
    }
}

/// The reason why an image gives no names.
#[derive(Debug, Error)]
pub enum ImageError {
    /// The system's error.
    #[error("cannot read {0}: {1}", path.display(), source)]
    Read {
        /// The image.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not an ELF file, or has no line tables.
    #[error("{0}: {1}", path.display(), source)]
    Image {
        /// The image.
        path: PathBuf,
        /// The reason.
        source: ReadError,
    },
    /// The trace is of another image.
    #[error(
        "{0} has the build id {image}, the trace is of {trace}: give the image that was traced",
        path.display()
    )]
    Other {
        /// The image.
        path: PathBuf,
        /// Its build id.
        image: String,
        /// The build id in the trace.
        trace: String,
    },
}

/// An image whose names are used where a trace has none.
#[derive(Debug)]
pub(crate) struct Image {
    spans: Spans,
    /// `true` if the trace says that it is of this image. Otherwise the trace has no build id to compare.
    pub(crate) is_checked: bool,
}

/// The largest image that is read, in bytes. Images with all debugging information have some 100 MiB.
const IMAGE_MAX: u64 = 1 << 30;

/// The shortest part of a build id that identifies an image: 32 bits in hexadecimal.
const BUILD_ID_DIGITS: usize = 8;

impl Image {
    /// Reads an image, if it is the one that was traced.
    ///
    /// # Errors
    /// [`ImageError`].
    pub(crate) fn read(path: &Path, info: &Info) -> Result<Self, ImageError> {
        let bytes = whole(path, IMAGE_MAX).map_err(|source| ImageError::Read {
            path: path.to_owned(),
            source,
        })?;
        let wrong = |source: ReadError| ImageError::Image {
            path: path.to_owned(),
            source,
        };
        let object = object::File::parse(&*bytes).map_err(|error| wrong(error.into()))?;
        let id = object.build_id().map_err(|error| wrong(error.into()))?;
        let id: String = id
            .unwrap_or_default()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let said = build_ids(&[&info.executable.to_string(), &info.context.to_string()]);
        // The trace may have only the beginning of the build id.
        let is_same = said
            .iter()
            .any(|said| !id.is_empty() && id.starts_with(said.as_str()));
        if !is_same && let Some(trace) = said.first() {
            return Err(ImageError::Other {
                path: path.to_owned(),
                image: if id.is_empty() { "none".to_owned() } else { id },
                trace: trace.clone(),
            });
        }
        Ok(Self {
            spans: dwarf::read(&bytes).map_err(wrong)?,
            is_checked: is_same,
        })
    }

    /// Returns the places of a return address, the outermost first.
    fn places(&self, code: u64) -> impl Iterator<Item = Place> {
        let frames = self.spans.at(code.saturating_sub(1)).iter();
        frames.map(|frame| Place {
            function: self.spans.names[frame.function as usize].as_str().into(),
            file: self.spans.files[frame.file as usize].as_str().into(),
            line: frame.line,
        })
    }
}

/// Finds possible build ids in a text: long words of hexadecimal digits.
fn build_ids(texts: &[&str]) -> Vec<String> {
    texts
        .iter()
        .flat_map(|text| text.split(|c: char| !c.is_ascii_alphanumeric()))
        .filter(|word| word.len() >= BUILD_ID_DIGITS && word.len() % 2 == 0)
        .filter(|word| word.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_lowercase)
        .collect()
}

/// The places of every code of a profile.
#[derive(Debug, Default)]
pub(crate) struct Names(HashMap<u64, Box<[Place]>>);

impl Names {
    /// Looks up all codes that `profile` has.
    pub(crate) fn of(profile: &Profile, image: Option<&Image>) -> Self {
        let mut names: HashMap<u64, Box<[Place]>> = HashMap::new();
        let mut texts: HashMap<Vec<u8>, Arc<str>> = HashMap::new();
        for (stack, _) in &profile.stacks {
            for code in profile.tree.codes(*stack) {
                names.entry(code).or_insert_with(|| {
                    let said = profile.positions.get(&code).map(|found| &**found);
                    places(code, said.unwrap_or_default(), image, &mut texts)
                });
            }
        }
        Self(names)
    }

    /// Returns `true` if a code with all its inlined functions is in the allocator's hook.
    pub(crate) fn is_hook(&self, code: u64) -> bool {
        let places = self.of_code(code);
        !places.is_empty() && places.iter().all(Place::is_hook)
    }

    /// Returns the places of a code, the innermost first, beginning with the caller of the allocator: the hook may be
    /// inlined into it. Returns all places if the hook is not among them.
    pub(crate) fn innermost_first(&self, code: u64) -> impl Iterator<Item = &Place> {
        let places = self.of_code(code);
        let caller = places.iter().rposition(|place| !place.is_hook());
        let kept = caller.map_or(places.len(), |caller| caller + 1);
        places[..kept].iter().rev()
    }

    /// Returns the places of a code, the outermost first.
    pub(crate) fn of_code(&self, code: u64) -> &[Place] {
        self.0.get(&code).map_or(&[], |places| places)
    }
}

fn places(
    code: u64,
    said: &[Position],
    image: Option<&Image>,
    texts: &mut HashMap<Vec<u8>, Arc<str>>,
) -> Box<[Place]> {
    let mut shared = |text: &memtrace_reader::Text| {
        let known = texts.entry(text.as_bytes().to_owned());
        Arc::clone(known.or_insert_with(|| text.to_string().into()))
    };
    let mut places: Vec<Place> = said
        .iter()
        .map(|position| Place {
            function: shared(&position.function),
            file: shared(&position.file),
            line: position.line,
        })
        .collect();
    if places.is_empty()
        && let Some(image) = image
    {
        places.extend(image.places(code));
    }
    if places.is_empty() {
        places.push(Place {
            function: format!("{code:#x}").into(),
            file: "".into(),
            line: 0,
        });
    }
    places.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(function: &str, file: &str, line: u32) -> Place {
        Place {
            function: function.into(),
            file: file.into(),
            line,
        }
    }

    #[test]
    fn a_place_shows_what_is_known_of_it() {
        assert_eq!(
            place("app::f", "app/src/f.rs", 7).to_string(),
            "app::f app/src/f.rs:7"
        );
        assert_eq!(
            place("app::f", "app/src/f.rs", 0).to_string(),
            "app::f app/src/f.rs"
        );
        assert_eq!(place("[unknown]", "-", 0).to_string(), "[unknown]");
        assert_eq!(place("0x201000", "", 0).to_string(), "0x201000");
    }

    #[test]
    fn a_build_id_is_found_wherever_it_stands() {
        assert_eq!(
            build_ids(&["app.elf (build id DEADBEEF01)", "version 0.1"]),
            ["deadbeef01"]
        );
        assert_eq!(build_ids(&["app", "--seed 12345678"]), ["12345678"]);
        assert!(build_ids(&["app.elf", "deadbee", "deadbeefs"]).is_empty());
    }

    #[test]
    fn what_allocates_for_others_is_told_by_file_or_function() {
        for (function, file, want) in [
            ("push", "alloc/src/vec/mod.rs", true),
            ("__rust_alloc", "", true),
            ("hashbrown::raw::RawTable::reserve", "", true),
            ("app::cache::insert", "app/src/cache.rs", false),
            ("core_of_the_app::f", "core_of_the_app/src/lib.rs", false),
        ] {
            assert_eq!(place(function, file, 1).is_plumbing(), want, "{function}");
        }
    }
}
