//! The file of `--db` while something happens to it: a full disk, `rm`, `>`, another file in its place.

mod common;

use core::net::SocketAddr;
use core::time::Duration;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Tool;
use tempfile::TempDir;

const FIXED: [&str; 4] = ["watch", "--plain", "--listen=127.0.0.1:0", "--db"];

/// A tool that keeps its points in a file, and a machine that sends to it.
struct Watch {
    tool: Tool,
    tcp: TcpStream,
    sent: u64,
}

impl Watch {
    fn of(tool: Tool) -> Self {
        let line = tool.line_with("listening on");
        let address: SocketAddr = line.split_whitespace().nth(3).unwrap().parse().unwrap();
        let tcp = TcpStream::connect(address).unwrap();
        Self { tool, tcp, sent: 0 }
    }

    fn start(db: &Path) -> Self {
        let db = db.display().to_string();
        Self::of(Tool::start(FIXED.iter().copied().chain([db.as_str()])))
    }

    /// Sends points until the tool says this. Returns the line.
    fn until(&mut self, text: &str) -> String {
        loop {
            self.sent += 1;
            let point = format!("m,vm=a n={}i,text=\"{}\"", self.sent, "x".repeat(1_000));
            writeln!(self.tcp, "{point}").unwrap();
            loop {
                let line = self.tool.line();
                if line.starts_with("hermon ") && line.contains(text) {
                    return line;
                }
                if line.ends_with(&point) {
                    break;
                }
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    /// Ends it. Returns the sum.
    fn end(mut self) -> String {
        self.tool.interrupt();
        let sum = self.tool.line_with(" points");
        self.tool.wait();
        sum
    }
}

/// Checks that a new tool can open a file.
fn is_a_database(db: &Path) {
    let tool = Watch::start(db);
    let sum = tool.end();
    assert_eq!(sum, "hermon  0 points");
}

#[test]
fn after_a_full_disk_it_goes_on_and_nothing_is_lost() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can mount a small disk");
        return;
    }
    if !Command::new("unshare")
        .args(["--mount", "true"])
        .status()
        .is_ok_and(|status| status.success())
    {
        eprintln!("SKIPPED: this system gives no mount namespace");
        return;
    }
    let folder = TempDir::new().unwrap();
    // A disk of 4 MiB, which only the tool sees. The system removes it with the tool.
    let script = format!(
        "mount -t tmpfs -o size=4m none {0} && exec \"$@\" {0}/db",
        folder.path().display()
    );
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "sh",
        "-c",
        &script,
        "sh",
        env!("CARGO_BIN_EXE_hermon"),
    ]);
    let tool = Tool::begin(command.args(FIXED));
    let disk = PathBuf::from(format!(
        "/proc/{}/root{}",
        tool.pid(),
        folder.path().display()
    ));
    let mut watch = Watch::of(tool);
    // Another file takes all the room.
    let mut other = OpenOptions::new()
        .create(true)
        .append(true)
        .open(disk.join("other"))
        .unwrap();
    while other.write(&[0; 4_096]).is_ok() {}
    let line = watch.until("cannot use ");
    assert!(line.ends_with("; it is tried again"), "{line}");
    fs::remove_file(disk.join("other")).unwrap();
    drop(other);
    let line = watch.until(" is written again");
    assert!(
        line.ends_with("; 0 points since the start are not in it"),
        "{line}"
    );
    let sent = watch.sent;
    let sum = watch.end();
    assert_eq!(sum, format!("hermon  {sent} points"));
}

#[test]
fn a_file_that_is_deleted_or_emptied_is_begun_anew() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("db");
    let mut watch = Watch::start(&db);
    fs::remove_file(&db).unwrap();
    let line = watch.until(" was deleted while it was in use");
    assert!(line.contains(&db.display().to_string()), "{line}");
    watch.until(" is written again");
    assert!(fs::metadata(&db).unwrap().len() > 0);
    OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(&db)
        .unwrap();
    watch.until(" was truncated while it was in use");
    watch.until(" is written again");
    let sent = watch.sent;
    assert_eq!(watch.end(), format!("hermon  {sent} points"));
    is_a_database(&db);
}

/// Returns where two files differ.
fn differences(a: &[u8], b: &[u8]) -> Vec<usize> {
    let shorter = a.len().min(b.len());
    let differ = (0..shorter).filter(|&at| a[at] != b[at]);
    differ
        .chain(shorter..a.len().max(b.len()))
        .take(20)
        .collect()
}

#[test]
fn a_file_that_is_cut_or_replaced_is_left_as_it_is_until_it_is_moved_away() {
    let folder = TempDir::new().unwrap();
    let (db, away) = (folder.path().join("db"), folder.path().join("away"));
    let mut watch = Watch::start(&db);
    for how in ["truncated", "replaced"] {
        if how == "truncated" {
            let length = fs::metadata(&db).unwrap().len();
            OpenOptions::new()
                .write(true)
                .open(&db)
                .unwrap()
                .set_len(length / 3)
                .unwrap();
        } else {
            let other = folder.path().join("other");
            fs::write(&other, "a file of somebody else's").unwrap();
            fs::rename(&other, &db).unwrap();
        }
        let there = fs::read(&db).unwrap();
        watch.until(&format!(" was {how} while it was in use"));
        let line = watch.until(" is damaged or no database of hermon's ");
        assert!(
            line.contains("move it away, and a new one is begun"),
            "{line}"
        );
        assert_eq!(
            differences(&fs::read(&db).unwrap(), &there),
            [0; 0],
            "{how}"
        );
        fs::rename(&db, &away).unwrap();
        watch.until(" is written again");
        assert_eq!(
            differences(&fs::read(&away).unwrap(), &there),
            [0; 0],
            "{how}"
        );
    }
    watch.end();
    is_a_database(&db);
}

#[test]
fn what_could_not_be_kept_until_the_end_is_counted_with_its_reason() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("db");
    let mut watch = Watch::start(&db);
    let other = folder.path().join("other");
    fs::write(&other, "a file of somebody else's").unwrap();
    fs::rename(&other, &db).unwrap();
    watch.until(" is damaged or no database of hermon's ");
    let sum = watch.end();
    assert!(
        sum.contains(" points not in the file: ") && sum.contains("is damaged"),
        "{sum}"
    );
}

#[test]
fn a_damaged_file_is_one_line_at_the_start_and_is_not_changed() {
    let folder = TempDir::new().unwrap();
    let db = folder.path().join("db");
    let mut watch = Watch::start(&db);
    for _ in 0..3 {
        // Some transactions.
        let begun = fs::metadata(&db).unwrap().modified().unwrap();
        while fs::metadata(&db).unwrap().modified().unwrap() == begun {
            watch.sent += 1;
            let point = format!("m,vm=a n={}i", watch.sent);
            writeln!(watch.tcp, "{point}").unwrap();
            watch.tool.line_with(&point);
        }
    }
    watch.end();
    let whole = fs::read(&db).unwrap();
    let damage: Vec<Vec<u8>> = (0..24)
        .map(|n| {
            let mut bytes = whole.clone();
            // Half of them in the header, with numbers as large as they can be.
            let at = if n % 2 == 0 {
                9 + n * 4
            } else {
                n * whole.len() / 24 + 17
            };
            bytes[at..at + 8].fill(0xff);
            bytes
        })
        .chain([
            whole[..whole.len() / 2].to_vec(),
            whole[..100].to_vec(),
            b"memory,vm=a live_bytes=1i\n".to_vec(),
            vec![0; 10_000],
        ])
        .collect();
    let mut found = 0;
    for (number, bytes) in damage.iter().enumerate() {
        fs::write(&db, bytes).unwrap();
        let text = db.display().to_string();
        let mut tool = Tool::start(FIXED.iter().copied().chain([text.as_str(), "--points=0"]));
        let lines: Vec<String> = core::iter::from_fn(|| tool.says("")).collect();
        if tool.wait().code() == Some(0) {
            // Nothing refers to these bytes.
            continue;
        }
        found += 1;
        assert_eq!(lines.len(), 1, "{number}: {lines:#?}");
        let (begin, end) = (format!("hermon: {text} is damaged"), "a new one is begun");
        assert!(
            lines[0].starts_with(&begin) && lines[0].ends_with(end),
            "{number}: {lines:?}"
        );
        assert!(
            fs::read(&db).unwrap() == *bytes,
            "{number}: the file was changed"
        );
    }
    assert!(found >= 10, "only {found} were found");
}
