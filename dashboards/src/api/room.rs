//! Requests of guards, the watch-list, saved questions, the hand-over of single cards, the audit:
//! all of it kept in the room's own record ([`crate::room`]).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use portgate_core::people::Principal;
use portgate_core::time::{Date, Instant};
use portgate_log::NewRecord;
use serde::Deserialize;
use serde_json::{json, Value};
use uuid::Uuid;

use super::decisions::append;
use super::{asked, Body, Params};
use crate::accounts::Bounds;
use crate::auth::{sees_masked, within};
use crate::error::ApiError;
use crate::room::{may_see_audit, Party, RoomEntry, RoomEvent, Want, WatchEntry, TOPIC};
use crate::state::{now, AppState};
use crate::views::mask;
use crate::wildcard::{pattern, PATTERN_CHARS_MAX};

const NOTE_CHARS_MAX: usize = 500;
const SQL_CHARS_MAX: usize = 20_000;
const AUDIT_LIMIT_MAX: usize = 1000;
/// The longest a watch-list entry may last.
const WATCH_DAYS_MAX: i64 = 366;
const DAY_MS: i64 = 86_400_000;
/// An accounting day begins at 17:00 of the day before (LYG-5.5b).
const ACCOUNTING_MS: i64 = 7 * 3_600_000;

/// Puts an entry on record and waits until it has taken effect.
///
/// # Errors
/// 409 or 404 when it contradicts what stands; 503 or 504 when the log does not take it.
pub(super) async fn record(state: &AppState, who: &Principal, key: &str, event: RoomEvent) -> Result<String, ApiError> {
    let entry = RoomEntry { id: Uuid::now_v7().to_string(), at: now(), by: who.clone(), event };
    let record = NewRecord::json(TOPIC, key.to_owned(), &entry).map_err(|e| ApiError::unavailable(e.to_string()))?;
    let waiting = state.answers.expect(&entry.id)?;
    append(state, record).await?;
    waiting.answer(state.answer_wait).await?;
    Ok(entry.id)
}

/// A sentence of a person.
pub(super) fn sentence(field: &str, text: &str) -> Result<String, ApiError> {
    let text = text.trim();
    match text.chars().count() {
        1..=NOTE_CHARS_MAX => Ok(text.to_owned()),
        _ => Err(ApiError::invalid(format!("{field} has 1 to {NOTE_CHARS_MAX} characters; it is kept on record"))),
    }
}

/// Body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAsk {
    want: Want,
    note: String,
}

/// `POST /v1/decisions/{id}/ask`: somebody to inspect the vehicle, or the supervisor.
pub async fn ask(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path(id): Path<String>,
    Body(ask): Body<NewAsk>,
) -> Result<Json<Value>, ApiError> {
    let note = sentence("note", &ask.note)?;
    let entry = state.board.decision(&id).ok_or_else(super::decisions::unknown)?;
    let decision = entry.latest().ok_or_else(super::decisions::unknown)?;
    within(&bounds, &decision.checkpoint)?;
    let event = RoomEvent::Asked { decision_id: id.clone(), lane: decision.lane.clone(), want: ask.want, note };
    let ask_id = record(&state, &who, &id, event).await?;
    Ok(Json(json!({"id": ask_id})))
}

/// `GET /v1/asks`: requests, the latest first.
pub async fn asks(State(state): State<Arc<AppState>>, Extension(who): Extension<Principal>) -> Json<Value> {
    let asks = json!(state.room.asks());
    Json(json!({"asks": if sees_masked(who.role) { mask(&asks) } else { asks }}))
}

/// Body of what came of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outcome {
    note: String,
}

/// `POST /v1/asks/{id}/settle`
pub async fn settle(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path(id): Path<String>,
    Body(outcome): Body<Outcome>,
) -> Result<Json<Value>, ApiError> {
    let note = sentence("note", &outcome.note)?;
    if let Some(ask) = state.room.asks().into_iter().find(|a| a.id == id) {
        within(&bounds, &state.board.checkpoint_of(&ask.lane).unwrap_or_default())?;
    }
    record(&state, &who, &id, RoomEvent::Settled { ask_id: id.clone(), note }).await?;
    Ok(Json(json!({"id": id})))
}

/// `GET /v1/watch`: the watch-list.
pub async fn watch(State(state): State<Arc<AppState>>) -> Json<Value> {
    Json(json!({"entries": state.room.watch(), "now": now()}))
}

/// `PUT /v1/watch/{id}`
pub async fn put_watch(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
    Body(mut entry): Body<WatchEntry>,
) -> Result<Json<Value>, ApiError> {
    entry.why = sentence("why", &entry.why)?;
    entry.card = entry.card.map(|c| c.trim().to_owned()).filter(|c| !c.is_empty());
    entry.plate = entry.plate.filter(|p| !p.trim().is_empty()).map(|p| plate_pattern(&p)).transpose()?;
    if id.is_empty() || id.chars().count() > 64 {
        return Err(ApiError::invalid("an entry's id has 1 to 64 characters"));
    }
    if entry.plate.is_none() && entry.card.is_none() {
        return Err(ApiError::invalid("give a plate (wildcards * and ?) or a card to look out for"));
    }
    let lasts = entry.to.millis_since(entry.from);
    if lasts <= 0 || lasts > WATCH_DAYS_MAX * DAY_MS {
        return Err(ApiError::invalid(format!("`to` lies after `from`, by {WATCH_DAYS_MAX} days at the most")));
    }
    if entry.lanes.len() > 256 || entry.checkpoints.len() > 64 {
        return Err(ApiError::invalid("at most 256 lanes and 64 checkpoints; leave them out for all"));
    }
    record(&state, &who, &id, RoomEvent::Watch { watch_id: id.clone(), entry: Some(entry) }).await?;
    Ok(Json(json!({"id": id})))
}

/// A plate pattern that is not everything.
pub(super) fn plate_pattern(typed: &str) -> Result<String, ApiError> {
    if typed.chars().count() > PATTERN_CHARS_MAX {
        return Err(ApiError::invalid(format!("a plate pattern has at most {PATTERN_CHARS_MAX} characters")));
    }
    let pattern = pattern(typed);
    if pattern.chars().filter(|c| !matches!(c, '*' | '?')).count() < 2 {
        return Err(ApiError::invalid("a plate pattern needs two characters of the plate at least"));
    }
    Ok(pattern)
}

/// `DELETE /v1/watch/{id}`
pub async fn delete_watch(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    record(&state, &who, &id, RoomEvent::Watch { watch_id: id.clone(), entry: None }).await?;
    Ok(Json(json!({"id": id})))
}

/// `GET /v1/questions`
pub async fn questions(State(state): State<Arc<AppState>>) -> Json<Value> {
    Json(json!({"questions": state.room.questions()}))
}

/// Body of a saved question.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewQuestion {
    sql: String,
    #[serde(default)]
    chart: Option<String>,
}

/// `PUT /v1/questions/{name}`
pub async fn put_question(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
    Body(new): Body<NewQuestion>,
) -> Result<Json<Value>, ApiError> {
    if name.trim().is_empty() || name.chars().count() > 80 {
        return Err(ApiError::invalid("a question's name has 1 to 80 characters"));
    }
    if new.sql.trim().is_empty() || new.sql.chars().count() > SQL_CHARS_MAX {
        return Err(ApiError::invalid(format!("sql has 1 to {SQL_CHARS_MAX} characters")));
    }
    if new.chart.as_ref().is_some_and(|c| !["bar", "line"].contains(&c.as_str())) {
        return Err(ApiError::invalid("chart is bar or line, or left out"));
    }
    let event = RoomEvent::Question { name: name.clone(), sql: Some(new.sql), chart: new.chart };
    record(&state, &who, &name, event).await?;
    Ok(Json(json!({"name": name})))
}

/// `DELETE /v1/questions/{name}`
pub async fn delete_question(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<Json<Value>, ApiError> {
    record(&state, &who, &name, RoomEvent::Question { name: name.clone(), sql: None, chart: None }).await?;
    Ok(Json(json!({"name": name})))
}

/// The accounting day an instant lies in.
fn accounting_day(at: Instant) -> Date {
    at.plus_millis(ACCOUNTING_MS).date()
}

/// `GET /v1/handovers`: the last days of single cards, the cards still out, and the signatures.
pub async fn handovers(State(state): State<Arc<AppState>>, Extension(who): Extension<Principal>) -> Result<Json<Value>, ApiError> {
    let days = asked(&state, &who, "SELECT CAST(day AS TEXT) AS day, sum(issued) AS issued, sum(in_use) AS in_use, sum(recovered) AS recovered, sum(lost) AS lost, sum(outstanding) AS outstanding FROM single_card_reconciliation GROUP BY day ORDER BY day DESC", 14).await?;
    let out = asked(&state, &who, "SELECT card_id, plate, enterprise, event, happened_at FROM (SELECT *, row_number() OVER (PARTITION BY site, card_id ORDER BY happened_at DESC, seq DESC) AS n FROM card_events WHERE type = 'SINGLE') WHERE n = 1 AND event IN ('ISSUED', 'IN_USE') ORDER BY happened_at", 500).await?;
    let today = accounting_day(now()).to_string();
    let mut days: Vec<Value> = days;
    if !days.iter().any(|d| d.get("day").and_then(Value::as_str) == Some(&today)) {
        days.insert(0, json!({"day": today, "issued": 0, "in_use": 0, "recovered": 0, "lost": 0, "outstanding": out.len()}));
    }
    for day in &mut days {
        let date = day.get("day").and_then(Value::as_str).and_then(|d| d.parse::<Date>().ok());
        if let (Some(date), Some(map)) = (date, day.as_object_mut()) {
            map.insert("signatures".into(), json!(state.room.signatures(date)));
        }
    }
    Ok(Json(json!({"today": today, "days": days, "out": out})))
}

/// Body of a signature.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewSignature {
    party: Party,
    counted: u32,
    #[serde(default)]
    remark: Option<String>,
}

/// `POST /v1/handovers/{day}/sign`: one side signs what was counted; a difference needs a remark.
pub async fn sign(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(day): Path<String>,
    Body(new): Body<NewSignature>,
) -> Result<Json<Value>, ApiError> {
    let date: Date = day.parse().map_err(|_| ApiError::bad_request("the day is written like 2026-03-10"))?;
    if date > accounting_day(now()) {
        return Err(ApiError::invalid("this day has not begun; an accounting day begins at 17:00 of the day before"));
    }
    let sql = format!("SELECT coalesce(sum(recovered), 0) AS recovered FROM single_card_reconciliation WHERE day = CAST('{date}' AS DATE)");
    let rows = asked(&state, &who, &sql, 1).await?;
    let recovered = rows.first().and_then(|r| r.get("recovered")).and_then(Value::as_u64).unwrap_or(0);
    let recovered = u32::try_from(recovered).unwrap_or(u32::MAX);
    let remark = new.remark.map(|r| r.trim().to_owned()).filter(|r| !r.is_empty());
    if new.counted != recovered && remark.is_none() {
        return Err(ApiError::invalid(format!(
            "counted {}, but the gate recovered {recovered}: a difference needs a remark (LYG-5.5b)",
            new.counted
        )));
    }
    let remark = remark.map(|r| sentence("remark", &r)).transpose()?;
    let event = RoomEvent::HandedOver { day: date, party: new.party, counted: new.counted, recovered, remark };
    record(&state, &who, &day, event).await?;
    Ok(Json(json!({"day": day, "recovered": recovered})))
}

/// Parameters of the audit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditParams {
    #[serde(default)]
    limit: Option<usize>,
}

/// `GET /v1/audit`: what people looked up, asked for, watched, saved and signed.
pub async fn audit(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Params(params): Params<AuditParams>,
) -> Result<Json<Value>, ApiError> {
    let limit = params.limit.unwrap_or(200).clamp(1, AUDIT_LIMIT_MAX);
    let (entries, count, chain) = state.room.audit(limit, |e| may_see_audit(&who, e));
    Ok(Json(json!({"entries": entries, "count": count, "chain": chain})))
}
