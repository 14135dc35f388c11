//! Puts a table of names and lines into an image: `symbols IMAGE OUTPUT`.

use core::error::Error;
use std::fs;
use std::process::ExitCode;

use symbols::image::{describe, embed};

const USAGE: &str = "usage: symbols [--all] IMAGE OUTPUT
Writes IMAGE, as the linker left it, to OUTPUT with a table of names and lines in it.
  --all  know every address, not only calls; takes about four times as much";

fn main() -> ExitCode {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let count = arguments.len();
    arguments.retain(|argument| argument != "--all");
    let all = arguments.len() < count;
    let [image, output] = &arguments[..] else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match fill(image, output, all) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("symbols: {error}");
            ExitCode::FAILURE
        }
    }
}

fn fill(image: &str, output: &str, all: bool) -> Result<(), Box<dyn Error>> {
    let in_image = |error: &dyn Error| format!("{image}: {error}");
    let bytes = fs::read(image).map_err(|error| in_image(&error))?;
    let table = describe(&bytes, all).map_err(|error| in_image(&error))?;
    let filled = embed(&bytes, &table.bytes).map_err(|error| in_image(&error))?;
    fs::write(output, filled).map_err(|error| format!("{output}: {error}"))?;
    eprintln!("symbols: {table}");
    Ok(())
}
