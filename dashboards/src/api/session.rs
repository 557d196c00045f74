//! Signing in and out of the page.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{ConnectInfo, State};
use axum::http::{header, HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use portgate_core::people::Principal;
use serde::Deserialize;
use serde_json::{json, Value};

use super::Body;
use crate::accounts::{Bounds, SignInError, PASSWORD_CHARS_MIN};
use crate::auth::{may, sees_masked, session_cookie, Action, CSRF_HEADER};
use crate::error::ApiError;
use crate::sessions::{COOKIE, SESSION_MAX};
use crate::state::AppState;
use crate::tls::Peer;

/// Body of a sign-in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    name: String,
    secret: String,
    #[serde(default)]
    new_secret: Option<String>,
}

fn about(state: &AppState, principal: &Principal) -> Value {
    let Bounds { body, checkpoints } = state.accounts.bounds(&principal.name);
    let actions: Vec<&str> = [
        (Action::SeeFrames, "see_frames"),
        (Action::Speak, "speak"),
        (Action::ReadRegistry, "read_registry"),
        (Action::WriteRegistry, "write_registry"),
        (Action::Rule, "rule"),
        (Action::Sql, "sql"),
        (Action::Search, "search"),
        (Action::Samples, "samples"),
        (Action::SeeWatch, "see_watch"),
        (Action::Watch, "watch"),
        (Action::HandOver, "hand_over"),
        (Action::Audit, "audit"),
        (Action::ManageAccounts, "manage_accounts"),
    ]
    .into_iter()
    .filter(|(action, _)| may(principal.role, *action))
    .map(|(_, name)| name)
    .collect();
    json!({
        "name": principal.name, "role": principal.role, "lanes": principal.lanes, "body": body, "checkpoints": checkpoints,
        "may": actions, "masked": sees_masked(principal.role), "demo": state.demo,
    })
}

/// `POST /v1/session`: name and secret become a cookie no script can read.
pub async fn sign_in(
    State(state): State<Arc<AppState>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    headers: HeaderMap,
    Body(body): Body<SignIn>,
) -> Result<Response, ApiError> {
    if !headers.contains_key(CSRF_HEADER) {
        return Err(ApiError::forbidden(format!("signing in needs the header {CSRF_HEADER}")));
    }
    let _permit = state.sign_ins.acquire().await.map_err(|_| ApiError::unavailable("the program is stopping"))?;
    let accounts = state.accounts.clone();
    let SignIn { name, secret, new_secret } = body;
    let account = name.clone();
    let signed = tokio::task::spawn_blocking(move || accounts.sign_in(peer.ip(), &name, &secret, new_secret.as_deref())).await;
    let signed = signed.map_err(|_| ApiError::unavailable("the secret could not be checked"))?;
    let principal = signed.map_err(|e| match e {
        SignInError::Wrong => ApiError::new(StatusCode::UNAUTHORIZED, "wrong_secret", "name or secret are wrong"),
        SignInError::NewPasswordNeeded => {
            ApiError::new(StatusCode::FORBIDDEN, "new_password_needed", "the one-time password must be replaced: give new_secret, too")
        }
        SignInError::NewPasswordWeak => {
            ApiError::invalid(format!("the new password needs {PASSWORD_CHARS_MIN} characters or more and must be another one"))
        }
        SignInError::Locked { retry_after_s } => ApiError::too_many("too many failed attempts; wait before the next one", retry_after_s),
    })?;
    tracing::info!(account = %account, role = principal.role.as_str(), "signed in");
    let cookie = state.sessions.open(&principal.name, Instant::now())?;
    let secure = if state.tls { "; Secure" } else { "" };
    let value = format!("{COOKIE}={cookie}; HttpOnly; SameSite=Strict; Path=/; Max-Age={}{secure}", SESSION_MAX.as_secs());
    with_cookie(Json(about(&state, &principal)).into_response(), &value)
}

/// `GET /v1/session`: who one is and what one may do.
pub async fn who(State(state): State<Arc<AppState>>, Extension(principal): Extension<Principal>) -> Json<Value> {
    Json(about(&state, &principal))
}

/// `DELETE /v1/session`: signs out.
pub async fn sign_out(State(state): State<Arc<AppState>>, headers: HeaderMap) -> Result<Response, ApiError> {
    if let Some(cookie) = session_cookie(&headers) {
        state.sessions.close(&cookie);
    }
    with_cookie(StatusCode::NO_CONTENT.into_response(), &format!("{COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"))
}

fn with_cookie(mut response: Response, cookie: &str) -> Result<Response, ApiError> {
    let value = HeaderValue::from_str(cookie).map_err(|_| ApiError::unavailable("the session could not be opened"))?;
    response.headers_mut().insert(header::SET_COOKIE, value);
    Ok(response)
}
