//! The correct content of a report, counted naively: every question goes through all events again.

use super::made::{Happening, LOST, PLACES, What};

/// A sampled block, from the list of events.
#[derive(Debug, Clone)]
pub struct Block {
    pub words: u64,
    pub hits: u64,
    pub codes: Vec<u64>,
    pub born: u64,
    /// The time when it was freed, and the number of blocks that had come after it by then.
    pub freed: Option<(u64, u64)>,
    /// The index of its event in the list, and of the event that freed it.
    pub at: usize,
    pub freed_at: Option<usize>,
}

pub fn blocks(happenings: &[Happening]) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    for (at, happening) in happenings.iter().enumerate() {
        match &happening.what {
            What::Alloc(words, hits, codes) => blocks.push(Block {
                words: *words,
                hits: *hits,
                codes: codes.clone(),
                born: happening.at,
                freed: None,
                at,
                freed_at: None,
            }),
            What::Free(number) => {
                let after = blocks.len() - 1 - number;
                blocks[*number].freed = Some((happening.at, after as u64));
                blocks[*number].freed_at = Some(at);
            }
        }
    }
    blocks
}

impl Block {
    pub fn is_lost(&self) -> bool {
        self.codes == [LOST]
    }

    pub fn is_live_at_end(&self) -> bool {
        !self.is_lost() && self.freed.is_none()
    }

    /// Returns `true` if it is alive after all events up to this time.
    pub fn is_live_at(&self, time: u64) -> bool {
        !self.is_lost() && self.born <= time && self.freed.is_none_or(|(freed, _)| freed > time)
    }

    /// Returns the places of its stack, the innermost first.
    pub fn places(&self) -> Vec<(String, String, u32)> {
        let mut places = Vec::new();
        for code in self.codes.iter().rev() {
            let known = PLACES.iter().find(|(known, _)| known == code).unwrap();
            if *code == LOST {
                places.push(("[lost: ring full]".to_owned(), "-".to_owned(), 0));
            } else if known.1.is_empty() {
                places.push((format!("{code:#x}"), String::new(), 0));
            }
            for &(function, file, line) in known.1.iter().rev() {
                places.push((function.to_owned(), file.to_owned(), line));
            }
        }
        places
    }

    /// Returns the innermost place that belongs to the application.
    pub fn site(&self) -> (String, String, u32) {
        let places = self.places();
        let own = places.iter().find(|(function, _, _)| {
            !function.starts_with("alloc::") && !function.starts_with("hashbrown::")
        });
        own.unwrap_or(&places[0]).clone()
    }

    /// Returns each function of its stack with its file, once, without those that allocate for others.
    pub fn own_functions(&self) -> Vec<(String, String)> {
        let places = self.places().into_iter();
        let mut functions: Vec<_> = places
            .map(|(function, file, _)| (function, file))
            .filter(|(function, _)| {
                !function.starts_with("alloc::") && !function.starts_with("hashbrown::")
            })
            .collect();
        functions.sort();
        functions.dedup();
        functions
    }

    /// Returns the names of all functions of its stack, each once.
    pub fn functions(&self) -> Vec<String> {
        let mut functions: Vec<String> = self
            .places()
            .into_iter()
            .map(|(function, _, _)| function)
            .collect();
        functions.sort();
        functions.dedup();
        functions
    }
}

/// Finds the most that was alive at one time, with a look at each event.
pub fn peak(blocks: &[Block], events: usize) -> (u64, usize) {
    let alive = |event: usize| -> u64 {
        let alive = blocks.iter().filter(|block| {
            !block.is_lost()
                && block.at <= event
                && block.freed_at.is_none_or(|freed| freed > event)
        });
        alive.map(|block| block.hits).sum()
    };
    let mut best = (0, 0);
    for event in 0..events {
        if alive(event) > best.0 {
            best = (alive(event), event);
        }
    }
    best
}

pub fn hits<'b>(blocks: impl IntoIterator<Item = &'b Block>) -> u64 {
    blocks.into_iter().map(|block| block.hits).sum()
}
