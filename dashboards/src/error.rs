//! What can go wrong: when the server starts ([`ServeError`]) and in a call ([`ApiError`]).

use std::net::SocketAddr;
use std::path::PathBuf;

use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use serde_json::json;

/// Why the server could not start or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Another program listens there.
    #[error("{0} is already in use by another program; stop it or choose another address for `serve.listen`")]
    PortInUse(SocketAddr),
    /// The address can't be listened on.
    #[error("can't listen on {addr}: {source}")]
    Listen {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A demonstration must not be reachable from outside.
    #[error("--demo listens on loopback only, not on {0}; its credentials lie in a file")]
    DemoNotLoopback(SocketAddr),
    /// The certificate or its key can't be used.
    #[error("{path}: {why}; give PEM files in `http.tls_certificate` and `http.tls_key`")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A webhook can't be set up.
    #[error("webhook.url = {url:?}: {why}")]
    Webhook {
        /// Where it was to post.
        url: String,
        /// What is wrong.
        why: String,
    },
    /// The authorities that certificates of others rest on can't be read.
    #[error("{path}: {why}; install ca-certificates, or give the receiver's authority as PEM in `webhook.authorities`")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The connection loop broke down.
    #[error("the HTTP server stopped: {0}")]
    Http(std::io::Error),
    /// Accounts could not be read or written.
    #[error(transparent)]
    Accounts(#[from] AccountError),
}

/// Why the accounts could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// A file can't be read or written.
    #[error("{path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The accounts file is not what it should be.
    #[error("{path}: {why}; restore the file from a backup, or remove it to begin with a new administrator")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The password can't be hashed.
    #[error("the password can't be hashed: {0}")]
    Hash(String),
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    /// No such account.
    #[error("there is no account {0:?}")]
    Unknown(String),
    /// The change is not allowed.
    #[error("{0}")]
    Refused(String),
}

/// An answer that is not the one asked for: a status, a stable word and a sentence.
#[derive(Debug, Clone)]
pub struct ApiError {
    /// Status of the answer.
    pub status: StatusCode,
    /// Stable word for programs, like `conflict`.
    pub code: &'static str,
    /// A sentence for people: what is wrong and what would be right.
    pub message: String,
    /// Seconds after which it is worth trying again.
    pub retry_after_s: Option<u64>,
    /// The request it concerns, where one was passed on to the engine.
    pub request_id: Option<String>,
}

impl ApiError {
    /// An error answer.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after_s: None, request_id: None }
    }
    /// 400: the request can't be understood.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
    /// 401: no valid token or session.
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "a valid token (Authorization: Bearer …) or a signed-in session is needed")
    }
    /// 403: the role may not.
    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", message)
    }
    /// 404.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }
    /// 422: understood, but not valid.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }
    /// 503: not now.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self { retry_after_s: Some(1), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message) }
    }
    /// 429: too many attempts.
    pub fn too_many(message: impl Into<String>, retry_after_s: u64) -> Self {
        Self { retry_after_s: Some(retry_after_s), ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many", message) }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(id), Some(map)) = (&self.request_id, error.as_object_mut()) {
            map.insert("request_id".into(), json!(id));
        }
        let mut response = (self.status, Json(json!({"error": error}))).into_response();
        if let Some(s) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(s));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"portgate\""));
        }
        response
    }
}

impl From<AccountError> for ApiError {
    fn from(e: AccountError) -> Self {
        match e {
            AccountError::Unknown(_) => Self::not_found(e.to_string()),
            AccountError::Refused(_) => Self::new(StatusCode::CONFLICT, "conflict", e.to_string()),
            AccountError::Hash(_) => Self::invalid(e.to_string()),
            AccountError::File { .. } | AccountError::Damaged { .. } | AccountError::Random(_) => {
                tracing::error!(error = %e, "accounts could not be used");
                Self::unavailable("the accounts could not be used; see the log of the program")
            }
        }
    }
}
