//! Names of this crate's metrics, in one place, and the few helpers that record them.

use std::time::Duration;

/// Requests answered, by `route`, `method` and `status`.
pub const HTTP_REQUESTS_TOTAL: &str = "portgate_serve_http_requests_total";
/// Time to the answer's head, seconds, by `route`.
pub const HTTP_SECONDS: &str = "portgate_serve_http_seconds";
/// Clients listening to live events now.
pub const EVENT_CLIENTS: &str = "portgate_serve_event_clients";
/// Clients dropped because they could not keep up.
pub const EVENT_CLIENTS_DROPPED_TOTAL: &str = "portgate_serve_event_clients_dropped_total";
/// From the append of a person's word (or registry write) to its answer, seconds.
pub const ANSWER_SECONDS: &str = "portgate_serve_answer_seconds";
/// Words and registry writes by `outcome` (`done`, `conflict`, …, `unknown` on time-out).
pub const ANSWERS_TOTAL: &str = "portgate_serve_answers_total";
/// Failed sign-ins and unknown tokens, by `kind`.
pub const SIGN_IN_FAILURES_TOTAL: &str = "portgate_serve_sign_in_failures_total";
/// Decisions held on the board.
pub const BOARD_DECISIONS: &str = "portgate_serve_board_decisions";
/// Messages of a followed topic that did not parse, by `topic`.
pub const UNREADABLE_TOTAL: &str = "portgate_serve_unreadable_messages_total";
/// Followed topics: 1 while the last read went well, else 0, by `topic`.
pub const FOLLOWING: &str = "portgate_serve_following";

/// Alerts for webhooks, by `outcome` (`delivered`, `retried`, `given_up`, `dropped`).
pub const WEBHOOK_TOTAL: &str = "portgate_serve_webhook_total";
/// Calls refused because their caller was too fast, by `kind` (`read`, `write`).
pub const LIMITED_TOTAL: &str = "portgate_serve_limited_total";

/// Vehicles waiting in a lane, as it last said, by `lane`.
pub const LANE_QUEUE: &str = "portgate_serve_lane_queue_vehicles";
/// How long the vehicle at a lane has stood there, seconds; 0: nobody stands there. By `lane`.
pub const LANE_WAITING: &str = "portgate_serve_lane_waiting_seconds";
/// 1 while a vehicle at a lane waits for a person, by `lane`.
pub const LANE_HELD: &str = "portgate_serve_lane_held";
/// Age of the last picture of a lane that ever had one, seconds, by `lane`.
pub const LANE_PICTURE_AGE: &str = "portgate_serve_lane_picture_age_seconds";

/// One alert on its way to a webhook.
pub(crate) fn webhook(outcome: &'static str) {
    metrics::counter!(WEBHOOK_TOTAL, "outcome" => outcome).increment(1);
}

/// One request answered.
pub(crate) fn request(route: &str, method: &str, status: u16, took: Duration) {
    let (route, method) = (route.to_owned(), method.to_owned());
    metrics::counter!(HTTP_REQUESTS_TOTAL, "route" => route.clone(), "method" => method, "status" => status.to_string()).increment(1);
    metrics::histogram!(HTTP_SECONDS, "route" => route).record(took.as_secs_f64());
}

/// One word or registry write answered (or not).
pub(crate) fn answer(outcome: &'static str, took: Duration) {
    metrics::counter!(ANSWERS_TOTAL, "outcome" => outcome).increment(1);
    metrics::histogram!(ANSWER_SECONDS).record(took.as_secs_f64());
}
