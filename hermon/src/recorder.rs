//! A thread that keeps lines in a [`Database`], so that a slow disk delays nothing.
//!
//! ```text
//!  record ──▶ queue (bounded; a line that does not fit is counted) ──▶ thread: every second one transaction ──▶ file
//! ```

use core::sync::atomic::{AtomicU64, Ordering};
use core::time::Duration;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use crate::database::{Database, Record};
use crate::point::UnixMicros;

/// Lines that wait for the disk: three seconds at 10,000 a second.
const MAX_QUEUED: usize = 32_768;

/// The longest line that the file keeps, in bytes: 128 MiB of queue at worst, 6 MiB of usual lines. Longer ones are counted
/// as not stored; points of this product are some hundred bytes.
const MAX_LINE: usize = 4_096;

/// Bytes of lines in one transaction, so that the file grows by little until the oldest are removed.
const MAX_BATCH: usize = 512 * 1024;

/// The time between two writes to the file. A crash of this host costs so much.
const EVERY: Duration = Duration::from_secs(1);

/// The recorder's progress. Counts since the start.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    unstored: AtomicU64,
    fault: Mutex<Option<String>>,
}

impl Progress {
    /// Lines that were received and are not in the file.
    pub(crate) fn unstored(&self) -> u64 {
        self.unstored.load(Ordering::Relaxed)
    }

    /// Returns why the last write that failed did.
    pub(crate) fn fault(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        // Nothing under the lock can leave it half done.
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes lines. Dropped, it writes what is queued and closes the file.
#[derive(Debug)]
pub(crate) struct Recorder {
    to: Option<SyncSender<Record>>,
    thread: Option<JoinHandle<()>>,
    progress: Arc<Progress>,
}

impl Recorder {
    /// Begins to record into a file.
    pub(crate) fn start(database: Database) -> Self {
        let (to, from) = sync_channel(MAX_QUEUED);
        let progress = Arc::new(Progress::default());
        let thread = thread::spawn({
            let progress = Arc::clone(&progress);
            move || write_all(database, &from, &progress)
        });
        Self {
            to: Some(to),
            thread: Some(thread),
            progress,
        }
    }

    /// Queues a line. Never waits: what does not fit is counted as not stored.
    pub(crate) fn record(&self, record: Record) {
        let queued = record.line.len() <= MAX_LINE
            && self
                .to
                .as_ref()
                .is_some_and(|to| to.try_send(record).is_ok());
        if !queued {
            self.progress.unstored.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns how it goes.
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

fn write_all(mut database: Database, from: &Receiver<Record>, progress: &Progress) {
    let mut open = true;
    while open {
        let Ok(first) = from.recv() else { return };
        let until = Instant::now() + EVERY;
        let mut bytes = first.line.len();
        let mut batch = vec![first];
        while bytes < MAX_BATCH {
            match from.recv_timeout(until.saturating_duration_since(Instant::now())) {
                Ok(record) => {
                    bytes += record.line.len();
                    batch.push(record);
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => {
                    open = false;
                    break;
                }
            }
        }
        if let Err(error) = database.append(&batch, UnixMicros::now()) {
            progress
                .unstored
                .fetch_add(batch.len() as u64, Ordering::Relaxed);
            *progress.lock() = Some(error.to_string());
        }
    }
}
