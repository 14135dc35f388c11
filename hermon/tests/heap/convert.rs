//! Checks the output of `hermon convert` and its exit codes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::common::{STARTING, Tool};
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

#[test]
fn the_trace_is_never_overwritten() {
    let folder = TempDir::new().unwrap();
    let trace = trace(RATE, &service());
    let [path, link] = ["x.ctf", "link"].map(|name| folder.path().join(name));
    fs::write(&path, &trace).unwrap();
    fs::hard_link(&path, &link).unwrap();
    for output in [&path, &link] {
        let (input, output) = (path.to_str().unwrap(), output.to_str().unwrap());
        let mut tool = Tool::start(["convert", input, "--to", "folded", "-o", output]);
        let want = format!(
            "hermon: {output} is the input {input}, which would be lost: name another output"
        );
        assert_eq!(tool.line(), want);
        assert_eq!(tool.wait().code(), Some(2));
        assert_eq!(fs::read(&path).unwrap(), trace);
    }
}

#[test]
fn a_message_that_nobody_can_read_changes_nothing() {
    let folder = TempDir::new().unwrap();
    let packets = packets(RATE, &service());
    let (path, output) = (folder.path().join("x.ctf"), folder.path().join("out"));
    let cut = packets.concat();
    fs::write(&path, &cut[..cut.len() - 1]).unwrap();
    for (input, code) in [(path.clone(), 0), (folder.path().join("none"), 3)] {
        let starting = STARTING.lock().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hermon"));
        command.args(["convert", "--to", "memtrace", "-o"]);
        command.args([&output, &input]);
        command.stderr(fs::File::create("/dev/full").unwrap());
        let child = command.spawn();
        drop(starting);
        assert_eq!(child.unwrap().wait().unwrap().code(), Some(code));
    }
    assert!(fs::metadata(output).unwrap().len() > 0);
}
