//! The page's connections: a bounded table, in which a newcomer always gets a place.
//!
//! ```text
//!            accepted             whole header and body         answered
//!  newcomer ──────────▶ asking ─────────────────────▶ answering ─────────▶ idle
//!                         ▲                              │ /events          │ another request
//!                         │                              ▼                  │
//!                         │                          following              │
//!                         └─────────────────────────────────────────────────┘
//! ```
//!
//! If the table is full, the oldest that is asking leaves it, then the oldest that is idle, then the oldest that is
//! answered, and a follower last. So connections that send half a header keep nobody out. All clients usually have the
//! same address, so addresses decide nothing.

use core::time::Duration;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::alive;
use crate::live::Live;

/// The most connections at a time. A browser has six for one page.
pub(super) const MAX_CONNECTIONS: usize = 128;

/// The most followers among them, each with its own stream. A person has some. The memory of their messages is the
/// reason for the bound.
pub(super) const MAX_FOLLOWERS: usize = 32;

/// The time for a whole header, also for the next one on the same connection, and then for a body.
const ASKING: Duration = Duration::from_secs(15);

/// The longest header in bytes; browsers send less than one KiB. hyper needs at least 8 KiB.
const MAX_HEADER: usize = 16 * 1024;

/// The longest body in bytes. The page sends less than 100.
const MAX_BODY: usize = 16 * 1024;

/// The pause when the system has no more file descriptors: `accept` fails at once and would spin.
const REST: Duration = Duration::from_millis(100);

/// What a connection does, in the order in which they leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Asking,
    Idle,
    Answering,
    Following,
}

struct Place {
    number: u64,
    phase: Phase,
    since: Instant,
    leave: Arc<Notify>,
}

/// The table.
pub(super) struct Connections {
    places: Mutex<Vec<Place>>,
    live: Arc<Live>,
}

impl Connections {
    pub(super) fn new(live: Arc<Live>) -> Arc<Self> {
        Arc::new(Self {
            places: Mutex::default(),
            live,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        // No code can leave the table half changed.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a newcomer a place.
    fn admit(self: &Arc<Self>, number: u64) -> (Here, Arc<Notify>) {
        let leave = Arc::new(Notify::new());
        let mut places = self.lock();
        if places.len() >= MAX_CONNECTIONS {
            self.send_away(&mut places, |_| true);
        }
        places.push(Place {
            number,
            phase: Phase::Asking,
            since: Instant::now(),
            leave: Arc::clone(&leave),
        });
        let all = Arc::clone(self);
        (Here { number, all }, leave)
    }

    /// Takes the place of the first of these in the order of leaving.
    fn send_away(&self, places: &mut Vec<Place>, so: impl Fn(&Place) -> bool) {
        let those = places.iter().enumerate().filter(|(_, place)| so(place));
        let first = those.min_by_key(|(_, place)| (place.phase, place.since, place.number));
        if let Some((at, _)) = first {
            places.remove(at).leave.notify_one();
            self.live.page_closed();
        }
    }
}

/// A connection's own place. It is free when this is dropped.
pub(super) struct Here {
    number: u64,
    all: Arc<Connections>,
}

impl Here {
    fn enter(&self, phase: Phase) {
        let mut places = self.all.lock();
        if phase == Phase::Following {
            let is_follower = |place: &Place| place.phase == Phase::Following;
            if places.iter().filter(|place| is_follower(place)).count() >= MAX_FOLLOWERS {
                self.all.send_away(&mut places, is_follower);
            }
        }
        let mine = places.iter_mut().find(|place| place.number == self.number);
        // An answer that goes on is not over when its header is.
        if let Some(place) = mine.filter(|place| place.phase != Phase::Following) {
            place.phase = phase;
            place.since = Instant::now();
        }
    }

    /// From now on the connection gets events. Of too many followers the oldest leaves.
    pub(super) fn follow(&self) {
        self.enter(Phase::Following);
    }
}

impl Drop for Here {
    fn drop(&mut self) {
        self.all.lock().retain(|place| place.number != self.number);
    }
}

/// Serves connections until the process ends.
pub(super) async fn serve(listener: TcpListener, router: Router, all: Arc<Connections>) {
    for number in 0.. {
        let stream = loop {
            match listener.accept().await {
                Ok((stream, _)) => break stream,
                Err(_) => sleep(REST).await,
            }
        };
        // Without the limits it is served all the same; those of the table remain.
        alive::watch(&stream).unwrap_or_default();
        let (here, leave) = all.admit(number);
        tokio::spawn(converse(stream, router.clone(), here, leave));
    }
}

async fn converse(stream: TcpStream, router: Router, here: Here, leave: Arc<Notify>) {
    let here = Arc::new(here);
    let router = router.layer(Extension(Arc::clone(&here)));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(ASKING)
        .max_buf_size(MAX_HEADER)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::select! {
        // An error of one connection ends only that connection.
        _ = connection => {}
        () = leave.notified() => {}
    }
}

/// Notes what the connection does. A request is answered when all of it has come.
pub(super) async fn note(
    Extension(here): Extension<Arc<Here>>,
    request: Request,
    next: Next,
) -> Response {
    let (head, body) = request.into_parts();
    let body = match timeout(ASKING, to_bytes(body, MAX_BODY)).await {
        Ok(Ok(body)) => body,
        Ok(Err(_)) => return StatusCode::PAYLOAD_TOO_LARGE.into_response(),
        Err(_) => return StatusCode::REQUEST_TIMEOUT.into_response(),
    };
    here.enter(Phase::Answering);
    let response = next.run(Request::from_parts(head, Body::from(body))).await;
    here.enter(Phase::Idle);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phases(all: &Connections) -> Vec<(u64, Phase)> {
        let places = all.lock();
        places
            .iter()
            .map(|place| (place.number, place.phase))
            .collect()
    }

    #[test]
    fn half_headers_leave_first_then_the_idle_and_followers_last() {
        let live = Arc::new(Live::new(None).unwrap());
        let all = Connections::new(Arc::clone(&live));
        let mut here: Vec<_> = (0..MAX_CONNECTIONS as u64).map(|n| all.admit(n)).collect();
        here[0].0.follow();
        for (at, (here, _)) in here.iter().enumerate().skip(1) {
            if at != 7 {
                here.enter(if at == 9 {
                    Phase::Idle
                } else {
                    Phase::Answering
                });
            }
        }
        for (newcomer, leaves) in [(1_000, 7), (1_001, 1_000), (1_002, 1_001)] {
            here.push(all.admit(newcomer));
            let left = phases(&all);
            assert_eq!(left.len(), MAX_CONNECTIONS);
            assert!(
                !left.iter().any(|&(number, _)| number == leaves),
                "{leaves}"
            );
        }
        let newest = here.last().unwrap();
        newest.0.enter(Phase::Answering);
        here.push(all.admit(1_003));
        assert!(!phases(&all).iter().any(|&(number, _)| number == 9));
        assert!(phases(&all).contains(&(0, Phase::Following)));
        assert_eq!(
            live.losses(),
            [(4, "connections of the page closed for newer ones")]
        );
        here.clear();
        assert_eq!(phases(&all), []);
    }

    #[test]
    fn of_too_many_followers_the_oldest_leaves() {
        let all = Connections::new(Arc::new(Live::new(None).unwrap()));
        let here: Vec<_> = (0..=MAX_FOLLOWERS as u64).map(|n| all.admit(n)).collect();
        here.iter().for_each(|(here, _)| here.follow());
        let numbers: Vec<u64> = phases(&all).iter().map(|place| place.0).collect();
        assert_eq!(numbers, (1..=MAX_FOLLOWERS as u64).collect::<Vec<_>>());
    }
}
