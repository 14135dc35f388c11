//! Standard output behind a bounded queue, so that a reader that has stopped delays nothing but itself.
//!
//! ```text
//!  write ──▶ queue (QUEUE_BYTES; without room for PATIENCE, lines are dropped and counted) ──▶ thread ──▶ output
//!                                     once the queue is empty: a line says how many were lost
//! ```
//!
//! A pipe that nobody reads, a terminal after Ctrl-S, or a slow disk would otherwise stop the console of the guest, the metrics and
//! the page.

use core::time::Duration;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// The bytes that wait for the reader: some thousand lines, ten seconds of a busy image.
const QUEUE_BYTES: usize = 1 << 20;

/// The time for which writers wait in all for room, until the queue was empty again. A reader that is only slower than a burst then
/// gets every line. The system's buffer for datagrams holds what arrives meanwhile.
const PATIENCE: Duration = Duration::from_secs(1);

/// The time without progress after which the end waits no longer.
const LAST: Duration = Duration::from_secs(1);

/// The queue, shared with the thread that writes.
#[derive(Debug, Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// The bytes in `lines`, and those that the thread is writing.
    bytes: usize,
    /// The lines that found no room since the queue was empty. While there are some, no line is queued: so the order stays.
    lost: u64,
    /// The time for which writers have waited since the queue was empty.
    waited: Duration,
    /// The number of writes, to see progress.
    writes: u64,
    is_closed: bool,
    error: Option<io::Error>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        // No code can leave the queue half changed.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'g>(&self, queue: MutexGuard<'g, Queue>, limit: Duration) -> MutexGuard<'g, Queue> {
        let waited = self.changed.wait_timeout(queue, limit);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// A writer of lines that never waits long for its reader. Each call of [`Write::write`] is a line.
#[derive(Debug)]
pub(crate) struct Outlet(Arc<Shared>);

impl Outlet {
    /// Begins to write to `out`, in a new thread. `note` makes the line that tells how many lines were lost.
    pub(crate) fn start(
        out: impl Write + Send + 'static,
        note: impl Fn(u64) -> Vec<u8> + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || write_all(&shared, out, note)
        });
        Self(shared)
    }

    /// Waits until everything is written, as long as there is progress. Returns the number of lines that were not written.
    ///
    /// # Errors
    /// The error of the output.
    pub(crate) fn drain(&self) -> io::Result<u64> {
        let mut queue = self.0.lock();
        let (mut seen, mut since) = (queue.writes, Instant::now());
        while queue.error.is_none() && (queue.bytes > 0 || queue.lost > 0) {
            if queue.writes != seen {
                (seen, since) = (queue.writes, Instant::now());
            }
            let left = LAST.saturating_sub(since.elapsed());
            if left.is_zero() {
                return Ok((queue.lines.len() as u64).max(1) + queue.lost);
            }
            queue = self.0.wait(queue, left);
        }
        queue.error.take().map_or(Ok(0), Err)
    }
}

impl Write for Outlet {
    /// Queues a line, or counts it as lost.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut queue = self.0.lock();
        let fits = |queue: &Queue| queue.bytes == 0 || queue.bytes + line.len() <= QUEUE_BYTES;
        while queue.error.is_none() && queue.lost == 0 && !fits(&queue) && queue.waited < PATIENCE {
            let (began, left) = (Instant::now(), PATIENCE - queue.waited);
            queue = self.0.wait(queue, left);
            queue.waited += began.elapsed();
        }
        if let Some(error) = queue.error.take() {
            queue.error = Some(error.kind().into());
            return Err(error);
        }
        if queue.lost == 0 && fits(&queue) {
            queue.bytes += line.len();
            queue.lines.push_back(line.to_vec());
            self.0.changed.notify_all();
        } else {
            queue.lost += 1;
        }
        Ok(line.len())
    }

    /// Does nothing: the thread writes at once.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

fn write_all(shared: &Shared, mut out: impl Write, note: impl Fn(u64) -> Vec<u8>) {
    loop {
        let mut queue = shared.lock();
        while queue.lines.is_empty() && queue.lost == 0 && !queue.is_closed {
            queue = shared
                .changed
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let next = queue.lines.pop_front();
        let (text, length) = match next {
            Some(line) => {
                let length = line.len();
                (line, length)
            }
            None if queue.lost > 0 => (note(core::mem::take(&mut queue.lost)), 0),
            None => return,
        };
        drop(queue);
        let written = out.write_all(&text).and_then(|()| out.flush());
        let mut queue = shared.lock();
        queue.bytes -= length;
        queue.writes += 1;
        if queue.bytes == 0 {
            queue.waited = Duration::ZERO;
        }
        if let Err(error) = written {
            queue.error = Some(error);
            queue.lines.clear();
            shared.changed.notify_all();
            return;
        }
        shared.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader, pipe};

    fn note(lost: u64) -> Vec<u8> {
        format!("{lost} lost\n").into_bytes()
    }

    fn line(reader: &mut BufReader<PipeReader>) -> String {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    #[test]
    fn a_reader_that_reads_gets_every_line_in_order() {
        let (reader, writer) = pipe().unwrap();
        let mut outlet = Outlet::start(writer, note);
        let reading = thread::spawn(move || {
            let mut reader = BufReader::new(reader);
            (0..50_000).all(|n| line(&mut reader) == format!("line {n}"))
        });
        for n in 0..50_000 {
            writeln!(Whole(&mut outlet), "line {n}").unwrap();
        }
        assert_eq!(outlet.drain().unwrap(), 0);
        assert!(reading.join().unwrap());
    }

    /// Collects a formatted line, because a line is one call.
    struct Whole<'o>(&'o mut Outlet);

    impl Whole<'_> {
        fn write_fmt(&mut self, text: core::fmt::Arguments<'_>) -> io::Result<()> {
            self.0.write_all(text.to_string().as_bytes())
        }
    }

    #[test]
    fn a_reader_that_stops_costs_its_own_lines_and_is_told_how_many() {
        let (reader, writer) = pipe().unwrap();
        let mut outlet = Outlet::start(writer, note);
        let mut printed = 0;
        let text = "x".repeat(1_000);
        while outlet.0.lock().lost < 1_000 {
            writeln!(Whole(&mut outlet), "line {printed} {text}").unwrap();
            printed += 1;
        }
        assert!(outlet.drain().unwrap() > 1_000, "nobody reads: it gives up");
        let mut reader = BufReader::new(reader);
        let mut shown = 0;
        let lost: u64 = loop {
            let line = line(&mut reader);
            if let Some(lost) = line.strip_suffix(" lost") {
                break lost.parse().unwrap();
            }
            assert!(line.starts_with(&format!("line {shown} ")), "in order");
            shown += 1;
        };
        assert_eq!(shown + lost, printed);
        writeln!(Whole(&mut outlet), "again").unwrap();
        assert_eq!(line(&mut reader), "again");
        assert_eq!(outlet.drain().unwrap(), 0);
    }

    #[test]
    fn a_closed_output_is_an_error() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let mut outlet = Outlet::start(writer, note);
        writeln!(Whole(&mut outlet), "line").unwrap();
        assert_eq!(
            outlet.drain().unwrap_err().kind(),
            io::ErrorKind::BrokenPipe
        );
    }
}
