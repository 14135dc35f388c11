//! Sorted texts in groups, told by what they share and by pieces of a dictionary.

use std::collections::HashMap;

/// Bytes of the longest text.
pub(super) const TEXT_MAX: usize = 255;
/// Texts of a group.
const GROUP: usize = 16;
/// Codes that stand for no character of ASCII: 1 to 0x1f, and from 0x80 on.
const PIECES_MAX: usize = 0x1f + 128;
/// A pair of codes must occur this often to be worth a piece.
const WORTH: usize = 4;

/// Texts in the form of the table.
pub(super) struct Texts {
    pub(super) starts: Vec<u32>,
    pub(super) groups: Vec<u8>,
}

/// Texts that share a dictionary.
pub(super) struct Packed {
    pub(super) pieces: Vec<Vec<u8>>,
    pub(super) lists: Vec<Texts>,
}

/// A text of a list: what it shares with the one before, and the rest, first as bytes, then as codes.
struct Entry {
    shared: usize,
    codes: Vec<u16>,
}

/// Codes below are bytes; code 256 + n is piece n.
const FIRST_PIECE: u16 = 256;

/// Packs sorted lists of texts of at most [`TEXT_MAX`] bytes.
pub(super) fn pack(lists: &[&[&str]]) -> Packed {
    let mut entries: Vec<Vec<Entry>> = lists.iter().map(|list| front_coded(list)).collect();
    let mut all: Vec<&mut Vec<u16>> = entries
        .iter_mut()
        .flatten()
        .map(|entry| &mut entry.codes)
        .collect();
    let pieces = learn(&mut all);
    let lists = entries
        .iter()
        .map(|entries| {
            let mut texts = Texts {
                starts: Vec::new(),
                groups: Vec::new(),
            };
            for (at, entry) in entries.iter().enumerate() {
                if at.is_multiple_of(GROUP) {
                    texts.starts.push(texts.groups.len() as u32);
                }
                let codes: Vec<u8> = entry
                    .codes
                    .iter()
                    .flat_map(|&code| bytes_of(code))
                    .collect();
                texts.groups.extend([entry.shared as u8, codes.len() as u8]);
                texts.groups.extend(codes);
            }
            texts
        })
        .collect();
    Packed { pieces, lists }
}

fn front_coded(list: &[&str]) -> Vec<Entry> {
    let mut before: &[u8] = &[];
    list.iter()
        .enumerate()
        .map(|(at, text)| {
            let text = text.as_bytes();
            let shared = if at.is_multiple_of(GROUP) {
                0
            } else {
                before.iter().zip(text).take_while(|(a, b)| a == b).count()
            };
            before = text;
            Entry {
                shared,
                codes: text[shared..].iter().map(|&byte| u16::from(byte)).collect(),
            }
        })
        .collect()
}

/// Replaces, over and over, the pair of codes that occurs most often by a piece of its own. Returns the pieces.
///
/// Philip Gage, A New Algorithm for Data Compression, The C Users Journal 12(2), 1994.
fn learn(texts: &mut [&mut Vec<u16>]) -> Vec<Vec<u8>> {
    let mut pieces: Vec<Vec<u8>> = Vec::new();
    while pieces.len() < PIECES_MAX {
        let mut counts: HashMap<(u16, u16), usize> = HashMap::new();
        for text in texts.iter() {
            for pair in text.windows(2) {
                if pair.iter().all(|&code| is_frugal(code)) {
                    *counts.entry((pair[0], pair[1])).or_default() += 1;
                }
            }
        }
        // The smallest of those that occur as often, so that the result is the same each time.
        let Some((pair, count)) = counts
            .into_iter()
            .max_by_key(|&(pair, count)| (count, core::cmp::Reverse(pair)))
        else {
            break;
        };
        if count < WORTH {
            break;
        }
        let expand = |code: u16| match code.checked_sub(FIRST_PIECE) {
            None => vec![code as u8],
            Some(piece) => pieces[usize::from(piece)].clone(),
        };
        let piece = [expand(pair.0), expand(pair.1)].concat();
        let code = FIRST_PIECE + pieces.len() as u16;
        pieces.push(piece);
        for text in texts.iter_mut() {
            replace(text, pair, code);
        }
    }
    pieces
}

/// Whether a code takes one byte; others stay as they are.
fn is_frugal(code: u16) -> bool {
    (0x20..0x80).contains(&code) || code >= FIRST_PIECE
}

fn replace(text: &mut Vec<u16>, pair: (u16, u16), code: u16) {
    let mut to = 0;
    let mut from = 0;
    while from < text.len() {
        if from + 1 < text.len() && (text[from], text[from + 1]) == pair {
            text[to] = code;
            from += 2;
        } else {
            text[to] = text[from];
            from += 1;
        }
        to += 1;
    }
    text.truncate(to);
}

/// A code in the table.
fn bytes_of(code: u16) -> Vec<u8> {
    match code.checked_sub(FIRST_PIECE) {
        Some(piece @ ..0x1f) => vec![piece as u8 + 1],
        Some(piece) => vec![(piece - 0x1f) as u8 | 0x80],
        None if is_frugal(code) => vec![code as u8],
        None => vec![0, code as u8],
    }
}
