//! All distinct stacks of a trace, each kept once, in a tree of codes.

use std::collections::HashMap;

/// A stack, identified by the node of its innermost frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct StackId(u32);

#[derive(Debug, Clone, Copy)]
struct Node {
    parent: u32,
    code: u64,
}

/// The parent of the outermost frames.
const ROOT: u32 = 0;

/// The stacks. Some 40 bytes for each distinct beginning of a stack.
#[derive(Debug)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    children: HashMap<(u32, u64), u32>,
    /// The last stack and its nodes. Most of the next stack is the same, and then needs no lookup.
    codes: Vec<u64>,
    path: Vec<u32>,
}

impl Default for Tree {
    fn default() -> Self {
        Self {
            nodes: vec![Node {
                parent: ROOT,
                code: 0,
            }],
            children: HashMap::new(),
            codes: Vec::new(),
            path: Vec::new(),
        }
    }
}

/// The bytes of a node, with its place among its parent's children and room to grow.
const NODE_BYTES: usize = size_of::<Node>() + 2 * size_of::<((u32, u64), u32)>() + 8;

impl Tree {
    /// Returns the bytes that the stacks hold.
    pub(crate) fn memory(&self) -> usize {
        self.nodes.len() * NODE_BYTES
    }

    /// Returns the number of a stack. `codes` begins with the outermost.
    ///
    /// # Panics
    /// Panics beyond 2^32 - 1 nodes; no machine of today has the memory for so many.
    pub(crate) fn intern(&mut self, codes: &[u64]) -> StackId {
        let common = codes
            .iter()
            .zip(&self.codes)
            .take_while(|(new, old)| new == old)
            .count();
        self.codes.truncate(common);
        self.path.truncate(common);
        for &code in &codes[common..] {
            let parent = self.path.last().copied().unwrap_or(ROOT);
            let next = u32::try_from(self.nodes.len()).expect("fewer nodes than 2^32");
            let node = *self.children.entry((parent, code)).or_insert(next);
            if node == next {
                self.nodes.push(Node { parent, code });
            }
            self.codes.push(code);
            self.path.push(node);
        }
        StackId(self.path.last().copied().unwrap_or(ROOT))
    }

    /// Returns the codes of a stack, the innermost first.
    pub(crate) fn codes(&self, stack: StackId) -> impl Iterator<Item = u64> {
        let mut at = stack.0;
        core::iter::from_fn(move || {
            let node = self.nodes.get(at as usize).filter(|_| at != ROOT)?;
            at = node.parent;
            Some(node.code)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equal_stacks_have_one_number_and_others_another(
            stacks in prop::collection::vec(prop::collection::vec(1_u64..4, 0..6), 0..60),
        ) {
            let mut tree = Tree::default();
            let mut known: HashMap<Vec<u64>, StackId> = HashMap::new();
            for codes in &stacks {
                let id = tree.intern(codes);
                prop_assert_eq!(*known.entry(codes.clone()).or_insert(id), id);
                let mut found: Vec<u64> = tree.codes(id).collect();
                found.reverse();
                prop_assert_eq!(&found, codes);
            }
            let mut ids: Vec<StackId> = known.values().copied().collect();
            ids.sort_unstable();
            ids.dedup();
            prop_assert_eq!(ids.len(), known.len());
        }
    }
}
