//! For whoever runs the gate: alive, ready, metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{header, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde_json::{json, Map, Value};

use crate::state::AppState;

/// `GET /healthz`: the process answers.
pub async fn healthz() -> Json<Value> {
    Json(json!({"status": "alive"}))
}

/// `GET /readyz`: 200 when everything the page rests on works, else 503; either way each check.
pub async fn readyz(State(state): State<Arc<AppState>>) -> Response {
    let mut checks = Map::new();
    let mut ready = true;
    let mut note = |name: &str, result: Result<(), String>| {
        ready &= result.is_ok();
        let value = match result {
            Ok(()) => json!({"ok": true}),
            Err(why) => json!({"ok": false, "why": why}),
        };
        checks.insert(name.to_owned(), value);
    };
    let health = state.log.health().await;
    note("log", if health.ok { Ok(()) } else { Err(health.detail) });
    for following in &state.following {
        note(following.topic(), following.health());
    }
    for (name, check) in &state.ready_checks {
        note(name, check());
    }
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready, "checks": checks}))).into_response()
}

/// `GET /metrics`: Prometheus text format.
pub async fn metrics(State(state): State<Arc<AppState>>) -> Response {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], (state.metrics_render)()).into_response()
}
