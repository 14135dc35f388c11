//! A profile of the heap as a tree of frames, from any of three sources.
//!
//! Two documents are understood: folded stacks (`main;work;alloc 4096`, one stack a line, as Brendan Gregg's FlameGraph
//! tools write them) and speedscope's JSON (speedscope.app/file-format-schema.json), sampled or evented. A heap trace that was
//! added up is the third source.

mod folded;
mod graph;
mod speedscope;

use std::io;
use std::path::PathBuf;

use crate::convert::Value;
use crate::named::Named;
use crate::names::Place;
use crate::whole::whole;

use graph::Tree;
pub use graph::{FlameError, FlameGraph, Node};

/// The largest document that is read, in bytes: more than a page can show.
const MAX_DOCUMENT: u64 = 64 << 20;

impl FlameGraph {
    /// Reads a document: speedscope's if it begins like JSON, otherwise folded stacks.
    ///
    /// # Errors
    /// [`FlameError`].
    ///
    /// ```
    /// use hermon_heap::flame::FlameGraph;
    /// let graph = FlameGraph::read("heap", "main;work 3\nmain;idle 1\n").unwrap();
    /// assert_eq!(graph.nodes[0].value, 4.0);
    /// ```
    pub fn read(name: &str, document: &str) -> Result<Self, FlameError> {
        if document.trim_start().starts_with('{') {
            speedscope::read(name, document)
        } else {
            folded::read(name, document)
        }
    }

    /// Builds the tree of one value of a trace, without the frames of the allocator's hook. What the guest lost is
    /// under a frame named for it.
    pub fn of(name: String, named: &Named, value: Value) -> Self {
        let mut tree = Tree::new(name, "bytes".to_owned());
        let scale = named.profile.scale();
        for (stack, tally) in named.stacks() {
            let hits = value.hits(tally);
            if hits > 0 {
                let frames = named.outermost_first(*stack).into_iter();
                tree.add(frames.map(Place::label), scale.bytes(hits).bytes);
            }
        }
        tree.graph
    }
}

/// A document in a file. It is read anew each time, so that a newer one is seen.
#[derive(Debug)]
pub struct FlameFile(PathBuf);

impl FlameFile {
    /// Opens the file with this path.
    ///
    /// # Errors
    /// [`FlameError`], if it cannot be read now.
    pub fn open(path: PathBuf) -> Result<Self, FlameError> {
        let file = Self(path);
        file.read()?;
        Ok(file)
    }

    /// Reads the present content of the file.
    ///
    /// # Errors
    /// [`FlameError`].
    pub fn read(&self) -> Result<FlameGraph, FlameError> {
        let file = self.0.display().to_string();
        let failed = |source| FlameError::Read {
            file: file.clone(),
            source,
        };
        let document = whole(&self.0, MAX_DOCUMENT).map_err(failed)?;
        let document = String::from_utf8(document)
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidData, error)))?;
        let name = self.0.file_name().unwrap_or_default();
        FlameGraph::read(&name.to_string_lossy(), &document)
    }
}

#[cfg(test)]
mod tests;
