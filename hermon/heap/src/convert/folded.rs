//! Writes one stack a line, `outermost;…;innermost BYTES`, and the flame graph that inferno draws of these lines.

use std::collections::BTreeMap;
use std::io::{self, Write};

use hermon_amounts as amounts;
use inferno::flamegraph::{self, Options};

use super::value::Value;
use crate::named::Named;

/// Writes the lines, in the order of their stacks. Stacks that differ only in lines are one.
pub(super) fn write(named: &Named, value: Value, out: &mut dyn Write) -> io::Result<()> {
    for line in lines(named, value) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// Draws the graph.
pub(super) fn draw(named: &Named, value: Value, out: &mut dyn Write) -> io::Result<()> {
    let info = &named.profile.info;
    let mut options = Options::default();
    options.title = format!("{} {}: {value}", info.host, info.executable);
    let length = amounts::micros(named.profile.span.micros);
    options.subtitle = Some(format!(
        "estimated, {} of all words in {length} were sampled",
        info.rate
    ));
    options.count_name = "bytes".to_owned();
    let lines = lines(named, value);
    let lines = lines.iter().map(String::as_str);
    flamegraph::from_lines(&mut options, lines, out)
        .map_err(|error| io::Error::other(error.to_string()))
}

fn lines(named: &Named, value: Value) -> Vec<String> {
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for (stack, tally) in named.stacks() {
        let hits = value.hits(tally);
        if hits > 0 {
            let names = named
                .outermost_first(*stack)
                .into_iter()
                .map(|place| name(place.label()));
            let names: Vec<String> = names.collect();
            let sum = sums.entry(names.join(";")).or_default();
            *sum = sum.saturating_add(hits);
        }
    }
    // inferno and others add these numbers up. Only an artificial trace reaches the largest sum.
    let mut left = u64::MAX;
    let lines = sums.into_iter().map(|(stack, hits)| {
        let bytes = named.bytes(hits).min(left);
        left -= bytes;
        format!("{stack} {bytes}")
    });
    lines.collect()
}

/// Returns a name without the characters that separate frames and lines. The last space of a line ends the stack, so
/// other spaces may stay.
fn name(function: &str) -> String {
    let clean = |c: char| match c {
        ';' => ':',
        c if c.is_control() => ' ',
        c => c,
    };
    function.chars().map(clean).collect()
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_divides_neither_stacks_nor_lines() {
        assert_eq!(name("a;b\nc d"), "a:b c d");
        assert_eq!(name("<[u8; 4] as app::X>::f"), "<[u8: 4] as app::X>::f");
    }
}
