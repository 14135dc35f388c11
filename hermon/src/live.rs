//! Everything that has come so far, shared by the thread that receives, the view and the page.

use core::sync::atomic::{AtomicU64, Ordering};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::database::{Database, DatabaseError, Record};
use crate::point::{Point, UnixMicros};
use crate::receive::{Arrival, Losses};
use crate::recorder::{Progress, Recorder};
use crate::said::{Origin, Printable, Said, time_of_day};
use crate::store::{Limits, Store};
use crate::tally::{Tally, Told};

/// The number of lines of consoles and of this tool to which one can scroll back. With at most [`MAX_SAID_LINE`] bytes
/// each they take at most 4 MB; usual lines take a tenth of that.
pub(crate) const MAX_SAID: usize = 2_000;

/// The longest such line in bytes. A longer one is cut, with an ellipsis.
pub(crate) const MAX_SAID_LINE: usize = 2_000;

/// The number of points that are read from the file at the start: eighty minutes of ten usual images.
const MAX_REPLAY: usize = 50_000;

/// The data under the lock.
#[derive(Debug)]
pub(crate) struct Inside {
    /// Recent points.
    pub store: Store,
    /// The counts of what has arrived and what was lost on the way.
    pub tally: Tally,
    /// Lines of consoles, QEMU and this tool, and the faults of lines that arrived.
    pub said: VecDeque<Said>,
    /// The number of all lines ever.
    pub said_ever: u64,
    /// Remarks of this tool that nobody has shown yet, at most [`MAX_REMARKS`].
    remarks: Vec<String>,
}

/// The most remarks that wait to be shown. They are few; a flood of machines must not need memory.
const MAX_REMARKS: usize = 64;

/// Everything that a view needs.
#[derive(Debug)]
pub(crate) struct Live {
    inside: Mutex<Inside>,
    losses: OnceLock<Losses>,
    recorder: Mutex<Option<Recorder>>,
    recorded: Option<Arc<Progress>>,
    pages_closed: AtomicU64,
}

impl Live {
    /// Creates it empty, or with the points in the file. From now on new points go into the file.
    ///
    /// # Errors
    /// The error of the file.
    pub(crate) fn new(database: Option<Database>) -> Result<Self, DatabaseError> {
        let mut store = Store::new(Limits::USUAL);
        if let Some(database) = &database {
            database.replay(MAX_REPLAY, |arrived, line| {
                if let Ok(Some(point)) = Point::parse(line) {
                    store.take(point, arrived);
                }
            })?;
            // Those of the past are no news.
            store.forget_old(UnixMicros::now());
            drop(store.gone());
        }
        let recorder = database.map(Recorder::start);
        Ok(Self {
            inside: Mutex::new(Inside {
                store,
                tally: Tally::default(),
                said: VecDeque::new(),
                said_ever: 0,
                remarks: Vec::new(),
            }),
            losses: OnceLock::new(),
            recorded: recorder.as_ref().map(Recorder::progress),
            recorder: Mutex::new(recorder),
            pages_closed: AtomicU64::new(0),
        })
    }

    /// Sets the port whose losses count, from its opening on.
    pub(crate) fn watches(&self, losses: Losses) {
        // Set once, by the code that opened the port.
        drop(self.losses.set(losses));
    }

    /// Adds what arrived at `now`.
    pub(crate) fn arrival(&self, arrival: &Arrival, told: Told, now: UnixMicros) {
        let mut inside = self.lock();
        inside.tally.count(&told);
        match told {
            Told::Nothing => {}
            Told::Fault(_, fault) => {
                let text = format!("{} {fault}", arrival.peer);
                inside.say(arrival.transport.into(), text);
            }
            Told::Point(point) => {
                inside.store.take(point, now);
                inside.forget_old(now);
                drop(inside);
                if let Some(recorder) = &*self.recorder() {
                    recorder.record(Record {
                        arrived: now,
                        line: arrival.what.bytes().to_vec(),
                    });
                }
            }
        }
    }

    /// Forgets machines that are gone, also while nothing arrives.
    pub(crate) fn forget_old(&self, now: UnixMicros) {
        self.lock().forget_old(now);
    }

    /// Returns what this tool has to say since the last call: machines that were forgotten, and how the file does.
    pub(crate) fn remarks(&self) -> Vec<String> {
        let mut remarks = core::mem::take(&mut self.lock().remarks);
        remarks.extend(self.recorded.iter().flat_map(|progress| progress.news()));
        remarks
    }

    /// Counts a connection of the page that was closed for a newer one.
    pub(crate) fn page_closed(&self) {
        self.pages_closed.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds a line of a console, of QEMU or of this tool.
    pub(crate) fn say(&self, origin: Origin, text: String) {
        self.lock().say(origin, text);
    }

    /// Calls `with` under the lock. It must be short, because the receiver waits meanwhile.
    pub(crate) fn look<T>(&self, with: impl FnOnce(&Inside) -> T) -> T {
        with(&self.lock())
    }

    /// Returns the counts of what has arrived and what was lost, including what only the system knows.
    pub(crate) fn tally(&self) -> Tally {
        let tally = self.lock().tally.clone();
        tally.with(self.losses.get())
    }

    /// Returns everything that was received and did not reach its place: amounts and their kinds.
    pub(crate) fn losses(&self) -> Vec<(u64, &'static str)> {
        self.tally().losses().chain(self.unkept()).collect()
    }

    /// Returns everything that arrived whole and found no place in memory or in the file.
    pub(crate) fn unkept(&self) -> impl Iterator<Item = (u64, &'static str)> {
        let refused = self.look(|inside| inside.store.refused());
        let pages = self.pages_closed.load(Ordering::Relaxed);
        let unstored = self
            .recorded
            .as_ref()
            .map_or(0, |progress| progress.unstored());
        [
            (refused.points, "points of too many series"),
            (refused.values, "values of too many fields"),
            (refused.forgotten, "silent series forgotten for new ones"),
            (pages, "connections of the page closed for newer ones"),
            (unstored, "points not in the file"),
        ]
        .into_iter()
        .filter(|&(count, _)| count > 0)
    }

    /// Returns the reason why the file accepts no more, if so.
    pub(crate) fn fault(&self) -> Option<String> {
        self.recorded.as_ref()?.fault()
    }

    /// Writes all queued lines and closes the file. Lines that arrive later are not kept.
    pub(crate) fn close(&self) {
        let recorder = self.recorder().take();
        drop(recorder);
    }

    fn recorder(&self) -> MutexGuard<'_, Option<Recorder>> {
        // No code can leave the value under the lock half changed.
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        // A thread that panicked under the lock can only have left out a sample or a line.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn forget_old(&mut self, now: UnixMicros) {
        self.store.forget_old(now);
        let gone = self.store.gone();
        let remark = match gone.as_slice() {
            [] => return,
            [name] => {
                let name = Printable(name.as_bytes());
                format!("machine \"{name}\" is forgotten: it sends nothing")
            }
            many => format!("{} machines are forgotten: they send nothing", many.len()),
        };
        if self.remarks.len() < MAX_REMARKS {
            self.remarks.push(remark);
        }
    }

    fn say(&mut self, origin: Origin, mut text: String) {
        if text.len() > MAX_SAID_LINE {
            let end = (0..=MAX_SAID_LINE)
                .rev()
                .find(|&end| text.is_char_boundary(end))
                .unwrap_or(0);
            text.truncate(end);
            text.push('…');
        }
        if self.said.len() >= MAX_SAID {
            self.said.pop_front();
        }
        self.said.push_back(Said {
            time: time_of_day(),
            origin,
            text,
        });
        self.said_ever += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::{Keep, MIN_SIZE};
    use crate::receive::{Transport, What};
    use core::time::Duration;
    use tempfile::TempDir;

    /// Adds something that arrives at this time.
    fn arrive(live: &Live, what: What, now: i64) {
        let told = Told::of(&what);
        let peer = "127.0.0.1:7".parse().unwrap();
        let arrival = Arrival::by(Transport::Tcp, peer, what);
        live.arrival(&arrival, told, UnixMicros(now));
    }

    fn line(text: &str) -> What {
        What::Line(text.into())
    }

    #[test]
    fn points_are_counted_and_faults_are_said() {
        let live = Live::new(None).unwrap();
        for what in [
            line("m v=1"),
            line("# no point"),
            line("m v="),
            What::Cut(b"m".to_vec()),
        ] {
            arrive(&live, what, 1);
        }
        assert_eq!(
            live.tally().to_string(),
            "1 points, 1 lines unparsable, 1 lines cut by their connection's end"
        );
        let said: Vec<String> =
            live.look(|inside| inside.said.iter().map(|said| said.text.clone()).collect());
        assert_eq!(said.len(), 2);
        assert!(said[0].starts_with("127.0.0.1:7 unparsable, "), "{said:?}");
    }

    #[test]
    fn what_is_said_is_bounded_and_the_newest_stays() {
        let live = Live::new(None).unwrap();
        for n in 0..MAX_SAID + 5 {
            live.say(
                Origin::Console,
                format!("{n} {}", "é".repeat(MAX_SAID_LINE)),
            );
        }
        live.look(|inside| {
            assert_eq!(inside.said.len(), MAX_SAID);
            assert_eq!(inside.said_ever, MAX_SAID as u64 + 5);
            assert!(inside.said[0].text.starts_with("5 é") && inside.said[0].text.ends_with('…'));
            assert!(inside.said[0].text.len() <= MAX_SAID_LINE + '…'.len_utf8());
        });
    }

    #[test]
    fn a_file_brings_back_what_was_there_before() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("db");
        let keep = Keep {
            age: Duration::from_secs(1 << 40),
            size: MIN_SIZE,
        };
        let first = Live::new(Some(Database::open(&path, keep).unwrap())).unwrap();
        let began = UnixMicros::now().0;
        for n in 0..10 {
            arrive(&first, line(&format!("m,vm=a v={n}")), began + n);
        }
        drop(first);
        let second = Live::new(Some(Database::open(&path, keep).unwrap())).unwrap();
        second.look(|inside| {
            let (_, series) = inside.store.series().next().unwrap();
            assert_eq!(series.fields[0].samples().len(), 10);
            let arrived = inside.store.machines()[0].arrived;
            assert_eq!(arrived, UnixMicros(began + 9));
            assert_eq!(inside.tally.points, 0, "nothing has arrived yet");
        });
        assert_eq!(second.losses(), []);
    }

    #[test]
    fn a_machine_that_is_forgotten_is_said_once() {
        let live = Live::new(None).unwrap();
        arrive(&live, line("m,vm=gone v=1"), 1_000_000);
        arrive(&live, line("m,vm=here v=1"), 90_000 * 1_000_000);
        let said = ["machine \"gone\" is forgotten: it sends nothing"];
        assert_eq!(live.remarks(), said);
        assert_eq!(live.remarks(), [""; 0]);
        live.look(|inside| assert_eq!(inside.store.machines().len(), 1));
    }
}
