//! Serves the page: one server on one address, for users of this machine.
//!
//! ```text
//!  GET  /                        the page; /page.css, /charts.js, /flame.js, /heap.js, /page.js belong to it
//!  GET  /events?vm=NAME          server-sent events: `status` each second, `points` as they come (see `follow`)
//!  GET  /control.json?vm=NAME    what is on and what is logged, asked of the image
//!  POST /control?vm=NAME         {"metric": NAME, "on": BOOL} or {"log": NAME, "level": LEVEL}
//!  GET  /profile.json?value=V    the heap profile, if there is one; V is `allocated`, or `live` for the end of a trace
//!  POST /trace?vm=NAME           {"seconds": 5}: takes a heap trace; `status` reports its progress
//! ```
//!
//! It uses axum on tokio, with one thread: both are maintained by the same people, and axum has server-sent events.
//! `tiny_http` does not have them, and its last release is years old. The page is part of the program and requests
//! nothing from other servers.

mod connections;
mod follow;
mod guard;
mod heap;

use core::convert::Infallible;
use core::net::SocketAddr;
use core::pin::Pin;
use core::task::{Context, Poll};
use core::time::Duration;
use std::io;
use std::sync::Arc;
use std::thread;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use axum::{Extension, Json, Router, middleware};
use futures_core::Stream;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::task::spawn_blocking;

use crate::address::Each;
use crate::control::{Control, ControlError, Order};
use crate::live::Live;
use crate::point::UnixMicros;
use connections::{Connections, Here};
use follow::Follower;
use heap::Which;

pub(crate) use heap::Heap;

/// The number of messages that wait for one page. When the page is behind, the rest waits in the store, and becomes one
/// larger message.
const MAX_WAITING: usize = 4;

/// The time between two messages to a page.
const FRESH: Duration = Duration::from_millis(250);

/// The number of these times after which a page also gets the status.
const STATUS: u32 = 4;

/// The reason why there is no page.
#[derive(Debug, Error)]
#[error("cannot serve a page at {address}: {source}: choose another with --web ADDRESS:PORT")]
pub(crate) struct WebError {
    address: SocketAddr,
    source: io::Error,
}

/// Everything that the page shows.
struct Shown {
    live: Arc<Live>,
    controls: Each<Control>,
    heap: Arc<Heap>,
}

/// Serves the page until the process ends. Returns its address, with the real port.
///
/// # Errors
/// [`WebError`], if the address cannot be opened.
pub(crate) fn serve(
    address: SocketAddr,
    live: Arc<Live>,
    controls: Each<Control>,
    heap: Heap,
) -> Result<SocketAddr, WebError> {
    let failed = |source| WebError { address, source };
    let listener = std::net::TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .build()
        .map_err(failed)?;
    let listener = {
        let _inside = runtime.enter();
        tokio::net::TcpListener::from_std(listener).map_err(failed)?
    };
    let connections = Connections::new(Arc::clone(&live));
    let router = router(Shown {
        live,
        controls,
        heap: Arc::new(heap),
    });
    thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || runtime.block_on(connections::serve(listener, router, connections)))
        .map_err(failed)?;
    Ok(bound)
}

fn router(shown: Shown) -> Router {
    let heap = heap::router(Arc::clone(&shown.heap));
    let html = |text| part("text/html", text);
    let css = |text| part("text/css", text);
    let script = |text| part("text/javascript", text);
    Router::new()
        .route("/", html(include_str!("../web/page.html")))
        .route("/page.css", css(include_str!("../web/page.css")))
        .route("/charts.js", script(include_str!("../web/charts.js")))
        .route("/flame.js", script(include_str!("../web/flame.js")))
        .route("/heap.js", script(include_str!("../web/heap.js")))
        .route("/page.js", script(include_str!("../web/page.js")))
        .route("/events", get(events))
        .route("/control.json", get(states))
        .route("/control", post(order))
        .with_state(Arc::new(shown))
        .merge(heap)
        .layer(middleware::from_fn(connections::note))
        .layer(middleware::from_fn(guard::guard))
}

/// Serves a part of the page, which is in the program.
fn part(kind: &str, text: &'static str) -> MethodRouter<Arc<Shown>> {
    let kind = format!("{kind}; charset=utf-8");
    get(async move || ([(CONTENT_TYPE, kind)], text))
}

/// The machines and how receiving goes.
#[derive(Serialize)]
struct Status {
    machines: Vec<Machine>,
    points: u64,
    losses: Vec<(u64, &'static str)>,
    fault: Option<String>,
    heap: heap::Told,
}

#[derive(Serialize)]
struct Machine {
    name: String,
    /// The seconds since its last point.
    age: i64,
    points: u64,
    control: bool,
}

impl Shown {
    fn status(&self) -> Status {
        let now = UnixMicros::now();
        self.live.forget_old(now);
        let (mut machines, points) = self.live.look(|inside| {
            let machines = inside.store.machines().iter().map(|machine| Machine {
                name: machine.name.clone(),
                age: (now.0 - machine.arrived.0) / 1_000_000,
                points: machine.points,
                control: self.controls.of(&machine.name).is_some(),
            });
            (machines.collect::<Vec<_>>(), inside.tally.points)
        });
        machines.sort_by(|a, b| a.name.cmp(&b.name));
        let heap = self
            .heap
            .status(machines.iter().map(|machine| machine.name.as_str()));
        Status {
            heap,
            machines,
            points,
            losses: self.live.losses(),
            fault: self.live.fault(),
        }
    }
}

/// A page's messages, in the form that axum requires.
struct Messages {
    from: Receiver<Event>,
}

impl Stream for Messages {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.from.poll_recv(context).map(|event| event.map(Ok))
    }
}

async fn events(
    State(shown): State<Arc<Shown>>,
    Extension(here): Extension<Arc<Here>>,
    Query(which): Query<Which>,
) -> Response {
    here.follow();
    let (to, from) = mpsc::channel(MAX_WAITING);
    tokio::spawn(tell(shown, Follower::new(which.vm), to));
    let messages = Messages { from };
    Sse::new(messages)
        .keep_alive(KeepAlive::default())
        .into_response()
}

/// Sends one page everything new, until it is closed.
async fn tell(shown: Arc<Shown>, mut follower: Follower, to: Sender<Event>) {
    let mut ticks = tokio::time::interval(FRESH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    for turn in (0..STATUS).cycle() {
        ticks.tick().await;
        if turn == 0 && !send(&to, "status", &shown.status()).await {
            return;
        }
        if let Some(message) = shown.live.look(|inside| follower.look(inside))
            && !send(&to, "points", &message).await
        {
            return;
        }
    }
}

/// Sends a message. Returns `false` if the page is closed.
async fn send(to: &Sender<Event>, name: &str, what: &impl Serialize) -> bool {
    match Event::default().event(name).json_data(what) {
        Ok(event) => to.send(event).await.is_ok(),
        // None of the messages has keys that are not text.
        Err(_) => false,
    }
}

async fn states(State(shown): State<Arc<Shown>>, Query(which): Query<Which>) -> Response {
    asked(shown, which, Control::states).await
}

#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Wanted {
    Metric { metric: String, on: bool },
    Log { log: String, level: String },
}

async fn order(
    State(shown): State<Arc<Shown>>,
    Query(which): Query<Which>,
    Json(wanted): Json<Wanted>,
) -> Response {
    asked(shown, which, move |control| {
        control.order(&match &wanted {
            Wanted::Metric { metric, on } => Order::Metric {
                name: metric,
                on: *on,
            },
            Wanted::Log { log, level } => Order::Log { name: log, level },
        })
    })
    .await
}

/// Asks a machine's control port, in a thread that may wait.
async fn asked<T: Serialize + Send + 'static>(
    shown: Arc<Shown>,
    which: Which,
    ask: impl FnOnce(&Control) -> Result<T, ControlError> + Send + 'static,
) -> Response {
    let answer = spawn_blocking(move || {
        let vm = which.vm.unwrap_or_default();
        match shown.controls.of(&vm) {
            None => Err((
                StatusCode::NOT_FOUND,
                "no control port is known: give --control\n".to_owned(),
            )),
            Some(control) => ask(control).map_err(|error| {
                let status = match error {
                    ControlError::Refused(_) | ControlError::Name(_) | ControlError::Level(_) => {
                        StatusCode::BAD_REQUEST
                    }
                    ControlError::Port { .. } | ControlError::Reply(_) => StatusCode::BAD_GATEWAY,
                };
                (status, format!("{error}\n"))
            }),
        }
    })
    .await;
    match answer {
        Ok(Ok(told)) => Json(told).into_response(),
        Ok(Err(refused)) => refused.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
