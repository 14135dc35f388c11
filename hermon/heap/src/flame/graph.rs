//! A tree of frames, and how it is built.

use std::collections::HashMap;
use std::io;

use serde::Serialize;
use thiserror::Error;

/// Frames of the tree. A flame graph on a wide screen shows some thousand.
pub(super) const MAX_NODES: usize = 200_000;

/// Frames of a stack; deeper ones are cut, as the frame `(deeper)`.
pub(super) const MAX_DEPTH: usize = 500;

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
pub(super) struct Tree {
    pub(super) graph: FlameGraph,
    names: HashMap<String, usize>,
    children: HashMap<(usize, usize), usize>,
}

impl Tree {
    pub(super) fn new(name: String, unit: String) -> Self {
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
    pub(super) fn add<'a>(&mut self, frames: impl Iterator<Item = &'a str>, value: f64) {
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
