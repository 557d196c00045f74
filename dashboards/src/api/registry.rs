//! The registry: read here, written through the log, answered by the site's owner.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use portgate_core::people::Principal;
use portgate_core::registry::{Kind, Record};
use portgate_log::{topics, NewRecord};
use serde::Deserialize;
use serde_json::{json, Value};
use uuid::Uuid;

use super::decisions::append;
use super::{Body, Params};
use crate::auth::may_write_kind;
use crate::error::ApiError;
use crate::state::AppState;

/// Header of a registry change: under which id it is answered.
pub const HEADER_REQUEST_ID: &str = "request_id";
/// Header of a registry change: the account behind it, JSON.
pub const HEADER_BY: &str = "by";
const LIMIT_MAX: usize = 1000;

fn kind(name: &str) -> Result<Kind, ApiError> {
    name.parse().map_err(|e: portgate_core::registry::UnknownKind| ApiError::not_found(e.to_string()))
}

fn unreadable(why: String) -> ApiError {
    tracing::warn!(error = %why, "the registry can't be read");
    ApiError::unavailable("the registry can't be read now")
}

/// Parameters of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    #[serde(default)]
    prefix: Option<String>,
    #[serde(default)]
    after: Option<String>,
    #[serde(default)]
    limit: Option<usize>,
}

/// `GET /v1/registry/{kind}`: records in the order of their ids.
pub async fn list(
    State(state): State<Arc<AppState>>,
    Path(name): Path<String>,
    Params(params): Params<ListParams>,
) -> Result<Json<Value>, ApiError> {
    let kind = kind(&name)?;
    let limit = params.limit.unwrap_or(100);
    if limit == 0 || limit > LIMIT_MAX {
        return Err(ApiError::bad_request(format!("limit is 1 to {LIMIT_MAX}")));
    }
    let reader = state.registry.clone();
    let read = move || reader.list(kind, params.prefix.as_deref().unwrap_or(""), params.after.as_deref(), limit);
    let records = tokio::task::spawn_blocking(read).await.map_err(|e| unreadable(e.to_string()))?.map_err(unreadable)?;
    let next = (records.len() == limit).then(|| records.last().map(|r| r.id.clone())).flatten();
    Ok(Json(json!({"kind": kind, "records": records, "next": next})))
}

/// `GET /v1/registry/{kind}/{id}`
pub async fn one(State(state): State<Arc<AppState>>, Path((name, id)): Path<(String, String)>) -> Result<Json<Value>, ApiError> {
    let kind = kind(&name)?;
    let reader = state.registry.clone();
    let wanted = id.clone();
    let read = tokio::task::spawn_blocking(move || reader.get(kind, &wanted)).await;
    let value = read.map_err(|e| unreadable(e.to_string()))?.map_err(unreadable)?;
    let value = value.ok_or_else(|| ApiError::not_found(format!("there is no {kind} with this id")))?;
    Ok(Json(json!({"kind": kind, "id": id, "value": value})))
}

/// `PUT /v1/registry/{kind}/{id}`: answers when the site's owner has applied it.
pub async fn put(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path((name, id)): Path<(String, String)>,
    Body(value): Body<Value>,
) -> Result<Json<Value>, ApiError> {
    let kind = allowed(&who, &name)?;
    let record = Record::parse(kind, &id, &value).map_err(|e| ApiError::invalid(e.to_string()))?;
    write(&state, &who, kind, &id, Some(record.to_value())).await
}

/// `DELETE /v1/registry/{kind}/{id}`
pub async fn delete(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let kind = allowed(&who, &name)?;
    write(&state, &who, kind, &id, None).await
}

fn allowed(who: &Principal, name: &str) -> Result<Kind, ApiError> {
    let kind = kind(name)?;
    if may_write_kind(who.role, kind) {
        Ok(kind)
    } else {
        Err(ApiError::forbidden(format!("the role {} may not change records of kind {kind}", who.role.as_str())))
    }
}

async fn write(state: &AppState, who: &Principal, kind: Kind, id: &str, value: Option<Value>) -> Result<Json<Value>, ApiError> {
    let request_id = Uuid::now_v7().to_string();
    let key = format!("{kind}/{id}");
    let record = match value {
        Some(value) => NewRecord::json(topics::REGISTRY, key, &value).map_err(|e| ApiError::invalid(e.to_string()))?,
        None => NewRecord::tombstone(topics::REGISTRY, key),
    };
    let by = serde_json::to_vec(who).map_err(|e| ApiError::unavailable(e.to_string()))?;
    let record = record.header(HEADER_REQUEST_ID, request_id.clone()).header(HEADER_BY, by);
    let waiting = state.answers.expect(&request_id)?;
    append(state, record).await?;
    let answer = waiting.answer(state.answer_wait).await?;
    tracing::info!(%kind, by = %who.name, revision = answer.version, "registry changed");
    Ok(Json(json!({"kind": kind, "id": id, "revision": answer.version, "request_id": request_id})))
}
