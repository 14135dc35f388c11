//! Canonical Huffman codes.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::bits::Bits;

/// Bits of the longest code.
pub(super) const CODE_BITS_MAX: usize = 20;
/// Numbers below have a symbol each.
const DIRECT: u32 = 48;

/// A code for what was counted.
pub(super) struct Code {
    /// For each symbol its code and the code's bits.
    codes: BTreeMap<u32, (u32, u32)>,
    /// How many symbols have codes of 1, 2, … bits.
    pub(super) counts: [u16; CODE_BITS_MAX],
    /// The symbols in the order of their codes.
    pub(super) symbols: Vec<u32>,
}

impl Code {
    /// The code of the fewest bits for symbols that occur this often. `None` if there are too many to be told apart.
    pub(super) fn new(occurrences: &BTreeMap<u32, u64>) -> Option<Self> {
        let mut weights: Vec<(u32, u64)> = occurrences
            .iter()
            .map(|(&symbol, &count)| (symbol, count.max(1)))
            .collect();
        let lengths = loop {
            let lengths = lengths(&weights);
            if lengths.iter().all(|&(length, _)| length <= CODE_BITS_MAX) {
                break lengths;
            }
            // Less difference between frequent and rare ones makes the longest codes shorter.
            if weights.iter().all(|&(_, weight)| weight == 1) {
                return None;
            }
            for (_, weight) in &mut weights {
                *weight = weight.div_ceil(2);
            }
        };
        let mut counts = [0_u16; CODE_BITS_MAX];
        let mut codes = BTreeMap::new();
        let mut symbols = Vec::new();
        let (mut code, mut before) = (0_u32, 0);
        for (length, symbol) in lengths {
            code <<= length - before;
            codes.insert(symbol, (code, length as u32));
            symbols.push(symbol);
            counts[length - 1] = counts[length - 1].checked_add(1)?;
            code += 1;
            before = length;
        }
        Some(Self {
            codes,
            counts,
            symbols,
        })
    }

    /// # Panics
    /// If the symbol was not counted.
    pub(super) fn put(&self, symbol: u32, bits: &mut Bits) {
        let (code, length) = self.codes[&symbol];
        bits.put(code, length);
    }

    /// Adds a number. See [`class`].
    pub(super) fn put_number(&self, number: u32, bits: &mut Bits) {
        let (symbol, extra, count) = class(number);
        self.put(symbol, bits);
        bits.put(extra, count);
    }
}

/// A number as its symbol and the bits that follow it: the bits and how many.
pub(super) fn class(number: u32) -> (u32, u32, u32) {
    match number.checked_sub(DIRECT) {
        None => (number, 0, 0),
        Some(over) => {
            let over = u64::from(over) + 1;
            let length = over.ilog2();
            (DIRECT + length, (over - (1 << length)) as u32, length)
        }
    }
}

/// The symbols with the lengths of their Huffman codes, in the order of length and symbol.
fn lengths(weights: &[(u32, u64)]) -> Vec<(usize, u32)> {
    if let [(only, _)] = weights {
        return vec![(1, *only)];
    }
    /// Two nodes of the tree, or a symbol.
    enum Node {
        Leaf(u32),
        Pair(usize, usize),
    }
    let mut nodes: Vec<Node> = weights
        .iter()
        .map(|&(symbol, _)| Node::Leaf(symbol))
        .collect();
    // The number of the node makes the order, and so the code, the same each time.
    let mut heap: BinaryHeap<Reverse<(u64, usize)>> = weights
        .iter()
        .enumerate()
        .map(|(at, &(_, weight))| Reverse((weight, at)))
        .collect();
    while heap.len() > 1 {
        if let (Some(Reverse((first, a))), Some(Reverse((second, b)))) = (heap.pop(), heap.pop()) {
            nodes.push(Node::Pair(a, b));
            heap.push(Reverse((first + second, nodes.len() - 1)));
        }
    }
    let mut lengths = Vec::new();
    let mut open: Vec<(usize, usize)> = heap
        .pop()
        .map(|Reverse((_, root))| (root, 0))
        .into_iter()
        .collect();
    while let Some((node, depth)) = open.pop() {
        match nodes[node] {
            Node::Leaf(symbol) => lengths.push((depth, symbol)),
            Node::Pair(a, b) => open.extend([(a, depth + 1), (b, depth + 1)]),
        }
    }
    lengths.sort_unstable();
    lengths
}
