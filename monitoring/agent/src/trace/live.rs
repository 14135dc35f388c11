//! The sampled blocks that are alive, by allocation site: the heap profile that is always on.

use alloc::collections::TryReserveError;
use alloc::vec::Vec;

use heap_profiler::{HeapProfile, MAX_FRAMES, Peek, Record};
use memtrace_writer::code;
use units::Micros;

/// Allocation sites that are kept apart. A program allocates in a few hundred places; all further sites share one
/// entry.
const SITES: usize = 1_024;
/// Frames of all their stacks together, 4 bytes each: 24 per site.
const FRAMES: usize = 24 * SITES;
/// Places of the table that finds a site by its stack. Half of them stay empty, so that a search is short.
const TABLE: usize = 2 * SITES;
/// The number of samples that are remembered after their blocks are freed.
const LAST: usize = 8;

/// The shared site of blocks for whose stack there was no room.
const OTHER: u16 = 0;
const NO_SITE: u16 = u16::MAX;
const _: () = assert!(SITES < NO_SITE as usize && TABLE.is_power_of_two());

/// An allocation site and the blocks from it that are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Site<'a> {
    /// Return addresses, innermost first, and [`code::OUTER_DROPPED`] if there were more. Empty for the shared site.
    pub stack: &'a [u32],
    /// Sampled blocks alive.
    pub blocks: u64,
    /// The hits of these blocks. Divided by the rate, they estimate the words alive.
    pub hits: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    start: u32,
    len: u32,
    blocks: u64,
    hits: u64,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    site: u16,
    words: u64,
    hits: u64,
}

const NO_BLOCK: Block = Block {
    site: NO_SITE,
    words: 0,
    hits: 0,
};

/// A block that is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock<'a> {
    /// Its slot in the profile.
    pub slot: u32,
    /// Its size in words.
    pub words: u64,
    /// The number of hits in it.
    pub hits: u64,
    /// Return addresses, innermost first.
    pub stack: &'a [u32],
}

/// One of the last samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Last {
    /// The time of the allocation.
    pub at: Micros,
    /// The block's size in words.
    pub words: u64,
    site: u16,
}

/// The sampled blocks that are alive, and their allocation sites. It takes all its memory when it is created.
#[derive(Debug)]
pub struct LiveSites {
    frames: Vec<u32>,
    sites: Vec<Entry>,
    table: Vec<u16>,
    blocks: Vec<Block>,
    last: [Option<Last>; LAST],
    samples: usize,
    refused: u64,
    behind: bool,
}

impl LiveSites {
    /// Returns the bytes of memory for a profile with `slots` slots.
    #[must_use]
    pub const fn bytes(slots: usize) -> usize {
        FRAMES * size_of::<u32>()
            + SITES * size_of::<Entry>()
            + TABLE * size_of::<u16>()
            + slots * size_of::<Block>()
    }

    /// Creates an empty set.
    ///
    /// # Errors
    /// If there is not enough memory.
    pub fn new(slots: usize) -> Result<Self, TryReserveError> {
        let mut live = Self {
            frames: Vec::new(),
            sites: Vec::new(),
            table: Vec::new(),
            blocks: Vec::new(),
            last: [None; LAST],
            samples: 0,
            refused: 0,
            behind: false,
        };
        live.frames.try_reserve_exact(FRAMES)?;
        live.sites.try_reserve_exact(SITES)?;
        live.table.try_reserve_exact(TABLE)?;
        live.blocks.try_reserve_exact(slots)?;
        live.sites.push(Entry::default());
        live.table.resize(TABLE, NO_SITE);
        live.blocks.resize(slots, NO_BLOCK);
        Ok(live)
    }

    /// Applies a record of the profile. Cost: one look at each frame, and a short search.
    pub fn follow(&mut self, record: &Record<'_>) {
        match *record {
            Record::Alloc {
                ticks,
                slot,
                words,
                hits,
                stack,
                truncated,
            } => {
                let site = self.site(stack, truncated);
                let entry = &mut self.sites[usize::from(site)];
                entry.blocks += 1;
                entry.hits += hits;
                self.last[self.samples % LAST] = Some(Last {
                    at: Micros(ticks),
                    words,
                    site,
                });
                self.samples += 1;
                if let Some(block) = self.blocks.get_mut(slot as usize) {
                    *block = Block { site, words, hits };
                }
            }
            Record::Free { slot, .. } => {
                let Some(block) = self.blocks.get_mut(slot as usize) else {
                    return;
                };
                let Block { site, hits, .. } = core::mem::replace(block, NO_BLOCK);
                if site != NO_SITE {
                    let entry = &mut self.sites[usize::from(site)];
                    entry.blocks -= 1;
                    entry.hits -= hits;
                }
            }
            Record::Lost { .. } => {}
        }
    }

    /// Returns the number of samples for whose site there was no room.
    #[must_use]
    pub const fn refused(&self) -> u64 {
        self.refused
    }

    /// Returns `true` if the set has not followed the profile for a while, so that recent changes are missing.
    #[must_use]
    pub const fn is_behind(&self) -> bool {
        self.behind
    }

    /// Sets whether the set is behind the profile.
    pub const fn set_behind(&mut self, behind: bool) {
        self.behind = behind;
    }

    /// Returns the hits of all blocks alive.
    #[must_use]
    pub fn hits(&self) -> u64 {
        self.sites.iter().map(|site| site.hits).sum()
    }

    /// Calls `each` with the `count` sites that have the most hits alive, largest first. Cost: one pass over all sites
    /// for each.
    pub fn top(&self, count: usize, each: &mut dyn FnMut(Site<'_>)) {
        let mut before: Option<(u64, usize)> = None;
        for _ in 0..count {
            let candidates = self.sites.iter().enumerate();
            let next = candidates
                .filter(|(_, site)| site.hits > 0)
                .map(|(index, site)| (site.hits, usize::MAX - index))
                .filter(|candidate| before.is_none_or(|before| *candidate < before))
                .max();
            let Some((hits, index)) = next else {
                return;
            };
            before = next;
            let site = self.sites[usize::MAX - index];
            each(Site {
                stack: self.stack(site),
                blocks: site.blocks,
                hits,
            });
        }
    }

    /// Returns the first block alive at this slot or after it.
    #[must_use]
    pub fn block_from(&self, slot: u32) -> Option<LiveBlock<'_>> {
        let mut blocks = self.blocks.iter().enumerate().skip(slot as usize);
        let (slot, block) = blocks.find(|(_, block)| block.site != NO_SITE)?;
        Some(LiveBlock {
            slot: u32::try_from(slot).ok()?,
            words: block.words,
            hits: block.hits,
            stack: self.stack(self.sites[usize::from(block.site)]),
        })
    }

    /// Returns the last samples, newest first, each with its stack.
    pub fn last(&self) -> impl Iterator<Item = (Last, &[u32])> {
        let newest = self.samples + LAST - 1;
        (0..LAST).filter_map(move |age| {
            let last = self.last[(newest - age) % LAST]?;
            Some((last, self.stack(self.sites[usize::from(last.site)])))
        })
    }

    fn stack(&self, site: Entry) -> &[u32] {
        &self.frames[site.start as usize..][..site.len as usize]
    }

    /// Returns the site with this stack, and adds it if there is room. A frame stands for the frames that are missing,
    /// as in a trace.
    fn site(&mut self, stack: &[usize], truncated: bool) -> u16 {
        let dropped = truncated.then_some(code::OUTER_DROPPED as u32);
        let len = stack.len() + usize::from(truncated);
        let codes = || {
            let codes = stack.iter().map(|&address| address_code(address));
            codes.chain(dropped)
        };
        let mut place = hash(codes()) as usize & (TABLE - 1);
        loop {
            let site = self.table[place];
            if site == NO_SITE {
                break;
            }
            let known = self.stack(self.sites[usize::from(site)]);
            if known.len() == len && known.iter().copied().eq(codes()) {
                return site;
            }
            place = (place + 1) & (TABLE - 1);
        }
        if self.sites.len() == SITES || FRAMES - self.frames.len() < len {
            self.refused += 1;
            return OTHER;
        }
        let start = self.frames.len();
        self.frames.extend(codes());
        let site = self.sites.len() as u16;
        self.sites.push(Entry {
            start: start as u32,
            len: len as u32,
            ..Entry::default()
        });
        self.table[place] = site;
        site
    }
}

/// Returns a return address in 32 bits: the image lies below 4 GiB.
fn address_code(address: usize) -> u32 {
    u32::try_from(address).unwrap_or(code::OUTSIDE as u32)
}

/// Computes FNV-1a by words (Fowler, Noll, Vo; the constants of 64 bits) and folds in its upper half.
fn hash(codes: impl Iterator<Item = u32>) -> u64 {
    let hash = codes.fold(0xcbf2_9ce4_8422_2325u64, |hash, code| {
        (hash ^ u64::from(code)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ hash >> 32
}

/// Records that one call of [`follow`] applies at most, while no trace is written: some 50 ns each on a host.
const RECORDS_PER_TURN: u32 = 4_096;

/// Applies new records of the profile to `live`, without a trace.
pub fn follow(profile: &dyn HeapProfile, live: &mut LiveSites) {
    let mut frames = [0; MAX_FRAMES];
    for _ in 0..RECORDS_PER_TURN {
        let Peek::Record(record) = profile.peek(&mut frames) else {
            break;
        };
        live.follow(&record);
        profile.take(&record);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alloc(slot: u32, hits: u64, stack: &[usize]) -> Record<'_> {
        Record::Alloc {
            ticks: u64::from(slot),
            slot,
            words: hits * 2,
            hits,
            stack,
            truncated: false,
        }
    }

    fn top(live: &LiveSites, count: usize) -> Vec<(Vec<u32>, u64, u64)> {
        let mut top = Vec::new();
        live.top(count, &mut |site| {
            top.push((site.stack.to_vec(), site.blocks, site.hits));
        });
        top
    }

    #[test]
    fn sites_are_ordered_by_what_is_alive_of_them() {
        let mut live = LiveSites::new(8).expect("memory");
        assert_eq!(top(&live, 3), []);
        live.follow(&alloc(0, 5, &[1, 2]));
        live.follow(&alloc(1, 3, &[1, 3]));
        live.follow(&alloc(2, 4, &[1, 3]));
        live.follow(&alloc(3, 5, &[9]));
        assert_eq!(live.hits(), 17);
        let expected = [(vec![1, 3], 2, 7), (vec![1, 2], 1, 5), (vec![9], 1, 5)];
        assert_eq!(top(&live, 9), expected);
        assert_eq!(top(&live, 2), expected[..2]);
        live.follow(&Record::Free { ticks: 9, slot: 2 });
        live.follow(&Record::Free { ticks: 9, slot: 2 });
        live.follow(&Record::Free { ticks: 9, slot: 7 });
        assert_eq!(top(&live, 1), [(vec![1, 2], 1, 5)]);
        assert_eq!(live.hits(), 13);
    }

    #[test]
    fn blocks_alive_are_found_in_the_order_of_their_slots() {
        let mut live = LiveSites::new(8).expect("memory");
        live.follow(&alloc(6, 1, &[1]));
        live.follow(&alloc(2, 2, &[7]));
        let first = live.block_from(0).expect("a block");
        assert_eq!(
            (first.slot, first.words, first.hits, first.stack),
            (2, 4, 2, &[7][..])
        );
        assert_eq!(live.block_from(3).expect("another").slot, 6);
        assert_eq!(live.block_from(7), None);
    }

    #[test]
    fn that_frames_are_missing_is_a_frame_of_the_stack() {
        let mut live = LiveSites::new(8).expect("memory");
        for (slot, truncated) in [(0, true), (1, false), (2, true)] {
            live.follow(&Record::Alloc {
                ticks: 0,
                slot,
                words: 2,
                hits: 1,
                stack: &[7, 8],
                truncated,
            });
        }
        let dropped = code::OUTER_DROPPED as u32;
        let expected = [(vec![7, 8, dropped], 2, 2), (vec![7, 8], 1, 1)];
        assert_eq!(top(&live, 9), expected);
    }

    #[test]
    fn the_last_samples_outlive_their_blocks() {
        let mut live = LiveSites::new(64).expect("memory");
        for slot in 0..20 {
            live.follow(&alloc(slot, 1, &[100 + slot as usize]));
            live.follow(&Record::Free { ticks: 0, slot });
        }
        let last: Vec<_> = live
            .last()
            .map(|(last, stack)| (last.at.0, stack[0]))
            .collect();
        let expected: Vec<_> = (12..20).rev().map(|n| (n, 100 + n as u32)).collect();
        assert_eq!(last, expected);
    }

    #[test]
    fn beyond_the_room_for_sites_they_share_one_and_nothing_is_lost() {
        let mut live = LiveSites::new(3 * SITES).expect("memory");
        let before = live.frames.capacity();
        for slot in 0..2 * SITES {
            live.follow(&alloc(slot as u32, 1, &[slot, 1, 2]));
        }
        assert_eq!(live.hits(), 2 * SITES as u64);
        assert_eq!(live.refused(), SITES as u64 + 1);
        assert_eq!(
            top(&live, 1),
            [(vec![], SITES as u64 + 1, SITES as u64 + 1)]
        );
        assert_eq!(live.frames.capacity(), before);
        for slot in 0..2 * SITES as u32 {
            live.follow(&Record::Free { ticks: 0, slot });
        }
        assert_eq!(live.hits(), 0);
        // Long stacks fill the frames before the sites.
        let mut live = LiveSites::new(8).expect("memory");
        for n in 0..FRAMES / 128 + 5 {
            live.follow(&alloc(0, 1, &[n; 128]));
        }
        assert_eq!(live.refused(), 5);
    }
}
