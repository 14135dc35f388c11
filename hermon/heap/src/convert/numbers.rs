//! Numbers for things: many formats name a thing once and refer to it by its number.

use core::hash::Hash;
use std::collections::HashMap;

/// Numbers things in the order in which they first come.
pub(super) struct Numbers<K>(HashMap<K, u64>);

impl<K> Default for Numbers<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Hash + Eq> Numbers<K> {
    /// The number of a thing, from 0, and whether it is new.
    pub(super) fn of(&mut self, thing: K) -> (u64, bool) {
        let next = self.0.len() as u64;
        let number = *self.0.entry(thing).or_insert(next);
        (number, number == next)
    }
}
