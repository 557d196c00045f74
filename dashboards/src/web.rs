//! The web application, embedded in the program.

use axum::extract::Path;
use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

/// Built by `npm run build` in `web/`; see `build.rs` for when it was not.
#[derive(rust_embed::RustEmbed)]
#[folder = "web/dist"]
struct Dist;

/// `/`
pub async fn index() -> Response {
    file("index.html", "no-cache")
}

/// `/display/{lane}`: the driver's display; what it shows needs an account.
pub async fn display() -> Response {
    file("display.html", "no-cache")
}

/// `/favicon.svg`
pub async fn favicon() -> Response {
    file("favicon.svg", "max-age=86400")
}

/// `/assets/…`: names carry a hash of the content, so they never change.
pub async fn asset(Path(path): Path<String>) -> Response {
    file(&format!("assets/{path}"), "public, max-age=31536000, immutable")
}

fn file(path: &str, cache: &'static str) -> Response {
    let Some(file) = Dist::get(path) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let kind = HeaderValue::from_str(file.metadata.mimetype()).unwrap_or(HeaderValue::from_static("application/octet-stream"));
    let kind = if path.ends_with(".html") { HeaderValue::from_static("text/html; charset=utf-8") } else { kind };
    let mut response = file.data.into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    response
}
