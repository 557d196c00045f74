//! Lanes and their pictures.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{header, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bytes::Bytes;
use portgate_core::people::Principal;
use serde::Deserialize;
use serde_json::{json, Value};

use super::Params;
use crate::auth::sees_masked;
use crate::error::ApiError;
use crate::evidence::picture_type;
use crate::state::{now, AppState};
use crate::views::mask;

/// `GET /v1/lanes`: every lane as it is now.
pub async fn list(State(state): State<Arc<AppState>>, Extension(who): Extension<Principal>) -> Json<Value> {
    let mut lanes = Value::Array(state.board.lanes());
    if sees_masked(who.role) {
        lanes = mask(&lanes);
    }
    Json(json!({"lanes": lanes, "now": now()}))
}

/// Parameters of a lane's picture.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrameParams {
    /// A certain picture; else the latest.
    #[serde(default)]
    id: Option<String>,
}

/// `GET /v1/lanes/{lane}/frame`: the latest picture.
pub async fn frame(
    State(state): State<Arc<AppState>>,
    Path(lane): Path<String>,
    Params(params): Params<FrameParams>,
) -> Result<Response, ApiError> {
    if !state.board.knows_lane(&lane) {
        return Err(ApiError::not_found("there is no such lane"));
    }
    let exact = params.id.as_ref().and_then(|id| state.frames.get(&lane, id));
    let found = exact.or_else(|| state.frames.latest(&lane));
    let frame = found.ok_or_else(|| ApiError::not_found("this lane has no picture yet"))?;
    picture(frame.bytes, params.id.as_deref() == Some(&frame.id))
}

/// An answer with a picture.
///
/// # Errors
/// 404 when the bytes are none the gate takes.
pub(super) fn picture(bytes: Bytes, lasting: bool) -> Result<Response, ApiError> {
    let kind = picture_type(&bytes).ok_or_else(|| ApiError::not_found("the picture can't be shown"))?;
    let mut response = bytes.into_response();
    let cache = if lasting { "private, max-age=600" } else { "no-store" };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    Ok(response)
}
