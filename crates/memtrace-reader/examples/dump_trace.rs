//! Prints a trace as memtrace's `dump_trace` does: `cargo run -p memtrace-reader --example dump_trace FILE`.

use std::io::{self, Write};
use std::process::ExitCode;

use memtrace_reader::{Rest, dump, whole};

fn main() -> ExitCode {
    let [Some(file), None] = [std::env::args_os().nth(1), std::env::args_os().nth(2)] else {
        eprintln!("usage: dump_trace FILE");
        return ExitCode::from(2);
    };
    let stream = match std::fs::read(&file) {
        Ok(stream) => stream,
        Err(error) => {
            eprintln!("{}: {error}", file.display());
            return ExitCode::FAILURE;
        }
    };
    let found = whole(&stream);
    if found.rest == Rest::Cut {
        let lost = stream.len() - found.end;
        eprintln!("the trace is cut: {lost} bytes after its last whole packet are left out");
    }
    let readable = if found.rest == Rest::Cut {
        found.end
    } else {
        stream.len()
    };
    let mut out = io::BufWriter::new(io::stdout().lock());
    let end = dump(&stream[..readable], &mut out).and_then(|()| Ok(out.flush()?));
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Dropping the writer writes the lines before the error, which are useful. If that fails too, the first error is still
            // reported.
            drop(out);
            eprintln!("{}: {error}", file.display());
            ExitCode::FAILURE
        }
    }
}
