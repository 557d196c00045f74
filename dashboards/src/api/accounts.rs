//! Accounts, for the administrator.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use portgate_core::people::{Principal, Role};
use serde::Deserialize;
use serde_json::{json, Value};

use super::Body;
use crate::accounts::AccountView;
use crate::error::ApiError;
use crate::state::AppState;

/// Body of `PUT /v1/accounts/{name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    role: Role,
    #[serde(default)]
    lanes: Vec<String>,
    /// A person's password; without it a token is made.
    #[serde(default)]
    password: Option<String>,
}

/// `GET /v1/accounts`
pub async fn list(State(state): State<Arc<AppState>>) -> Json<Vec<AccountView>> {
    Json(state.accounts.list())
}

/// `PUT /v1/accounts/{name}`: makes or replaces an account; a token is shown this once.
pub async fn put(
    State(state): State<Arc<AppState>>,
    Extension(by): Extension<Principal>,
    Path(name): Path<String>,
    Body(new): Body<NewAccount>,
) -> Result<Json<Value>, ApiError> {
    let (accounts, account) = (state.accounts.clone(), name.clone());
    let role = new.role;
    let made = tokio::task::spawn_blocking(move || accounts.put(&account, new.role, new.lanes, new.password.as_deref())).await;
    let token = made.map_err(|_| ApiError::unavailable("the account could not be written"))??;
    state.sessions.close_all_of(&name);
    tracing::info!(account = %name, role = role.as_str(), by = %by.name, "account written");
    Ok(Json(json!({"name": name, "role": role, "token": token})))
}

/// `DELETE /v1/accounts/{name}`
pub async fn remove(
    State(state): State<Arc<AppState>>,
    Extension(by): Extension<Principal>,
    Path(name): Path<String>,
) -> Result<StatusCode, ApiError> {
    let (accounts, account) = (state.accounts.clone(), name.clone());
    let removed = tokio::task::spawn_blocking(move || accounts.remove(&account)).await;
    removed.map_err(|_| ApiError::unavailable("the account could not be removed"))??;
    state.sessions.close_all_of(&name);
    tracing::info!(account = %name, by = %by.name, "account removed");
    Ok(StatusCode::NO_CONTENT)
}
