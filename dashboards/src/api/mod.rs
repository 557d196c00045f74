//! The HTTP interface; described by `/openapi.json`, guarded by [`crate::auth`].

mod accounts;
mod decisions;
mod events;
mod lanes;
pub mod openapi;
mod ops;
mod registry;
mod session;
mod sql;

use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::StatusCode;
use axum::routing::{delete, get, post, put};
use axum::{middleware, Router};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::auth;
use crate::error::ApiError;
use crate::state::AppState;
use crate::web;

/// The largest JSON body.
const BODY_BYTES_MAX: usize = 256 * 1024;

/// The whole interface: these routes and those of `edge` (frames and reads), under one guard.
pub fn router(state: Arc<AppState>, edge: Router) -> Router {
    let own = Router::new()
        .route("/", get(web::index))
        .route("/favicon.svg", get(web::favicon))
        .route("/assets/{*path}", get(web::asset))
        .route("/healthz", get(ops::healthz))
        .route("/readyz", get(ops::readyz))
        .route("/metrics", get(ops::metrics))
        .route("/openapi.json", get(openapi::serve))
        .route("/v1/session", post(session::sign_in).get(session::who).delete(session::sign_out))
        .route("/v1/lanes", get(lanes::list))
        .route("/v1/lanes/{lane}/frame", get(lanes::frame))
        .route("/v1/decisions", get(decisions::list))
        .route("/v1/decisions/{id}", get(decisions::one))
        .route("/v1/decisions/{id}/frame", get(decisions::frame))
        .route("/v1/decisions/{id}/release", post(decisions::release))
        .route("/v1/decisions/{id}/refuse", post(decisions::refuse))
        .route("/v1/decisions/{id}/correct", post(decisions::correct))
        .route("/v1/alerts", get(decisions::alerts))
        .route("/v1/events", get(events::listen))
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
        .layer(middleware::from_fn(auth::security_headers))
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
