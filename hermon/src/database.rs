//! Keeps the points of a watch in a file that survives restarts.
//!
//! It is an embedded database (redb: one file, transactions, checksums, no C) with two tables. `points` maps the time
//! of arrival and a running number to the line as it arrived. `meta` has the version of the layout and the bytes in
//! `points`. Lines are kept as they came, so data that this version does not understand is not lost.
//!
//! The file is bounded by age and size: each append removes lines that are too old, and then the oldest until the size
//! is in its bound.

mod backend;

use core::time::Duration;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use redb::{Builder, ReadableDatabase, ReadableTable, TableDefinition};
use thiserror::Error;

use crate::point::UnixMicros;
use backend::{Backend, Guard};

/// The time of arrival by this host's clock, and a number that distinguishes lines of the same microsecond.
type Key = (i64, u64);

const POINTS: TableDefinition<'_, Key, &[u8]> = TableDefinition::new("points");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");

/// The name in `meta` of the version of the tables' layout.
const LAYOUT: &str = "layout";
const LAYOUT_NOW: u64 = 1;

/// The name in `meta` of the number of bytes of all keys and lines in `points`.
const PAYLOAD: &str = "payload";

/// The bytes that a point takes in addition to its line: its key and its place in the page.
const OVERHEAD: u64 = 24;

/// The ratio that the file may have to the payload: pages are copied when they are written, and are not always full.
/// Measured: 2.0 to 2.6 times (a test below checks it).
const FILE_PER_PAYLOAD: u64 = 3;

/// The part of the file that redb keeps in memory. Points are written once and read at the start.
const CACHE: usize = 8 << 20;

/// The smallest size that the user can choose: redb's empty file has about 1.5 MiB.
pub(crate) const MIN_SIZE: u64 = 8 << 20;

/// The error for a text that is not a size of a database.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("\"{0}\" is not a size: give one like 64M or 2G, at least 8M")]
pub(crate) struct NotASize(String);

/// Reads a size, `64M` or `2G`: bytes, in powers of 1,024.
///
/// # Errors
/// [`NotASize`], also below [`MIN_SIZE`].
pub(crate) fn size(text: &str) -> Result<u64, NotASize> {
    let units = [("M", 1 << 20), ("G", 1 << 30)];
    units
        .iter()
        .find_map(|&(unit, factor)| Some((text.strip_suffix(unit)?, factor)))
        // `parse` alone would accept a sign.
        .filter(|(number, _)| number.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|(number, factor)| number.parse::<u64>().ok()?.checked_mul(factor))
        .filter(|&bytes| bytes >= MIN_SIZE)
        .ok_or_else(|| NotASize(text.to_owned()))
}

/// The limits of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Keep {
    /// Lines that are older by this host's clock are removed.
    pub age: Duration,
    /// Bytes of the file, at least [`MIN_SIZE`].
    pub size: u64,
}

/// The reason why the file cannot be used. Its text is one line that says what to do.
#[derive(Debug, Error)]
pub(crate) enum DatabaseError {
    /// The file was not written by this tool.
    #[error(
        "{file} is damaged or no database of hermon's ({why}): move it away, and a new one is begun"
    )]
    Damaged {
        /// The file.
        file: String,
        /// The fault that redb found.
        why: String,
    },
    /// Another process has the file open.
    #[error("{0} is in use by another hermon: give each its own --db FILE")]
    InUse(String),
    /// A newer version of this tool wrote the file.
    #[error("{file} has layout {layout}, this hermon knows {LAYOUT_NOW}: use a newer one")]
    Newer {
        /// The file.
        file: String,
        /// The version of its layout.
        layout: u64,
    },
    /// Something else changed the file while it was open.
    #[error("{file} was {how} while it was in use")]
    Changed {
        /// The file.
        file: String,
        /// What happened to it.
        how: &'static str,
    },
    /// The system refused.
    #[error("cannot use {file} as a database: {source}")]
    System {
        /// The file.
        file: String,
        /// The system's error.
        source: io::Error,
    },
}

/// An open file.
#[derive(Debug)]
pub(crate) struct Database {
    redb: redb::Database,
    path: PathBuf,
    keep: Keep,
    number: u64,
    /// The same file, to see whether it is still the one with that name.
    file: File,
    /// Its length after the last write.
    length: u64,
    guard: Guard,
}

/// A line to keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The time of arrival by this host's clock.
    pub arrived: UnixMicros,
    /// The line, without its end.
    pub line: Vec<u8>,
}

impl Database {
    /// Opens or creates a file, and checks all of it, so that a changed byte is found now.
    ///
    /// # Errors
    /// [`DatabaseError`].
    ///
    /// Cost: reads the whole file.
    pub(crate) fn open(path: &Path, keep: Keep) -> Result<Self, DatabaseError> {
        let failed = |error| of(path, error);
        let system = |source| DatabaseError::System {
            file: path.display().to_string(),
            source,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(system)?;
        let guard = Guard::new();
        let clone = file.try_clone().map_err(system)?;
        let redb = Backend::new(clone, guard.clone())
            .and_then(|backend| {
                Builder::new()
                    .set_cache_size(CACHE)
                    .set_check_integrity_on_open(true)
                    .create_with_backend(backend)
            })
            .map_err(|error| failed(error.into()))?;
        let number = prepare(&redb)
            .map_err(failed)?
            .map_err(|layout| DatabaseError::Newer {
                file: path.display().to_string(),
                layout,
            })?;
        guard.release(&file).map_err(|error| {
            guard.abandon();
            system(error)
        })?;
        let length = file.metadata().map_err(system)?.len();
        Ok(Self {
            redb,
            path: path.to_owned(),
            keep,
            number,
            file,
            length,
            guard,
        })
    }

    /// Returns the name of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the limits.
    pub(crate) fn keep(&self) -> Keep {
        self.keep
    }

    /// Closes it without a further write. What was added before is in the file, unless something else changed it.
    pub(crate) fn abandon(self) {
        self.guard.abandon();
    }

    /// Adds lines in one transaction, and removes lines beyond the limits. On an error nothing has changed.
    ///
    /// # Errors
    /// [`DatabaseError`], for example if the disk is full.
    pub(crate) fn append(
        &mut self,
        records: &[Record],
        now: UnixMicros,
    ) -> Result<(), DatabaseError> {
        self.check()?;
        self.write(records, now)
            .map_err(|error| of(&self.path, error))?;
        let metadata = self.file.metadata();
        self.length = metadata.map_or(self.length, |now| now.len());
        Ok(())
    }

    /// Finds out whether the file still has its name and its length. Cost: two calls of the system. Only this process
    /// writes the file, so nothing else may make it shorter.
    fn check(&self) -> Result<(), DatabaseError> {
        let how = match (self.file.metadata(), fs::metadata(&self.path)) {
            (_, Err(error)) if error.kind() == io::ErrorKind::NotFound => "deleted",
            (Ok(ours), Ok(named)) if (ours.dev(), ours.ino()) != (named.dev(), named.ino()) => {
                "replaced"
            }
            (Ok(ours), Ok(_)) if ours.len() < self.length => "truncated",
            // If the system does not say, the write will.
            _ => return Ok(()),
        };
        let file = self.path.display().to_string();
        Err(DatabaseError::Changed { file, how })
    }

    fn write(&mut self, records: &[Record], now: UnixMicros) -> Result<(), redb::Error> {
        let oldest = now
            .0
            .saturating_sub(i64::try_from(self.keep.age.as_micros()).unwrap_or(i64::MAX));
        let most = self.keep.size.max(MIN_SIZE) / FILE_PER_PAYLOAD;
        let transaction = self.redb.begin_write()?;
        {
            let mut points = transaction.open_table(POINTS)?;
            let mut meta = transaction.open_table(META)?;
            let mut payload = meta.get(PAYLOAD)?.map_or(0, |value| value.value());
            for record in records {
                points.insert((record.arrived.0, self.number), record.line.as_slice())?;
                self.number += 1;
                payload += record.line.len() as u64 + OVERHEAD;
            }
            let mut remove = Vec::new();
            let mut left = payload;
            for entry in points.iter()? {
                let (key, line) = entry?;
                if key.value().0 >= oldest && left <= most {
                    break;
                }
                left = left.saturating_sub(line.value().len() as u64 + OVERHEAD);
                remove.push(key.value());
            }
            for key in remove {
                points.remove(key)?;
            }
            meta.insert(PAYLOAD, left)?;
        }
        transaction.commit()?;
        Ok(())
    }

    /// Passes on the newest lines, at most `most`, oldest first. Returns their number.
    ///
    /// # Errors
    /// [`DatabaseError`].
    pub(crate) fn replay(
        &self,
        most: usize,
        mut each: impl FnMut(UnixMicros, &[u8]),
    ) -> Result<usize, DatabaseError> {
        let mut read = || -> Result<usize, redb::Error> {
            let points = self.redb.begin_read()?.open_table(POINTS)?;
            let Some(first) = points.iter()?.rev().take(most).last() else {
                return Ok(0);
            };
            let first = first?.0.value();
            let mut count = 0;
            for entry in points.range(first..)? {
                let (key, line) = entry?;
                each(UnixMicros(key.value().0), line.value());
                count += 1;
            }
            Ok(count)
        };
        read().map_err(|error| of(&self.path, error))
    }
}

/// Creates the tables if necessary. Returns the next running number, or the layout if it is not known.
fn prepare(redb: &redb::Database) -> Result<Result<u64, u64>, redb::Error> {
    let transaction = redb.begin_write()?;
    let next = {
        let mut meta = transaction.open_table(META)?;
        let layout = meta.get(LAYOUT)?.map(|value| value.value());
        match layout {
            None => drop(meta.insert(LAYOUT, LAYOUT_NOW)?),
            Some(LAYOUT_NOW) => {}
            Some(layout) => return Ok(Err(layout)),
        }
        let points = transaction.open_table(POINTS)?;
        // The number only distinguishes lines of the same time.
        let last = points.last()?.map(|(key, _)| key.value().1);
        last.map_or(0, |number| number.wrapping_add(1))
    };
    transaction.commit()?;
    Ok(Ok(next))
}

fn of(path: &Path, error: redb::Error) -> DatabaseError {
    let file = path.display().to_string();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            DatabaseError::InUse(file)
        }
        // The file is too short or has no mark of redb. An error of the system has a number.
        redb::Error::Io(source) if source.raw_os_error().is_some() => {
            DatabaseError::System { file, source }
        }
        redb::Error::PreviousIo => DatabaseError::System {
            file,
            source: io::Error::other("an earlier write failed"),
        },
        error => DatabaseError::Damaged {
            file,
            why: error.to_string().replace(char::is_control, " "),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    const KEEP: Keep = Keep {
        age: Duration::from_secs(100),
        size: MIN_SIZE,
    };

    fn record(seconds: i64, line: &str) -> Record {
        Record {
            arrived: UnixMicros(seconds * 1_000_000),
            line: line.into(),
        }
    }

    fn lines(database: &Database, most: usize) -> Vec<(i64, String)> {
        let mut all = Vec::new();
        let count = database
            .replay(most, |arrived, line| {
                let text = String::from_utf8_lossy(line).into_owned();
                all.push((arrived.0 / 1_000_000, text));
            })
            .unwrap();
        assert_eq!(count, all.len());
        all
    }

    fn open(path: &Path) -> Result<Database, String> {
        Database::open(path, KEEP).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_no_size_is_named() {
        for text in ["", "M", "7M", "64", "64K", "+64M", "99999999999G"] {
            let error = size(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("\"{text}\" is not a size")));
        }
        assert_eq!((size("8M"), size("2G")), (Ok(8 << 20), Ok(2 << 30)));
    }

    #[test]
    fn lines_survive_a_restart_in_the_order_of_their_arrival() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let mut first = open(&path).unwrap();
        let records = [record(1, "b v=1"), record(1, "a v=1"), record(2, "c v=1")];
        first.append(&records, UnixMicros(2_000_000)).unwrap();
        drop(first);
        let mut second = open(&path).unwrap();
        second
            .append(&[record(2, "d v=1")], UnixMicros(2_000_000))
            .unwrap();
        let expected = [(1, "b v=1"), (1, "a v=1"), (2, "c v=1"), (2, "d v=1")]
            .map(|(time, line)| (time, line.to_owned()));
        assert_eq!(lines(&second, 9), expected);
        assert_eq!(lines(&second, 2), expected[2..]);
    }

    #[test]
    fn what_is_too_old_is_removed() {
        let folder = TempDir::new().unwrap();
        let mut database = open(&folder.path().join("db")).unwrap();
        for now in [0, 50, 100, 101] {
            let name = format!("m v={now}");
            database
                .append(&[record(now, &name)], UnixMicros(now * 1_000_000))
                .unwrap();
        }
        let times: Vec<i64> = lines(&database, 9).iter().map(|line| line.0).collect();
        assert_eq!(times, [50, 100, 101]);
    }

    #[test]
    fn the_file_stays_within_its_size_and_the_newest_stay_in_it() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let mut database = open(&path).unwrap();
        let line = format!("memory,vm=hermit {}v=1i", "field=123456789i,".repeat(10));
        let mut largest = 0;
        // Half as much again as the size, four times what is kept.
        let batches = 3 * MIN_SIZE / 2 / 2_500 / line.len() as u64;
        for batch in 0..batches as i64 {
            let records = vec![record(batch / 10, &line); 2_500];
            database
                .append(&records, UnixMicros(batch * 100_000))
                .unwrap();
            largest = largest.max(fs::metadata(&path).unwrap().len());
        }
        assert!(largest <= MIN_SIZE, "{largest} bytes");
        let kept = lines(&database, usize::MAX);
        assert!(kept.len() > 5_000, "{} lines", kept.len());
        assert_eq!(kept.last().unwrap().0, (batches as i64 - 1) / 10);
    }

    #[test]
    fn a_damaged_file_is_one_clear_line_wherever_it_is_damaged() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let mut database = open(&path).unwrap();
        let records = vec![record(1, "memory,vm=a live_bytes=1i"); 2_000];
        database.append(&records, UnixMicros(1_000_000)).unwrap();
        drop(database);
        let whole = fs::read(&path).unwrap();
        let damaged = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            match open(&path) {
                Ok(database) => {
                    // A byte to which nothing refers: then no line may be missing.
                    assert_eq!(lines(&database, usize::MAX).len(), 2_000);
                    0
                }
                Err(message) => {
                    let what = format!("{} is damaged or no database", path.display());
                    assert!(message.starts_with(&what), "{message}");
                    assert_eq!(message.lines().count(), 1, "{message}");
                    1
                }
            }
        };
        assert_eq!(damaged(b"memory,vm=a live_bytes=1i\n"), 1);
        assert_eq!(damaged(&whole[..whole.len() / 2]), 1);
        let found: usize = (0..64)
            .map(|n| {
                let mut bytes = whole.clone();
                let at = n * whole.len() / 64 + 17;
                bytes[at] ^= 0x55;
                damaged(&bytes)
            })
            .sum();
        assert!(found > 2, "only {found} of 64 were found");
    }

    #[test]
    fn a_file_in_use_and_one_that_cannot_be_opened_say_so() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let first = open(&path).unwrap();
        let error = open(&path).unwrap_err();
        assert!(error.contains("is in use by another hermon"), "{error}");
        drop(first);
        let error = open(&folder.path().join("no/such/folder")).unwrap_err();
        assert!(error.starts_with("cannot use "), "{error}");
    }

    #[test]
    fn a_layout_of_the_future_is_refused() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let database = open(&path).unwrap();
        let transaction = database.redb.begin_write().unwrap();
        transaction
            .open_table(META)
            .unwrap()
            .insert(LAYOUT, 9)
            .unwrap();
        transaction.commit().unwrap();
        drop(database);
        let error = open(&path).unwrap_err();
        assert!(error.ends_with("has layout 9, this hermon knows 1: use a newer one"));
    }
}
