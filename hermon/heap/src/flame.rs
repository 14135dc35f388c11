//! A profile of the heap as a tree of frames, from whoever can supply one.
//!
//! Two documents are understood: folded stacks (`main;work;alloc 4096`, one stack a line, as Brendan Gregg's FlameGraph
//! tools write them) and speedscope's JSON (speedscope.app/file-format-schema.json), sampled or evented. A heap trace that was
//! added up is the third source (`heap`).

mod folded;
mod speedscope;

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde::Serialize;
use thiserror::Error;

use crate::convert::Value;
use crate::named::Named;
use crate::names::Place;

/// The largest document that is read, in bytes: more than a page can show.
const MAX_DOCUMENT: u64 = 64 << 20;

/// Frames of the tree. A flame graph on a wide screen shows some thousand.
const MAX_NODES: usize = 200_000;

/// Frames of a stack; deeper ones are cut, as the frame `(deeper)`.
const MAX_DEPTH: usize = 500;

/// The reason why there is no profile.
#[derive(Debug, Error)]
pub enum FlameError {
    /// The document cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// The system's word.
        source: io::Error,
    },
    /// It is longer than 64 MiB.
    #[error("{0} is larger than 64 MiB: reduce it, by the smallest stacks say")]
    TooLarge(String),
    /// A line is not a folded stack.
    #[error("line {line} is no folded stack: \"{text}\"")]
    Folded {
        /// Counted from 1.
        line: usize,
        /// Its beginning.
        text: String,
    },
    /// It looks like JSON and is not speedscope's.
    #[error("this is no document of speedscope: {0}")]
    Speedscope(String),
}

/// A profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FlameGraph {
    /// Its name: where it comes from.
    pub name: String,
    /// The values' unit: `bytes`, `words`, `samples`, or empty if the document does not say.
    pub unit: String,
    /// The frames' names; nodes refer to them.
    pub names: Vec<String>,
    /// The tree: a parent stands before its children, the first is the root.
    pub nodes: Vec<Node>,
    /// The value that found no place in the tree; it is part of the root's.
    pub left_out: f64,
}

/// A frame with what was below it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Node {
    /// Index into [`FlameGraph::names`].
    pub name: usize,
    /// Index into [`FlameGraph::nodes`]; the root's is its own.
    pub parent: usize,
    /// Of this frame and all below it.
    pub value: f64,
}

/// Builds a tree of stacks.
#[derive(Debug)]
struct Tree {
    graph: FlameGraph,
    names: HashMap<String, usize>,
    children: HashMap<(usize, usize), usize>,
}

impl Tree {
    fn new(name: String, unit: String) -> Self {
        let graph = FlameGraph {
            name,
            unit,
            names: vec!["all".to_owned()],
            nodes: vec![Node {
                name: 0,
                parent: 0,
                value: 0.0,
            }],
            left_out: 0.0,
        };
        Self {
            graph,
            names: HashMap::from([("all".to_owned(), 0)]),
            children: HashMap::new(),
        }
    }

    /// Adds a stack, outermost frame first.
    fn add<'a>(&mut self, frames: impl Iterator<Item = &'a str>, value: f64) {
        self.graph.nodes[0].value += value;
        let mut at = 0;
        for (depth, frame) in frames.enumerate() {
            let frame = if depth < MAX_DEPTH { frame } else { "(deeper)" };
            let Some(next) = self.child(at, frame) else {
                self.graph.left_out += value;
                return;
            };
            self.graph.nodes[next].value += value;
            at = next;
            if depth >= MAX_DEPTH {
                return;
            }
        }
    }

    fn child(&mut self, parent: usize, frame: &str) -> Option<usize> {
        let name = match self.names.get(frame) {
            Some(&name) => name,
            None if self.graph.nodes.len() >= MAX_NODES => return None,
            None => {
                self.graph.names.push(frame.to_owned());
                let name = self.graph.names.len() - 1;
                self.names.insert(frame.to_owned(), name);
                name
            }
        };
        if let Some(&child) = self.children.get(&(parent, name)) {
            return Some(child);
        }
        if self.graph.nodes.len() >= MAX_NODES {
            return None;
        }
        self.graph.nodes.push(Node {
            name,
            parent,
            value: 0.0,
        });
        let child = self.graph.nodes.len() - 1;
        self.children.insert((parent, name), child);
        Some(child)
    }
}

impl FlameGraph {
    /// Reads a document: speedscope's if it begins as JSON does, else folded stacks.
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

    /// Draws the bytes of one value of a trace, without the frames of the allocator's hook. What the guest lost stands under a
    /// frame named for it.
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

/// A document in a file, read anew each time, so that a newer one is seen.
#[derive(Debug)]
pub struct FlameFile(PathBuf);

impl FlameFile {
    /// The file with this path.
    ///
    /// # Errors
    /// [`FlameError`], if it cannot be read now.
    pub fn open(path: PathBuf) -> Result<Self, FlameError> {
        let file = Self(path);
        file.read()?;
        Ok(file)
    }

    /// Reads what is in it now.
    ///
    /// # Errors
    /// [`FlameError`].
    pub fn read(&self) -> Result<FlameGraph, FlameError> {
        let file = self.0.display().to_string();
        let failed = |source| FlameError::Read {
            file: file.clone(),
            source,
        };
        if fs::metadata(&self.0).map_err(failed)?.len() > MAX_DOCUMENT {
            return Err(FlameError::TooLarge(file));
        }
        let document = fs::read_to_string(&self.0).map_err(failed)?;
        let name = self.0.file_name().unwrap_or_default();
        FlameGraph::read(&name.to_string_lossy(), &document)
    }
}

#[cfg(test)]
mod tests;
