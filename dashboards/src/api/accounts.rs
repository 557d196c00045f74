//! Accounts, for the administrator. Every change stands in the audit.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use portgate_core::people::Principal;
use serde_json::{json, Value};

use super::room::record;
use super::Body;
use crate::accounts::{AccountView, NewAccount};
use crate::error::ApiError;
use crate::room::RoomEvent;
use crate::state::AppState;

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
    let event = RoomEvent::Account {
        account: name.clone(),
        role: Some(role),
        body: new.body,
        places: new.lanes.iter().chain(&new.checkpoints).cloned().collect(),
        secret: !new.keep_secret,
    };
    let made = tokio::task::spawn_blocking(move || accounts.put(&account, new)).await;
    let token = made.map_err(|_| ApiError::unavailable("the account could not be written"))??;
    state.sessions.close_all_of(&name);
    tracing::info!(account = %name, role = role.as_str(), by = %by.name, "account written");
    record(&state, &by, &name, event).await?;
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
    let event = RoomEvent::Account { account: name.clone(), role: None, body: None, places: Vec::new(), secret: true };
    record(&state, &by, &name, event).await?;
    Ok(StatusCode::NO_CONTENT)
}
