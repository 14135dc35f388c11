//! An image with a few sources, and a client of its control port.

use core::cell::RefCell;

use agent::config::{Target, Token};
use agent::control::{ControlCounts, Managed, Session, Status};
use agent::door::{Door, Lock};
use heap_profiler::HeapStats;
use logging::{Level, Levels, Table, Unknown};
use metrics::line::Tag;
use metrics::{Counter, Registry, SeriesCache};
use network::Step;
use network::bounds::{COMMAND_MAX, CONTROL_IDLE, PROVE_WITHIN, REPLY_MAX};
use network::outbox::Counts;
use units::Micros;

use crate::stream::FakeStream;

/// Log sources in the order of their registration.
pub const LOG_SOURCES: [&str; 4] = ["dns", "tcp", "app::cache", "app::cache::lru"];

/// A metrics source: name, tags, unit of its field `count`.
pub type Declared = (&'static str, &'static [Tag<'static>], &'static str);

/// Metrics sources in the order of their registration.
pub const METRICS: [Declared; 4] = [
    ("memory", &[], "blocks"),
    ("net-solo5", &[("interface", "net0")], "bytes"),
    (
        "http",
        &[("http", "demo"), ("interface", "net0")],
        "requests",
    ),
    ("a:b", &[], "events"),
];

pub fn status() -> Status {
    Status {
        uptime: Micros(1_500_000),
        address: None,
        target: Target::Off,
        counts: Counts::default(),
        lines_waiting: 3,
        intervals_missed: 0,
        restarts: 0,
        heap: HeapStats {
            live_bytes: 42,
            ..HeapStats::default()
        },
        monitoring_bytes: 7,
        trace_buffer: 8,
    }
}

pub fn status_reply() -> String {
    concat!(
        "ok: version=",
        env!("CARGO_PKG_VERSION"),
        " protocol=1 uptime_s=1.500000 address=none metrics=off lines_sent=0 lines_lost=0 lines_in_doubt=0 lines_waiting=3",
        " connections_lost=0 intervals_missed=0 restarts=0 live_bytes=42 live_blocks=0 peak_bytes=0 free_bytes=0 heap_bytes=0 monitoring_bytes=7 trace_buffer=8",
    )
    .to_string()
}

/// Creates a registry of this thread with [`METRICS`], all on. Unoptimized code moves it over the stack several times,
/// and a test's thread has too little stack for that.
fn registry() -> &'static Registry {
    static SERIES: SeriesCache = SeriesCache::new();
    thread_local! {
        static MINE: RefCell<Option<&'static Registry>> = const { RefCell::new(None) };
    }
    let make = || {
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        let made = thread.spawn(|| &*Box::leak(Box::new(Registry::new(&SERIES))));
        let registry = made.expect("a thread").join().expect("a registry");
        for (name, tags, unit) in METRICS {
            let counter = Counter::new(name, "a source of the test")
                .tags(tags)
                .unit(unit);
            registry
                .register(Box::leak(Box::new(counter)))
                .expect("the names differ");
        }
        registry
    };
    let registry = MINE.with(|mine| *mine.borrow_mut().get_or_insert_with(make));
    registry.disable_all();
    registry.enable_all();
    registry
}

/// The parts that commands change, as after boot: all metrics on, all logs at `warning`.
pub struct Image {
    pub registry: &'static Registry,
    pub log: Table,
}

impl Image {
    pub fn new() -> Self {
        let log = Table::new(Level::Warning, |_| {});
        for name in LOG_SOURCES {
            let item = format!("{name}:info");
            let levels = Levels::parse(&item).expect("levels");
            log.apply(&levels, Unknown::Enter).expect("room");
        }
        let levels = Levels::parse("warning").expect("levels");
        log.apply(&levels, Unknown::Refuse).expect("no name");
        Self {
            registry: registry(),
            log,
        }
    }

    pub fn managed(&self) -> Managed<'_> {
        Managed {
            registry: self.registry,
            log: &self.log,
            status: &status,
            profiler: None,
        }
    }
}

/// The secret of the challenges.
pub const KEY: [u8; 32] = [7; 32];

/// The memory of one session, and its counts.
pub struct Client {
    line: Vec<u8>,
    reply: Vec<u8>,
    pub counts: ControlCounts,
    pub door: Door,
}

impl Client {
    pub fn new() -> Self {
        Self::with_token(None)
    }

    pub fn with_token(token: Option<Token>) -> Self {
        Self {
            line: vec![0; COMMAND_MAX + 1],
            reply: vec![0; REPLY_MAX],
            counts: ControlCounts::default(),
            door: Door::new(
                Lock {
                    token,
                    plain: true,
                    key: KEY,
                },
                "control",
            ),
        }
    }

    /// Opens a session and returns it with its counts and its door.
    pub fn session(&mut self, now: Micros) -> (Session<'_>, &mut ControlCounts, &mut Door) {
        let mut session = Session::new(&mut self.line, &mut self.reply, CONTROL_IDLE);
        session.open(now);
        (session, &mut self.counts, &mut self.door)
    }

    /// Sends the pieces one by one, with a turn and an acknowledgement after each, then closes. Returns all replies.
    pub fn converse<'p>(
        &mut self,
        image: &Image,
        pieces: impl IntoIterator<Item = &'p [u8]>,
        stream: &mut FakeStream,
    ) -> String {
        let managed = image.managed();
        let (mut session, counts, door) = self.session(Micros::ZERO);
        let mut closed = false;
        for piece in pieces {
            stream.arrive(piece);
            let step = session.turn(Micros::ZERO, stream, &managed, door, counts);
            stream.acknowledge();
            if step == Step::Close {
                closed = true;
                break;
            }
            // A client that has not proven to know the token has less time.
            assert!(
                matches!(step, Step::Stay(CONTROL_IDLE | PROVE_WITHIN)),
                "{step:?}"
            );
        }
        stream.peer_closed = true;
        for turn in 0.. {
            if closed {
                break;
            }
            assert!(turn < 1_000_000, "the session does not end");
            let step = session.turn(Micros::ZERO, stream, &managed, door, counts);
            stream.acknowledge();
            closed = step == Step::Close;
            assert!(closed || step == Step::Stay(CONTROL_IDLE), "{step:?}");
        }
        String::from_utf8(stream.sent.clone()).expect("replies are text")
    }

    /// Sends all at once and returns what the client reads.
    pub fn ask(&mut self, image: &Image, input: &[u8]) -> String {
        self.converse(image, [input], &mut FakeStream::default())
    }
}
