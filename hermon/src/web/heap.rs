//! The heap on the page: a trace is asked for, goes on, and becomes a flame graph.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hermon_heap::convert::Value;
use hermon_heap::flame::{FlameError, FlameFile, FlameGraph};
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;

use crate::taker::{self, TakeError, Taker};

/// The sources of profiles.
#[derive(Default)]
pub(crate) struct Heap {
    /// A file with a profile.
    pub file: Option<FlameFile>,
    /// Traces from machines, when a user asks for one. A trace is shown instead of the file.
    pub taker: Option<Taker>,
}

impl Heap {
    fn profile(&self, value: Value) -> Result<Option<Arc<FlameGraph>>, FlameError> {
        let taken = self.taker.as_ref().and_then(|taker| taker.profile(value));
        match (taken, &self.file) {
            (None, Some(file)) => file.read().map(|graph| Some(Arc::new(graph))),
            (taken, _) => Ok(taken),
        }
    }

    pub(super) fn status<'a>(&'a self, heard: impl Iterator<Item = &'a str>) -> Told {
        Told {
            file: self.file.is_some(),
            trace: self.taker.as_ref().map(|taker| Traced {
                machines: taker.machines(heard),
                state: taker.state(),
            }),
        }
    }
}

/// The part of the status that the page gets each second.
#[derive(Serialize)]
pub(super) struct Told {
    /// `true` if there is a file to read again.
    file: bool,
    trace: Option<Traced>,
}

#[derive(Serialize)]
struct Traced {
    /// The machines whose traces can be taken.
    machines: Vec<String>,
    #[serde(flatten)]
    state: taker::State,
}

/// The paths of the page that are about the heap.
pub(super) fn router(heap: Arc<Heap>) -> Router {
    Router::new()
        .route("/trace", post(take))
        .route("/profile.json", get(profile))
        .with_state(heap)
}

/// The machine that a request is about.
#[derive(Deserialize)]
pub(super) struct Which {
    /// Its tag `vm`, if any.
    pub(super) vm: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    seconds: u64,
}

/// Begins a trace; it goes on after the answer.
async fn take(
    State(heap): State<Arc<Heap>>,
    Query(which): Query<Which>,
    Json(wanted): Json<Wanted>,
) -> Response {
    let begun = match &heap.taker {
        Some(taker) => taker.take(&which.vm.unwrap_or_default(), wanted.seconds),
        None => Err(TakeError::NoPort(which.vm.unwrap_or_default())),
    };
    match begun {
        Ok(()) => Json(()).into_response(),
        Err(error) => {
            let status = match error {
                TakeError::NoPort(_) => StatusCode::NOT_FOUND,
                TakeError::Busy(_) => StatusCode::CONFLICT,
                TakeError::Seconds(_) => StatusCode::BAD_REQUEST,
                TakeError::Thread(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, format!("{error}\n")).into_response()
        }
    }
}

/// The choice of the bytes of a trace.
#[derive(Deserialize)]
struct Bytes {
    #[serde(default)]
    value: Choice,
}

#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Choice {
    #[default]
    Allocated,
    Live,
}

async fn profile(State(heap): State<Arc<Heap>>, Query(Bytes { value }): Query<Bytes>) -> Response {
    let value = match value {
        Choice::Allocated => Value::Allocated,
        Choice::Live => Value::Live,
    };
    let answer = spawn_blocking(move || heap.profile(value)).await;
    match answer {
        Ok(Ok(profile)) => Json(profile.as_deref()).into_response(),
        Ok(Err(error)) => (StatusCode::BAD_GATEWAY, format!("{error}\n")).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
