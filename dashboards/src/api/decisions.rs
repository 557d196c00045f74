//! Decisions, and people's words on them.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use axum::{Extension, Json};
use portgate_core::decision::{Decision, Verdict};
use portgate_core::people::Principal;
use portgate_core::plate::normalise;
use portgate_core::read::{Action, ReadMessage, Word};
use portgate_core::time::Instant;
use portgate_log::{topics, NewRecord};
use serde::Deserialize;
use serde_json::{json, Value};
use uuid::Uuid;

use super::lanes::picture;
use super::{asked, quoted, Body, Params};
use crate::accounts::Bounds;
use crate::auth::{sees_masked, within};
use crate::board::Filter;
use crate::error::ApiError;
use crate::state::{now, AppState};
use crate::views::{decision_view, mask};

const LIMIT_MAX: usize = 500;
const REASON_CHARS_MAX: usize = 500;

/// Parameters of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    #[serde(default)]
    lane: Option<String>,
    #[serde(default)]
    verdict: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    plate: Option<String>,
    #[serde(default)]
    after: Option<Instant>,
    #[serde(default)]
    before: Option<Instant>,
    #[serde(default)]
    limit: Option<usize>,
}

/// `GET /v1/decisions`: the latest first.
pub async fn list(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, ApiError> {
    let masked = sees_masked(who.role);
    if masked && params.plate.is_some() {
        return Err(ApiError::forbidden("your role sees plates masked and can't search for one"));
    }
    let verdict = params.verdict.map(|v| match v.to_ascii_uppercase().as_str() {
        "OPEN" => Ok(Verdict::Open),
        "HOLD" => Ok(Verdict::Hold),
        "REFUSE" => Ok(Verdict::Refuse),
        _ => Err(ApiError::bad_request("verdict is OPEN, HOLD or REFUSE")),
    });
    const STATES: [&str; 6] = ["held", "refused", "opened", "passed", "gone", "expired"];
    if params.state.as_ref().is_some_and(|s| !STATES.contains(&s.as_str())) {
        return Err(ApiError::bad_request(format!("state is one of {}", STATES.join(", "))));
    }
    let limit = params.limit.unwrap_or(50);
    if limit == 0 || limit > LIMIT_MAX {
        return Err(ApiError::bad_request(format!("limit is 1 to {LIMIT_MAX}")));
    }
    let filter = Filter {
        lane: params.lane,
        verdict: verdict.transpose()?,
        state: params.state,
        plate: params.plate.map(|p| normalise(&p)),
        after: params.after,
        before: params.before,
    };
    let (decisions, older_exist) = state.board.decisions(&filter, limit);
    let decisions = if masked { decisions.iter().map(mask).collect() } else { decisions };
    Ok(Json(json!({"decisions": decisions, "older_exist": older_exist, "now": now()})))
}

/// `GET /v1/decisions/{id}`: every version, with the evidence.
pub async fn one(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let entry = state.board.decision(&id).ok_or_else(unknown)?;
    let latest = entry.latest().ok_or_else(unknown)?;
    let mut view = decision_view(latest, entry.state());
    if let Some(map) = view.as_object_mut() {
        map.insert("inputs".into(), json!(latest.inputs));
        map.insert("read_ids".into(), json!(latest.read_ids));
        map.insert("versions".into(), json!(entry.versions.iter().map(AsRef::as_ref).collect::<Vec<&Decision>>()));
        map.insert("passage".into(), json!(entry.passage));
        map.insert("ended".into(), json!(entry.ended));
    }
    Ok(Json(if sees_masked(who.role) { mask(&view) } else { view }))
}

/// `GET /v1/decisions/{id}/frame`: the evidence.
pub async fn frame(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let named = match state.board.decision(&id) {
        Some(entry) => entry.versions.iter().rev().find_map(|d| d.evidence.as_ref().map(|e| (d.lane.clone(), e.frame_id.clone()))),
        None => frame_on_record(&state, &who, &id).await?,
    };
    let (lane, frame_id) = named.ok_or_else(|| ApiError::not_found("this decision rests on no picture"))?;
    let store = state.evidence.clone();
    let wanted = frame_id.clone();
    let kept = tokio::task::spawn_blocking(move || store.get(&wanted)).await.unwrap_or(None);
    let bytes = kept.or_else(|| state.frames.get(&lane, &frame_id).map(|f| f.bytes));
    picture(bytes.ok_or_else(|| ApiError::not_found("the picture is not held here any more"))?, true)
}

/// The picture of a decision older than the board.
async fn frame_on_record(state: &AppState, who: &Principal, id: &str) -> Result<Option<(String, String)>, ApiError> {
    if state.sql.is_none() {
        return Err(unknown());
    }
    let rows = asked(state, who, &format!("SELECT lane, frame_id FROM decisions WHERE id = {}", quoted(id)), 1).await?;
    let row = rows.first().ok_or_else(unknown)?;
    let text = |field: &str| row.get(field).and_then(Value::as_str).map(str::to_owned);
    Ok(text("lane").zip(text("frame_id")))
}

/// `GET /v1/alerts`: the latest first.
pub async fn alerts(State(state): State<Arc<AppState>>, Extension(who): Extension<Principal>) -> Json<Value> {
    let alerts = json!(state.board.alerts(100));
    Json(json!({"alerts": if sees_masked(who.role) { mask(&alerts) } else { alerts }}))
}

pub(super) fn unknown() -> ApiError {
    ApiError::not_found("there is no such decision among those the board holds")
}

/// Body of a word.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpokenWord {
    reason: String,
    #[serde(default)]
    plate: Option<String>,
    /// The version the person saw: somebody faster is then noticed.
    #[serde(default)]
    version: Option<u32>,
}

/// `POST /v1/decisions/{id}/release`
pub async fn release(
    state: State<Arc<AppState>>,
    who: Extension<Principal>,
    bounds: Extension<Bounds>,
    id: Path<String>,
    body: Body<SpokenWord>,
) -> Result<Json<Value>, ApiError> {
    speak(state, who, bounds, id, body, Action::Release).await
}

/// `POST /v1/decisions/{id}/refuse`
pub async fn refuse(
    state: State<Arc<AppState>>,
    who: Extension<Principal>,
    bounds: Extension<Bounds>,
    id: Path<String>,
    body: Body<SpokenWord>,
) -> Result<Json<Value>, ApiError> {
    speak(state, who, bounds, id, body, Action::Refuse).await
}

/// `POST /v1/decisions/{id}/correct`
pub async fn correct(
    state: State<Arc<AppState>>,
    who: Extension<Principal>,
    bounds: Extension<Bounds>,
    id: Path<String>,
    body: Body<SpokenWord>,
) -> Result<Json<Value>, ApiError> {
    speak(state, who, bounds, id, body, Action::Correct).await
}

async fn speak(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path(id): Path<String>,
    Body(word): Body<SpokenWord>,
    action: Action,
) -> Result<Json<Value>, ApiError> {
    let reason = word.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(ApiError::invalid(format!("reason has 1 to {REASON_CHARS_MAX} characters; it is kept on record")));
    }
    let plate = word.plate.as_deref().map(normalise).filter(|p| !p.is_empty());
    match (action, &plate) {
        (Action::Correct, None) => return Err(ApiError::invalid("correct needs the right plate in `plate`")),
        (Action::Correct, Some(p)) if p.chars().count() > 16 => return Err(ApiError::invalid("a plate has at most 16 characters")),
        (Action::Release | Action::Refuse, Some(_)) => return Err(ApiError::invalid("`plate` goes with correct only")),
        (Action::Correct, Some(_)) | (Action::Release | Action::Refuse, None) => {}
    }
    let entry = state.board.decision(&id).ok_or_else(unknown)?;
    let decision = entry.latest().ok_or_else(unknown)?;
    within(&bounds, &decision.checkpoint)?;
    let request_id = Uuid::now_v7().to_string();
    let read = ReadMessage {
        lane: decision.lane.clone(),
        event_id: Some(request_id.clone()),
        observed_at: Some(now()),
        reported_by: Some(who.clone()),
        word: Some(Word {
            request_id: request_id.clone(),
            decision_id: id.clone(),
            version: word.version,
            action,
            reason: reason.to_owned(),
            plate,
            by: who.clone(),
        }),
        ..ReadMessage::default()
    };
    let record = NewRecord::json(topics::READS, decision.site.clone(), &read).map_err(|e| ApiError::unavailable(e.to_string()))?;
    let waiting = state.answers.expect(&request_id)?;
    append(&state, record).await?;
    let answer = waiting.answer(state.answer_wait).await?;
    tracing::info!(decision = %id, ?action, by = %who.name, version = answer.version, "a person's word is committed");
    Ok(Json(json!({"id": answer.subject, "version": answer.version, "request_id": request_id})))
}

/// Appends; what the log says becomes an answer.
pub(super) async fn append(state: &AppState, record: NewRecord) -> Result<(), ApiError> {
    append_all(state, vec![record]).await
}

/// Appends several, in their order.
pub(super) async fn append_all(state: &AppState, records: Vec<NewRecord>) -> Result<(), ApiError> {
    use portgate_log::LogError;
    match state.log.append_batch(records).await {
        Ok(_) => Ok(()),
        Err(LogError::Busy { retry_after_ms }) => {
            Err(ApiError::too_many("the gate can't keep up; nothing was done", retry_after_ms.div_ceil(1000).max(1)))
        }
        Err(e) => {
            tracing::warn!(error = %e, "a request could not be appended to the log");
            Err(ApiError::unavailable("the log does not take it now; it is not known whether it was stored"))
        }
    }
}
