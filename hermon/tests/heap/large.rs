//! Reports on a trace of millions of events in memory for the live blocks, not for the events.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Command;

use memtrace_writer::{Alloc, Encoder, Info, Location, ObjectId, Resolve, UnixMicros};
use tempfile::TempDir;

use super::common::STARTING;

/// The most blocks that are alive at one time.
const ALIVE: usize = 10_000;

/// xorshift64*: the same numbers each time.
fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
}

/// A function for each code.
#[derive(Default)]
struct Names(String);

impl Resolve for Names {
    fn location(&mut self, code: u64, index: usize) -> Option<Location<'_>> {
        self.0 = format!("app::f{code}");
        (index == 0).then_some(Location {
            function: &self.0,
            file: "app/src/main.rs",
            line: code as u32,
            ..Location::default()
        })
    }
}

/// Writes a trace with so many events over some 2,000 stacks of 16 frames.
fn write(path: &Path, events: u64) {
    let mut out = BufWriter::new(File::create(path).unwrap());
    let mut encoder = Encoder::new(&Info {
        start: UnixMicros(1_700_000_000_000_000),
        rate: 1e-4,
        executable: "app.elf",
        host: "web-1",
        parameters: "",
        pid: 7,
        context: "",
    });
    out.write_all(encoder.flush().unwrap()).unwrap();
    let mut names = Names::default();
    let mut state = 1;
    let mut alive: Vec<ObjectId> = Vec::new();
    for event in 0..events {
        let at = UnixMicros(1_700_000_000_000_000 + 10 * event);
        let choice = random(&mut state);
        let frees = alive.len() == ALIVE || (choice.is_multiple_of(2) && !alive.is_empty());
        let which = alive.len().max(1);
        let which = (choice >> 8) as usize % which;
        loop {
            let is_full = if frees {
                encoder.collect(at, alive[which]).is_err()
            } else {
                let site = choice % 2_000;
                // More branches in deeper frames, as in programs.
                let stack =
                    (0..16).map(|depth| 100 + 1_000 * depth + site % (1 << (16 - depth).min(11)));
                let words = 1 + choice % 4_096;
                let block = Alloc::new(words, core::num::NonZeroU64::MIN);
                match encoder.alloc(at, block, stack, &mut names) {
                    Ok(id) => {
                        alive.push(id);
                        false
                    }
                    Err(_) => true,
                }
            };
            if !is_full {
                break;
            }
            out.write_all(encoder.flush().unwrap()).unwrap();
        }
        if frees {
            alive.swap_remove(which);
        }
    }
    out.write_all(encoder.flush().unwrap_or_default()).unwrap();
    out.flush().unwrap();
}

#[test]
fn a_million_events_need_memory_for_what_is_alive_only() {
    let events = std::env::var("EVENTS").map_or(1_000_000, |events| events.parse().unwrap());
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("large.ctf");
    write(&path, events);
    // If it kept 100 bytes for each, a million events would not fit. The program, not optimised, maps some 60 MB.
    let _starting = STARTING.lock().unwrap();
    let output = Command::new("sh")
        .args([
            "-c",
            "ulimit -v 130000; exec \"$@\"",
            "sh",
            env!("CARGO_BIN_EXE_hermon"),
            "report",
        ])
        .arg(&path)
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(output.status.success(), "{err}");
    assert!(out.contains("\nevents       "), "{out}");
    if let Ok(keep) = std::env::var("KEEP") {
        std::fs::copy(&path, keep).unwrap();
    }
}
