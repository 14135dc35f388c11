//! A workload that counts its own allocations exactly, to check the heap's counters and a profiler's estimates.
//!
//! It has a fixed set of allocation sites, [`sites`]. This module counts each site's numbers from the sizes that the site asks for,
//! independently of the heap's own counters. From construction to the end only the sites allocate.

use core::fmt;

use super::sites::{self, Event, Site, Slots};
use crate::random::Random;

/// The uses of sites in one step: each makes at most one allocation and one free.
pub const OPERATIONS: usize = 256;

/// The exact numbers of one site or of all.
///
/// A `realloc` counts as one free and one allocation of the new size, as DESIGN says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Blocks allocated.
    pub allocs: u64,
    /// Blocks freed, regardless of when they were allocated.
    pub frees: u64,
    /// Bytes allocated: the sum of the sizes asked for, not rounded. Frees do not lower it.
    pub bytes: u64,
    /// Words allocated: the sum over the blocks of `ceil(size / 8)`, which is at least 1. Frees do not lower it.
    pub words: u64,
}

/// The bytes of a word.
pub const WORD_BYTES: usize = 8;

impl Tally {
    fn count(&mut self, event: Event) {
        match event {
            Event::Alloc(bytes) => {
                self.allocs += 1;
                self.bytes += bytes as u64;
                self.words += bytes.div_ceil(WORD_BYTES).max(1) as u64;
            }
            Event::Free => self.frees += 1,
        }
    }

    fn add(&mut self, other: Self) {
        self.allocs += other.allocs;
        self.frees += other.frees;
        self.bytes += other.bytes;
        self.words += other.words;
    }
}

/// Writes the tally as in the image's last line.
impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            allocs,
            frees,
            bytes,
            words,
        } = self;
        write!(
            f,
            r#"{{"allocs": {allocs}, "frees": {frees}, "bytes": {bytes}, "words": {words}}}"#
        )
    }
}

/// The two tallies of a site, or their sums.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tallies {
    /// The numbers since the first step.
    pub total: Tally,
    /// The part of `total` that happened in steps while a trace was running.
    pub while_traced: Tally,
}

impl Tallies {
    fn count(&mut self, event: Event, traced: bool) {
        self.total.count(event);
        if traced {
            self.while_traced.count(event);
        }
    }
}

impl fmt::Display for Tallies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            r#""total": {}, "while_traced": {}"#,
            self.total, self.while_traced
        )
    }
}

/// The exact workload: deterministic for its seed, with at most 512 KiB alive.
#[derive(Debug)]
pub struct Exact {
    random: Random,
    slots: Slots,
    tallies: [Tallies; sites::COUNT],
}

impl Exact {
    /// Makes the workload and allocates nothing: all tables are part of the value, about 3 KiB.
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            slots: Slots::default(),
            tallies: [Tallies::default(); sites::COUNT],
        }
    }

    /// Uses [`OPERATIONS`] sites. `traced` says whether a trace is running, and counts for the whole step: pass the state at the
    /// beginning of the step. If a trace begins or ends within a step, `while_traced` is wrong by that step's part.
    pub fn step(&mut self, traced: bool) {
        for _ in 0..OPERATIONS {
            let site = Site::draw(&mut self.random);
            let tallies = &mut self.tallies[site];
            let mut count = |event| tallies.count(event, traced);
            sites::SITES[site].use_it(&mut self.slots, &mut self.random, &mut count);
        }
    }

    /// Returns the tallies of each site with its name, in a fixed order.
    pub fn sites(&self) -> impl Iterator<Item = (&'static str, Tallies)> {
        sites::SITES.iter().map(|site| site.name).zip(self.tallies)
    }

    /// Returns the sums over all sites.
    pub fn sums(&self) -> Tallies {
        let mut sums = Tallies::default();
        for (_, site) in self.sites() {
            sums.total.add(site.total);
            sums.while_traced.add(site.while_traced);
        }
        sums
    }
}

/// Writes the image's last line, without a newline: `workload: exact ` and one JSON object (RFC 8259),
/// `{"total": T, "while_traced": T, "sites": [{"site": NAME, "total": T, "while_traced": T}, …]}` with
/// `T = {"allocs", "frees", "bytes", "words"}`, see [`Tally`]. NAME is the last part of the path of the site's function in
/// [`sites`]; it needs no escaping. Formatting allocates nothing.
impl fmt::Display for Exact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"workload: exact {{{}, "sites": ["#, self.sums())?;
        for (n, (name, tallies)) in self.sites().enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, r#"{comma}{{"site": "{name}", {tallies}}}"#)?;
        }
        write!(f, "]}}")
    }
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec::Vec;

    use serde_json::Value;

    use super::*;

    fn json(exact: &Exact) -> Value {
        let line = exact.to_string();
        assert_eq!(line.lines().count(), 1);
        let object = line.strip_prefix("workload: exact ").unwrap();
        serde_json::from_str(object).unwrap()
    }

    fn same(json: &Value, tally: Tally) -> bool {
        let number = |key| json[key].as_u64().unwrap();
        let read = Tally {
            allocs: number("allocs"),
            frees: number("frees"),
            bytes: number("bytes"),
            words: number("words"),
        };
        json.as_object().unwrap().len() == 4 && read == tally
    }

    #[test]
    fn a_word_is_eight_bytes_and_no_block_has_less_than_one() {
        for (bytes, words) in [(1, 1), (7, 1), (8, 1), (9, 2), (16, 2), (4096, 512), (0, 1)] {
            let mut tally = Tally::default();
            tally.count(Event::Alloc(bytes));
            assert_eq!(
                tally,
                Tally {
                    allocs: 1,
                    frees: 0,
                    bytes: bytes as u64,
                    words
                }
            );
        }
    }

    #[test]
    fn the_last_line_is_json_with_all_numbers() {
        let mut exact = Exact::new(1);
        for step in 0..300 {
            exact.step((100..200).contains(&step));
        }
        let json = json(&exact);
        assert!(same(&json["total"], exact.sums().total));
        assert!(same(&json["while_traced"], exact.sums().while_traced));
        let listed = json["sites"].as_array().unwrap();
        assert_eq!(listed.len(), sites::COUNT);
        for (json, (name, tallies)) in listed.iter().zip(exact.sites()) {
            assert_eq!(json["site"], name);
            assert!(
                same(&json["total"], tallies.total)
                    && same(&json["while_traced"], tallies.while_traced)
            );
        }
    }

    #[test]
    fn the_line_of_a_run_of_no_steps_is_all_zero() {
        let zero = r#"{"allocs": 0, "frees": 0, "bytes": 0, "words": 0}"#;
        let line = Exact::new(1).to_string();
        assert!(line.starts_with(&alloc::format!(
            r#"workload: exact {{"total": {zero}, "while_traced": {zero}, "sites": ["#
        )));
        assert_eq!(line.matches(zero).count(), 2 + 2 * sites::COUNT);
        json(&Exact::new(1));
    }

    #[test]
    fn what_happens_without_a_trace_is_in_the_total_only() {
        let mut exact = Exact::new(1);
        exact.step(false);
        let before = exact.sums();
        assert_eq!(before.while_traced, Tally::default());
        exact.step(true);
        let after = exact.sums();
        assert_eq!(
            after.while_traced.allocs,
            after.total.allocs - before.total.allocs
        );
        assert_eq!(
            after.while_traced.words,
            after.total.words - before.total.words
        );
        exact.step(false);
        assert_eq!(exact.sums().while_traced, after.while_traced);
    }

    #[test]
    fn every_site_allocates_and_frees_and_has_a_name_of_its_own() {
        let mut exact = Exact::new(1);
        (0..500).for_each(|_| exact.step(false));
        let mut names = Vec::new();
        for (name, tallies) in exact.sites() {
            assert!(
                tallies.total.allocs > 0 && tallies.total.frees > 0,
                "{name}: {:?}",
                tallies.total
            );
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name} would need escaping"
            );
            names.push(name);
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), sites::COUNT);
    }
}
