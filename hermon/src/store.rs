//! Keeps recent points in bounded memory.
//!
//! ```text
//!  Point ──take──▶ series (machine, source, tags) ──▶ field ──▶ ring of samples
//!                                                          └──▶ journal ──▶ followers
//! ```
//!
//! It knows no clock: the time of a point is in it, or comes with it. Nothing is dropped silently: [`Refused`] counts
//! everything that found no place.

mod field;
mod forget;
mod journal;

use core::time::Duration;
use std::collections::HashMap;

pub(crate) use field::{Field, Sample, rate};
pub(crate) use journal::{Change, Journal};

use crate::point::{Point, UnixMicros};
use forget::Rhythm;

/// The bounds of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// The number of series: machine, source and tags. An image has about 15 sources, and at most 1,024 series of
    /// points.
    pub series: usize,
    /// The number of fields of all series together: 16 images that use all that they have, or hundreds of usual ones.
    pub fields: usize,
    /// The number of samples of a field: fifty minutes at the usual interval of 10 s.
    pub samples: usize,
    /// The number of changes that a follower may be behind: a quarter of a second at 10,000 points of 10 fields a
    /// second.
    pub changes: usize,
    /// The longest name of a machine, source or field, or text of tags, in bytes. The image's own bound is lower.
    pub name: usize,
    /// The time after which a series without a point is forgotten. The longest interval of an image is an hour.
    pub age: Duration,
}

impl Limits {
    /// The tool's bounds: at most 80 MB of samples (16 bytes each), 1 MB of changes, and names.
    pub(crate) const USUAL: Self = Self {
        series: 4_096,
        fields: 16_384,
        samples: 300,
        changes: 32_768,
        name: 512,
        age: Duration::from_secs(24 * 3_600),
    };
}

const _: () = assert!(
    Limits::USUAL.fields * Limits::USUAL.samples * size_of::<Sample>() <= 80_000_000,
    "the memory that the documentation promises"
);

/// Counts of data that found no place, since the start. They are never reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Points of series beyond the limit, or with names that are too long.
    pub points: u64,
    /// Values of fields beyond the limit, or with names that are too long.
    pub values: u64,
    /// Series that nobody updated, which were forgotten to make room.
    pub forgotten: u64,
}

/// A machine that has sent points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Machine {
    /// Its tag `vm`; empty if it has none.
    pub name: String,
    /// The number of points taken.
    pub points: u64,
    /// The time when its last point arrived, by this host's clock.
    pub arrived: UnixMicros,
    /// The newest time in its points, by its own clock.
    pub newest: UnixMicros,
}

/// A series: one source of one machine with one set of tags.
#[derive(Debug)]
pub(crate) struct Series {
    /// Index into [`Store::machines`].
    pub machine: usize,
    /// The measurement.
    pub source: String,
    /// `key=value,…`, or empty.
    pub tags: String,
    /// The fields in the order in which they first came, which is the sender's order.
    pub fields: Vec<Field>,
}

/// The store. Its memory is bounded by its [`Limits`].
#[derive(Debug)]
pub(crate) struct Store {
    limits: Limits,
    machines: Vec<Machine>,
    series: Vec<Series>,
    /// For each series, when it sends.
    rhythms: Vec<Rhythm>,
    /// The index by machine, source and tags, joined by a byte that no part can contain unescaped.
    index: HashMap<String, usize>,
    /// The series sorted by machine, source and tags.
    order: Vec<usize>,
    fields: usize,
    journal: Journal,
    refused: Refused,
    /// The time of the last search for series that are too old.
    searched: UnixMicros,
    /// The names of forgotten machines, until somebody asks. A machine has a series, so they are bounded by a caller
    /// that asks after each point.
    gone: Vec<String>,
    /// A buffer that is kept so that a lookup allocates nothing.
    key: String,
}

impl Store {
    /// Creates an empty store.
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            machines: Vec::new(),
            series: Vec::new(),
            rhythms: Vec::new(),
            index: HashMap::new(),
            order: Vec::new(),
            fields: 0,
            journal: Journal::new(limits.changes),
            refused: Refused::default(),
            searched: UnixMicros(0),
            gone: Vec::new(),
            key: String::new(),
        }
    }

    /// Takes a point that arrived at `now`, which is also its time if it has none.
    ///
    /// Cost: one lookup, and a comparison of names per field. A point that is older than the kept ones changes nothing.
    pub(crate) fn take(&mut self, point: Point, now: UnixMicros) {
        let Some(mut at) = self.series_for(&point, now) else {
            self.refused.points += 1;
            return;
        };
        // Room for its new fields is made before the series is used, because its index may change.
        let new = point.fields.len();
        if self.fields + new > self.limits.fields
            && self.fields + self.unknown(at, &point) > self.limits.fields
            && self.make_room(now)
        {
            let again = self.index.get(&self.key).copied();
            match again.or_else(|| self.series_for(&point, now)) {
                Some(again) => at = again,
                None => return,
            }
        }
        let time = point.time.unwrap_or(now);
        let series = &mut self.series[at];
        let machine = &mut self.machines[series.machine];
        machine.points += 1;
        machine.arrived = now;
        machine.newest = machine.newest.max(time);
        for (hint, (name, value)) in point.fields.into_iter().enumerate() {
            // Usually the fields of a source come in the same order each time.
            let known = match series.fields.get(hint) {
                Some(field) if field.name() == name => Some(hint),
                _ => series.fields.iter().position(|field| field.name() == name),
            };
            let position = match known {
                Some(position) => position,
                None if self.fields >= self.limits.fields || name.len() > self.limits.name => {
                    self.refused.values += 1;
                    continue;
                }
                None => {
                    self.fields += 1;
                    series.fields.push(Field::new(&series.source, name));
                    series.fields.len() - 1
                }
            };
            if series.fields[position].take(time, value, self.limits.samples) {
                self.journal.push(Change {
                    series: at,
                    field: position,
                    time,
                });
            }
        }
    }

    /// Returns the machines, in the order in which they first sent.
    pub(crate) fn machines(&self) -> &[Machine] {
        &self.machines
    }

    /// Returns all series, sorted by machine, source and tags, each with the index that a [`Change`] names.
    pub(crate) fn series(&self) -> impl Iterator<Item = (usize, &Series)> {
        self.order.iter().map(|&at| (at, &self.series[at]))
    }

    /// Returns one series.
    pub(crate) fn at(&self, series: usize) -> Option<&Series> {
        self.series.get(series)
    }

    /// Returns the changes, for followers.
    pub(crate) fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Returns the counts of data that found no place.
    pub(crate) fn refused(&self) -> Refused {
        self.refused
    }

    fn series_for(&mut self, point: &Point, now: UnixMicros) -> Option<usize> {
        self.key.clear();
        for part in [&point.vm, "\n", &point.source, "\n", &point.tags] {
            self.key.push_str(part);
        }
        if let Some(&at) = self.index.get(&self.key) {
            self.rhythms[at].beat(now);
            return Some(at);
        }
        let too_long = [&point.vm, &point.source, &point.tags]
            .iter()
            .any(|name| name.len() > self.limits.name);
        if too_long || (self.series.len() >= self.limits.series && !self.make_room(now)) {
            return None;
        }
        let known = self
            .machines
            .iter()
            .position(|machine| machine.name == point.vm);
        let machine = known.unwrap_or_else(|| {
            self.machines.push(Machine {
                name: point.vm.clone(),
                points: 0,
                arrived: now,
                newest: UnixMicros(i64::MIN),
            });
            self.machines.len() - 1
        });
        let at = self.series.len();
        self.series.push(Series {
            machine,
            source: point.source.clone(),
            tags: point.tags.clone(),
            fields: Vec::new(),
        });
        self.rhythms.push(Rhythm::beginning(now));
        self.index.insert(self.key.clone(), at);
        let place = self
            .order
            .partition_point(|&other| self.sort_key(other) < self.sort_key(at));
        self.order.insert(place, at);
        Some(at)
    }

    /// Returns the number of fields of a point that its series does not have.
    fn unknown(&self, at: usize, point: &Point) -> usize {
        let known = &self.series[at].fields;
        let is_known = |name: &str| known.iter().any(|field| field.name() == name);
        let fields = point.fields.iter();
        fields.filter(|(name, _)| !is_known(name)).count()
    }

    /// Forgets dead series, because the table is full. Returns `true` if there were any.
    fn make_room(&mut self, now: UnixMicros) -> bool {
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
        dead.truncate((self.limits.series / forget::PART).max(1));
        self.refused.forgotten += dead.len() as u64;
        let mut gone = vec![false; self.series.len()];
        dead.iter().for_each(|&(_, _, at)| gone[at] = true);
        self.forget(&gone);
        true
    }

    /// Forgets series that are too old. Cost: nothing most of the time, and a look at each series once a minute.
    pub(crate) fn forget_old(&mut self, now: UnixMicros) {
        if now.0.saturating_sub(self.searched.0) < forget::EVERY && now >= self.searched {
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
        let places = forget::numbered(&kept);
        let mut has = vec![false; self.machines.len()];
        for (series, gone) in self.series.iter().zip(gone) {
            has[series.machine] |= !gone;
        }
        let machines = forget::numbered(&has);
        forget::retain(&mut self.series, |at| places[at].is_some());
        forget::retain(&mut self.rhythms, |at| places[at].is_some());
        for series in &mut self.series {
            series.machine = machines[series.machine].unwrap_or_default();
        }
        let names = self.machines.iter().zip(&has);
        let names = names.filter(|(_, has)| !**has);
        self.gone
            .extend(names.map(|(machine, _)| machine.name.clone()));
        forget::retain(&mut self.machines, |at| has[at]);
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

    fn sort_key(&self, at: usize) -> (&str, &str, &str) {
        let series = &self.series[at];
        let machine = &self.machines[series.machine];
        (&machine.name, &series.source, &series.tags)
    }
}

#[cfg(test)]
mod tests;
