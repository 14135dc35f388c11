//! Checks the output of `hermon convert` and its exit codes.

use std::fs;
use std::path::PathBuf;

use tempfile::TempDir;

use super::common::Tool;
use super::made::{packets, service, trace};

const RATE: f64 = 1e-4;

/// Converts a trace with these options and expects this exit code. Returns the path of the output and the tool's
/// messages.
fn convert(folder: &TempDir, trace: &[u8], options: &[&str], want: i32) -> (PathBuf, Vec<String>) {
    let path = folder.path().join("x.ctf");
    fs::write(&path, trace).unwrap();
    let output = folder.path().join("out");
    let fixed = [
        "convert",
        path.to_str().unwrap(),
        "-o",
        output.to_str().unwrap(),
    ];
    let mut tool = Tool::start([&fixed, options].concat());
    let code = tool.wait().code();
    let said: Vec<String> = tool.lines.iter().collect();
    assert_eq!(code, Some(want), "{said:?}");
    (output, said)
}

#[test]
fn a_graph_of_nothing_is_one_line_and_no_file() {
    let folder = TempDir::new().unwrap();
    let options = ["--to", "flamegraph", "--value", "live"];
    let (output, said) = convert(&folder, &trace(RATE, &[]), &options, 3);
    let path = folder.path().join("x.ctf").display().to_string();
    let want = format!("hermon: {path} has no bytes alive at the end: there is nothing to draw");
    assert_eq!(said, [want]);
    assert!(!output.exists());
}

#[test]
fn every_format_is_written_by_its_name_and_of_a_value_that_was_asked_for() {
    let folder = TempDir::new().unwrap();
    let trace = trace(RATE, &service());
    for (format, begins) in [
        ("pprof", &[0x1f, 0x8b][..]),
        ("folded", b"0x5000 80000\n"),
        ("flamegraph", b"<?xml"),
        ("dhat", b"{\"dhatFileVersion\":2"),
        ("speedscope", b"{\"$schema\":"),
        ("heaptrack", b"v 10400 2\n"),
        ("memtrace", &trace[..64]),
    ] {
        let (output, _) = convert(&folder, &trace, &["--to", format], 0);
        let found = fs::read(output).unwrap();
        assert!(found.starts_with(begins), "{format}");
    }
    let sum = |value: &str| -> u64 {
        let options = ["--to", "folded", "--value", value];
        let (output, _) = convert(&folder, &trace, &options, 0);
        let text = fs::read_to_string(output).unwrap();
        let bytes = text.lines().map(|line| line.rsplit_once(' ').unwrap().1);
        bytes.map(|bytes| bytes.parse::<u64>().unwrap()).sum()
    };
    let sums = ["allocated", "peak", "live", "temporary"].map(sum);
    assert!(sums.is_sorted_by(|a, b| a > b && *b > 0), "{sums:?}");
}

#[test]
fn a_cut_trace_becomes_whole_again_and_a_broken_one_ends_before_its_fault() {
    let folder = TempDir::new().unwrap();
    let packets = packets(RATE, &service());
    let whole = packets.concat();
    let kept = packets[..3].concat();
    let mut broken = whole.clone();
    broken[kept.len()] = 0;
    for (trace, code, want) in [
        (&whole[..kept.len() + 90], 0, &kept),
        (&broken, 1, &kept),
        (&whole, 0, &whole),
    ] {
        let (output, _) = convert(&folder, trace, &["--to", "memtrace"], code);
        assert_eq!(fs::read(output).unwrap(), *want);
    }
}
