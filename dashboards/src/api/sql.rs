//! One question in SQL over HTTP, for the page.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use portgate_core::people::Principal;
use serde::Deserialize;

use super::Body;
use crate::error::ApiError;
use crate::state::{AppState, SqlTable};

const ROWS_MAX: usize = 10_000;

/// Body of a query.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    sql: String,
    #[serde(default)]
    limit: Option<usize>,
}

/// `POST /v1/sql`
pub async fn query(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Body(query): Body<Query>,
) -> Result<Json<SqlTable>, ApiError> {
    let runner = state.sql.clone().ok_or_else(|| ApiError::unavailable("analytics does not run in this process"))?;
    let rows_max = query.limit.unwrap_or(1000).clamp(1, ROWS_MAX);
    runner.query(&who, &query.sql, rows_max).await.map(Json).map_err(ApiError::invalid)
}
