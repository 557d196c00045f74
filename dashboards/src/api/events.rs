//! `GET /v1/events`: lane states, decisions, passages and alerts as they happen.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::IntoResponse;
use axum::Extension;
use futures::stream;
use portgate_core::people::Principal;
use serde::Deserialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::OwnedSemaphorePermit;

use super::Params;
use crate::auth::sees_masked;
use crate::error::ApiError;
use crate::hub::Live;
use crate::state::AppState;
use crate::telemetry;

/// A stream ends after this and its listener comes back: so that who has lost the right to
/// listen is noticed.
const STREAM_MAX: Duration = Duration::from_secs(1800);
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Parameters of the stream.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventParams {
    /// The last id heard, where the client can't send `Last-Event-ID`.
    #[serde(default)]
    after: Option<String>,
}

/// Counts a listener while it lives.
struct Listener {
    _permit: OwnedSemaphorePermit,
}

impl Listener {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        metrics::gauge!(telemetry::EVENT_CLIENTS).increment(1.0);
        Self { _permit: permit }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        metrics::gauge!(telemetry::EVENT_CLIENTS).decrement(1.0);
    }
}

/// Joins the live events.
pub async fn listen(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    headers: HeaderMap,
    Params(params): Params<EventParams>,
) -> Result<impl IntoResponse, ApiError> {
    let permit = state.listeners.clone().try_acquire_owned();
    let listener = Listener::new(permit.map_err(|_| ApiError::unavailable("too many clients listen already"))?);
    let after = headers.get("last-event-id").and_then(|v| v.to_str().ok()).map(str::to_owned).or(params.after);
    let masked = sees_masked(who.role);
    let catch_up = state.hub.subscribe(after.as_deref());

    let mut first = VecDeque::new();
    if catch_up.reset {
        first.push_back(Event::default().event("reset").data("{\"why\":\"what was missed is no longer known; read the lists anew\"}"));
    }
    for lane in state.board.lanes() {
        let lane = if masked { crate::views::mask(&lane) } else { lane };
        first.push_back(Event::default().event("lane").data(lane.to_string()));
    }
    first.extend(catch_up.missed.iter().map(|e| event(e, masked)));
    // From here on the listener has a place, even when nothing happens for a long time.
    let hello = Event::default().event("hello").data(format!("{{\"missed\":{}}}", catch_up.missed.len()));
    first.push_back(if catch_up.id.is_empty() { hello } else { hello.id(catch_up.id) });

    let ends = Instant::now() + STREAM_MAX;
    let begin = (first, Some(catch_up.receiver), state.stop.clone(), listener);
    let events = stream::unfold(begin, move |(mut first, receiver, stop, listener)| async move {
        if let Some(event) = first.pop_front() {
            return Some((Ok::<_, Infallible>(event), (first, receiver, stop, listener)));
        }
        let mut receiver = receiver?;
        let received = tokio::select! {
            received = receiver.recv() => received,
            () = stop.cancelled() => return None,
            () = tokio::time::sleep_until(ends.into()) => return None,
        };
        match received {
            Ok(live) => Some((Ok(event(&live, masked)), (first, Some(receiver), stop, listener))),
            Err(RecvError::Closed) => None,
            Err(RecvError::Lagged(n)) => {
                metrics::counter!(telemetry::EVENT_CLIENTS_DROPPED_TOTAL).increment(1);
                tracing::info!(behind = n, "a listener was too slow and is dropped");
                let bye = Event::default().event("bye").data("{\"why\":\"too slow; come back with the last id\"}");
                Some((Ok(bye), (first, None, stop, listener)))
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE).event(Event::default().event("beat").data("{}"))))
}

fn event(live: &Live, masked: bool) -> Event {
    let data = if masked { live.masked.as_deref().unwrap_or(&live.full) } else { &live.full };
    let event = Event::default().event(live.kind).data(data);
    match &live.id {
        Some(id) => event.id(id),
        None => event,
    }
}
