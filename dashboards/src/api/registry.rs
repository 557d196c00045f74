//! The registry: read here, written through the log, answered by the site's owner.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use portgate_core::people::{Principal, Role};
use portgate_core::registry::{Kind, Record};
use portgate_log::{topics, NewRecord};
use serde::Deserialize;
use serde_json::{json, Value};
use uuid::Uuid;

use super::decisions::{append, append_all};
use super::{Body, Params};
use crate::accounts::Bounds;
use crate::auth::{may_write_kind, within};
use crate::error::ApiError;
use crate::import;
use crate::registry::{RegistryItem, RegistryReader};
use crate::state::AppState;

/// Header of a registry change: under which id it is answered.
pub const HEADER_REQUEST_ID: &str = "request_id";
/// Header of a registry change: the account behind it, JSON.
pub const HEADER_BY: &str = "by";
const LIMIT_MAX: usize = 1000;
/// Records a search looks at in one call.
const LOOKED_AT_MAX: usize = 50_000;
/// Records of a file appended at once.
const IMPORT_BATCH: usize = 1000;

fn kind(name: &str) -> Result<Kind, ApiError> {
    name.parse().map_err(|e: portgate_core::registry::UnknownKind| ApiError::not_found(e.to_string()))
}

pub(super) fn unreadable(why: String) -> ApiError {
    tracing::warn!(error = %why, "the registry can't be read");
    ApiError::unavailable("the registry can't be read now")
}

/// Parameters of a list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    #[serde(default)]
    prefix: Option<String>,
    /// Only records in which this text stands (id or any field).
    #[serde(default)]
    q: Option<String>,
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
    let read = move || match params.q.as_deref().map(str::trim).filter(|q| !q.is_empty()) {
        None => {
            let records = reader.list(kind, params.prefix.as_deref().unwrap_or(""), params.after.as_deref(), limit)?;
            let next = (records.len() == limit).then(|| records.last().map(|r| r.id.clone())).flatten();
            Ok((records, next))
        }
        Some(q) => find(&*reader, kind, params.prefix.as_deref().unwrap_or(""), params.after, &q.to_lowercase(), limit),
    };
    let (records, next) = tokio::task::spawn_blocking(read).await.map_err(|e| unreadable(e.to_string()))?.map_err(unreadable)?;
    Ok(Json(json!({"kind": kind, "records": records, "next": next})))
}

/// Records with the text in them; looks at a bounded number and says where to go on.
fn find(
    reader: &dyn RegistryReader,
    kind: Kind,
    prefix: &str,
    mut after: Option<String>,
    text: &str,
    limit: usize,
) -> Result<(Vec<RegistryItem>, Option<String>), String> {
    let mut found = Vec::new();
    for _ in 0..LOOKED_AT_MAX / LIMIT_MAX {
        let page = reader.list(kind, prefix, after.as_deref(), LIMIT_MAX)?;
        let full = page.len() == LIMIT_MAX;
        for item in page {
            after = Some(item.id.clone());
            if item.id.to_lowercase().contains(text) || says(&item.value, text) {
                found.push(item);
                if found.len() == limit {
                    return Ok((found, after));
                }
            }
        }
        if !full {
            return Ok((found, None));
        }
    }
    Ok((found, after))
}

fn says(value: &Value, text: &str) -> bool {
    match value {
        Value::String(s) => s.to_lowercase().contains(text),
        Value::Array(items) => items.iter().any(|v| says(v, text)),
        Value::Object(map) => map.values().any(|v| says(v, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Parameters of an import.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportParams {
    /// The body is a CSV of this kind; else JSON Lines.
    #[serde(default)]
    kind: Option<String>,
    /// Only look whether it fits.
    #[serde(default)]
    check: bool,
}

/// `POST /v1/registry/import`: a file, whole or not at all; 422 lists what is wrong, by line.
pub async fn import(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Params(params): Params<ImportParams>,
    text: String,
) -> Result<Response, ApiError> {
    let csv_of = params.kind.as_deref().map(kind).transpose()?;
    let parse = move || match csv_of {
        Some(kind) => import::csv(kind, &text),
        None => import::json_lines(&text),
    };
    let parsed = tokio::task::spawn_blocking(parse).await.map_err(|e| ApiError::unavailable(e.to_string()))?;
    let changes = match parsed {
        Ok(changes) => changes,
        Err(faults) => {
            let error = json!({"code": "invalid", "message": "lines do not fit; nothing was imported", "faults": faults});
            return Ok((StatusCode::UNPROCESSABLE_ENTITY, Json(json!({"error": error}))).into_response());
        }
    };
    if let Some(change) = changes.iter().find(|c| !may_write_kind(who.role, c.kind)) {
        return Err(ApiError::forbidden(format!("the role {} may not change records of kind {}", who.role.as_str(), change.kind)));
    }
    for change in changes.iter().filter(|c| c.kind == Kind::PeakMode) {
        within(&bounds, &change.id)?;
    }
    let count = changes.len();
    if params.check || count == 0 {
        return Ok(Json(json!({"records": count, "imported": false})).into_response());
    }
    let by = serde_json::to_vec(&who).map_err(|e| ApiError::unavailable(e.to_string()))?;
    let request_id = Uuid::now_v7().to_string();
    let mut records = Vec::with_capacity(count);
    for change in changes {
        let key = format!("{}/{}", change.kind, change.id);
        let record = match change.value {
            Some(value) => NewRecord::json(topics::REGISTRY, key, &value).map_err(|e| ApiError::invalid(e.to_string()))?,
            None => NewRecord::tombstone(topics::REGISTRY, key),
        };
        records.push(record.header(HEADER_BY, by.clone()));
    }
    // The last one is answered, and with it all before it: they stand in one order.
    if let Some(last) = records.pop() {
        records.push(last.header(HEADER_REQUEST_ID, request_id.clone()));
    }
    let waiting = state.answers.expect(&request_id)?;
    while !records.is_empty() {
        let rest = records.split_off(records.len().min(IMPORT_BATCH));
        append_all(&state, std::mem::replace(&mut records, rest)).await?;
    }
    let answer = waiting.answer(state.answer_wait * 6).await?;
    tracing::info!(records = count, by = %who.name, revision = answer.version, "registry file imported");
    Ok(Json(json!({"records": count, "imported": true, "revision": answer.version})).into_response())
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
    Extension(bounds): Extension<Bounds>,
    Path((name, id)): Path<(String, String)>,
    Body(value): Body<Value>,
) -> Result<Json<Value>, ApiError> {
    let kind = allowed(&who, &bounds, &name, &id)?;
    let record = Record::parse(kind, &id, &value).map_err(|e| ApiError::invalid(e.to_string()))?;
    write(&state, &who, kind, &id, Some(record.to_value())).await
}

/// `DELETE /v1/registry/{kind}/{id}`
pub async fn delete(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Extension(bounds): Extension<Bounds>,
    Path((name, id)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    let kind = allowed(&who, &bounds, &name, &id)?;
    if kind == Kind::InspectionOrder && who.role != Role::Registrar {
        return Err(ApiError::forbidden("an inspection is concluded (state CONCLUDED), which stays on record; only the registrar deletes"));
    }
    write(&state, &who, kind, &id, None).await
}

fn allowed(who: &Principal, bounds: &Bounds, name: &str, id: &str) -> Result<Kind, ApiError> {
    let kind = kind(name)?;
    if kind == Kind::PeakMode {
        within(bounds, id)?;
    }
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
