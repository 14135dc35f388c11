//! The messages to one open page: everything once, then what is new.
//!
//! ```text
//!            first look (1)              a look
//!  nothing ─────────────────▶ following ────────▶ what changed since (2)
//!                               ▲    │ too far behind, or another machine appeared (3)
//!                               └────┘ everything again
//! ```

use serde::Serialize;

use crate::live::Inside;
use crate::point::UnixMicros;
use crate::store::{Field, Sample, Series};

/// Samples of all fields that a page is given at once; fields then have fewer each. A browser takes some megabytes.
const MAX_SAMPLES: usize = 200_000;

/// A message to the page.
#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Message {
    /// Everything of the machine.
    All {
        /// Its name; empty without a tag `vm`, and while there is none.
        vm: String,
        /// Its series.
        series: Vec<ToldSeries>,
        /// The number of samples that are told of each field, if not all.
        shortened: Option<usize>,
    },
    /// New series, fields and samples.
    New {
        /// Series and fields that were not there, without samples.
        series: Vec<ToldSeries>,
        /// Samples, in the order of their arrival.
        changes: Vec<ToldChange>,
    },
}

/// A series, or the part of it that is new.
#[derive(Debug, Serialize)]
pub(super) struct ToldSeries {
    id: usize,
    source: String,
    tags: String,
    /// The number of the first of `fields`.
    from: usize,
    fields: Vec<ToldField>,
}

/// A field.
#[derive(Debug, Serialize)]
pub(super) struct ToldField {
    name: String,
    unit: &'static str,
    meaning: &'static str,
    loss: bool,
    counts: bool,
    last: String,
    /// Milliseconds since 1970, value.
    samples: Vec<(f64, f64)>,
}

/// A field's new value.
#[derive(Debug, Serialize)]
pub(super) struct ToldChange {
    series: usize,
    field: usize,
    counts: bool,
    last: String,
    /// As in [`ToldField::samples`]; none for text.
    sample: Option<(f64, f64)>,
}

/// One open page.
#[derive(Debug)]
pub(super) struct Follower {
    /// The machine that it asked for.
    wanted: Option<String>,
    /// Index of the machine that it is told of.
    machine: Option<usize>,
    /// The next change's number.
    next: u64,
    /// Series → how many of its fields it knows.
    known: Vec<usize>,
}

impl Follower {
    /// Of this machine, or of the first one if `None` or as long as there is no such.
    pub(super) fn new(wanted: Option<String>) -> Self {
        Self {
            wanted,
            machine: None,
            next: 0,
            known: Vec::new(),
        }
    }

    /// Returns what the page has to be told; `None`: nothing. Cost: linear in the changes, or at first in all samples of the machine.
    pub(super) fn look(&mut self, inside: &Inside) -> Option<Message> {
        let store = &inside.store;
        let machine = self.choose(inside)?;
        let journal = store.journal();
        if self.machine == Some(machine) {
            if self.next == journal.next() {
                return None;
            }
            if let Ok(changes) = journal.since(self.next) {
                self.next = journal.next();
                // (2)
                let mut series = Vec::new();
                let mut told = Vec::new();
                for change in changes {
                    let Some(changed) = store.at(change.series) else {
                        continue;
                    };
                    if changed.machine != machine {
                        continue;
                    }
                    series.extend(self.introduce(change.series, changed));
                    let Some(field) = changed.fields.get(change.field) else {
                        continue;
                    };
                    told.push(ToldChange {
                        series: change.series,
                        field: change.field,
                        counts: field.counts(),
                        last: last(field),
                        sample: sample_at(field, change.time),
                    });
                }
                let nothing = series.is_empty() && told.is_empty();
                return (!nothing).then_some(Message::New {
                    series,
                    changes: told,
                });
            }
        }
        // (1), (3)
        self.machine = Some(machine);
        self.next = journal.next();
        self.known.clear();
        let its = || {
            store
                .series()
                .filter(|(_, series)| series.machine == machine)
        };
        let fields: usize = its().map(|(_, series)| series.fields.len()).sum();
        let most = MAX_SAMPLES / fields.max(1);
        let shortened = its()
            .flat_map(|(_, series)| &series.fields)
            .any(|field| field.samples().len() > most)
            .then_some(most);
        let series = its()
            .map(|(id, series)| {
                self.know(id, series.fields.len());
                tell(id, series, 0, most)
            })
            .collect();
        Some(Message::All {
            vm: store.machines()[machine].name.clone(),
            series,
            shortened,
        })
    }

    fn choose(&self, inside: &Inside) -> Option<usize> {
        let machines = inside.store.machines();
        let wanted = self.wanted.as_deref();
        machines
            .iter()
            .position(|machine| Some(machine.name.as_str()) == wanted)
            .or_else(|| (0..machines.len()).min_by_key(|&at| &machines[at].name))
    }

    fn know(&mut self, id: usize, fields: usize) -> usize {
        if self.known.len() <= id {
            self.known.resize(id + 1, 0);
        }
        core::mem::replace(&mut self.known[id], fields)
    }

    /// The fields of a series that it does not know.
    fn introduce(&mut self, id: usize, series: &Series) -> Option<ToldSeries> {
        let known = self.know(id, series.fields.len());
        (known < series.fields.len()).then(|| tell(id, series, known, 0))
    }
}

fn tell(id: usize, series: &Series, from: usize, most: usize) -> ToldSeries {
    let fields = series.fields[from..]
        .iter()
        .map(|field| ToldField {
            name: field.name().to_owned(),
            unit: field.meaning().unit.name(),
            meaning: field.meaning().text,
            loss: field.meaning().is_loss,
            counts: field.counts(),
            last: last(field),
            samples: field
                .samples()
                .iter()
                .skip(field.samples().len().saturating_sub(most))
                .map(pair)
                .collect(),
        })
        .collect();
    ToldSeries {
        id,
        source: series.source.clone(),
        tags: series.tags.clone(),
        from,
        fields,
    }
}

fn last(field: &Field) -> String {
    field
        .last()
        .map_or_else(String::new, |(_, value)| value.to_string())
}

fn pair(sample: &Sample) -> (f64, f64) {
    (sample.time.0 as f64 / 1e3, sample.value)
}

/// The sample may be gone already, if many came at once.
fn sample_at(field: &Field, time: UnixMicros) -> Option<(f64, f64)> {
    let samples = field.samples();
    let at = samples
        .binary_search_by_key(&time, |sample| sample.time)
        .ok()?;
    Some(pair(&samples[at]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::live::Live;
    use crate::receive::{Arrival, Transport, What};
    use crate::tally::Told;
    use serde_json::{Value, json};

    fn feed(live: &Live, line: &str) {
        let what = What::Line(line.into());
        let told = Told::of(&what);
        let arrival = Arrival::by(Transport::Udp, "127.0.0.1:7".parse().unwrap(), what);
        live.arrival(&arrival, told, UnixMicros(5_000));
    }

    fn look(follower: &mut Follower, live: &Live) -> Value {
        let message = live.look(|inside| follower.look(inside));
        serde_json::to_value(message).unwrap()
    }

    #[test]
    fn a_page_is_told_everything_once_and_then_what_is_new() {
        let live = Live::new(None).unwrap();
        let mut follower = Follower::new(None);
        assert_eq!(look(&mut follower, &live), Value::Null);
        feed(&live, "memory,vm=b live_bytes=1i 1000000");
        let all = look(&mut follower, &live);
        assert_eq!(all["kind"], "all");
        assert_eq!(all["vm"], "b");
        assert_eq!(
            all["series"][0]["fields"][0],
            json!({
                "name": "live_bytes", "unit": "bytes", "meaning": "bytes allocated now", "loss": false,
                "counts": false, "last": "1", "samples": [[1.0, 1.0]],
            })
        );
        assert_eq!(look(&mut follower, &live), Value::Null);
        feed(&live, "memory,vm=b live_bytes=2i,text=\"x\" 2000000");
        feed(&live, "memory,vm=c live_bytes=9i");
        let new = look(&mut follower, &live);
        assert_eq!(new["kind"], "new");
        assert_eq!(new["series"][0]["from"], 1);
        assert_eq!(new["series"][0]["fields"][0]["name"], "text");
        assert_eq!(
            new["changes"],
            json!([
                {"series": 0, "field": 0, "counts": false, "last": "2", "sample": [2.0, 2.0]},
                {"series": 0, "field": 1, "counts": false, "last": "x", "sample": null},
            ])
        );
    }

    #[test]
    fn the_machine_that_was_asked_for_is_told_as_soon_as_it_appears() {
        let live = Live::new(None).unwrap();
        let mut follower = Follower::new(Some("wanted".to_owned()));
        feed(&live, "m,vm=a v=1");
        assert_eq!(look(&mut follower, &live)["vm"], "a");
        feed(&live, "m,vm=wanted v=1");
        assert_eq!(look(&mut follower, &live)["vm"], "wanted");
    }

    #[test]
    fn a_page_that_is_too_far_behind_begins_anew() {
        let live = Live::new(None).unwrap();
        let mut follower = Follower::new(None);
        feed(&live, "m v=1");
        look(&mut follower, &live);
        for n in 0..40_000 {
            feed(&live, &format!("m v={n} {n}000"));
        }
        let all = look(&mut follower, &live);
        assert_eq!(all["kind"], "all");
        assert_eq!(
            all["series"][0]["fields"][0]["samples"]
                .as_array()
                .unwrap()
                .len(),
            300
        );
    }

    #[test]
    fn a_number_that_json_cannot_say_is_no_number_there() {
        let live = Live::new(None).unwrap();
        feed(&live, "m v=1e999 1000");
        let all = look(&mut Follower::new(None), &live);
        assert_eq!(
            all["series"][0]["fields"][0]["samples"],
            json!([[0.001, null]])
        );
    }
}
