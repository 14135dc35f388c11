//! Reads the parts of speedscope's file format that have the stacks: `shared.frames` and the active profile.

use serde::Deserialize;

use super::graph::{FlameError, FlameGraph, Tree};

#[derive(Deserialize)]
struct Document {
    shared: Shared,
    profiles: Vec<Recorded>,
    #[serde(rename = "activeProfileIndex", default)]
    active: usize,
}

#[derive(Deserialize)]
struct Shared {
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    name: String,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Recorded {
    Sampled {
        #[serde(default)]
        unit: String,
        samples: Vec<Vec<usize>>,
        weights: Vec<f64>,
    },
    Evented {
        #[serde(default)]
        unit: String,
        #[serde(rename = "startValue")]
        start: f64,
        events: Vec<Event>,
    },
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: Kind,
    at: f64,
    frame: usize,
}

#[derive(Deserialize, PartialEq)]
enum Kind {
    O,
    C,
}

pub(super) fn read(name: &str, document: &str) -> Result<FlameGraph, FlameError> {
    let wrong = |why: String| FlameError::Speedscope(why);
    let document: Document =
        serde_json::from_str(document).map_err(|error| wrong(error.to_string()))?;
    let frames = &document.shared.frames;
    let name_of = |frame: usize| {
        frames
            .get(frame)
            .map(|frame| frame.name.as_str())
            .ok_or_else(|| wrong(format!("there is no frame {frame}")))
    };
    let Some(active) = document.profiles.get(document.active) else {
        return Err(wrong(format!("there is no profile {}", document.active)));
    };
    let unit_of = |unit: &str| if unit == "none" { "" } else { unit }.to_owned();
    match active {
        Recorded::Sampled {
            unit,
            samples,
            weights,
        } => {
            if samples.len() != weights.len() {
                return Err(wrong(format!(
                    "{} samples have {} weights",
                    samples.len(),
                    weights.len()
                )));
            }
            let mut tree = Tree::new(name.to_owned(), unit_of(unit));
            for (stack, &weight) in samples.iter().zip(weights) {
                let stack = stack.iter().map(|&frame| name_of(frame));
                let stack: Vec<&str> = stack.collect::<Result<_, _>>()?;
                tree.add(stack.into_iter(), weight);
            }
            Ok(tree.graph)
        }
        Recorded::Evented {
            unit,
            start,
            events,
        } => {
            let mut tree = Tree::new(name.to_owned(), unit_of(unit));
            let mut open: Vec<usize> = Vec::new();
            let mut before = *start;
            for event in events {
                if event.at < before {
                    return Err(wrong(format!("an event at {} comes late", event.at)));
                }
                let stack = open.iter().map(|&frame| name_of(frame));
                let stack: Vec<&str> = stack.collect::<Result<_, _>>()?;
                if event.at > before {
                    tree.add(stack.into_iter(), event.at - before);
                }
                before = event.at;
                if event.kind == Kind::O {
                    open.push(event.frame);
                } else if open.pop() != Some(event.frame) {
                    return Err(wrong(format!(
                        "frame {} is closed and was not opened last",
                        event.frame
                    )));
                }
            }
            Ok(tree.graph)
        }
    }
}
