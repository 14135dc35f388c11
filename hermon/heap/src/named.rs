//! A trace that was added up, and the names of its frames: what reports and all formats are made of.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::events::OpenError;
pub use crate::names::ImageError;
use crate::names::{Image, Names, Place};
use crate::profile::{Profile, Settings, Tally};
use crate::tree::StackId;

/// The reason why there is no profile.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The file cannot be opened.
    #[error("cannot open {0}: {1}", path.display(), source)]
    File {
        /// The trace.
        path: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// It is not a trace.
    #[error("{0} {1}", path.display(), source)]
    Trace {
        /// The trace.
        path: PathBuf,
        /// The reason.
        source: OpenError,
    },
    /// The image gives no names.
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Opens a trace.
///
/// # Errors
/// [`ReadError::File`].
pub fn open(path: &Path) -> Result<File, ReadError> {
    File::open(path).map_err(|source| ReadError::File {
        path: path.to_owned(),
        source,
    })
}

/// Reads a trace and adds it up, without names.
///
/// # Errors
/// [`ReadError`].
pub(crate) fn profile(path: &Path, settings: &Settings) -> Result<Profile, ReadError> {
    Profile::read(open(path)?, settings).map_err(|source| ReadError::Trace {
        path: path.to_owned(),
        source,
    })
}

/// A profile with its names.
#[derive(Debug)]
pub struct Named {
    /// The profile.
    pub profile: Profile,
    /// Its names.
    pub(crate) names: Names,
    /// Names come from an image, and the trace does not say which image it is of.
    pub is_unchecked: bool,
}

impl Named {
    /// With the names that the trace gives.
    pub fn new(profile: Profile) -> Self {
        Self::with(profile, None)
    }

    /// Names of a profile, from what the trace says and, where it says nothing, from an image.
    fn with(profile: Profile, image: Option<&Image>) -> Self {
        let names = Names::of(&profile, image);
        let is_unchecked = image.is_some_and(|image| !image.is_checked);
        Self {
            profile,
            names,
            is_unchecked,
        }
    }

    /// Reads a trace and its names, from this image where the trace has none.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read(path: &Path, elf: Option<&Path>, settings: &Settings) -> Result<Self, ReadError> {
        let profile = profile(path, settings)?;
        let image = elf.map(|elf| Image::read(elf, &profile.info)).transpose()?;
        Ok(Self::with(profile, image.as_ref()))
    }

    /// Reads a trace twice: the second time it is known when the most was alive, and what was alive then is kept.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read_with_peak(
        path: &Path,
        elf: Option<&Path>,
        mut settings: Settings,
    ) -> Result<Self, ReadError> {
        let first = Self::read(path, elf, &settings)?;
        settings.snapshot = Some(first.profile.peak.event);
        let profile = profile(path, &settings)?;
        Ok(Self { profile, ..first })
    }

    /// All stacks that something was allocated with.
    pub(crate) fn stacks(&self) -> impl Iterator<Item = &(StackId, Tally)> {
        self.profile.stacks.iter()
    }

    /// The codes of a stack, the innermost first, from the one on that called the allocator. All of them if there is none such.
    pub(crate) fn codes(&self, stack: StackId) -> impl Iterator<Item = u64> {
        let all = || self.profile.tree.codes(stack);
        let hooks = all().take_while(|&code| self.names.is_hook(code)).count();
        let skipped = if hooks < all().count() { hooks } else { 0 };
        all().skip(skipped)
    }

    /// All places of a stack, the innermost first, with the code that each belongs to, from the caller of the allocator on.
    /// Never empty for a stack that is not.
    pub(crate) fn places(&self, stack: StackId) -> impl Iterator<Item = (u64, &Place)> {
        self.codes(stack).flat_map(|code| {
            let places = self.names.innermost_first(code);
            places.map(move |place| (code, place))
        })
    }

    /// The places of a stack, the outermost first.
    pub(crate) fn outermost_first(&self, stack: StackId) -> Vec<&Place> {
        let mut places: Vec<&Place> = self.places(stack).map(|(_, place)| place).collect();
        places.reverse();
        places
    }

    /// Bytes that so many hits stand for, in whole.
    pub(crate) fn bytes(&self, hits: u64) -> u64 {
        self.profile.scale().bytes(hits).bytes.round() as u64
    }
}
