//! The rows of an image's symbol table: of which addresses it tells what.

use symbol_table::write::{self, Row, Table, WriteError};
use symbol_table::{Coverage, Frame};

use crate::spans::{self, Spans};

/// Writes the table of `spans` for the image with this build id. It tells everything of `calls`, which are the last bytes of calls
/// in order, and of other addresses only the function; without `calls`, everything of all addresses.
///
/// # Errors
/// If a bound of the format is in the way.
pub fn write(spans: &Spans, calls: Option<&[u64]>, build_id: &[u8]) -> Result<Table, WriteError> {
    let (rows, coverage) = match calls {
        Some(calls) => (of_calls(spans, calls), Coverage::Calls),
        None => (of_all(spans), Coverage::All),
    };
    write::write(&rows, coverage, build_id)
}

fn of_all(spans: &Spans) -> Vec<Row<'_>> {
    let rows = spans.spans.iter();
    rows.map(|span| row(spans, span.start, &span.frames))
        .collect()
}

/// A row for each call, and one where the outermost function begins and ends.
fn of_calls<'a>(spans: &'a Spans, calls: &[u64]) -> Vec<Row<'a>> {
    let mut rows = Vec::new();
    let mut calls = calls.iter().copied().peekable();
    let mut function = None;
    for (at, span) in spans.spans.iter().enumerate() {
        let end = spans.spans.get(at + 1).map_or(u64::MAX, |next| next.start);
        while calls.next_if(|&call| call < span.start).is_some() {}
        let outermost = span.frames.first().map(|frame| frame.function);
        if outermost != function {
            function = outermost;
            // The row of a call says more, and one address has one row.
            if span.frames.is_empty() || calls.peek() != Some(&span.start) {
                let begin = span
                    .frames
                    .first()
                    .map(|&frame| spans::Frame { line: 0, ..frame });
                rows.push(row(spans, span.start, begin.as_slice()));
            }
        }
        while let Some(call) = calls.next_if(|&call| call < end) {
            if !span.frames.is_empty() {
                rows.push(row(spans, call, &span.frames));
            }
        }
    }
    rows
}

fn row<'a>(spans: &'a Spans, address: u64, frames: &[spans::Frame]) -> Row<'a> {
    let text = |texts: &'a [String], number: u32| texts[number as usize].as_str();
    let frames = frames.iter().map(|frame| Frame {
        function: text(&spans.names, frame.function),
        file: text(&spans.files, frame.file),
        line: frame.line,
    });
    Row {
        address,
        frames: frames.collect(),
    }
}
