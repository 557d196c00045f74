//! Bodies from outside that are damaged or meant to do damage: each is answered 202 or 4xx, what is
//! answered 202 is in the log and in the right form, and nothing else is.

#[path = "../../tests/mutate.rs"]
mod mutate;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Request, StatusCode};
use portgate_core::people::{Principal, Role};
use portgate_core::read::ReadMessage;
use portgate_ingest::sim::render::{Renderer, SceneLook};
use portgate_ingest::{router, EdgeLimits, EdgeState, LaneDirectory};
use portgate_log::embedded::{EmbeddedConfig, EmbeddedLog};
use portgate_log::{topics, Log};
use serde_json::json;
use tower::ServiceExt;

use mutate::{inputs, Mutator};

async fn bend(what: &str, usual: usize, examples: &[&[u8]]) {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn Log> = Arc::new(EmbeddedLog::open(EmbeddedConfig::new(folder.path())).unwrap());
    log.create_topics(&topics::default_specs(1, 1)).await.unwrap();
    let lanes = LaneDirectory::new();
    lanes.apply("checkpoint", "JCZ-1", Some(&json!({"site": "LYG-1", "profile": "LYG"})));
    lanes.apply("lane", "JCZ-1.L1", Some(&json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": "FREIGHT"})));
    let app = router(EdgeState::new(log.clone(), lanes, EdgeLimits::default()));
    let (mut mutator, mut taken, count) = (Mutator::new(usual as u64), 0_u64, inputs(usual));
    for _ in 0..count {
        let body = mutator.bend(examples);
        let mut request = Request::post(format!("/v1/lanes/JCZ-1.L1/{what}")).body(axum::body::Body::from(body.clone())).unwrap();
        request.extensions_mut().insert(Principal { name: "device".into(), role: Role::Device, lanes: Vec::new() });
        let answer = tokio::time::timeout(Duration::from_secs(20), app.clone().oneshot(request)).await.expect("an answer").unwrap();
        match answer.status() {
            StatusCode::ACCEPTED => taken += 1,
            StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => {}
            other => panic!("{other} to {:?}", String::from_utf8_lossy(&body)),
        }
    }
    println!("{what}: {count} bodies, {taken} taken");
    let topic = if what == "reads" { topics::READS } else { topics::FRAMES };
    let (mut stored, mut from) = (0, 0);
    while from < taken {
        let batch = log.read(topic, 0, from, 1000, Duration::ZERO).await.unwrap();
        from = batch.next_offset;
        stored += batch.records.len() as u64;
        for record in batch.records.iter().filter(|_| what == "reads") {
            let read: ReadMessage = record.json().unwrap();
            assert!(read.lane == "JCZ-1.L1" && read.word.is_none() && read.barrier.is_none() && read.ruling.is_none(), "{read:?}");
            assert_eq!(read.reported_by.map(|p| p.name).as_deref(), Some("device"));
        }
    }
    assert_eq!(stored, taken);
    assert!(taken < count as u64 && taken > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_reads_are_taken_or_refused() {
    let examples = [
        r#"{"event_id":"E-1","observed_at":"2026-03-10T10:00:00+08:00","card":"C-1"}"#,
        r#"{"plate_read":{"text":"苏G12345","confidence":0.98,"settled":true},"track_id":"t-1","frame_id":"f-1"}"#,
        r#"{"lane":"JCZ-1.L1","vehicle_present":true,"queue_length":3}"#,
        r#"{"seal":{"number":"S-1"},"cargo_observed":{"laden":true},"vins_observed":["LSVAA4182E2184847"]}"#,
    ];
    bend("reads", 3_000, &examples.map(str::as_bytes)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_frames_are_taken_or_refused() {
    let picture = Renderer::new().unwrap().empty(&SceneLook::day(1, "test")).unwrap().jpeg;
    bend("frames", 300, &[&picture]).await;
}
