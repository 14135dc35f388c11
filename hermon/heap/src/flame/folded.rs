//! Reads folded stacks: `outer;inner;innermost VALUE`.

use super::graph::{FlameError, FlameGraph, Tree};

/// The number of characters of a wrong line that are shown.
const SHOWN: usize = 60;

pub(super) fn read(name: &str, document: &str) -> Result<FlameGraph, FlameError> {
    let mut tree = Tree::new(name.to_owned(), String::new());
    for (at, line) in document.lines().enumerate() {
        let line = line.trim_end();
        if line.is_empty() {
            continue;
        }
        let parsed = line.rsplit_once(' ').and_then(|(stack, value)| {
            let value: f64 = value.parse().ok()?;
            (value.is_finite() && value >= 0.0 && !stack.is_empty()).then_some((stack, value))
        });
        let Some((stack, value)) = parsed else {
            return Err(FlameError::Folded {
                line: at + 1,
                text: line.chars().take(SHOWN).collect(),
            });
        };
        tree.add(stack.split(';'), value);
    }
    Ok(tree.graph)
}
