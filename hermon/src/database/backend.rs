//! redb's file, with two guards that keep a file as it is when it cannot be used.
//!
//! * redb repairs a file while it opens it, and only then may find that it cannot be repaired. So everything that is
//!   written during the opening is held in memory until redb accepts the file.
//! * When redb closes a file it writes its state. If the file was truncated meanwhile, or a write failed, that would
//!   change a file that may still be of use. So a database that is given up is abandoned first.

use core::ops::{Bound, Range};
use core::sync::atomic::{AtomicBool, Ordering};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::backends::FileBackend;
use redb::{BackendError, DatabaseError, StorageBackend};

/// What was written during the opening: little, because a repair writes redb's own state only.
#[derive(Debug, Default)]
struct Held {
    length: Option<u64>,
    /// The shortest length that was set: what the file has beyond it is gone.
    shortest: Option<u64>,
    writes: Vec<(u64, Vec<u8>)>,
}

impl Held {
    fn set_len(&mut self, length: u64) {
        self.length = Some(length);
        self.shortest = Some(
            self.shortest
                .map_or(length, |shortest| shortest.min(length)),
        );
        self.writes.retain_mut(|(at, data)| {
            let left = usize::try_from(length.saturating_sub(*at)).unwrap_or(usize::MAX);
            data.truncate(left);
            !data.is_empty()
        });
    }

    /// Changes what was read at `offset` into what would be there.
    fn cover(&self, offset: u64, out: &mut [u8]) {
        let wanted = offset..offset + out.len() as u64;
        for (at, data) in &self.writes {
            let both = common(&wanted, &(*at..at + data.len() as u64));
            if !both.is_empty() {
                let [from, to] = [both.start - offset, both.end - offset].map(|at| at as usize);
                let skip = (both.start - at) as usize;
                out[from..to].copy_from_slice(&data[skip..skip + to - from]);
            }
        }
    }
}

fn common(a: &Range<u64>, b: &Range<u64>) -> Range<u64> {
    a.start.max(b.start)..a.end.min(b.end)
}

/// Both guards.
#[derive(Debug)]
struct Guards {
    /// `None` once redb has accepted the file.
    held: Mutex<Option<Held>>,
    is_abandoned: AtomicBool,
}

/// The owner's side of the guards.
#[derive(Debug, Clone)]
pub(super) struct Guard(Arc<Guards>);

impl Guard {
    /// Creates the guards of a file that is being opened.
    pub(super) fn new() -> Self {
        Self(Arc::new(Guards {
            held: Mutex::new(Some(Held::default())),
            is_abandoned: AtomicBool::new(false),
        }))
    }

    /// redb has accepted the file: writes what was held, and everything from now on.
    pub(super) fn release(&self, file: &File) -> io::Result<()> {
        let mut held = self.held();
        let Some(Held {
            length,
            shortest,
            writes,
        }) = held.take()
        else {
            return Ok(());
        };
        if let Some(shortest) = shortest
            && shortest < file.metadata()?.len()
        {
            file.set_len(shortest)?;
        }
        if let Some(length) = length {
            file.set_len(length)?;
        }
        for (at, data) in writes {
            file.write_all_at(&data, at)?;
        }
        file.sync_data()
    }

    /// From now on nothing is written.
    pub(super) fn abandon(&self) {
        self.0.is_abandoned.store(true, Ordering::SeqCst);
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        // No code can leave the list half changed.
        self.0.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self) -> io::Result<()> {
        if self.0.is_abandoned.load(Ordering::SeqCst) {
            return Err(io::Error::other("the file is given up"));
        }
        Ok(())
    }
}

/// The file. Everything else is passed on to redb's own.
#[derive(Debug)]
pub(super) struct Backend {
    file: FileBackend,
    guard: Guard,
}

impl Backend {
    pub(super) fn new(file: File, guard: Guard) -> Result<Self, DatabaseError> {
        let file = FileBackend::new(file)?;
        Ok(Self { file, guard })
    }
}

impl StorageBackend for Backend {
    fn len(&self) -> io::Result<u64> {
        let held = self.guard.held().as_ref().and_then(|held| held.length);
        held.map_or_else(|| self.file.len(), Ok)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let held = self.guard.held();
        let Some(held) = &*held else {
            return self.file.read(offset, out);
        };
        // Beyond the file's own end there are zeros, if it was made longer.
        let there = self.file.len()?.min(held.shortest.unwrap_or(u64::MAX));
        let there = there.saturating_sub(offset);
        let there = usize::try_from(there).map_or(out.len(), |there| there.min(out.len()));
        if there < out.len()
            && held
                .length
                .is_none_or(|len| len < offset + out.len() as u64)
        {
            return self.file.read(offset, out);
        }
        let (inside, beyond) = out.split_at_mut(there);
        if !inside.is_empty() {
            self.file.read(offset, inside)?;
        }
        beyond.fill(0);
        held.cover(offset, out);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.guard.check()?;
        match &mut *self.guard.held() {
            Some(held) => held.set_len(len),
            None => self.file.set_len(len)?,
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.guard.check()?;
        if self.guard.held().is_some() {
            return Ok(());
        }
        self.file.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.guard.check()?;
        if let Some(held) = &mut *self.guard.held() {
            held.writes.push((offset, data.to_vec()));
            return Ok(());
        }
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.file.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.query_lock_range(start, end)
    }
}
