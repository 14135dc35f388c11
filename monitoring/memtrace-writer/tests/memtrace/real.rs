//! A trace of the demo image, as a client of its port 4242 received it: 20 s of `--workload mixed --seed 1` at
//! `--sampling-rate 1e-3` under QEMU 7.2 TCG, 11,901 events. It is kept for its stacks, sizes and order; today's image
//! may behave differently.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use memtrace_reader::{Kind, Position, Trace};
use memtrace_writer::{Location, Resolve};

use crate::program::Happening;

const STREAM: &[u8] = include_bytes!("mixed.ctf");

/// The positions of the trace's codes.
#[derive(Clone)]
pub struct Recorded(Rc<HashMap<u64, Vec<Position>>>);

impl Resolve for Recorded {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        let position = self.0[&code].get(index)?;
        Some(Location {
            function: text(&position.function),
            file: text(&position.file),
            line: position.line,
            column: position.column,
            end_column: position.end_column,
        })
    }
}

fn text(of: &memtrace_reader::Text) -> &str {
    str::from_utf8(of.as_bytes()).expect("the image's names are UTF-8")
}

/// Returns the trace's events and its names.
pub fn trace() -> (Vec<Happening>, Recorded) {
    let mut trace = Trace::new(STREAM).expect("a trace");
    let (mut happenings, mut names) = (Vec::new(), HashMap::new());
    let mut stacks: HashSet<Rc<[u64]>> = HashSet::new();
    while let Some(event) = trace.next_event().expect("a trace") {
        match event.kind {
            Kind::Location(frame) => {
                names.insert(frame.code, frame.positions.to_vec());
            }
            Kind::Alloc(alloc) => {
                let stack: Rc<[u64]> = alloc.stack.codes().iter().rev().copied().collect();
                let stack = stacks.get(&stack).cloned().unwrap_or(stack);
                stacks.insert(stack.clone());
                happenings.push(Happening::Alloc(alloc.length, alloc.samples, stack));
            }
            Kind::Collect(id) => happenings.push(Happening::Free(id)),
            Kind::Promote(id) => panic!("{id} is promoted"),
        }
    }
    (happenings, Recorded(Rc::new(names)))
}
