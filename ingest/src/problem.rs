//! What an HTTP call answers when it does not do what it was asked:
//! `{"error": {"code": "PG-HTTP-…", "message": …}}`, with the field where one is to blame.

use axum::http::{header, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::Json;
use portgate_log::LogError;
use serde_json::json;

/// An error as the API answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: StatusCode,
    /// Stable code, like `PG-HTTP-NO-SUCH-LANE`.
    pub code: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
    /// The field to blame, like `plate_read.confidence`.
    pub field: Option<String>,
    /// After how many seconds it is worth trying again.
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// An error with a code and a message.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), field: None, retry_after_s: None }
    }

    /// Names the field to blame.
    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds.max(1));
        self
    }

    /// Too much at once; nothing was stored.
    #[must_use]
    pub fn busy(retry_after_ms: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "PG-HTTP-BUSY",
            "the gate cannot keep up; nothing was stored, try again after the time in Retry-After",
        )
        .retry_after(retry_after_ms.div_ceil(1000))
    }
}

impl From<LogError> for Problem {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Busy { retry_after_ms } => Self::busy(retry_after_ms),
            LogError::TooLarge { max, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "PG-HTTP-BODY-TOO-LARGE", format!("the topic takes at most {max} bytes"))
            }
            other => {
                tracing::warn!(code = other.code(), error = %other, "a post could not be stored");
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "PG-HTTP-LOG-UNAVAILABLE",
                    "the gate's log does not take messages now; repeat the call with the same event_id",
                )
                .retry_after(2)
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut error = json!({"code": self.code, "message": self.message});
        if let (Some(field), Some(object)) = (self.field, error.as_object_mut()) {
            object.insert("field".to_owned(), field.into());
        }
        let mut response = (self.status, Json(json!({"error": error}))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
