//! Opens each output with the program that the format is for.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use hermon_heap::convert::{self, Format, Value};
use hermon_heap::named::{self, Named};
use hermon_heap::profile::Settings;
use tempfile::TempDir;

use super::golden;
use super::made::{self, Happening, alloc, service, trace};
use super::oracle::{self, Block};

const RATE: f64 = 1e-4;
/// The bytes that a hit stands for.
const ONE: u64 = 80_000;

/// Converts the service's trace. Returns the path of the output.
fn convert(folder: &TempDir, format: Format) -> PathBuf {
    convert_trace(folder, &trace(RATE, &service()), format, Value::Allocated)
}

fn convert_trace(folder: &TempDir, trace: &[u8], format: Format, value: Value) -> PathBuf {
    let path = folder.path().join("x.ctf");
    fs::write(&path, trace).unwrap();
    let named = Named::read_with_peak(&path, None, Settings::default()).unwrap();
    let output = folder.path().join(format!("out.{format:?}"));
    let mut out = fs::File::create(&output).unwrap();
    let again = named::open(&path).unwrap();
    convert::write(format, value, &named, again, &mut out).unwrap();
    output
}

fn folder() -> TempDir {
    TempDir::new().unwrap()
}

/// Returns the output of a program. If the program is missing, the test says so, and fails where all programs must be
/// there.
fn opened<A: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = A>,
) -> Option<String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env("HEAPTRACK_ENABLE_DEBUGINFOD", "0");
    let child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn();
    match child {
        Ok(child) => {
            let output = child.wait_with_output().unwrap();
            let [out, err] = [output.stdout, output.stderr]
                .map(|text| String::from_utf8_lossy(&text).into_owned());
            assert!(output.status.success(), "{program}: {out}{err}");
            Some(out)
        }
        Err(error) => missing(&format!("{program} cannot be run: {error}")),
    }
}

fn missing<T>(why: &str) -> Option<T> {
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
    eprintln!("SKIPPED: {why}");
    None
}

fn blocks() -> Vec<Block> {
    oracle::blocks(&service())
}

fn bytes(choose: impl Fn(&Block) -> bool) -> u64 {
    oracle::hits(blocks().iter().filter(|block| choose(block))) * ONE
}

fn has(block: &Block, function: &str) -> bool {
    block.functions().iter().any(|name| name == function)
}

#[test]
fn go_tool_pprof_reads_functions_lines_and_all_four_values() {
    let folder = folder();
    let path = convert(&folder, Format::Pprof);
    let path = path.to_str().unwrap();
    for (index, is_counted) in [("alloc_space", false), ("inuse_space", true)] {
        let arguments = [
            "tool",
            "pprof",
            "-top",
            "-unit=B",
            "-nodecount=1000",
            "-nodefraction=0",
            "-edgefraction=0",
            "-symbolize=none",
        ];
        let index_option = format!("-sample_index={index}");
        let Some(top) = opened(
            "go",
            arguments
                .iter()
                .copied()
                .chain([index_option.as_str(), path]),
        ) else {
            return;
        };
        let counts = |block: &Block| !is_counted || block.is_live_at_end();
        let total = bytes(counts);
        assert!(top.contains(&format!("100% of {total}B total")), "{top}");
        assert!(top.contains("File: app.elf build id"), "{top}");
        for function in [
            "app::main",
            "app::walk",
            "app::serve",
            "app::cache::insert",
            "[lost: ring full]",
            "0x5000",
        ] {
            let inclusive = bytes(|block| counts(block) && has(block, function));
            let row = top
                .lines()
                .find(|line| line.contains(&format!("  {function}")))
                .map(str::to_owned);
            match row {
                // flat flat% sum% cum cum% name
                Some(row) => assert_eq!(
                    row.split_whitespace().nth(3),
                    Some(
                        format!("{inclusive}B")
                            .replace("0B", if inclusive == 0 { "0" } else { "0B" })
                            .as_str()
                    ),
                    "{row}"
                ),
                None => assert_eq!(inclusive, 0, "{function} in {top}"),
            }
        }
    }
    let Some(lines) = opened(
        "go",
        [
            "tool",
            "pprof",
            "-traces",
            "-lines",
            "-symbolize=none",
            "-sample_index=alloc_objects",
            path,
        ],
    ) else {
        return;
    };
    assert!(
        lines.contains("app::walk app/src/walk.rs:50")
            && lines.contains("app::walk app/src/walk.rs:55"),
        "{lines}"
    );
    let Some(raw) = opened("go", ["tool", "pprof", "-raw", path]) else {
        return;
    };
    for part in [
        "PeriodType: space bytes",
        "Period: 80000",
        "Time: 2023-11-14",
        "Duration: 9.7s",
        "inuse_space/bytes[dflt]",
    ] {
        assert!(raw.contains(part), "{part} in {raw}");
    }
}

/// Returns the stacks and numbers of folded lines.
fn folded(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().map(|line| line.rsplit_once(' ').unwrap());
    lines
        .map(|(stack, number)| (stack.to_owned(), number.parse().unwrap()))
        .collect()
}

#[test]
fn folded_stacks_are_what_a_naive_count_says() {
    let folder = folder();
    let is_live = Block::is_live_at_end as fn(&Block) -> bool;
    let (peak_hits, event) = oracle::peak(&blocks(), service().len());
    for value in Value::ALL {
        let bytes = trace(RATE, &service());
        let path = convert_trace(&folder, &bytes, Format::Folded, value);
        let text = fs::read_to_string(path).unwrap();
        let mut want: BTreeMap<String, u64> = BTreeMap::new();
        for block in blocks() {
            let counts = match value {
                Value::Allocated => true,
                Value::Live => is_live(&block),
                Value::Temporary => {
                    !block.is_lost() && block.freed.is_some_and(|(at, _)| at - block.born <= 1_000)
                }
                Value::Peak => {
                    !block.is_lost()
                        && block.at <= event
                        && block.freed_at.is_none_or(|freed| freed > event)
                }
            };
            if counts {
                let mut names: Vec<String> = block
                    .places()
                    .into_iter()
                    .map(|(name, _, _)| name)
                    .collect();
                names.reverse();
                *want.entry(names.join(";")).or_default() += block.hits * ONE;
            }
        }
        assert_eq!(folded(&text), want, "{value}");
        if value == Value::Peak {
            assert_eq!(want.values().sum::<u64>(), peak_hits * ONE);
        }
        if value == Value::Allocated {
            golden::compare("folded.txt", &text);
        }
    }
}

#[test]
fn the_flame_graph_has_every_function_with_its_bytes() {
    let folder = folder();
    let svg = fs::read_to_string(convert(&folder, Format::Flamegraph)).unwrap();
    assert!(svg.starts_with("<?xml") && svg.trim_end().ends_with("</svg>"));
    assert!(svg.contains("web-1 app.elf"), "a title");
    for function in ["app::main", "app::cache::insert", "0x5000"] {
        let want = format!(
            "<title>{function} ({} bytes, ",
            grouped(bytes(|block| has(block, function)))
        );
        assert!(svg.contains(&want), "{want}");
    }
    // inferno, which draws the graph, accepts the folded output of this tool as well as its own lines.
    let text = fs::read_to_string(convert(&folder, Format::Folded)).unwrap();
    let mut drawn = Vec::new();
    inferno::flamegraph::from_lines(
        &mut inferno::flamegraph::Options::default(),
        text.lines(),
        &mut drawn,
    )
    .unwrap();
    let drawn = String::from_utf8(drawn).unwrap();
    assert!(
        drawn.contains(&format!(
            "<title>all ({} samples, 100%)</title>",
            grouped(bytes(|_| true))
        )),
        "{drawn}"
    );
}

#[test]
fn dh_view_opens_it_and_shows_totals_peak_and_end() {
    const DH_VIEW: &str = "/usr/libexec/valgrind/dh_view.js";
    let folder = folder();
    let path = convert(&folder, Format::Dhat);
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let sum = |field: &str| -> u64 {
        json["pps"]
            .as_array()
            .unwrap()
            .iter()
            .map(|point| point[field].as_u64().unwrap())
            .sum()
    };
    let (peak, _) = oracle::peak(&blocks(), service().len());
    assert_eq!(
        (sum("tb"), sum("gb"), sum("eb")),
        (bytes(|_| true), peak * ONE, bytes(Block::is_live_at_end))
    );
    let longest = json["ftbl"].as_array().unwrap().len();
    for point in json["pps"].as_array().unwrap() {
        assert!(
            point["mb"].as_u64() >= point["gb"].as_u64()
                && point["mb"].as_u64() >= point["eb"].as_u64(),
            "{point}"
        );
        assert!(
            point["fs"]
                .as_array()
                .unwrap()
                .iter()
                .all(|frame| (1..longest as u64).contains(&frame.as_u64().unwrap()))
        );
    }
    if !Path::new(DH_VIEW).exists() {
        return missing(&format!("valgrind's dh_view is not there: {DH_VIEW}")).unwrap_or_default();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/dh_view.js");
    let Some(shown) = opened(
        "node",
        [script.as_os_str(), OsStr::new(DH_VIEW), path.as_os_str()],
    ) else {
        return;
    };
    for (what, number) in [
        ("Total:", sum("tb")),
        ("At t-gmax:", sum("gb")),
        ("At t-end:", sum("eb")),
    ] {
        let want = format!("{} bytes (100%", grouped(number));
        let row = shown
            .lines()
            .find(|line| line.contains(what))
            .unwrap_or_default();
        assert!(row.contains(&want), "{want} in {row}");
    }
    assert!(
        shown.contains("app::cache::insert (app/src/cache.rs:30)"),
        "{shown}"
    );
}

/// Writes a number with commas, as these programs do.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let parts: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|part| str::from_utf8(part).unwrap())
        .collect();
    parts.join(",")
}

/// Returns the folder with the Node modules that contain speedscope's schema and check it. They are fetched once.
fn modules() -> Option<PathBuf> {
    static FETCHING: Mutex<()> = Mutex::new(());
    let _fetching = FETCHING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("speedscope-1.25.0");
    let modules = folder.join("node_modules");
    if modules.join("ajv").exists() && modules.join("speedscope").exists() {
        return Some(modules);
    }
    let mut npm = Command::new("npm");
    npm.args([
        "install",
        "--silent",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
    ])
    .arg(&folder);
    let status = npm
        .args(["speedscope@1.25.0", "ajv@8.17.1"])
        .stdin(std::process::Stdio::null())
        .status();
    match status {
        Ok(status) if status.success() => Some(modules),
        Ok(status) => missing(&format!("npm cannot install speedscope: {status}")),
        Err(error) => missing(&format!("npm cannot be run: {error}")),
    }
}

#[test]
fn speedscope_takes_it_and_every_profile_sums_up() {
    let folder = folder();
    let path = convert(&folder, Format::Speedscope);
    let Some(modules) = modules() else {
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/traces/speedscope.js");
    let Some(shown) = opened(
        "node",
        [script.as_os_str(), modules.as_os_str(), path.as_os_str()],
    ) else {
        return;
    };
    let (peak, _) = oracle::peak(&blocks(), service().len());
    let temporary = bytes(|block| {
        !block.is_lost() && block.freed.is_some_and(|(at, _)| at - block.born <= 1_000)
    });
    let want = [
        ("bytes allocated", bytes(|_| true)),
        ("bytes alive at the end", bytes(Block::is_live_at_end)),
        ("bytes alive at the peak", peak * ONE),
        ("temporary bytes", temporary),
    ];
    let want: Vec<String> = want
        .iter()
        .map(|(name, sum)| format!("{name} {sum} bytes"))
        .collect();
    assert_eq!(shown.lines().collect::<Vec<_>>(), want);
}

#[test]
fn heaptrack_print_reads_every_call_and_what_leaks() {
    let folder = folder();
    let path = convert(&folder, Format::Heaptrack);
    let stacks = folder.path().join("stacks.txt");
    let arguments = [
        "-l",
        "1",
        "--flamegraph-cost-type",
        "leaked",
        "-F",
        stacks.to_str().unwrap(),
        "-f",
        path.to_str().unwrap(),
    ];
    let Some(shown) = opened("heaptrack_print", arguments) else {
        return;
    };
    let calls = blocks().len();
    assert!(
        shown.contains(&format!("calls to allocation functions: {calls} ")),
        "{shown}"
    );
    assert!(shown.contains("total runtime: 9.7"), "{shown}");
    assert!(
        shown.contains("app::cache::insert") && shown.contains("app/src/cache.rs:30"),
        "{shown}"
    );
    // In this trace what was lost has no free, so for heaptrack it is alive.
    let leaked = folded(&fs::read_to_string(stacks).unwrap());
    let want = bytes(|block| block.freed.is_none());
    assert_eq!(leaked.values().sum::<u64>(), want, "{leaked:?}");
    // The innermost functions first; inlined ones before the function that they are inlined into.
    let leak = shown
        .split("leaked over")
        .skip(1)
        .find(|leak| leak.contains("app::cache::insert"))
        .unwrap();
    let at = |function: &str| {
        leak.find(function)
            .unwrap_or_else(|| panic!("{function} in {leak}"))
    };
    let order = ["app::cache::insert", "app::serve", "app::main"];
    assert!(order.is_sorted_by_key(|function| at(function)), "{leak}");
}

#[test]
fn every_format_takes_an_empty_trace_and_names_with_anything_in_them() {
    let folder = folder();
    let empty: &[Happening] = &[];
    let odd = made::named_packets(
        RATE,
        "a;b \"c\"\n<&>\u{1}é",
        &[alloc(1, 1, 1, &[0x2000])],
        8,
    )
    .concat();
    for format in [
        Format::Pprof,
        Format::Folded,
        Format::Dhat,
        Format::Speedscope,
        Format::Heaptrack,
        Format::Memtrace,
    ] {
        convert_trace(&folder, &trace(RATE, empty), format, Value::Allocated);
        convert_trace(&folder, &odd, format, Value::Allocated);
    }
    let path = convert_trace(&folder, &odd, Format::Flamegraph, Value::Allocated);
    let svg = fs::read_to_string(path).unwrap();
    assert!(svg.contains("&lt;&amp;&gt;"), "the title is escaped");
}

#[test]
fn the_profile_is_compressed_once() {
    let folder = folder();
    let bytes = fs::read(convert(&folder, Format::Pprof)).unwrap();
    let mut raw = Vec::new();
    flate2::read::GzDecoder::new(&*bytes)
        .read_to_end(&mut raw)
        .unwrap();
    assert_eq!(raw[0], 0x0a, "the first field is a sample type");
}

#[test]
fn sums_beyond_the_largest_number_stop_there() {
    let blocks = [1, 2, 3].map(|id| alloc(id, u64::MAX >> 2, u64::MAX >> 2, &[0x1000 + id]));
    let trace = trace(RATE, &blocks);
    let folder = folder();
    let folded = convert_trace(&folder, &trace, Format::Folded, Value::Allocated);
    let folded = fs::read_to_string(folded).unwrap();
    let bytes = folded.lines().map(|line| line.rsplit_once(' ').unwrap().1);
    let sum: u128 = bytes.map(|bytes| bytes.parse::<u128>().unwrap()).sum();
    assert_eq!(sum, u128::from(u64::MAX));
    for format in [
        Format::Pprof,
        Format::Flamegraph,
        Format::Dhat,
        Format::Speedscope,
        Format::Heaptrack,
    ] {
        convert_trace(&folder, &trace, format, Value::Allocated);
    }
}
