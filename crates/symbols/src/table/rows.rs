//! Chains of frames by address, told by what changes.

use core::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::bits::Bits;
use super::code::{Code, class};
use super::{Row, TableError, bits_for};

/// Rows of a block.
const BLOCK: usize = 16;

/// What is told of a row: symbols of the codes, in order.
enum Item {
    Number(Kind, u32),
    Function {
        function: u32,
        /// Of the caller and its line.
        hash: Option<u32>,
    },
}

/// A function, as far as rows need to know it.
pub(super) struct Function {
    /// The numbers of its name and file in the table.
    pub(super) text: (u32, u32),
    /// Lines are told by their distance to this one.
    pub(super) usual_line: u32,
}

/// Bits of a guess's number that are tried; the table takes those with which it is the smallest.
const GUESS_BITS: [u32; 9] = [0, 8, 9, 10, 11, 12, 13, 14, 15];

/// The codes of numbers, in the order in which they stand in the table.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Gap,
    Pop,
    Push,
    Change,
    Line,
}

const KINDS: usize = Kind::Line as usize + 1;

/// The rows in the form of the table.
pub(super) struct Rows {
    pub(super) numbers: [Code; KINDS],
    /// Its symbols are the functions as the rows name them.
    pub(super) functions: Code,
    pub(super) guess_bits: u32,
    pub(super) guesses: Vec<u8>,
    pub(super) addresses: Vec<u32>,
    pub(super) starts: Vec<u32>,
    pub(super) bytes: Vec<u8>,
}

/// The form of the fewest bytes.
pub(super) fn pack(rows: &[Row], base: u64, functions: &[Function]) -> Result<Rows, TableError> {
    let distance =
        |row: &Row| u32::try_from(row.address - base).map_err(|_| TableError::CodeTooLarge);
    let mut blocks = Vec::new();
    let mut addresses = Vec::new();
    for block in rows.chunks(BLOCK) {
        addresses.push(distance(&block[0])?);
        distance(&block[block.len() - 1])?;
        blocks.push(items(block, functions));
    }
    let mut best: Option<Rows> = None;
    for guess_bits in GUESS_BITS {
        let guesses = guess(&blocks, guess_bits);
        let rows = code(&blocks, functions.len() as u32, guess_bits, &guesses)?;
        let size = |rows: &Rows| rows.bytes.len() + rows.guesses.len();
        if best.as_ref().is_none_or(|best| size(&rows) < size(best)) {
            best = Some(rows);
        }
    }
    best.map(|rows| Rows { addresses, ..rows })
        .ok_or(TableError::Nothing)
}

/// For each slot the function that is called the most often by the callers and lines whose hashes lead there.
fn guess(blocks: &[Vec<Item>], guess_bits: u32) -> Vec<u32> {
    if guess_bits == 0 {
        return Vec::new();
    }
    let mut counts: Vec<BTreeMap<u32, u32>> = vec![BTreeMap::new(); 1 << guess_bits];
    for item in blocks.iter().flatten() {
        if let Item::Function {
            function,
            hash: Some(hash),
        } = *item
        {
            *counts[slot(hash, guess_bits)].entry(function).or_default() += 1;
        }
    }
    let most = |counts: &BTreeMap<u32, u32>| {
        counts
            .iter()
            .max_by_key(|&(&function, &count)| (count, Reverse(function)))
            .map_or(0, |it| *it.0)
    };
    counts.iter().map(most).collect()
}

fn slot(hash: u32, guess_bits: u32) -> usize {
    (hash >> (u32::BITS - guess_bits)) as usize
}

/// All that a caller's function and line have to do with what is guessed is in here.
fn hash((name, file): (u32, u32), line: u32) -> u32 {
    let mixed = name.wrapping_mul(0x9e37_79b1)
        ^ file.wrapping_mul(0x85eb_ca77)
        ^ line.wrapping_mul(0xc2b2_ae3d);
    (mixed ^ mixed >> 15).wrapping_mul(0x2c1b_3c6d)
}

fn code(
    blocks: &[Vec<Item>],
    functions: u32,
    guess_bits: u32,
    guesses: &[u32],
) -> Result<Rows, TableError> {
    let is_guessed = |function: u32, hash: Option<u32>| {
        hash.map(|hash| guesses.get(slot(hash, guess_bits)) == Some(&function))
    };

    let mut numbers: [BTreeMap<u32, u64>; KINDS] = Default::default();
    // Also those that are always guessed have a code: it is their number.
    let mut coded: BTreeMap<u32, u64> = (0..functions).map(|function| (function, 0)).collect();
    for item in blocks.iter().flatten() {
        let (counts, symbol) = match *item {
            Item::Number(kind, number) => (&mut numbers[kind as usize], class(number).0),
            Item::Function { function, hash }
                if guess_bits > 0 && is_guessed(function, hash) == Some(true) =>
            {
                continue;
            }
            Item::Function { function, .. } => (&mut coded, function),
        };
        *counts.entry(symbol).or_default() += 1;
    }
    let code = |counts: &BTreeMap<u32, u64>| {
        Code::new(counts).ok_or(TableError::TooManyFunctions(counts.len()))
    };
    let [gap, pop, push, change, line] = &numbers;
    let numbers = [
        code(gap)?,
        code(pop)?,
        code(push)?,
        code(change)?,
        code(line)?,
    ];
    let functions = code(&coded)?;

    let mut bits = Bits::default();
    let mut starts = Vec::new();
    for block in blocks {
        starts.push(bits.align() as u32);
        for item in block {
            match *item {
                Item::Number(kind, number) => numbers[kind as usize].put_number(number, &mut bits),
                Item::Function { function, hash } => {
                    let guessed = if guess_bits > 0 {
                        is_guessed(function, hash)
                    } else {
                        None
                    };
                    if let Some(guessed) = guessed {
                        bits.put(u32::from(guessed), 1);
                    }
                    if guessed != Some(true) {
                        functions.put(function, &mut bits);
                    }
                }
            }
        }
    }
    let order: HashMap<u32, u32> = functions
        .symbols
        .iter()
        .zip(0..)
        .map(|(&function, order)| (function, order))
        .collect();
    let mut guess_bytes = Bits::default();
    let width = bits_for(functions.symbols.len() as u32 - 1);
    for function in guesses {
        guess_bytes.put(order[function], width);
    }
    Ok(Rows {
        numbers,
        functions,
        guess_bits,
        guesses: guess_bytes.into_bytes(),
        addresses: Vec::new(),
        starts,
        bytes: bits.into_bytes(),
    })
}

fn items(block: &[Row], functions: &[Function]) -> Vec<Item> {
    let mut items = Vec::new();
    let mut before: Option<&Row> = None;
    for row in block {
        let mut kept = 0;
        if let Some(before) = before {
            // What is called from elsewhere in a function is another call; so all frames but the last of the kept ones stay as they are.
            let (old, new) = (&before.places, &row.places);
            while kept < old.len().min(new.len())
                && old[kept].0 == new[kept].0
                && (kept == 0 || old[kept - 1].1 == new[kept - 1].1)
            {
                kept += 1;
            }
            items.push(Item::Number(
                Kind::Gap,
                (row.address - before.address) as u32,
            ));
            items.push(Item::Number(Kind::Pop, (old.len() - kept) as u32));
            if let Some(last) = kept.checked_sub(1) {
                items.push(Item::Number(Kind::Change, zigzag(old[last].1, new[last].1)));
            }
        }
        items.push(Item::Number(Kind::Push, (row.places.len() - kept) as u32));
        for (at, &(function, line)) in row.places.iter().enumerate().skip(kept) {
            let caller = at.checked_sub(1).map(|caller| row.places[caller]);
            let hash = caller.map(|(caller, line)| hash(functions[caller as usize].text, line));
            items.push(Item::Function { function, hash });
            let distance = match line {
                0 => 0,
                line => 1 + zigzag(functions[function as usize].usual_line, line),
            };
            items.push(Item::Number(Kind::Line, distance));
        }
        before = Some(row);
    }
    items
}

/// The distance from one line to another: 0, -1, 1, -2, … become 0, 1, 2, 3, …
fn zigzag(from: u32, to: u32) -> u32 {
    let change = i64::from(to) - i64::from(from);
    (change << 1 ^ change >> 63) as u32
}
