//! Keeps lines in a [`Database`], in a separate thread, so that a slow disk delays nothing.
//!
//! ```text
//!  record ──▶ queue (bounded; a line that does not fit is counted) ──▶ thread: every second one transaction ──▶ file
//!
//!             a write fails (1)
//!     open ─────────────────────▶ broken: lines wait, the oldest beyond a bound are counted as lost
//!       ▲                           │
//!       └───────────────────────────┘
//!         the file can be opened and written again (2)
//! ```
//!
//! After a failed write redb accepts nothing more until the file is opened again. A file that was deleted, replaced or
//! truncated is noticed before the next write. A missing or empty file is begun anew. A file that is no database is left
//! as it is, and tried again until it is moved away.

use core::mem;
use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::database::{Database, DatabaseError, Keep, Record};
use crate::point::UnixMicros;

/// The number of lines that can wait for the disk: three seconds at 10,000 a second.
const MAX_QUEUED: usize = 32_768;

/// The longest line that the file keeps, in bytes: at most 128 MiB of queue, 6 MiB of usual lines. Longer lines are
/// counted as not stored; points of this product have some hundred bytes.
const MAX_LINE: usize = 4_096;

/// The bytes of lines in one transaction, so that the file grows by little before the oldest are removed.
const MAX_BATCH: usize = 512 * 1024;

/// The bytes of lines that wait while the file fails: hours of ten usual images.
const MAX_PENDING: usize = 16 << 20;

/// The bytes that a waiting line takes in addition to its text.
const OVERHEAD: usize = size_of::<Record>();

/// The pause before a failed file is tried again. It doubles up to the second.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// The most remarks that wait to be shown.
const MAX_NEWS: usize = 16;

/// The time between two writes of the file. A crash of this host loses the lines of so much time.
const EVERY: Duration = Duration::from_secs(1);

/// The progress of recording. Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    unstored: AtomicU64,
    fault: Mutex<Option<String>>,
    news: Mutex<VecDeque<String>>,
}

impl Progress {
    /// Returns the number of lines that were received and are not in the file.
    pub(crate) fn unstored(&self) -> u64 {
        self.unstored.load(Ordering::Relaxed)
    }

    /// Returns the reason why the file accepts nothing, while that is so.
    pub(crate) fn fault(&self) -> Option<String> {
        lock(&self.fault).clone()
    }

    /// Returns the remarks since the last call: each failure once, and that it goes on.
    pub(crate) fn news(&self) -> VecDeque<String> {
        mem::take(&mut lock(&self.news))
    }

    fn say(&self, text: String) {
        let mut news = lock(&self.news);
        if news.len() < MAX_NEWS {
            news.push_back(text);
        }
    }

    fn lose(&self, lines: usize) {
        self.unstored.fetch_add(lines as u64, Ordering::Relaxed);
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code can leave the value under the lock half changed.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Takes lines. When it is dropped, it writes the queued lines and closes the file.
#[derive(Debug)]
pub(crate) struct Recorder {
    to: Option<SyncSender<Record>>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
}

impl Recorder {
    /// Starts recording into a file.
    pub(crate) fn start(database: Database) -> Self {
        let (to, from) = sync_channel(MAX_QUEUED);
        let progress = Arc::new(Progress::default());
        let thread = thread::spawn({
            let progress = Arc::clone(&progress);
            move || Writer::new(database, &progress).run(&from)
        });
        Self {
            to: Some(to),
            thread: Some(thread),
            progress,
        }
    }

    /// Queues a line. Never waits: a line that does not fit is counted as not stored.
    pub(crate) fn record(&self, record: Record) {
        let queued = record.line.len() <= MAX_LINE
            && self
                .to
                .as_ref()
                .is_some_and(|to| to.try_send(record).is_ok());
        if !queued {
            self.progress.lose(1);
        }
    }

    /// Returns the progress.
    pub(crate) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.to = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

/// The file, or the time at which it is tried again.
enum State {
    Open(Database),
    Broken { again: Instant },
}

/// The thread's part of the recorder.
struct Writer<'p> {
    state: State,
    path: PathBuf,
    keep: Keep,
    progress: &'p Progress,
    /// Lines that are not in the file yet, oldest first.
    pending: VecDeque<Record>,
    bytes: usize,
    /// The next pause after a failure.
    pause: Duration,
}

impl<'p> Writer<'p> {
    fn new(database: Database, progress: &'p Progress) -> Self {
        Self {
            path: database.path().to_owned(),
            keep: database.keep(),
            state: State::Open(database),
            progress,
            pending: VecDeque::new(),
            bytes: 0,
            pause: PAUSES[0],
        }
    }

    fn run(mut self, from: &Receiver<Record>) {
        let mut is_open = true;
        while is_open {
            is_open = self.collect(from);
            if !is_open && let State::Broken { again } = &mut self.state {
                // Once more before the end.
                *again = Instant::now();
            }
            self.write();
        }
        self.progress.lose(self.pending.len());
        if let State::Broken { .. } = self.state {
            return;
        }
        *lock(&self.progress.fault) = None;
    }

    /// Takes lines for the time between two writes. Returns `false` if there will be no more.
    fn collect(&mut self, from: &Receiver<Record>) -> bool {
        let (until, most) = match self.state {
            // Without lines there is nothing to do.
            State::Open(_) if self.pending.is_empty() => match from.recv() {
                Ok(record) => {
                    self.push(record);
                    (Instant::now() + EVERY, MAX_BATCH)
                }
                Err(_) => return false,
            },
            State::Open(_) => (Instant::now(), MAX_BATCH),
            State::Broken { again } => (again, usize::MAX),
        };
        while self.bytes < most {
            match from.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(record) => self.push(record),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return false,
            }
            // A sender that never stops must not keep a broken file from being tried.
            if Instant::now() >= until {
                break;
            }
        }
        true
    }

    /// Adds a line, and drops the oldest beyond the bound.
    fn push(&mut self, record: Record) {
        self.bytes += record.line.len() + OVERHEAD;
        self.pending.push_back(record);
        while self.bytes > MAX_PENDING {
            self.pop();
            self.progress.lose(1);
        }
    }

    fn pop(&mut self) -> Option<Record> {
        let record = self.pending.pop_front()?;
        self.bytes -= record.line.len() + OVERHEAD;
        Some(record)
    }

    /// Writes what waits, if the file is open or can be opened again.
    fn write(&mut self) {
        if let State::Broken { again } = self.state {
            if again > Instant::now() {
                return;
            }
            match Database::open(&self.path, self.keep) {
                Ok(database) => self.state = State::Open(database),
                Err(error) => return self.fail(&error),
            }
        }
        let was_broken = lock(&self.progress.fault).is_some();
        while let State::Open(database) = &mut self.state
            && !self.pending.is_empty()
        {
            let mut bytes = 0;
            let count = self.pending.iter().take_while(|record| {
                bytes += record.line.len();
                bytes <= MAX_BATCH
            });
            let count = count.count().max(1);
            let batch = &self.pending.make_contiguous()[..count];
            match database.append(batch, UnixMicros::now()) {
                Ok(()) => {
                    (0..count).for_each(|_| drop(self.pop()));
                    self.pause = PAUSES[0];
                }
                Err(error) => self.fail(&error),
            }
        }
        // (2)
        if let State::Open(_) = self.state
            && was_broken
        {
            *lock(&self.progress.fault) = None;
            let (file, lost) = (self.path.display(), self.progress.unstored());
            self.progress.say(format!(
                "{file} is written again; {lost} points since the start are not in it"
            ));
        }
    }

    // (1)
    fn fail(&mut self, error: &DatabaseError) {
        let pause = self.pause;
        self.pause = (pause * 2).min(PAUSES[1]);
        // A file that something else changed can be opened, or begun anew, at once.
        let is_changed = matches!(error, DatabaseError::Changed { .. });
        let again = Instant::now() + if is_changed { Duration::ZERO } else { pause };
        let broken = State::Broken { again };
        if let State::Open(database) = mem::replace(&mut self.state, broken) {
            database.abandon();
        }
        let text = error.to_string();
        let before = lock(&self.progress.fault).replace(text.clone());
        if before.as_ref() != Some(&text) {
            self.progress.say(format!("{text}; it is tried again"));
        }
    }
}
