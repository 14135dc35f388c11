//! The latest changes, so that any number of followers can each get the changes that are new to them.

use std::collections::VecDeque;

use crate::point::UnixMicros;

/// A change: a field of a series has a new value for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// The series, for [`super::Store::at`].
    pub series: usize,
    /// The index of the field.
    pub field: usize,
    /// The time of the sample.
    pub time: UnixMicros,
}

/// The error for a follower that is further behind than the kept changes: it must begin anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Behind;

/// A ring of changes; each has a number, counted from 0.
#[derive(Debug)]
pub(crate) struct Journal {
    changes: VecDeque<Change>,
    limit: usize,
    /// The number of the next change.
    next: u64,
}

impl Journal {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            changes: VecDeque::new(),
            limit,
            next: 0,
        }
    }

    pub(super) fn push(&mut self, change: Change) {
        if self.changes.len() >= self.limit {
            self.changes.pop_front();
        }
        self.changes.push_back(change);
        self.next += 1;
    }

    /// Makes every follower begin anew, because series have other indices now.
    pub(super) fn begin_anew(&mut self) {
        self.changes.clear();
        self.next += 1;
    }

    /// Returns the number that the next change will have. A follower that has just seen everything begins there.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// Returns all changes from this number on.
    ///
    /// # Errors
    /// [`Behind`] if some of them are gone.
    pub(crate) fn since(&self, number: u64) -> Result<impl Iterator<Item = &Change>, Behind> {
        let new = self.next.saturating_sub(number);
        let skip = (self.changes.len() as u64).checked_sub(new).ok_or(Behind)?;
        Ok(self.changes.iter().skip(skip as usize))
    }
}
