//! Violations: who may have done what, the word of the body that the norm names, and the sanctions
//! proposed from what was verified. Policies: what decides at which checkpoint, and since when.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use portgate_core::people::Principal;
use portgate_core::read::{ReadMessage, Ruling};
use portgate_core::time::Instant;
use portgate_core::violation::{Act, Body as NamedBody, Ground, Offence, SanctionStatus};
use portgate_log::{topics, NewRecord};
use serde::Deserialize;
use serde_json::{json, Value};
use uuid::Uuid;

use super::decisions::append;
use super::{Body, Params};
use crate::accounts::Bounds;
use crate::auth::{sees_masked, within};
use crate::error::ApiError;
use crate::state::{now, AppState};
use crate::views::mask;
use crate::violations::Filter;

const LIMIT_MAX: usize = 500;
const REASON_CHARS_MAX: usize = 500;
const STATES: [&str; 3] = ["SUSPECTED", "VERIFIED", "DISMISSED"];

/// Parameters of the list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    plate: Option<String>,
    #[serde(default)]
    lane: Option<String>,
    #[serde(default)]
    after: Option<Instant>,
    #[serde(default)]
    before: Option<Instant>,
    #[serde(default)]
    limit: Option<usize>,
}

fn limited(limit: Option<usize>) -> Result<usize, ApiError> {
    match limit.unwrap_or(50) {
        limit @ 1..=LIMIT_MAX => Ok(limit),
        _ => Err(ApiError::bad_request(format!("limit is 1 to {LIMIT_MAX}"))),
    }
}

fn shown(who: &Principal, value: Value) -> Value {
    if sees_masked(who.role) {
        mask(&value)
    } else {
        value
    }
}

/// `GET /v1/violations`: the latest first.
pub async fn list(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, ApiError> {
    if sees_masked(who.role) && params.plate.is_some() {
        return Err(ApiError::forbidden("your role sees plates masked and can't search for one"));
    }
    let status = params.status.map(|s| s.to_ascii_uppercase());
    if status.as_ref().is_some_and(|s| !STATES.contains(&s.as_str())) {
        return Err(ApiError::bad_request(format!("status is one of {}", STATES.join(", "))));
    }
    let limit = limited(params.limit)?;
    let filter = Filter { status, code: params.code, plate: params.plate, lane: params.lane, after: params.after, before: params.before };
    let (violations, older_exist) = state.violations.list(&filter, limit);
    Ok(Json(shown(&who, json!({"violations": violations, "older_exist": older_exist, "now": now()}))))
}

/// `GET /v1/violations/{id}`: its latest version.
pub async fn one(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(id): Path<String>,
) -> Result<Json<Value>, ApiError> {
    let violation = state.violations.get(&id).ok_or_else(unknown)?;
    Ok(Json(shown(&who, json!(violation))))
}

fn unknown() -> ApiError {
    ApiError::not_found("there is no violation with this id")
}

/// Parameters of the list of sanctions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SanctionParams {
    #[serde(default)]
    status: Option<SanctionStatus>,
    #[serde(default)]
    limit: Option<usize>,
}

/// `GET /v1/sanctions`: proposed and decided, with what they follow from.
pub async fn sanctions(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Params(params): Params<SanctionParams>,
) -> Result<Json<Value>, ApiError> {
    let limit = limited(params.limit)?;
    let found = state.violations.sanctions(params.status, limit);
    let items: Vec<Value> = found
        .into_iter()
        .map(|(sanction, v)| {
            let mut item = json!(sanction);
            if let Some(fields) = item.as_object_mut() {
                fields.insert("violation_id".into(), json!(v.violation_id));
                fields.insert("code".into(), json!(v.code));
                fields.insert("plate".into(), json!(v.plate));
                fields.insert("enterprise".into(), json!(v.enterprise));
                fields.insert("site".into(), json!(v.site));
            }
            item
        })
        .collect();
    Ok(Json(shown(&who, json!({"sanctions": items, "now": now()}))))
}

/// Body of a finding.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    reason: String,
    /// The version the person saw: somebody faster is then noticed.
    #[serde(default)]
    version: Option<u32>,
    #[serde(default)]
    body: Option<NamedBody>,
    #[serde(default)]
    ground: Option<Ground>,
    #[serde(default)]
    offence: Option<Offence>,
    #[serde(default)]
    evidence: Vec<String>,
}

/// `POST /v1/violations/{id}/verify`
pub async fn verify(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path(id): Path<String>,
    Body(found): Body<Found>,
) -> Result<Json<Value>, ApiError> {
    rule(&state, who, &bounds, &id, Act::Verify, found, None).await
}

/// `POST /v1/violations/{id}/dismiss`
pub async fn dismiss(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path(id): Path<String>,
    Body(found): Body<Found>,
) -> Result<Json<Value>, ApiError> {
    rule(&state, who, &bounds, &id, Act::Dismiss, found, None).await
}

/// Body of a decision on a sanction.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decided {
    reason: String,
    #[serde(default)]
    version: Option<u32>,
}

/// `POST /v1/sanctions/{id}/accept`
pub async fn accept(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path(id): Path<String>,
    Body(decided): Body<Decided>,
) -> Result<Json<Value>, ApiError> {
    decide(&state, who, &bounds, id, Act::Accept, decided).await
}

/// `POST /v1/sanctions/{id}/reject`
pub async fn reject(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path(id): Path<String>,
    Body(decided): Body<Decided>,
) -> Result<Json<Value>, ApiError> {
    decide(&state, who, &bounds, id, Act::Reject, decided).await
}

async fn decide(
    state: &AppState,
    who: Principal,
    bounds: &Bounds,
    sanction_id: String,
    act: Act,
    decided: Decided,
) -> Result<Json<Value>, ApiError> {
    let violation = state.violations.of_sanction(&sanction_id);
    let violation = violation.ok_or_else(|| ApiError::not_found("there is no sanction with this id"))?;
    let Decided { reason, version } = decided;
    let found = Found { reason, version, body: None, ground: None, offence: None, evidence: Vec::new() };
    rule(state, who, bounds, &violation.violation_id, act, found, Some(sanction_id)).await
}

/// Says it over the log; answers when the site's owner has committed it.
async fn rule(
    state: &AppState,
    who: Principal,
    bounds: &Bounds,
    id: &str,
    act: Act,
    mut found: Found,
    sanction_id: Option<String>,
) -> Result<Json<Value>, ApiError> {
    let reason = found.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_CHARS_MAX {
        return Err(ApiError::invalid(format!("reason has 1 to {REASON_CHARS_MAX} characters; it is kept on record")));
    }
    let violation = state.violations.get(id).ok_or_else(unknown)?;
    within(bounds, &violation.checkpoint)?;
    // Who belongs to a body rules for it and for no other.
    if let (Some(own), Act::Verify | Act::Dismiss) = (bounds.body, act) {
        if found.body.get_or_insert(own) != &own {
            return Err(ApiError::forbidden(format!("your account belongs to {}", own.as_str())));
        }
    }
    let request_id = Uuid::now_v7().to_string();
    let name = who.name.clone();
    let read = ReadMessage {
        lane: violation.lane,
        event_id: Some(request_id.clone()),
        observed_at: Some(now()),
        reported_by: Some(who.clone()),
        ruling: Some(Ruling {
            request_id: request_id.clone(),
            violation_id: violation.violation_id,
            version: found.version,
            act,
            reason: reason.to_owned(),
            body: found.body,
            ground: found.ground,
            offence: found.offence,
            evidence: found.evidence,
            sanction_id,
            by: who,
        }),
        ..ReadMessage::default()
    };
    let record = NewRecord::json(topics::READS, violation.site, &read).map_err(|e| ApiError::unavailable(e.to_string()))?;
    let waiting = state.answers.expect(&request_id)?;
    append(state, record).await?;
    let answer = waiting.answer(state.answer_wait).await?;
    tracing::info!(violation = %id, ?act, by = %name, version = answer.version, "a word on a violation is committed");
    Ok(Json(json!({"id": answer.subject, "version": answer.version, "request_id": request_id})))
}

/// `GET /v1/policies`: every revision of every checkpoint, with where it stands now.
pub async fn policies(State(state): State<Arc<AppState>>) -> Result<Json<Value>, ApiError> {
    let reader = state.registry.clone();
    let unreadable = |why: String| {
        tracing::warn!(error = %why, "policies can't be read");
        ApiError::unavailable("policies can't be read now")
    };
    let scopes = tokio::task::spawn_blocking(move || reader.policies()).await.map_err(|e| unreadable(e.to_string()))?;
    let at = now();
    let items: Vec<Value> = scopes
        .map_err(unreadable)?
        .into_iter()
        .map(|(scope, timeline)| {
            let revisions: Vec<Value> = timeline
                .revisions
                .iter()
                .map(|r| {
                    let mut item = json!(r);
                    if let Some(fields) = item.as_object_mut() {
                        fields.insert("standing".into(), json!(timeline.standing_of(r, at)));
                    }
                    item
                })
                .collect();
            json!({"scope": scope, "revisions": revisions})
        })
        .collect();
    Ok(Json(json!({"policies": items, "now": at})))
}
