//! A field: its last value exactly, and its recent samples.

use std::collections::VecDeque;

use crate::meaning::Meaning;
use crate::point::{UnixMicros, Value};

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// By the sender's clock, if it sends times.
    pub time: UnixMicros,
    /// As near as a double comes.
    pub value: f64,
}

/// Falls among so many rises are restarts of what counts; more, and it does not count.
const RISES_PER_RESTART: u64 = 20;

/// One field of a series.
#[derive(Debug)]
pub(crate) struct Field {
    name: String,
    last: Option<(UnixMicros, Value)>,
    samples: VecDeque<Sample>,
    meaning: Meaning,
    rises: u64,
    falls: u64,
}

impl Field {
    pub(super) fn new(source: &str, name: String) -> Self {
        Self {
            meaning: Meaning::of(source, &name),
            name,
            last: None,
            samples: VecDeque::new(),
            rises: 0,
            falls: 0,
        }
    }

    /// The key.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns what it means.
    pub(crate) fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Returns whether it counts losses, and there are some.
    pub(crate) fn tells_a_loss(&self) -> bool {
        let number = self.last.as_ref().and_then(|(_, value)| value.number());
        self.meaning.is_loss && number.is_some_and(|number| number > 0.0)
    }

    /// The newest value and its time.
    pub(crate) fn last(&self) -> Option<&(UnixMicros, Value)> {
        self.last.as_ref()
    }

    /// Recent samples, oldest first, each time once. Empty if the values are text.
    pub(crate) fn samples(&self) -> &VecDeque<Sample> {
        &self.samples
    }

    /// Returns whether it counts: it is a whole number whose name does not tell a state, it has risen, and it has never fallen
    /// but for restarts of what counts.
    pub(crate) fn counts(&self) -> bool {
        !self.meaning.is_state
            && self.rises > 0
            && self.falls * RISES_PER_RESTART <= self.rises
            && self
                .last
                .as_ref()
                .is_some_and(|(_, value)| value.is_whole())
    }

    /// Returns how fast it counts, per second, between the last two samples; `None` if it does not, or has just restarted.
    pub(crate) fn rate(&self) -> Option<f64> {
        if !self.counts() {
            return None;
        }
        let mut newest = self.samples.iter().rev();
        let (new, old) = (newest.next()?, newest.next()?);
        rate(*old, *new)
    }

    /// Takes a value. A value for a time that is there replaces it, as in InfluxDB. `false`: it is older than all that
    /// is kept, and nothing changed.
    pub(super) fn take(&mut self, time: UnixMicros, value: Value, limit: usize) -> bool {
        let number = value.number();
        let newest = self.last.as_ref().is_none_or(|(last, _)| *last <= time);
        if newest {
            let before = self.last.as_ref().and_then(|(_, last)| last.number());
            match before.zip(number) {
                Some((before, now)) if now > before => self.rises += 1,
                Some((before, now)) if now < before => self.falls += 1,
                _ => {}
            }
            self.last = Some((time, value));
        }
        let Some(value) = number else {
            return newest;
        };
        let sample = Sample { time, value };
        // From the end: nearly always the newest.
        let place = self
            .samples
            .iter()
            .rposition(|other| other.time <= time)
            .map_or(0, |place| place + 1);
        if place > 0 && self.samples[place - 1].time == time {
            self.samples[place - 1] = sample;
            return true;
        }
        if self.samples.len() >= limit {
            if place == 0 {
                return false;
            }
            self.samples.pop_front();
            self.samples.insert(place - 1, sample);
        } else {
            self.make_room(limit);
            self.samples.insert(place, sample);
        }
        true
    }

    /// By itself the ring would grow to a power of two, beyond the limit that the memory is reckoned by.
    fn make_room(&mut self, limit: usize) {
        let length = self.samples.len();
        if length == self.samples.capacity() {
            self.samples
                .reserve_exact((length * 2).clamp(4, limit.max(4)) - length);
        }
    }
}

/// The rate from one sample to the next, per second; `None` across a restart.
pub(crate) fn rate(old: Sample, new: Sample) -> Option<f64> {
    let seconds = new.time.0.saturating_sub(old.time.0) as f64 / 1e6;
    (seconds > 0.0 && new.value >= old.value).then(|| (new.value - old.value) / seconds)
}
