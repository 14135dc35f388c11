//! Forgets series that nobody updates, so that a machine that is gone does not keep another one out.
//!
//! * **By age**: a series without a point for [`Limits::age`] is forgotten, and a machine with its last series.
//! * **By pressure**: if a new series or field finds no place, series that are dead are forgotten, a part of the table at
//!   a time, so that the cost is shared: first those that sent one point only, then those that missed three of their
//!   own intervals, the longest silent first. A series that goes on is never forgotten for another one.

use super::{Limits, Store};
use crate::point::UnixMicros;

/// The part of the series that is forgotten at one time. The followers get everything again afterwards.
const PART: usize = 16;

/// The missed intervals after which a series is dead, as in the view.
const MISSED: i64 = 3;

/// Scatter of arrivals, in microseconds.
const SCATTER: i64 = 1_000_000;

/// The time between two searches for series that are too old, in microseconds.
const EVERY: i64 = 60_000_000;

/// The times at which a series sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    last: UnixMicros,
    /// The usual time between two points in microseconds; `None` until the second.
    gap: Option<i64>,
}

impl Rhythm {
    pub(super) fn beginning(now: UnixMicros) -> Self {
        Self {
            last: now,
            gap: None,
        }
    }

    /// Notes a point. Points that come in a burst shorten the usual gap by no more than a half at a time.
    pub(super) fn beat(&mut self, now: UnixMicros) {
        let gap = now.0.saturating_sub(self.last.0).max(0);
        self.gap = Some(self.gap.map_or(gap, |before| gap.max(before / 2)));
        self.last = now;
    }

    pub(super) fn is_dead(self, now: UnixMicros) -> bool {
        let silent = now.0.saturating_sub(self.last.0);
        self.gap
            .is_none_or(|gap| silent > gap.saturating_mul(MISSED).saturating_add(SCATTER))
    }
}

impl Store {
    /// Forgets dead series, because the table is full. Returns `true` if there were any.
    pub(super) fn make_room(&mut self, now: UnixMicros) -> bool {
        let mut dead: Vec<(bool, UnixMicros, usize)> = self
            .rhythms
            .iter()
            .enumerate()
            .filter(|(_, rhythm)| rhythm.is_dead(now))
            .map(|(at, rhythm)| (rhythm.gap.is_some(), rhythm.last, at))
            .collect();
        if dead.is_empty() {
            return false;
        }
        dead.sort_unstable();
        dead.truncate((self.limits.series / PART).max(1));
        self.refused.forgotten += dead.len() as u64;
        let mut gone = vec![false; self.series.len()];
        dead.iter().for_each(|&(_, _, at)| gone[at] = true);
        self.forget(&gone);
        true
    }

    /// Forgets series that are too old. Cost: nothing most of the time, and a look at each series once a minute.
    pub(crate) fn forget_old(&mut self, now: UnixMicros) {
        if now.0.saturating_sub(self.searched.0) < EVERY && now >= self.searched {
            return;
        }
        self.searched = now;
        let Limits { age, .. } = self.limits;
        let age = i64::try_from(age.as_micros()).unwrap_or(i64::MAX);
        let is_old = |rhythm: &Rhythm| now.0.saturating_sub(rhythm.last.0) > age;
        let gone: Vec<bool> = self.rhythms.iter().map(is_old).collect();
        if gone.contains(&true) {
            self.forget(&gone);
        }
    }

    /// Forgets these series, and machines that have no other. All indices change, so the followers begin anew.
    fn forget(&mut self, gone: &[bool]) {
        // The new index of each series, and of each machine.
        let kept: Vec<bool> = gone.iter().map(|gone| !gone).collect();
        let places = numbered(&kept);
        let mut has = vec![false; self.machines.len()];
        for (series, gone) in self.series.iter().zip(gone) {
            has[series.machine] |= !gone;
        }
        let machines = numbered(&has);
        retain(&mut self.series, |at| places[at].is_some());
        retain(&mut self.rhythms, |at| places[at].is_some());
        for series in &mut self.series {
            series.machine = machines[series.machine].unwrap_or_default();
        }
        let names = self.machines.iter().zip(&has);
        let names = names.filter(|(_, has)| !**has);
        self.gone
            .extend(names.map(|(machine, _)| machine.name.clone()));
        retain(&mut self.machines, |at| has[at]);
        self.index.retain(|_, at| match places[*at] {
            Some(place) => {
                *at = place;
                true
            }
            None => false,
        });
        self.order = self.order.iter().filter_map(|&at| places[at]).collect();
        self.fields = self.series.iter().map(|series| series.fields.len()).sum();
        self.journal.begin_anew();
    }

    /// Returns the names of the machines that were forgotten since the last call.
    pub(crate) fn gone(&mut self) -> Vec<String> {
        core::mem::take(&mut self.gone)
    }
}

/// Numbers what is kept.
fn numbered(kept: &[bool]) -> Vec<Option<usize>> {
    let mut next = 0..;
    let number = |&kept: &bool| if kept { next.next() } else { None };
    kept.iter().map(number).collect()
}

fn retain<T>(all: &mut Vec<T>, is_kept: impl Fn(usize) -> bool) {
    let mut at = 0;
    all.retain(|_| {
        at += 1;
        is_kept(at - 1)
    });
}
