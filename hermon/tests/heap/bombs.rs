//! Traces that are small and would take gigabytes: each is read within its limit of memory, and the part before is used.

use std::fs;
use std::process::Command;

use tempfile::TempDir;

use super::common::STARTING;

/// Microseconds since 1970.
const TIME: u64 = 1_700_000_000_000_000;

/// The limit of the tool's address space, in KiB: that of reading (64 MiB), and what the tool needs for everything else.
const ADDRESS_SPACE: u64 = 400 << 10;

/// A packet of this version and domain with these events. `ids` are its first id and the one after its last.
fn packet(version: u16, domain: u16, ids: (u64, u64), content: &[u8]) -> Vec<u8> {
    let header = if version == 3 { 68 } else { 66 };
    let mut bytes = Vec::new();
    bytes.extend(0xc1fc_1fc1_u32.to_le_bytes());
    bytes.extend(((header + content.len()) as u32 * 8).to_le_bytes());
    bytes.extend(TIME.to_le_bytes());
    bytes.extend(TIME.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(version.to_le_bytes());
    bytes.extend(7_u64.to_le_bytes());
    if version == 3 {
        bytes.extend(domain.to_le_bytes());
    }
    bytes.extend(0xffff_u16.to_le_bytes());
    bytes.extend(0_u16.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.extend(ids.0.to_le_bytes());
    bytes.extend(ids.1.to_le_bytes());
    bytes.extend(content);
    bytes
}

fn word(code: u32) -> [u8; 4] {
    (code << 25 | (TIME & 0x1ff_ffff) as u32).to_le_bytes()
}

fn info(version: u16) -> Vec<u8> {
    let mut content = word(0).to_vec();
    content.extend(1e-3_f64.to_le_bytes());
    content.push(64);
    content.extend(b"exe\0host\0\0");
    content.extend(7_u64.to_le_bytes());
    content.extend(b"context\0");
    packet(version, 0, (0, 0), &content)
}

/// The definition of a code with one position, whose file and function are new.
fn location(code: u64, function: &str) -> Vec<u8> {
    let mut bytes = word(1).to_vec();
    bytes.extend(code.to_le_bytes());
    bytes.push(1);
    let position = 1_u64 | 31 << 38 | 31 << 43;
    bytes.extend(&position.to_le_bytes()[..6]);
    bytes.extend(b"f.rs\0");
    bytes.extend(function.as_bytes());
    bytes.push(0);
    bytes
}

/// An alloc event with these codewords and no common prefix.
fn alloc(words: u16, codewords: &[u8]) -> Vec<u8> {
    let mut bytes = word(2).to_vec();
    bytes.extend([1, 1, 0, 0]);
    bytes.extend(words.to_le_bytes());
    bytes.extend(codewords);
    bytes
}

/// A codeword that puts a code into a slot.
fn new_code(slot: u16, code: u64) -> Vec<u8> {
    let mut bytes = (slot << 2 | 3).to_le_bytes().to_vec();
    bytes.extend(code.to_le_bytes());
    bytes
}

/// Empty packets, each of another domain.
fn domains() -> Vec<u8> {
    let mut bytes = info(3);
    for domain in 0..=u16::MAX {
        bytes.extend(packet(3, domain, (0, 0), &[]));
    }
    bytes
}

/// Packets with one stack each, each of another domain.
fn domains_with_stacks() -> Vec<u8> {
    let mut bytes = info(3);
    bytes.extend(packet(3, 0, (0, 0), &location(1, "f")));
    for domain in 1..=u16::MAX {
        let event = alloc(1, &new_code(0, 1));
        let id = u64::from(domain);
        bytes.extend(packet(3, domain, (id, id + 1), &event));
    }
    bytes
}

/// Stacks of as many frames as are allowed, in a few hundred bytes each: a slot that predicts itself. The outermost frame
/// differs, so that no two share a beginning.
fn deep_stacks() -> Vec<u8> {
    let mut bytes = info(2);
    let stacks = 400_u64;
    let definitions: Vec<u8> = (0..=stacks)
        .flat_map(|code| location(code + 1, &format!("f{code}")))
        .collect();
    bytes.extend(packet(2, 0, (0, 0), &definitions));
    for stack in 0..stacks {
        let mut words = new_code(1, stack + 2);
        words.extend(new_code(0, 1));
        // After a word for slot 0, slot 0 is predicted.
        words.extend(0_u16.to_le_bytes());
        let runs = 250;
        for _ in 0..runs {
            words.extend(2_u16.to_le_bytes());
            words.push(255);
        }
        let event = alloc(3 + runs, &words);
        bytes.extend(packet(2, 0, (stack, stack + 1), &event));
    }
    bytes
}

/// One stack of millions of frames.
fn endless_stack() -> Vec<u8> {
    let mut bytes = info(2);
    bytes.extend(packet(2, 0, (0, 0), &location(1, "f")));
    let mut words = new_code(0, 1);
    words.extend(0_u16.to_le_bytes());
    for _ in 0..9_000 {
        words.extend(2_u16.to_le_bytes());
        words.push(255);
    }
    bytes.extend(packet(2, 0, (0, 1), &alloc(9_002, &words)));
    bytes
}

/// Definitions without an end, with 255 positions each.
fn definitions() -> Vec<u8> {
    let mut bytes = info(2);
    for first in 0..2_000_u64 {
        let mut content = Vec::new();
        for code in 0..16 {
            content.extend(word(1));
            content.extend((first * 16 + code).to_le_bytes());
            content.push(255);
            for position in 0..255 {
                let is_new = code == 0 && position == 0;
                let place: u64 = if is_new { 31 } else { 0 };
                let value = 1_u64 | place << 38 | place << 43;
                content.extend(&value.to_le_bytes()[..6]);
                if is_new {
                    content.extend(b"f.rs\0f\0");
                }
            }
        }
        bytes.extend(packet(2, 0, (0, 0), &content));
    }
    bytes
}

/// Runs the tool with a limit of its address space. Returns what it said, and its exit code.
fn run(arguments: &[&str]) -> (String, Option<i32>) {
    let line = format!("ulimit -v {ADDRESS_SPACE}; exec \"$0\" \"$@\"");
    let starting = STARTING.lock().unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", &line, env!("CARGO_BIN_EXE_hermon")])
        .args(arguments);
    let output = command.output().unwrap();
    drop(starting);
    let said = [output.stdout, output.stderr].concat();
    (
        String::from_utf8_lossy(&said).into_owned(),
        output.status.code(),
    )
}

#[test]
fn small_traces_that_would_take_gigabytes_are_read_within_the_limit() {
    let folder = TempDir::new().unwrap();
    for (name, bytes, fault) in [
        ("domains", domains(), None),
        (
            "stacks",
            domains_with_stacks(),
            Some("more memory than the limit"),
        ),
        ("deep", deep_stacks(), Some("more memory than the limit")),
        (
            "endless",
            endless_stack(),
            Some("a stack of more than 65536 frames"),
        ),
        (
            "definitions",
            definitions(),
            Some("more memory than the limit"),
        ),
    ] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        let report = ["report", "--memory", "64M", path];
        let folded = ["convert", "--memory", "64M", "--to", "folded", path];
        let pprof = ["convert", "--memory", "64M", "--to", "heaptrack", path];
        for arguments in [&report[..], &folded, &pprof] {
            let (said, code) = run(arguments);
            let said = &said[said.len().saturating_sub(2_000)..];
            match fault {
                None => assert_eq!(code, Some(0), "{arguments:?}: {said}"),
                Some(_) => assert_eq!(code, Some(1), "{arguments:?}: {said}"),
            }
        }
        if let Some(fault) = fault {
            let (said, _) = run(&report);
            assert!(said.contains(fault), "{name}: {said}");
        }
    }
}
