//! Checks the output of `hermon report` and its exit codes.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use object::{Object, ObjectSymbol};
use tempfile::TempDir;

use super::common::{STARTING, Tool};
use super::golden;
use super::made::{self, alloc, service, trace};

fn file(folder: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Returns the tool's output and its exit code.
fn tool(arguments: &[&str]) -> (String, Option<i32>) {
    let mut tool = Tool::start(arguments);
    let code = tool.wait().code();
    let lines: Vec<String> = tool.lines.iter().collect();
    (lines.join("\n") + "\n", code)
}

#[test]
fn the_text_and_the_json_are_as_accepted() {
    let folder = TempDir::new().unwrap();
    let path = file(&folder, "service.ctf", &trace(1e-4, &service()));
    let path = path.to_str().unwrap();
    let window = ["--from", "2s", "--to", "8s"];
    let (text, code) = tool(&[&["report", path], &window[..]].concat());
    assert_eq!(code, Some(0));
    golden::compare("report.txt", &text);
    let (json, code) = tool(&[&["report", path, "--json", "--top", "2"], &window[..]].concat());
    assert_eq!(code, Some(0));
    golden::compare("report.json", &json);
}

#[test]
fn two_traces_are_compared_by_site() {
    let folder = TempDir::new().unwrap();
    let mut grown = service();
    for turn in 0..40 {
        grown.push(alloc(10_000_000 + turn, 64, 1, &[0x1000, 0x2000]));
    }
    let before = file(&folder, "before.ctf", &trace(1e-4, &service()));
    let after = file(&folder, "after.ctf", &trace(1e-4, &grown));
    let [before, after] = [&before, &after].map(|path| path.to_str().unwrap());
    let (text, code) = tool(&["report", "--diff", before, after]);
    assert_eq!(code, Some(0));
    golden::compare("diff.txt", &text);
    let (json, code) = tool(&["report", "--json", "--diff", before, after]);
    assert_eq!(code, Some(0));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json["by_live"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "only the cache has changed");
    assert_eq!(rows[0]["function"], "app::cache::insert");
    assert_eq!(rows[0]["live"]["more"]["bytes"], 40.0 / 1e-4 * 8.0);
    assert_eq!(rows[0]["live"]["is_sure"], true);
    // The same trace twice: no change at all.
    let (json, _) = tool(&["report", "--json", "--diff", before, before]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (
            json["by_live"].as_array().unwrap().len(),
            json["by_allocated"].as_array().unwrap().len()
        ),
        (0, 0)
    );
}

#[test]
fn what_cannot_be_reported_on_is_one_line_that_says_what_to_do() {
    let folder = TempDir::new().unwrap();
    let good = trace(1e-4, &service());
    let path = |name: &str, bytes: &[u8]| file(&folder, name, bytes).to_str().unwrap().to_owned();
    let [empty, short, other, fine] = [
        path("empty", b""),
        path("short", &good[..50]),
        path("other", b"GET / HTTP/1.1\r\n\r\n"),
        path("fine", &good),
    ];
    for (arguments, code, want) in [
        (
            vec!["/nowhere"],
            3,
            "cannot open /nowhere: No such file or directory (os error 2)".to_owned(),
        ),
        (vec![&empty], 3, format!("{empty} is empty: no trace began")),
        (
            vec![&short],
            3,
            format!("{short} ends after 50 bytes, before its first packet does: no trace began"),
        ),
        (
            vec![&other],
            3,
            format!(
                "{other} is no memtrace trace: offset 0: not a packet: it begins with 0x20544547"
            ),
        ),
        (
            vec![&fine, "--from", "2s", "--to", "1s"],
            2,
            "--from 2 s is not before --to 1 s".to_owned(),
        ),
        (
            vec![&fine, "--elf", "/nowhere"],
            3,
            "cannot read /nowhere: No such file or directory (os error 2)".to_owned(),
        ),
        (
            vec![&fine, "--elf", &other],
            3,
            format!("{other}: no ELF file: Unknown file magic"),
        ),
    ] {
        let arguments = [&["report"], &arguments[..]].concat();
        assert_eq!(
            tool(&arguments),
            (format!("hermon: {want}\n"), Some(code)),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_trace_with_a_fault_is_reported_on_up_to_it_and_ends_with_its_own_status() {
    let folder = TempDir::new().unwrap();
    let mut packets = made::packets(1e-4, &service());
    let first_two: usize = packets[..2].iter().map(Vec::len).sum();
    packets[2][0] = 0;
    let path = file(&folder, "bad.ctf", &packets.concat());
    let (text, code) = tool(&["report", path.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(
        text.contains(&format!("\nnot read     offset {first_two}: not a packet")),
        "{text}"
    );
    assert!(text.contains("app::cache::insert"), "{text}");
}

/// Builds a program with an inlined function. Returns its path, its build id, and the address behind the first byte of
/// its function `outer`.
fn image(folder: &TempDir, name: &str, line_feeds: usize) -> (PathBuf, String, u64) {
    let source = "\n".repeat(line_feeds)
        + "__attribute__((always_inline)) static inline int inner(int *p) { return *p * 3; }\n\
           __attribute__((noinline)) int outer(int *p) { return inner(p); }\n\
           int main(int n, char **v) { (void)v; return outer(&n); }\n";
    let path = folder.path().join(name);
    fs::write(path.with_extension("c"), source).unwrap();
    let starting = STARTING.lock().unwrap();
    let status = Command::new("cc")
        .args(["-g", "-O1", "-no-pie", "-Wl,--build-id=sha1", "-o"])
        .arg(&path)
        .arg(path.with_extension("c"))
        .status();
    drop(starting);
    assert!(
        status
            .expect("a C compiler: Rust needs one to link")
            .success()
    );
    let bytes = fs::read(&path).unwrap();
    let object = object::File::parse(&*bytes).unwrap();
    let id = object.build_id().unwrap().expect("a build id");
    let id = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let symbol = object.symbols().find(|symbol| symbol.name() == Ok("outer"));
    (path, id, symbol.unwrap().address() + 1)
}

#[test]
fn an_image_gives_the_names_that_the_trace_has_not_if_it_is_the_one_that_was_traced() {
    let folder = TempDir::new().unwrap();
    let (elf, id, code) = image(&folder, "traced", 4);
    let (other, other_id, _) = image(&folder, "other", 5);
    let elf = elf.to_str().unwrap();
    let of = |executable: &str| {
        let happenings = [alloc(1, 4, 1, &[0x1000, code])];
        let bytes = made::named_packets(1.0, executable, &happenings, 8).concat();
        file(&folder, "x.ctf", &bytes)
    };
    let path = of(&format!("app.elf (build id {id})"));
    let path = path.to_str().unwrap();
    let (json, code) = tool(&["report", path, "--json", "--elf", elf]);
    assert_eq!(code, Some(0), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let site = &json["by_live"][0];
    assert_eq!(
        (&site["function"], &site["line"]),
        (&"inner".into(), &5.into()),
        "{site}"
    );
    let callers: Vec<&str> = site["callers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|caller| caller.as_str().unwrap())
        .collect();
    assert!(
        callers[0].starts_with("outer ") && callers[0].ends_with(".c:6"),
        "{callers:?}"
    );
    // A name that is in the trace stays.
    assert_eq!(
        callers[1..],
        [
            "app::serve app/src/serve.rs:20",
            "app::main app/src/main.rs:7"
        ]
    );

    let (said, code) = tool(&["report", path, "--elf", other.to_str().unwrap()]);
    let other = other.display();
    let want = format!(
        "hermon: {other} has the build id {other_id}, the trace is of {id}: give the image that was traced\n"
    );
    assert_eq!((said, code), (want, Some(3)));

    let path = of("app.elf");
    let path = path.to_str().unwrap();
    let (said, code) = tool(&["report", path, "--elf", elf]);
    assert_eq!(code, Some(0));
    assert!(said.contains(&format!("hermon: {elf} is taken for the image that was traced: {path} has no build id to compare")), "{said}");
    assert!(said.contains("inner "), "{said}");
}
