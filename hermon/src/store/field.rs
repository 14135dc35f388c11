//! A field: its exact last value, and its recent samples.

use std::collections::VecDeque;

use crate::meaning::Meaning;
use crate::point::{UnixMicros, Value};

/// A value at a time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Sample {
    /// The time by the sender's clock, if it sends times.
    pub time: UnixMicros,
    /// The value as a double.
    pub value: f64,
}

/// A counter may fall once in so many rises, when it restarts. A field that falls more often is not a counter.
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

    /// Returns the key.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the meaning.
    pub(crate) fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Returns `true` if it counts losses and is not 0.
    pub(crate) fn tells_a_loss(&self) -> bool {
        let number = self.last.as_ref().and_then(|(_, value)| value.number());
        self.meaning.is_loss && number.is_some_and(|number| number > 0.0)
    }

    /// Returns the newest value and its time.
    pub(crate) fn last(&self) -> Option<&(UnixMicros, Value)> {
        self.last.as_ref()
    }

    /// Returns the recent samples, oldest first, each time once. Empty if the values are text.
    pub(crate) fn samples(&self) -> &VecDeque<Sample> {
        &self.samples
    }

    /// Returns `true` for a counter: a whole number whose name is not that of a state, which has risen and has never
    /// fallen except at restarts.
    pub(crate) fn counts(&self) -> bool {
        !self.meaning.is_state
            && self.rises > 0
            && self.falls * RISES_PER_RESTART <= self.rises
            && self
                .last
                .as_ref()
                .is_some_and(|(_, value)| value.is_whole())
    }

    /// Returns the rate of a counter per second, between the last two samples; `None` if it is not a counter, or has
    /// just restarted.
    pub(crate) fn rate(&self) -> Option<f64> {
        if !self.counts() {
            return None;
        }
        let mut newest = self.samples.iter().rev();
        let (new, old) = (newest.next()?, newest.next()?);
        rate(*old, *new)
    }

    /// Takes a value. A value for a time that is already there replaces it, as in InfluxDB. Returns `false` if the
    /// value is older than all kept ones; then nothing changed.
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
        // From the end, because the value is nearly always the newest.
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

    /// Makes room for one sample. Otherwise the ring would grow to a power of two, beyond the limit that the bound of
    /// the memory assumes.
    fn make_room(&mut self, limit: usize) {
        let length = self.samples.len();
        if length == self.samples.capacity() {
            self.samples
                .reserve_exact((length * 2).clamp(4, limit.max(4)) - length);
        }
    }
}

/// Returns the rate from one sample to the next, per second; `None` across a restart.
pub(crate) fn rate(old: Sample, new: Sample) -> Option<f64> {
    let seconds = new.time.0.saturating_sub(old.time.0) as f64 / 1e6;
    (seconds > 0.0 && new.value >= old.value).then(|| (new.value - old.value) / seconds)
}
