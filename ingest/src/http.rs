//! The calls by which cameras and devices report: `POST /v1/lanes/{lane}/frames` and
//! `POST /v1/lanes/{lane}/reads`.
//!
//! Who calls is settled outside: a layer puts the account ([`Principal`]) into the request's
//! extensions. Here only: does the lane exist, may this account speak for it, is it a whole
//! picture or a read in the right form, and has the log taken it. Accepted means durable; whatever
//! is not accepted is answered with an error ([`Problem`]) and nothing of it is kept.

use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{DefaultBodyLimit, Extension, Path, Query, State};
use axum::http::{header, HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use portgate_core::people::{Principal, Role};
use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;
use portgate_log::{topics, Log, LogError, NewRecord};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::clock;
use crate::lanes::{LaneDirectory, LaneInfo};
use crate::problem::Problem;
use crate::sniff::{sniff, DecodeError, ImageFormat};
use crate::spool::Spool;
use crate::telemetry;
use crate::transcode::{self, TranscodeError};
use crate::validate::{check_read, parse, Invalid};

/// Bounds of the edge; what exceeds them is answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EdgeLimits {
    /// Largest picture posted, bytes.
    pub picture_bytes_max: usize,
    /// Largest frame stored, bytes; a larger picture is made a smaller JPEG.
    pub frame_bytes_max: usize,
    /// Largest read, bytes.
    pub read_bytes_max: usize,
    /// Frames being received and stored at one time; more are answered 429.
    pub frames_in_flight_max: usize,
    /// Reads being received and stored at one time; more are answered 429.
    pub reads_in_flight_max: usize,
    /// Pictures being turned into JPEGs that fit at one time; more wait their turn.
    pub transcodes_max: usize,
    /// How long a body may take to arrive, milliseconds.
    pub body_ms_max: u64,
}

impl Default for EdgeLimits {
    fn default() -> Self {
        Self {
            picture_bytes_max: 8 << 20,
            frame_bytes_max: 1 << 20,
            read_bytes_max: 12 << 10,
            frames_in_flight_max: 32,
            reads_in_flight_max: 256,
            transcodes_max: 2,
            body_ms_max: 15_000,
        }
    }
}

/// What the calls work on; cheap to clone.
#[derive(Clone)]
pub struct EdgeState {
    inner: Arc<Inner>,
}

struct Inner {
    log: Arc<dyn Log>,
    lanes: LaneDirectory,
    limits: EdgeLimits,
    frames: Semaphore,
    reads: Semaphore,
    transcodes: Semaphore,
    spool: Option<Arc<Spool>>,
}

impl EdgeState {
    /// The edge over a log and the lanes that exist. While the log is away nothing is taken in.
    #[must_use]
    pub fn new(log: Arc<dyn Log>, lanes: LaneDirectory, limits: EdgeLimits) -> Self {
        Self::with(log, lanes, limits, None)
    }

    /// The edge over a log elsewhere: while that is away, reads are taken into the spool.
    #[must_use]
    pub fn spooled(log: Arc<dyn Log>, lanes: LaneDirectory, limits: EdgeLimits, spool: Arc<Spool>) -> Self {
        Self::with(log, lanes, limits, Some(spool))
    }

    fn with(log: Arc<dyn Log>, lanes: LaneDirectory, limits: EdgeLimits, spool: Option<Arc<Spool>>) -> Self {
        let inner = Inner {
            frames: Semaphore::new(limits.frames_in_flight_max),
            reads: Semaphore::new(limits.reads_in_flight_max),
            transcodes: Semaphore::new(limits.transcodes_max.max(1)),
            log,
            lanes,
            limits,
            spool,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The lanes it knows.
    #[must_use]
    pub fn lanes(&self) -> &LaneDirectory {
        &self.inner.lanes
    }
}

/// The two calls as a router. It expects a [`Principal`] among the request's extensions and answers
/// 401 without one.
pub fn router(state: EdgeState) -> Router {
    Router::new()
        .route("/v1/lanes/{lane}/frames", post(frames).fallback(wrong_method))
        .route("/v1/lanes/{lane}/reads", post(reads).fallback(wrong_method))
        .layer(DefaultBodyLimit::disable())
        .with_state(state)
}

async fn wrong_method() -> Response {
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "PG-HTTP-METHOD", "only POST is answered here");
    ([(header::ALLOW, "POST")], problem).into_response()
}

/// Query of a frame's post.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct FrameQuery {
    /// When the camera took the picture; absent: now.
    captured_at: Option<Instant>,
}

async fn frames(
    State(state): State<EdgeState>,
    Path(lane): Path<String>,
    query: Result<Query<FrameQuery>, QueryRejection>,
    principal: Option<Extension<Principal>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let begun = Clock::now();
    let result = accept_frame(&state.inner, &lane, query, principal, &headers, body).await;
    answer(telemetry::HTTP_FRAMES, "frames", begun, result.map(|id| json!({"frame_id": id})))
}

async fn reads(
    State(state): State<EdgeState>,
    Path(lane): Path<String>,
    principal: Option<Extension<Principal>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let begun = Clock::now();
    let result = accept_read(&state.inner, &lane, principal, &headers, body).await;
    answer(telemetry::HTTP_READS, "reads", begun, result.map(|id| json!({"event_id": id})))
}

fn answer(counter: &'static str, call: &'static str, begun: Clock, result: Result<serde_json::Value, Problem>) -> Response {
    let outcome = result.as_ref().map_or_else(|p| p.code, |_| "accepted");
    metrics::counter!(counter, "outcome" => outcome).increment(1);
    metrics::histogram!(telemetry::HTTP_SECONDS, "call" => call).record(begun.elapsed().as_secs_f64());
    match result {
        Ok(body) => (StatusCode::ACCEPTED, Json(body)).into_response(),
        Err(problem) => problem.into_response(),
    }
}

async fn accept_frame(
    edge: &Inner,
    lane: &str,
    query: Result<Query<FrameQuery>, QueryRejection>,
    principal: Option<Extension<Principal>>,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Problem> {
    let (principal, _) = admit(edge, lane, principal)?;
    let Query(query) = query.map_err(|e| Problem::new(StatusCode::BAD_REQUEST, "PG-HTTP-QUERY-INVALID", e.body_text()))?;
    let _slot = slot(&edge.frames)?;
    if let Some(spool) = &edge.spool {
        if spool.standing().await?.waiting > 0 {
            return Err(LogError::Unavailable("reads wait in the spool".into()).into());
        }
    }
    let picture = receive(body, headers, edge.limits.picture_bytes_max, edge.limits.body_ms_max).await?;
    let info = sniff(&picture).map_err(picture_problem)?;
    let jpeg = match info.format {
        ImageFormat::Jpeg if picture.len() <= edge.limits.frame_bytes_max => picture,
        ImageFormat::Jpeg | ImageFormat::Png => fitting_jpeg(edge, picture).await?,
    };
    let frame_id = Uuid::now_v7().to_string();
    let now = clock::now();
    metrics::histogram!(telemetry::FRAME_BYTES).record(jpeg.len() as f64);
    edge.log.append(frame_record(lane, &frame_id, query.captured_at.unwrap_or(now), jpeg)).await?;
    tracing::debug!(lane, frame_id, by = principal.name, "frame taken in");
    Ok(frame_id)
}

/// The record of a frame on `portgate.frames`.
pub(crate) fn frame_record(lane: &str, frame_id: &str, captured_at: Instant, jpeg: Bytes) -> NewRecord {
    NewRecord::new(topics::FRAMES, lane.to_owned(), jpeg)
        .header(topics::HEADER_FRAME_ID, frame_id.to_owned())
        .header(topics::HEADER_LANE, lane.to_owned())
        .header(topics::HEADER_CAPTURED_AT, captured_at.to_string())
        .at(captured_at.as_millis())
}

async fn accept_read(
    edge: &Inner,
    lane: &str,
    principal: Option<Extension<Principal>>,
    headers: &HeaderMap,
    body: Body,
) -> Result<String, Problem> {
    let (principal, info) = admit(edge, lane, principal)?;
    let _slot = slot(&edge.reads)?;
    let body = receive(body, headers, edge.limits.read_bytes_max, edge.limits.body_ms_max).await?;
    let mut read = parse_read(&body, lane)?;
    let event_id = read.event_id.get_or_insert_with(|| Uuid::now_v7().to_string()).clone();
    read.received_at = Some(clock::now());
    read.reported_by = Some(principal);
    match &edge.spool {
        None => drop(edge.log.append(NewRecord::json(topics::READS, info.site, &read)?).await?),
        Some(spool) => spool.take(&*edge.log, &info.site, read).await?,
    }
    tracing::debug!(lane, event_id, "read taken in");
    Ok(event_id)
}

/// Whether this account may speak for this lane, and the lane.
fn admit(edge: &Inner, lane: &str, principal: Option<Extension<Principal>>) -> Result<(Principal, LaneInfo), Problem> {
    let Some(Extension(principal)) = principal else {
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "PG-HTTP-UNAUTHENTICATED",
            "this call needs a token: Authorization: Bearer SECRET",
        ));
    };
    match principal.role {
        Role::Device | Role::Guard | Role::Supervisor | Role::Security | Role::Customs | Role::Administrator => {}
        Role::Analyst | Role::Registrar => {
            return Err(forbidden(format!("the role {} does not work at lanes", principal.role.as_str())));
        }
    }
    let Some(info) = edge.lanes.get(lane) else {
        let name: String = lane.chars().take(64).collect();
        return Err(Problem::new(StatusCode::NOT_FOUND, "PG-HTTP-NO-SUCH-LANE", format!("there is no lane {name:?}")));
    };
    if !principal.may_post_for(lane) {
        return Err(forbidden(format!("the account {:?} may not post for lane {lane}", principal.name)));
    }
    Ok((principal, info))
}

fn forbidden(message: String) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "PG-HTTP-FORBIDDEN", message)
}

fn slot(slots: &Semaphore) -> Result<SemaphorePermit<'_>, Problem> {
    slots.try_acquire().map_err(|_| Problem::busy(1_000))
}

/// Reads the body up to its limit and in its time. A body that is too large is read on and thrown
/// away for a while, so that the sender gets to see the answer instead of a broken connection.
async fn receive(body: Body, headers: &HeaderMap, bytes_max: usize, ms_max: u64) -> Result<Bytes, Problem> {
    const DISCARDED_BYTES_MAX: usize = 32 << 20;
    let too_large =
        || Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "PG-HTTP-BODY-TOO-LARGE", format!("the body is larger than {bytes_max} bytes"));
    let stated = headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse::<u64>().ok());
    if stated.is_some_and(|n| n > DISCARDED_BYTES_MAX as u64) {
        return Err(too_large());
    }
    let all = async {
        let mut stream = body.into_data_stream();
        let mut kept = BytesMut::new();
        let mut total = 0_usize;
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.map_err(|e| {
                tracing::debug!(error = %e, "a body broke off");
                Problem::new(StatusCode::BAD_REQUEST, "PG-HTTP-BODY-BROKEN", "the body broke off before its end")
            })?;
            total = total.saturating_add(chunk.len());
            if total <= bytes_max {
                kept.extend_from_slice(&chunk);
            } else if total > DISCARDED_BYTES_MAX {
                break;
            }
        }
        if total > bytes_max {
            Err(too_large())
        } else {
            Ok(kept.freeze())
        }
    };
    tokio::time::timeout(Duration::from_millis(ms_max), all).await.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::REQUEST_TIMEOUT, "PG-HTTP-BODY-TIMEOUT", format!("the body did not arrive within {ms_max} ms")))
    })
}

fn picture_problem(error: DecodeError) -> Problem {
    let code = match &error {
        DecodeError::Truncated(_) => "PG-HTTP-PICTURE-TRUNCATED",
        DecodeError::TooLarge { .. } => "PG-HTTP-PICTURE-TOO-LARGE",
        DecodeError::Damaged(_) | DecodeError::Undecodable(_) => "PG-HTTP-PICTURE-DAMAGED",
        _ => "PG-HTTP-NOT-A-PICTURE",
    };
    Problem::new(StatusCode::BAD_REQUEST, code, error.to_string())
}

/// The picture as a JPEG that a frame's record holds.
async fn fitting_jpeg(edge: &Inner, picture: Bytes) -> Result<Bytes, Problem> {
    let _turn = edge.transcodes.acquire().await.map_err(|_| Problem::busy(1_000))?;
    let bytes_max = edge.limits.frame_bytes_max;
    let damaged = |message: String| Problem::new(StatusCode::BAD_REQUEST, "PG-HTTP-PICTURE-DAMAGED", message);
    match tokio::task::spawn_blocking(move || transcode::to_jpeg(&picture, bytes_max)).await {
        Ok(Ok(jpeg)) => Ok(jpeg.into()),
        Ok(Err(error @ TranscodeError::TooLarge(_))) => {
            Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "PG-HTTP-BODY-TOO-LARGE", error.to_string()))
        }
        Ok(Err(error)) => Err(damaged(error.to_string())),
        Err(_) => Err(damaged("the picture cannot be decoded".into())),
    }
}

/// The posted JSON as a read of this lane.
fn parse_read(body: &[u8], lane: &str) -> Result<ReadMessage, Problem> {
    let invalid = |field: &str, message: String| Problem::new(StatusCode::BAD_REQUEST, "PG-HTTP-READ-INVALID", message).field(field);
    // The lane stands in the address and may be left out of the body. serde finds missing fields last,
    // so the rest of the fields are in order when the lane alone is missing.
    let read = parse(body).or_else(|e| if e.message.starts_with("missing field `lane`") { fill_lane(body, lane) } else { Err(e) });
    let read: ReadMessage = read.map_err(|e| invalid(&e.field, e.message))?;
    if read.lane != lane {
        return Err(invalid("lane", format!("the address says lane {lane}; leave the field out or make them agree")));
    }
    for (field, given, why) in [
        ("word", read.word.is_some(), "a person's word goes through POST /v1/decisions/{id}/release, /refuse or /correct"),
        ("ruling", read.ruling.is_some(), "a body's word goes through POST /v1/violations/{id}/verify or /dismiss"),
        ("barrier", read.barrier.is_some(), "a barrier reports through its own driver, not over HTTP"),
        ("cut_off", read.cut_off.is_some(), "the gate fills it in while it is cut off"),
        ("on_the_spot", read.on_the_spot.is_some(), "only the gate itself opens, and says so"),
        ("received_at", read.received_at.is_some(), "the gate fills it in; say observed_at"),
        ("reported_by", read.reported_by.is_some(), "the gate fills it in from the token"),
    ] {
        if given {
            return Err(invalid(field, format!("`{field}` is not accepted here: {why}")));
        }
    }
    check_read(&read).map_err(|e| invalid(&e.field, e.message))?;
    Ok(read)
}

fn fill_lane(body: &[u8], lane: &str) -> Result<ReadMessage, Invalid> {
    let mut fields: serde_json::Map<String, serde_json::Value> = parse(body)?;
    fields.insert("lane".to_owned(), lane.into());
    serde_json::from_value(fields.into()).map_err(|e| Invalid::new(".", e.to_string()))
}
