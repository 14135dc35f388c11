//! The latest changes, so that any number of followers can each be told what is new to them.

use std::collections::VecDeque;

use crate::point::UnixMicros;

/// A field of a series has a new value for a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Change {
    /// Which series, for [`super::Store::at`].
    pub series: usize,
    /// Which of its fields.
    pub field: usize,
    /// Which of its samples.
    pub time: UnixMicros,
}

/// A follower is further behind than what is kept: it must begin anew.
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

    /// The number that the next change will have: where a follower begins that has just seen everything.
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    /// All changes from this number on.
    ///
    /// # Errors
    /// [`Behind`] if some of them are gone.
    pub(crate) fn since(&self, number: u64) -> Result<impl Iterator<Item = &Change>, Behind> {
        let new = self.next.saturating_sub(number);
        let skip = (self.changes.len() as u64).checked_sub(new).ok_or(Behind)?;
        Ok(self.changes.iter().skip(skip as usize))
    }
}
