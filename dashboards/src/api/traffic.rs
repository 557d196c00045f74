//! How the traffic flows: congestion now, today and against usual; and what a driver is shown.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::{Extension, Json};
use portgate_core::people::{Principal, Role};
use serde_json::{json, Value};

use super::asked;
use crate::error::ApiError;
use crate::state::{now, AppState};

/// Days that make up "usual".
const USUAL_DAYS: i64 = 28;
const DAY_MS: i64 = 86_400_000;
const LANES_MAX: usize = 1024;

/// `GET /v1/congestion`: per lane now, today up to now, and the same hours of the days before.
pub async fn congestion(State(state): State<Arc<AppState>>, Extension(who): Extension<Principal>) -> Result<Json<Value>, ApiError> {
    let now = now();
    let today = now.date().start();
    let before = today.plus_millis(-USUAL_DAYS * DAY_MS);
    let minute = now.millis_since(today) / 60_000;
    let sums = "sum(arrivals) AS arrivals, sum(passed) AS passed, sum(held) AS held, sum(refused) AS refused, avg(queue) AS queue, max(queue_max) AS queue_max, avg(waiting_p50_s) AS waiting_p50_s, max(waiting_p95_s) AS waiting_p95_s";
    let of_today = format!("SELECT checkpoint, lane, {sums} FROM lane_minutes WHERE minute >= '{today}' GROUP BY checkpoint, lane");
    let usual = format!(
        "SELECT checkpoint, lane, count(DISTINCT date_trunc('day', minute)) AS days, {sums} FROM lane_minutes WHERE minute >= '{before}' AND minute < '{today}' AND date_part('hour', minute) * 60 + date_part('minute', minute) <= {minute} GROUP BY checkpoint, lane"
    );
    let course = format!("SELECT checkpoint, bucket, avg(queue) AS queue, max(queue_max) AS queue_max, sum(arrivals) AS arrivals, sum(passed) AS passed FROM congestion WHERE bucket >= '{today}' GROUP BY checkpoint, bucket ORDER BY bucket");
    let of_today = asked(&state, &who, &of_today, LANES_MAX).await?;
    let usual = asked(&state, &who, &usual, LANES_MAX).await?;
    let course = asked(&state, &who, &course, LANES_MAX).await?;
    let peak = state.board.peak_log();
    Ok(Json(json!({"now": now, "today": of_today, "usual": usual, "course": course, "peak_log": peak})))
}

/// `GET /v1/lanes/{lane}/display`: what the driver standing there is to read.
pub async fn display(
    State(state): State<Arc<AppState>>,
    Extension(who): Extension<Principal>,
    Path(lane): Path<String>,
) -> Result<Json<Value>, ApiError> {
    if who.role == Role::Device && !who.may_post_for(&lane) {
        return Err(ApiError::forbidden("this account belongs to another lane"));
    }
    let view = state.board.lane(&lane).ok_or_else(|| ApiError::not_found("there is no such lane"))?;
    let asked_for = view.get("decision").and_then(|d| d.get("id")).and_then(Value::as_str).is_some_and(|id| {
        state.room.asks().iter().any(|a| a.decision_id == id && a.settled_at.is_none() && a.want == crate::room::Want::Inspection)
    });
    Ok(Json(sign(&view, asked_for)))
}

/// Reasons a driver can do something about; of others, and of any suspicion, the sign says nothing.
const TELLING: [&str; 2] = ["low", "medium"];

fn sign(lane: &Value, inspection: bool) -> Value {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let standing = lane.get("approach_id").is_some_and(|a| !a.is_null());
    let decision = lane.get("decision").filter(|d| !d.is_null());
    let state = decision.and_then(|d| text(d, "state")).unwrap_or_default();
    let plate = decision.and_then(|d| text(d, "plate")).or_else(|| lane.get("plate_read").and_then(|p| text(p, "text")));
    let (code, zh, en) = match (standing, state.as_str()) {
        (true, "opened") => ("go", "请通行", "Go ahead"),
        (true, "refused") => ("back", "禁止通行", "Do not enter"),
        (true, "held") if inspection => ("wait", "请等待查验", "Wait for inspection"),
        (true, "held") => ("wait", "请稍候", "Please wait"),
        (true, _) => ("reading", "请停车", "Stop"),
        (false, "passed") if lane.get("barrier").and_then(Value::as_str) == Some("open") => ("go", "请通行", "Go ahead"),
        (false, _) => ("next", "请依次驶入", "Next vehicle"),
    };
    let (sub_zh, sub_en) = match code {
        "go" => ("栏杆升起后通过，请勿跟车", "Pass when the barrier is up; do not follow closely"),
        "back" => ("请按工作人员指引驶离", "Leave as the staff direct you"),
        "reading" => ("正在识别，请出示港通卡", "Being read; present your port pass card"),
        "next" => ("一车一杆，保持车距", "One vehicle at a time; keep your distance"),
        _ => ("值守人员正在处理", "The guard is looking at it"),
    };
    let told = decision.filter(|_| code == "wait" && !inspection).and_then(|d| {
        d.get("reasons")?
            .as_array()?
            .iter()
            .find(|r| r.get("severity").and_then(Value::as_str).is_some_and(|s| TELLING.contains(&s)))
            .cloned()
    });
    let suspicion = decision
        .and_then(|d| d.get("reasons")?.as_array())
        .is_some_and(|all| all.iter().any(|r| matches!(r.get("severity").and_then(Value::as_str), Some("high" | "critical"))));
    let told = told.filter(|_| !suspicion);
    let line = |fallback: &str, field: &str| told.as_ref().and_then(|r| text(r, field)).unwrap_or_else(|| fallback.to_owned());
    json!({
        "lane": lane.get("lane"),
        "name": lane.get("name"),
        "code": code,
        "plate": if standing || code == "go" { plate } else { None },
        "zh": zh,
        "en": en,
        "sub_zh": line(sub_zh, "zh"),
        "sub_en": line(sub_en, "en"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(state: &str, severity: &str) -> Value {
        json!({"lane": "L1", "approach_id": "A", "card": "C-777", "decision": {"state": state, "plate": "苏G12345", "enterprise": "甲物流", "reasons": [{"severity": severity, "zh": "请刷港通卡", "en": "Swipe the card"}]}})
    }

    #[test]
    fn a_driver_reads_what_to_do_and_nothing_about_a_suspicion() {
        let held = sign(&lane("held", "low"), false);
        assert_eq!((held["code"].as_str(), held["sub_zh"].as_str()), (Some("wait"), Some("请刷港通卡")));
        assert_eq!(sign(&lane("held", "critical"), false)["sub_zh"], "值守人员正在处理");
        assert_eq!(sign(&lane("held", "low"), true)["zh"], "请等待查验");
        assert_eq!(sign(&lane("opened", "info"), false)["code"], "go");
        assert_eq!(sign(&lane("refused", "high"), false)["code"], "back");
        let text = held.to_string();
        assert!(text.contains("苏G12345") && !text.contains("甲物流") && !text.contains("C-777"), "{text}");
        let empty = sign(&json!({"lane": "L1", "approach_id": null, "decision": {"state": "passed", "plate": "苏G12345"}}), false);
        assert_eq!((empty["code"].as_str(), empty["plate"].as_str()), (Some("next"), None));
    }
}
