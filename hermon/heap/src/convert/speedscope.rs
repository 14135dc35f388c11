//! Writes speedscope's JSON (its npm package contains the schema; version 1.25): a sampled profile for each value, with
//! bytes as weights.

use std::io::{self, Write};

use serde::Serialize;

use super::numbers::Numbers;
use super::value::Value;
use crate::named::Named;
use crate::names::Place;

const SCHEMA: &str = "https://www.speedscope.app/file-format-schema.json";

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'p> {
    #[serde(rename = "$schema")]
    schema: &'static str,
    name: String,
    exporter: &'static str,
    active_profile_index: usize,
    shared: Shared<'p>,
    profiles: Vec<Sampled>,
}

#[derive(Serialize)]
struct Shared<'p> {
    frames: Vec<Frame<'p>>,
}

#[derive(Serialize)]
struct Frame<'p> {
    name: &'p str,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'p str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Sampled {
    #[serde(rename = "type")]
    kind: &'static str,
    name: String,
    unit: &'static str,
    start_value: u64,
    end_value: u64,
    /// Stacks, the outermost frame first.
    samples: Vec<Vec<u64>>,
    weights: Vec<u64>,
}

/// Writes the JSON.
pub(super) fn write(named: &Named, out: &mut dyn Write) -> io::Result<()> {
    let info = &named.profile.info;
    let mut frames = Vec::new();
    let mut known = Numbers::default();
    let stacks = named.stacks().map(|(stack, _)| {
        let places = named.outermost_first(*stack).into_iter();
        let numbers = places.map(|place| {
            let (number, is_new) = known.of(place);
            if is_new {
                frames.push(frame(place));
            }
            number
        });
        numbers.collect()
    });
    let stacks: Vec<Vec<u64>> = stacks.collect();
    let profiles = Value::ALL.into_iter().map(|value| {
        let hits = named.stacks().map(|(_, tally)| value.hits(tally));
        let (samples, weights): (Vec<_>, Vec<_>) = stacks
            .iter()
            .zip(hits)
            .filter(|(_, hits)| *hits > 0)
            .map(|(stack, hits)| (stack.clone(), named.bytes(hits)))
            .unzip();
        Sampled {
            kind: "sampled",
            name: value.to_string(),
            unit: "bytes",
            start_value: 0,
            end_value: weights.iter().copied().fold(0, u64::saturating_add),
            samples,
            weights,
        }
    });
    let file = File {
        schema: SCHEMA,
        name: format!("{} {}", info.host, info.executable),
        exporter: concat!("hermon ", env!("CARGO_PKG_VERSION")),
        active_profile_index: 0,
        profiles: profiles.collect(),
        shared: Shared { frames },
    };
    serde_json::to_writer(&mut *out, &file)?;
    writeln!(out)
}

fn frame(place: &Place) -> Frame<'_> {
    let file = Some(&*place.file).filter(|file| !file.is_empty());
    Frame {
        name: &place.function,
        file,
        line: file.and(Some(place.line).filter(|&line| line > 0)),
    }
}
