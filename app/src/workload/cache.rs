//! A bounded cache that evicts the least recently used records.

use alloc::borrow::ToOwned;
use alloc::collections::BTreeMap;
use alloc::string::String;
use core::ops::Bound;

use super::size;

/// The most records kept. It bounds the cost of the maps around them.
pub const ENTRIES_MAX: usize = 768;
/// The most bytes of records kept. With the maps, the keys and the requests in flight this is well below the 2 MiB that `mixed` may
/// hold: the smallest guest (24 MiB) has a heap of about 10 MiB.
pub const BYTES_MAX: usize = 512 * 1024;

const _: () = assert!(size::SIZE_MAX <= BYTES_MAX, "the largest record must fit");

/// A map from paths to records, with at most [`ENTRIES_MAX`] records and [`BYTES_MAX`] bytes of them.
///
/// Both maps are trees, so every operation takes logarithmic time, and the same for each record that it evicts.
#[derive(Debug, Default)]
pub struct Cache {
    records: BTreeMap<String, Entry>,
    /// Stamp of the last use → path. Stamps are unique, so the first path is the least recently used one.
    order: BTreeMap<u64, String>,
    stamp: u64,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    record: String,
    stamp: u64,
}

impl Cache {
    /// Returns the record at `path` and makes it the most recently used one.
    #[inline(never)]
    pub fn get(&mut self, path: &str) -> Option<&str> {
        let entry = self.records.get_mut(path)?;
        if let Some(path) = self.order.remove(&entry.stamp) {
            self.stamp += 1;
            entry.stamp = self.stamp;
            self.order.insert(self.stamp, path);
        }
        Some(&entry.record)
    }

    /// Keeps `record` at `path` as the most recently used one, then evicts records until the bounds hold. A record of more than
    /// [`BYTES_MAX`] bytes is not kept, and the record at its path is removed.
    #[inline(never)]
    pub fn put(&mut self, path: &str, record: String) {
        self.remove(path);
        if record.len() > BYTES_MAX {
            return;
        }
        self.stamp += 1;
        self.bytes += record.len();
        self.order.insert(self.stamp, path.to_owned());
        self.records.insert(
            path.to_owned(),
            Entry {
                record,
                stamp: self.stamp,
            },
        );
        self.evict();
    }

    fn evict(&mut self) {
        while self.bytes > BYTES_MAX || self.records.len() > ENTRIES_MAX {
            let Some((_, path)) = self.order.pop_first() else {
                return;
            };
            if let Some(entry) = self.records.remove(&path) {
                self.bytes -= entry.record.len();
            }
        }
    }

    fn remove(&mut self, path: &str) {
        if let Some(entry) = self.records.remove(path) {
            self.order.remove(&entry.stamp);
            self.bytes -= entry.record.len();
        }
    }

    /// Returns paths and lengths of records, sorted by path, from the first one that is not before `path`.
    pub fn list_from<'a>(&'a self, path: &'a str) -> impl Iterator<Item = (&'a str, usize)> {
        let from = (Bound::Included(path), Bound::Unbounded);
        self.records
            .range::<str, _>(from)
            .map(|(path, entry)| (path.as_str(), entry.record.len()))
    }

    /// Returns the number of records kept.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns whether the cache is empty.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the bytes of the records kept, without keys and maps.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;
    use crate::random::Random;

    /// The same cache as a list, most recently used last: slow but simple.
    #[derive(Default)]
    struct Oracle {
        records: Vec<(String, String)>,
        evicted: u32,
    }

    impl Oracle {
        fn take(&mut self, path: &str) -> Option<String> {
            let at = self.records.iter().position(|(p, _)| p == path)?;
            Some(self.records.remove(at).1)
        }

        fn get(&mut self, path: &str) -> Option<String> {
            let record = self.take(path)?;
            self.records.push((path.to_owned(), record.clone()));
            Some(record)
        }

        fn put(&mut self, path: &str, record: &str) {
            self.take(path);
            if record.len() > BYTES_MAX {
                return;
            }
            self.records.push((path.to_owned(), record.to_owned()));
            while self.bytes() > BYTES_MAX || self.records.len() > ENTRIES_MAX {
                self.records.remove(0);
                self.evicted += 1;
            }
        }

        fn bytes(&self) -> usize {
            self.records.iter().map(|(_, record)| record.len()).sum()
        }
    }

    #[test]
    fn the_cache_answers_as_a_plain_list_would() {
        // Small records reach the bound on entries, large ones the bound on bytes.
        for (seed, length_max) in [(1, 16), (2, 40_000), (3, BYTES_MAX + 1)] {
            let mut random = Random::new(seed);
            let (mut cache, mut oracle) = (Cache::default(), Oracle::default());
            for _ in 0..6000 {
                let path = format!("/{}", random.below(1000));
                if random.one_in(2) {
                    let record = "x".repeat(random.within(0..=length_max));
                    cache.put(&path, record.clone());
                    oracle.put(&path, &record);
                } else {
                    assert_eq!(cache.get(&path), oracle.get(&path).as_deref());
                }
                assert_eq!(
                    (cache.len(), cache.bytes()),
                    (oracle.records.len(), oracle.bytes())
                );
            }
            assert!(
                oracle.evicted > 100,
                "the run with seed {seed} hardly reached a bound"
            );
            assert!(
                cache
                    .order
                    .values()
                    .eq(oracle.records.iter().map(|(path, _)| path)),
                "same order of use"
            );
        }
    }

    #[test]
    fn a_list_starts_at_the_first_path_that_is_not_before_the_given_one() {
        let mut cache = Cache::default();
        for path in ["/a", "/c", "/d"] {
            cache.put(path, path.repeat(2));
        }
        assert_eq!(
            cache.list_from("/b").collect::<Vec<_>>(),
            [("/c", 4), ("/d", 4)]
        );
        assert_eq!(cache.list_from("/d").collect::<Vec<_>>(), [("/d", 4)]);
        assert_eq!(cache.list_from("/e").count(), 0);
    }
}
