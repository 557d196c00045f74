//! Requests that wait for the engine's answer: a person's word and a registry write go into the
//! log under a request id, and the answer comes back through the log under the same id.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use dashmap::DashMap;
use portgate_core::decision::{Answer, AnswerOutcome};
use tokio::sync::oneshot;

use crate::error::ApiError;
use crate::telemetry;

/// Requests that may wait at once.
const WAITING_MAX: usize = 1024;

/// Topic the engine answers on; key site, JSON [`Answer`].
pub const TOPIC: &str = "portgate.answers";

/// The requests that wait.
#[derive(Default)]
pub struct Answers {
    waiting: DashMap<String, oneshot::Sender<Answer>>,
}

/// One request's place; gives it up when dropped.
pub struct Waiting {
    answers: Arc<Answers>,
    request_id: String,
    receiver: oneshot::Receiver<Answer>,
}

impl Answers {
    /// Begins to wait; before the request is appended, so that no answer is missed.
    ///
    /// # Errors
    /// 503 when too many wait already.
    pub fn expect(self: &Arc<Self>, request_id: &str) -> Result<Waiting, ApiError> {
        if self.waiting.len() >= WAITING_MAX {
            return Err(ApiError::unavailable("too many requests wait for the engine; nothing was done"));
        }
        let (sender, receiver) = oneshot::channel();
        self.waiting.insert(request_id.to_owned(), sender);
        Ok(Waiting { answers: self.clone(), request_id: request_id.to_owned(), receiver })
    }

    /// An answer has come; the first one counts.
    pub fn arrived(&self, answer: &Answer) {
        if let Some((_, sender)) = self.waiting.remove(&answer.request_id) {
            // An error means that the client has gone.
            let _ = sender.send(answer.clone());
        }
    }
}

impl Waiting {
    /// Waits for the answer.
    ///
    /// # Errors
    /// 409, 404, 403 or 422 as the engine says; 504 when it says nothing in time: it is then not
    /// known yet whether it was done.
    pub async fn answer(mut self, wait: Duration) -> Result<Answer, ApiError> {
        let began = Instant::now();
        let got = tokio::time::timeout(wait, &mut self.receiver).await;
        let Ok(Ok(answer)) = got else {
            telemetry::answer("unknown", began.elapsed());
            let message =
                "the engine has not answered in time: it is not known yet whether this was done; look at the decision before trying again";
            let mut error = ApiError::new(StatusCode::GATEWAY_TIMEOUT, "not_known_yet", message);
            error.request_id = Some(self.request_id.clone());
            return Err(error);
        };
        let (outcome, status) = match answer.outcome {
            AnswerOutcome::Done => ("done", StatusCode::OK),
            AnswerOutcome::Conflict => ("conflict", StatusCode::CONFLICT),
            AnswerOutcome::NotFound => ("not_found", StatusCode::NOT_FOUND),
            AnswerOutcome::Forbidden => ("forbidden", StatusCode::FORBIDDEN),
            AnswerOutcome::Invalid => ("invalid", StatusCode::UNPROCESSABLE_ENTITY),
        };
        telemetry::answer(outcome, began.elapsed());
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let message = answer.message.unwrap_or_else(|| "the engine refused it".to_owned());
        let mut error = ApiError::new(status, outcome, message);
        error.request_id = Some(self.request_id.clone());
        Err(error)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.answers.waiting.remove(&self.request_id);
    }
}
