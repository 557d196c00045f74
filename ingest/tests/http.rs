//! The edge over the real embedded log: what is accepted is in the log, what is not leaves no trace.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum::Router;
use bytes::Bytes;
use portgate_core::people::{Principal, Role};
use portgate_core::read::ReadMessage;
use portgate_ingest::sim::render::{Renderer, SceneLook};
use portgate_ingest::{router, EdgeLimits, EdgeState, LaneDirectory};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{topics, Log, Record};
use serde_json::{json, Value};
use tower::ServiceExt;

struct Gate {
    app: Router,
    log: Arc<dyn Log>,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    retry_after: Option<String>,
    body: Value,
}

impl Answer {
    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }
}

fn device(lanes: &[&str]) -> Principal {
    Principal { name: "cam-1".into(), role: Role::Device, lanes: lanes.iter().map(|l| (*l).to_owned()).collect() }
}

async fn gate_with(limits: EdgeLimits) -> Gate {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(folder.path())).unwrap());
    log.create_topics(&topics::default_specs(1, 4)).await.unwrap();
    let lanes = LaneDirectory::new();
    lanes.apply("checkpoint", "JCZ-1", Some(&json!({"site": "LYG-1", "profile": "LYG"})));
    for n in 1..=4 {
        let value = json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": "FREIGHT"});
        lanes.apply("lane", &format!("JCZ-1.L{n}"), Some(&value));
    }
    Gate { app: router(EdgeState::new(log.clone(), lanes, limits)), log, _folder: folder }
}

async fn gate() -> Gate {
    gate_with(EdgeLimits::default()).await
}

impl Gate {
    async fn send(&self, method: &str, path: &str, who: Option<Principal>, body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path).body(body.into()).unwrap();
        if let Some(who) = who {
            request.extensions_mut().insert(who);
        }
        let response = self.app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let retry_after = response.headers().get("retry-after").map(|v| v.to_str().unwrap().to_owned());
        let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        Answer { status, retry_after, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
    }

    async fn frame(&self, body: impl Into<Body>) -> Answer {
        self.send("POST", "/v1/lanes/JCZ-1.L1/frames", Some(device(&[])), body).await
    }

    async fn read(&self, body: &str) -> Answer {
        self.send("POST", "/v1/lanes/JCZ-1.L1/reads", Some(device(&[])), body.to_owned()).await
    }

    async fn stored(&self, topic: &str) -> Vec<Record> {
        let mut all = Vec::new();
        for partition in 0..self.log.partitions(topic).await.unwrap() {
            all.extend(self.log.read(topic, partition, 0, 100, Duration::ZERO).await.unwrap().records);
        }
        all
    }
}

fn jpeg() -> Vec<u8> {
    Renderer::new().unwrap().empty(&SceneLook::day(1, "test")).unwrap().jpeg
}

/// A whole PNG of `w` × `h`, its pixels compressed by OpenCV.
fn png() -> Vec<u8> {
    use opencv::core::{Mat, Scalar, Vector, CV_8UC3};
    let image = Mat::new_rows_cols_with_default(60, 80, CV_8UC3, Scalar::new(10.0, 200.0, 30.0, 0.0)).unwrap();
    let mut out = Vector::<u8>::new();
    opencv::imgcodecs::imencode_def(".png", &image, &mut out).unwrap();
    out.iter().collect()
}

/// The JPEG with other sizes in its frame header.
fn claiming(mut jpeg: Vec<u8>, width: u16, height: u16) -> Vec<u8> {
    let at = jpeg.windows(2).position(|w| w == [0xff, 0xc0]).unwrap() + 5;
    jpeg[at..at + 2].copy_from_slice(&height.to_be_bytes());
    jpeg[at + 2..at + 4].copy_from_slice(&width.to_be_bytes());
    jpeg
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_is_in_the_log_under_the_id_it_was_answered() {
    let gate = gate().await;
    let picture = jpeg();
    let path = "/v1/lanes/JCZ-1.L1/frames?captured_at=2026-03-10T10:00:00%2B08:00";
    let answer = gate.send("POST", path, Some(device(&["JCZ-1.L1"])), picture.clone()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    let records = gate.stored(topics::FRAMES).await;
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].header_str("frame_id"), answer.body["frame_id"].as_str());
    assert_eq!(records[0].header_str("lane"), Some("JCZ-1.L1"));
    assert_eq!(records[0].header_str("captured_at"), Some("2026-03-10T10:00:00.000+08:00"));
    assert_eq!(records[0].key_str(), Some("JCZ-1.L1"));
    assert_eq!(records[0].value.as_deref(), Some(&picture[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_png_arrives_as_a_jpeg() {
    let gate = gate().await;
    let answer = gate.frame(png()).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    let records = gate.stored(topics::FRAMES).await;
    assert!(records[0].value.as_ref().unwrap().starts_with(&[0xff, 0xd8, 0xff]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_whole_picture_is_refused_by_name_and_leaves_no_trace() {
    let gate = gate().await;
    let whole = jpeg();
    let half = whole[..whole.len() / 2].to_vec();
    let no_end = whole[..whole.len() - 2].to_vec();
    let mut broken_png = png();
    broken_png.truncate(broken_png.len() - 6);
    let mut huge_png = png();
    huge_png[16..20].copy_from_slice(&20_000_u32.to_be_bytes());
    huge_png[20..24].copy_from_slice(&10_000_u32.to_be_bytes());
    for (body, code, word) in [
        (Vec::new(), "PG-HTTP-NOT-A-PICTURE", "0 bytes"),
        (b"hello, gate".to_vec(), "PG-HTTP-NOT-A-PICTURE", "neither JPEG nor PNG"),
        (b"{\"card\":\"C\"}".to_vec(), "PG-HTTP-NOT-A-PICTURE", "JSON"),
        (vec![0xff, 0xd8], "PG-HTTP-PICTURE-TRUNCATED", ""),
        (half, "PG-HTTP-PICTURE-TRUNCATED", ""),
        (no_end, "PG-HTTP-PICTURE-TRUNCATED", ""),
        (broken_png, "PG-HTTP-PICTURE-TRUNCATED", ""),
        (claiming(whole.clone(), 20_000, 10_000), "PG-HTTP-PICTURE-TOO-LARGE", "20000"),
        (huge_png, "PG-HTTP-PICTURE-TOO-LARGE", "20000"),
        (claiming(whole.clone(), 0, 720), "PG-HTTP-PICTURE-DAMAGED", ""),
    ] {
        let answer = gate.frame(body).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, code), "{}", answer.body);
        assert!(answer.message().contains(word), "{}", answer.message());
    }
    // Every cut of a JPEG is refused, wherever it falls.
    for cut in (3..whole.len() - 1).step_by(whole.len() / 40) {
        assert_eq!(gate.frame(whole[..cut].to_vec()).await.status, StatusCode::BAD_REQUEST, "cut at {cut}");
    }
    assert!(gate.stored(topics::FRAMES).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_answered_not_suffered() {
    let gate = gate_with(EdgeLimits { picture_bytes_max: 50_000, ..EdgeLimits::default() }).await;
    let answer = gate.frame(vec![0xff; 50_001]).await;
    assert_eq!((answer.status, answer.code()), (StatusCode::PAYLOAD_TOO_LARGE, "PG-HTTP-BODY-TOO-LARGE"));
    let answer = gate.read(&format!("{{\"card\":\"{}\"}}", "x".repeat(20_000))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);

    let full = gate_with(EdgeLimits { frames_in_flight_max: 0, reads_in_flight_max: 0, ..EdgeLimits::default() }).await;
    for answer in [full.frame(jpeg()).await, full.read(r#"{"card":"C"}"#).await] {
        assert_eq!((answer.status, answer.code()), (StatusCode::TOO_MANY_REQUESTS, "PG-HTTP-BUSY"));
        assert!(answer.retry_after.is_some_and(|s| s.parse::<u64>().unwrap() >= 1));
    }

    let slow = gate_with(EdgeLimits { body_ms_max: 50, ..EdgeLimits::default() }).await;
    let never = Body::from_stream(futures::stream::pending::<Result<Bytes, std::io::Error>>());
    assert_eq!(slow.frame(never).await.status, StatusCode::REQUEST_TIMEOUT);
    let torn = futures::stream::iter([Ok(Bytes::from_static(b"\xff\xd8")), Err(std::io::Error::other("reset"))]);
    assert_eq!(slow.frame(Body::from_stream(torn)).await.code(), "PG-HTTP-BODY-BROKEN");
    assert!(gate.stored(topics::FRAMES).await.is_empty() && slow.stored(topics::FRAMES).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_those_who_may_speak_for_a_lane_that_exists() {
    let gate = gate().await;
    let person = |role| Some(Principal { name: "p".into(), role, lanes: Vec::new() });
    for (path, who, status) in [
        ("/v1/lanes/JCZ-9.L1/reads", Some(device(&[])), StatusCode::NOT_FOUND),
        ("/v1/lanes/JCZ-1.L2/reads", Some(device(&["JCZ-1.L1"])), StatusCode::FORBIDDEN),
        ("/v1/lanes/JCZ-1.L1/reads", None, StatusCode::UNAUTHORIZED),
        ("/v1/lanes/JCZ-1.L1/reads", person(Role::Analyst), StatusCode::FORBIDDEN),
        ("/v1/lanes/JCZ-1.L1/reads", person(Role::Guard), StatusCode::ACCEPTED),
    ] {
        let answer = gate.send("POST", path, who, r#"{"card":"C-1"}"#).await;
        assert_eq!(answer.status, status, "{path} {}", answer.body);
    }
    let answer = gate.send("GET", "/v1/lanes/JCZ-1.L1/frames", Some(device(&[])), "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(gate.stored(topics::READS).await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_is_completed_and_keyed_by_its_site() {
    let gate = gate().await;
    let answer = gate.read(r#"{"event_id":"E-1","observed_at":"2026-03-10T10:00:00+08:00","card":"C-1"}"#).await;
    assert_eq!((answer.status, answer.body["event_id"].as_str()), (StatusCode::ACCEPTED, Some("E-1")));
    let answer = gate.read(r#"{"lane":"JCZ-1.L1","vehicle_present":true}"#).await;
    let made = answer.body["event_id"].as_str().unwrap().to_owned();
    let records = gate.stored(topics::READS).await;
    let reads: Vec<ReadMessage> = records.iter().map(|r| r.json().unwrap()).collect();
    assert!(records.iter().all(|r| r.key_str() == Some("LYG-1")));
    assert_eq!((reads[0].lane.as_str(), reads[0].card.as_deref()), ("JCZ-1.L1", Some("C-1")));
    assert_eq!(reads[0].reported_by.as_ref().map(|p| p.name.as_str()), Some("cam-1"));
    assert!(reads[0].received_at > reads[0].observed_at);
    assert_eq!(reads[1].event_id, Some(made));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_that_does_not_fit_is_refused_with_field_and_place() {
    let gate = gate().await;
    for (body, field, word) in [
        (r#"{"crad":"C-1"}"#, "crad", "unknown field `crad`"),
        ("{\n \"plate_read\": {\"text\": \"X\", \"conf\": 1}}", "plate_read.conf", "line 2"),
        (r#"{"card":7}"#, "card", "expected a string"),
        (r#"{"card":"C","card":"D"}"#, ".", "duplicate field `card`"),
        (r#"{"card":"C""#, ".", "EOF"),
        ("", ".", "EOF"),
        ("[]", ".", "invalid"),
        (r#"{"card":"C"} x"#, ".", "trailing"),
        ("{}", ".", "nothing is reported"),
        (r#"{"event_id":"E-1"}"#, ".", "nothing is reported"),
        (r#"{"plate_read":{"text":"X","confidence":7}}"#, "plate_read.confidence", "between 0 and 1"),
        (r#"{"observed_at":"yesterday","card":"C"}"#, "observed_at", "RFC 3339"),
        (r#"{"lane":"JCZ-1.L2","card":"C"}"#, "lane", "the address says"),
        (r#"{"received_at":"2026-03-10T10:00:00Z","card":"C"}"#, "received_at", "fills it in"),
        (r#"{"reported_by":{"name":"x","role":"administrator"},"card":"C"}"#, "reported_by", "token"),
        (r#"{"barrier":{"state":"open"}}"#, "barrier", "driver"),
        (
            r#"{"word":{"request_id":"R","decision_id":"D","action":"release","reason":"r","by":{"name":"g","role":"guard"}}}"#,
            "word",
            "/v1/decisions",
        ),
    ] {
        let answer = gate.read(body).await;
        assert_eq!((answer.status, answer.code()), (StatusCode::BAD_REQUEST, "PG-HTTP-READ-INVALID"), "{body}");
        assert!(answer.message().contains(word), "{body}: {}", answer.message());
        let named = answer.body["error"]["field"].as_str().unwrap();
        assert!(named == field || field == ".", "{body}: field {named}");
    }
    let deep = "[".repeat(5_000);
    assert_eq!(gate.read(&format!("{{\"card\":{deep}")).await.status, StatusCode::BAD_REQUEST);
    assert!(gate.stored(topics::READS).await.is_empty());
}
