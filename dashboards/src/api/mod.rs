//! The HTTP interface; described by `/openapi.json`, guarded by [`crate::auth`].

mod accounts;
mod decisions;
mod events;
mod lanes;
pub mod openapi;
mod ops;
mod registry;
mod room;
mod search;
mod session;
mod sql;
mod traffic;
mod violations;

use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{middleware, Router};
use bytes::Bytes;
use portgate_core::people::Principal;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::auth;
use crate::error::ApiError;
use crate::state::AppState;
use crate::web;

/// The largest JSON body.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// The largest registry file taken over HTTP; larger ones go through `portgate registry import`.
const IMPORT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The whole interface: these routes and those of `edge` (frames and reads), under one guard.
pub fn router(state: Arc<AppState>, edge: Router) -> Router {
    let tls = state.tls;
    let own = Router::new()
        .route("/", get(web::index))
        .route("/favicon.svg", get(web::favicon))
        .route("/assets/{*path}", get(web::asset))
        .route("/display/{lane}", get(web::display))
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/openapi.json", get(openapi::serve))
        .route("/v1/session", post(session::sign_in).get(session::who).delete(session::sign_out))
        .route("/v1/lanes", get(lanes::list))
        .route("/v1/lanes/{lane}/frame", get(lanes::frame))
        .route("/v1/lanes/{lane}/display", get(traffic::display))
        .route("/v1/congestion", get(traffic::congestion))
        .route("/v1/decisions", get(decisions::list))
        .route("/v1/decisions/{id}", get(decisions::one))
        .route("/v1/decisions/{id}/frame", get(decisions::frame))
        .route("/v1/decisions/{id}/release", post(decisions::release))
        .route("/v1/decisions/{id}/refuse", post(decisions::refuse))
        .route("/v1/decisions/{id}/correct", post(decisions::correct))
        .route("/v1/decisions/{id}/facts", get(search::facts))
        .route("/v1/decisions/{id}/ask", post(room::ask))
        .route("/v1/asks", get(room::asks))
        .route("/v1/asks/{id}/settle", post(room::settle))
        .route("/v1/search", post(search::search))
        .route("/v1/case", post(search::case))
        .route("/v1/samples", post(search::samples))
        .route("/v1/audit", get(room::audit))
        .route("/v1/watch", get(room::watch))
        .route("/v1/watch/{id}", put(room::put_watch).delete(room::delete_watch))
        .route("/v1/handovers", get(room::handovers))
        .route("/v1/handovers/{day}/sign", post(room::sign))
        .route("/v1/questions", get(room::questions))
        .route("/v1/questions/{name}", put(room::put_question).delete(room::delete_question))
        .route("/v1/alerts", get(decisions::alerts))
        .route("/v1/violations", get(violations::list))
        .route("/v1/violations/{id}", get(violations::one))
        .route("/v1/violations/{id}/verify", post(violations::verify))
        .route("/v1/violations/{id}/dismiss", post(violations::dismiss))
        .route("/v1/sanctions", get(violations::sanctions))
        .route("/v1/sanctions/{id}/accept", post(violations::accept))
        .route("/v1/sanctions/{id}/reject", post(violations::reject))
        .route("/v1/policies", get(violations::policies))
        .route("/v1/events", get(events::listen))
        .route("/v1/registry/import", post(registry::import).layer(DefaultBodyLimit::max(IMPORT_BYTES_MAX)))
        .route("/v1/registry/{kind}", get(registry::list))
        .route("/v1/registry/{kind}/{id}", get(registry::one).put(registry::put).delete(registry::delete))
        .route("/v1/sql", post(sql::query))
        .route("/v1/accounts", get(accounts::list))
        .route("/v1/accounts/{name}", put(accounts::put))
        .route("/v1/accounts/{name}", delete(accounts::remove))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(state.clone());
    own.merge(edge)
        .fallback(|| async { ApiError::not_found("there is nothing at this address; /openapi.json lists what there is") })
        .layer(middleware::from_fn_with_state(state, auth::guard))
        .layer(middleware::from_fn_with_state(tls, auth::security_headers))
}

/// A JSON body; what is wrong with it is said with its place.
pub(crate) struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|e: BytesRejection| {
            if e.status() == StatusCode::PAYLOAD_TOO_LARGE {
                ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("a body here has at most {BODY_BYTES_MAX} bytes"))
            } else {
                ApiError::bad_request("the body can't be read")
            }
        })?;
        serde_json::from_slice(&bytes).map(Body).map_err(|e| {
            let message = format!("the body does not fit: {e}");
            if e.is_data() {
                ApiError::invalid(message)
            } else {
                ApiError::bad_request(message)
            }
        })
    }
}

/// Query parameters; unknown or misspelt ones are errors with a sentence.
pub(crate) struct Params<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::<T>::from_request_parts(parts, state).await;
        query.map(|Query(q)| Self(q)).map_err(|e: QueryRejection| ApiError::bad_request(e.body_text()))
    }
}

/// A query of the gate's own making, with the rights of its caller; rows as objects.
pub(crate) async fn asked(state: &AppState, who: &Principal, sql: &str, rows_max: usize) -> Result<Vec<Value>, ApiError> {
    let runner = state.sql.clone().ok_or_else(|| ApiError::unavailable("analytics does not run in this process"))?;
    let table = runner.query(who, sql, rows_max).await.map_err(|why| {
        tracing::warn!(%why, "a query of the room's own failed");
        ApiError::unavailable("analytics can't answer this now")
    })?;
    Ok(search::objects(&table.columns, table.rows))
}

/// A text as SQL writes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''").replace('\0', ""))
}
