//! The description of the interface, for people and for programs that generate clients.

use axum::http::header;
use axum::response::{IntoResponse, Response};

/// The description; kept by hand, held against the routes by a test.
pub const DOCUMENT: &str = include_str!("openapi.json");

/// `GET /openapi.json`
pub async fn serve() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT).into_response()
}
