//! The choice and the order of the tags that are sent.

use core::cmp::Ordering;

use super::escape::compare_keys;
use super::{MAX_TAGS, Tag};

/// The tags of one point in the order of their keys, each key once.
pub(super) struct Sorted {
    /// Indices into the point's tags, the first `len` of them valid. One byte each, so that one store creates the
    /// table. Tags from the 257th on count as too many.
    order: [u8; MAX_TAGS],
    len: usize,
    /// Tags that are not in `order`, without those that have an empty value.
    pub(super) left_out: u32,
}

const AS_GIVEN: [u8; MAX_TAGS] = {
    let mut order = [0; MAX_TAGS];
    let mut index = 0;
    while index < MAX_TAGS {
        order[index] = index as u8;
        index += 1;
    }
    order
};

/// Returns `true` if all tags can be written in the given order.
fn is_in_order(tags: &[Tag<'_>]) -> bool {
    tags.iter()
        .all(|(key, value)| !key.is_empty() && !value.is_empty())
        && tags
            .windows(2)
            .all(|pair| compare_keys(pair[0].0, pair[1].0).is_lt())
}

impl Sorted {
    /// Sorts the tags. They are usually sorted already, which takes one comparison per tag; otherwise by insertion.
    pub(super) fn new(tags: &[Tag<'_>]) -> Self {
        if tags.len() <= MAX_TAGS && is_in_order(tags) {
            return Self {
                order: AS_GIVEN,
                len: tags.len(),
                left_out: 0,
            };
        }
        Self::sort(tags)
    }

    #[inline(never)]
    fn sort(tags: &[Tag<'_>]) -> Self {
        let mut sorted = Self {
            order: [0; MAX_TAGS],
            len: 0,
            left_out: 0,
        };
        for (index, (key, value)) in tags.iter().enumerate() {
            if value.is_empty() {
                continue;
            }
            match u8::try_from(index) {
                Ok(index) if !key.is_empty() => sorted.insert(tags, index),
                _ => sorted.left_out += 1,
            }
        }
        sorted
    }

    fn insert(&mut self, tags: &[Tag<'_>], index: u8) {
        let key = tags[usize::from(index)].0;
        let mut place = self.len;
        while place > 0 {
            match compare_keys(tags[usize::from(self.order[place - 1])].0, key) {
                Ordering::Less => break,
                Ordering::Equal => {
                    self.order[place - 1] = index;
                    self.left_out += 1;
                    return;
                }
                Ordering::Greater => place -= 1,
            }
        }
        if self.len == MAX_TAGS {
            self.left_out += 1;
            return;
        }
        for later in (place..self.len).rev() {
            self.order[later + 1] = self.order[later];
        }
        self.order[place] = index;
        self.len += 1;
    }

    pub(super) fn iter<'t>(&self, tags: &'t [Tag<'t>]) -> impl Iterator<Item = Tag<'t>> {
        self.order[..self.len]
            .iter()
            .map(|&index| tags[usize::from(index)])
    }
}
