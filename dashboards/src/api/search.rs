//! Looking things up: search, case files, labelled samples. What for is on record before the
//! answer is given; where it can't be recorded, nothing is answered.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use portgate_core::people::Principal;
use portgate_core::plate::normalise;
use portgate_core::registry::Kind;
use portgate_core::time::Instant;
use serde::{Deserialize, Serialize};
use serde_json::{json, Map, Value};

use super::room::{plate_pattern, record, sentence};
use super::{asked, quoted, Body};
use crate::error::ApiError;
use crate::room::RoomEvent;
use crate::state::AppState;
use crate::wildcard::like;

const ROWS_MAX: usize = 500;
/// Candidates looked up beside an uncertain read.
const CANDIDATES_MAX: usize = 24;

/// What is looked for; every part given must fit.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    purpose: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    card: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    enterprise: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lane: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    verdict: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    from: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    to: Option<Instant>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

fn given(text: &Option<String>) -> Option<&str> {
    text.as_deref().map(str::trim).filter(|t| !t.is_empty())
}

/// `POST /v1/search`: decisions that fit, the latest first.
pub async fn search(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Body(search): Body<Search>,
) -> Result<Json<Value>, ApiError> {
    let mut wanted = Vec::new();
    if let Some(plate) = given(&search.plate) {
        let like = quoted(&like(&plate_pattern(plate)?));
        wanted.push(format!("(d.plate LIKE {like} OR f.plate LIKE {like} OR d.plate_read LIKE {like})"));
    }
    if let Some(card) = given(&search.card) {
        wanted.push(format!("d.card = {}", quoted(card)));
    }
    if let Some(enterprise) = given(&search.enterprise) {
        wanted.push(format!("strpos(d.enterprise, {}) > 0", quoted(enterprise)));
    }
    if let Some(lane) = given(&search.lane) {
        wanted.push(format!("d.lane = {}", quoted(lane)));
    }
    if let Some(reason) = given(&search.reason) {
        wanted.push(format!("array_has(d.reasons, {})", quoted(&reason.to_ascii_uppercase())));
    }
    if let Some(verdict) = given(&search.verdict) {
        wanted.push(format!("f.verdict = {}", quoted(&verdict.to_ascii_uppercase())));
    }
    if wanted.is_empty() && search.from.is_none() {
        return Err(ApiError::invalid("give something to look for: a plate, a card, an enterprise, a lane, a reason or a time"));
    }
    if let Some(from) = search.from {
        wanted.push(format!("d.decided_at >= '{from}'"));
    }
    if let Some(to) = search.to {
        wanted.push(format!("d.decided_at < '{to}'"));
    }
    let limit = search.limit.unwrap_or(100).clamp(1, ROWS_MAX);
    on_record(&state, &who, "search", &search.purpose, &search).await?;
    let sql = format!(
        "SELECT d.id, d.checkpoint, d.lane, d.direction, d.category, d.plate AS first_plate, f.plate, d.plate_read, d.plate_kind, d.card, d.enterprise, f.verdict, d.verdict AS machine_verdict, d.in_order, d.reasons, r.zh AS reason_zh, r.en AS reason_en, f.decided_by, f.versions, d.frame_id, d.arrived_at, d.decided_at FROM decisions d JOIN decisions_in_force f ON f.site = d.site AND f.id = d.id LEFT JOIN reasons r ON r.site = d.site AND r.id = d.id AND r.position = 1 WHERE {} ORDER BY d.decided_at DESC LIMIT {}",
        wanted.join(" AND "),
        limit + 1
    );
    let mut rows = asked(&state, &who, &sql, limit + 1).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok(Json(json!({"rows": rows, "more": more})))
}

async fn on_record(state: &AppState, who: &Principal, what: &str, purpose: &str, terms: &impl Serialize) -> Result<(), ApiError> {
    let purpose = sentence("purpose", purpose)?;
    if state.sql.is_none() {
        return Err(ApiError::unavailable("analytics does not run in this process"));
    }
    let mut terms = serde_json::to_value(terms).unwrap_or(Value::Null);
    if let Some(map) = terms.as_object_mut() {
        map.remove("purpose");
    }
    record(state, who, what, RoomEvent::Searched { what: what.to_owned(), purpose, terms }).await?;
    Ok(())
}

/// Whose case file.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    purpose: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    plate: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    card: Option<String>,
}

/// `POST /v1/case`: the whole story of one vehicle or card.
pub async fn case(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Body(subject): Body<Subject>,
) -> Result<Json<Value>, ApiError> {
    let plate = given(&subject.plate).map(normalise);
    let card = given(&subject.card).map(str::to_owned);
    let (by_plate, by_card) = match (&plate, &card) {
        (None, None) => return Err(ApiError::invalid("give the plate or the card")),
        (p, c) => (p.as_deref().map(quoted), c.as_deref().map(quoted)),
    };
    on_record(&state, &who, "case", &subject.purpose, &subject).await?;
    let either = |plate_column: &str, card_column: Option<&str>| {
        let plate = by_plate.as_ref().map(|p| format!("{plate_column} = {p}"));
        let card = by_card.as_ref().and_then(|c| card_column.map(|column| format!("{column} = {c}")));
        match [plate, card].into_iter().flatten().collect::<Vec<_>>() {
            parts if parts.is_empty() => "false".to_owned(),
            parts => format!("({})", parts.join(" OR ")),
        }
    };
    // The decisions that speak of it in any version; everything else hangs on them.
    let spoken = either("plate", Some("card"));
    let ids = format!("SELECT id FROM decisions WHERE {spoken} UNION SELECT id FROM decision_versions WHERE {spoken}");
    let columns = "id, version, approach_id, checkpoint, lane, direction, category, verdict, in_order, reasons, violations, plate, plate_source, plate_read, card, enterprise, decided_by, decided_by_role, action, note, policy_revision, registry_revision, frame_id, arrived_at, decided_at";
    let decisions = format!("SELECT {columns} FROM decisions WHERE id IN ({ids}) UNION ALL SELECT {columns} FROM decision_versions WHERE id IN ({ids}) ORDER BY decided_at DESC, version DESC LIMIT {ROWS_MAX}");
    let decisions = asked(&state, &who, &decisions, ROWS_MAX).await?;
    let named: BTreeSet<&str> = decisions.iter().filter_map(|d| d.get("id")?.as_str()).collect();
    let named = named.into_iter().map(quoted).collect::<Vec<_>>().join(", ");
    let theirs = if named.is_empty() { String::new() } else { format!(" OR decision_id IN ({named})") };
    let of_plate = either("plate", None);
    let passages = format!("SELECT * FROM passages WHERE {of_plate}{theirs} ORDER BY passed_at DESC LIMIT {ROWS_MAX}");
    let violations = format!("SELECT * FROM violations WHERE {of_plate}{theirs} ORDER BY raised_at DESC LIMIT {ROWS_MAX}");
    let cards = format!("SELECT * FROM card_events WHERE {} ORDER BY happened_at DESC LIMIT {ROWS_MAX}", either("plate", Some("card_id")));
    let uses = format!("SELECT * FROM uses WHERE {of_plate} ORDER BY used_at DESC LIMIT {ROWS_MAX}");
    // What the reasons' codes mean, in both languages.
    let words = if named.is_empty() { "false".to_owned() } else { format!("id IN ({named})") };
    let words = format!("SELECT DISTINCT code, zh, en FROM reasons WHERE {words}");
    let words = asked(&state, &who, &words, ROWS_MAX).await?;
    let passages = asked(&state, &who, &passages, ROWS_MAX).await?;
    let violations = asked(&state, &who, &violations, ROWS_MAX).await?;
    let cards = asked(&state, &who, &cards, ROWS_MAX).await?;
    let uses = asked(&state, &who, &uses, ROWS_MAX).await?;
    let mut records = Vec::new();
    for (kind, id) in [(Kind::Vehicle, &plate), (Kind::Card, &card)] {
        if let Some(id) = id {
            records.extend(look(&state, kind, id).await?.map(|value| json!({"kind": kind, "id": id, "value": value})));
        }
    }
    Ok(Json(
        json!({"plate": plate, "card": card, "decisions": decisions, "passages": passages, "violations": violations, "reasons": words, "card_events": cards, "uses": uses, "records": records}),
    ))
}

/// Body of a request for samples.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Samples {
    purpose: String,
}

/// `POST /v1/samples`: what people corrected, with the picture and the camera's read: labelled
/// samples for whoever trains the recogniser.
pub async fn samples(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Body(body): Body<Samples>,
) -> Result<Json<Value>, ApiError> {
    on_record(&state, &who, "samples", &body.purpose, &json!({})).await?;
    let sql = format!("SELECT id, lane, frame_id, frame_sha256, plate_read AS read, plate AS label, plate_kind AS kind, plate_confidence AS confidence, model, decided_by AS labelled_by, decided_at AS labelled_at FROM decision_versions WHERE action = 'CORRECT' ORDER BY decided_at DESC LIMIT {ROWS_MAX}");
    Ok(Json(json!({"samples": asked(&state, &who, &sql, ROWS_MAX).await?})))
}

async fn look(state: &AppState, kind: Kind, id: &str) -> Result<Option<Value>, ApiError> {
    let (reader, id) = (state.registry.clone(), id.to_owned());
    let read = tokio::task::spawn_blocking(move || reader.get(kind, &id)).await;
    read.map_err(|e| super::registry::unreadable(e.to_string()))?.map_err(super::registry::unreadable)
}

/// `GET /v1/decisions/{id}/facts`: what the registry says of this vehicle, beside what was read;
/// and which registered plates another reading of doubtful characters would give. Those are
/// suggestions for a person's eyes: no decision ever rests on one.
pub async fn facts(State(state): State<Arc<AppState>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let entry = state.board.decision(&id).ok_or_else(super::decisions::unknown)?;
    let decision = entry.latest().ok_or_else(super::decisions::unknown)?.clone();
    let reader = state.registry.clone();
    let read = move || -> Result<Value, String> {
        let mut records = Vec::new();
        let mut add = |kind: Kind, id: Option<&str>| -> Result<Option<Value>, String> {
            let Some(id) = id.filter(|id| !id.is_empty()) else { return Ok(None) };
            if records.iter().any(|r: &Value| r.get("kind") == Some(&json!(kind)) && r.get("id").and_then(Value::as_str) == Some(id)) {
                return Ok(None);
            }
            let value = reader.get(kind, id)?;
            records.push(json!({"kind": kind, "id": id, "value": value}));
            Ok(value)
        };
        let text = |value: &Option<Value>, field: &str| value.as_ref()?.get(field)?.as_str().map(str::to_owned);
        let plate = decision.plate.as_deref().or(decision.plate_read.as_ref().map(|p| p.text.as_str()));
        let vehicle = add(Kind::Vehicle, plate)?;
        add(Kind::Enterprise, text(&vehicle, "enterprise").as_deref())?;
        let card = add(Kind::Card, decision.card.as_deref())?;
        add(Kind::Task, text(&card, "task").as_deref())?;
        let bound = text(&card, "plate").filter(|p| Some(p.as_str()) != plate);
        add(Kind::Vehicle, bound.as_deref())?;
        let mut suggestions = Vec::new();
        for (candidate, confidence) in candidates(&decision) {
            if let Some(vehicle) = reader.get(Kind::Vehicle, &candidate)? {
                suggestions.push(json!({"plate": candidate, "confidence": confidence, "vehicle": vehicle}));
            }
        }
        Ok(json!({"records": records, "suggestions": suggestions}))
    };
    let found = tokio::task::spawn_blocking(read).await;
    found.map_err(|e| super::registry::unreadable(e.to_string()))?.map_err(super::registry::unreadable).map(Json)
}

/// The read with one doubtful character replaced by another the camera thought possible.
fn candidates(decision: &portgate_core::decision::Decision) -> Vec<(String, f64)> {
    let Some(read) = decision.plate_read.as_ref() else { return Vec::new() };
    let mut all = Vec::new();
    for (i, character) in read.characters.iter().enumerate() {
        for (other, confidence) in &character.alternatives {
            let text: String =
                read.characters.iter().enumerate().map(|(n, c)| if n == i { other.as_str() } else { c.char.as_str() }).collect();
            all.push((normalise(&text), *confidence));
        }
    }
    all.retain(|(text, _)| *text != read.text);
    all.sort_by(|a, b| b.1.total_cmp(&a.1));
    all.truncate(CANDIDATES_MAX);
    all
}

/// Rows as objects, for [`asked`].
pub(super) fn objects(columns: &[String], rows: Vec<Vec<Value>>) -> Vec<Value> {
    rows.into_iter().map(|row| Value::Object(columns.iter().cloned().zip(row).collect::<Map<_, _>>())).collect()
}
