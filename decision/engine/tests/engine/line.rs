//! The line: reads in, decisions and commands out.

use std::sync::Arc;

use bytes::Bytes;
use portgate_core::command::BarrierState;
use portgate_core::decision::{Answer, AnswerOutcome, Verdict};
use portgate_core::journal::JournalEvent;
use portgate_core::read::ReadMessage;
use portgate_core::time::Instant;
use portgate_engine::{topics, Clock, NoFrames, RecentFrames, Rejected, SystemClock, ANSWERS};
use portgate_log::NewRecord;
use serde_json::json;

use crate::kit::{Counting, Kit, CARS, IN, IN2, SITE};

fn codes(decision: &portgate_core::decision::Decision) -> Vec<&str> {
    decision.reasons.iter().map(|r| r.code.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plate_that_may_enter_opens_the_barrier_once_and_passes() {
    let kit = Kit::new().await;
    let frames = Arc::new(RecentFrames::default());
    frames.insert("F-1", Bytes::from_static(b"\xff\xd8\xffpicture"));
    let (engine, handle) = kit.engine_with(frames, Arc::new(SystemClock)).await;
    let machine = Arc::new(Counting::default());
    let barrier = kit.barrier(machine.clone());
    kit.read(json!({"lane": CARS, "event_id": "r1", "frame_id": "F-1", "plate_read": {"text": "苏G00001", "confidence": 0.98}})).await;
    let decision = kit.decided(1).await.remove(0);
    assert_eq!((decision.verdict, decision.plate.as_deref()), (Verdict::Open, Some("苏G00001")), "{:?}", codes(&decision));
    let evidence = decision.evidence.clone().expect("the frame is kept");
    let (kept, picture) = handle.store().evidence("F-1").unwrap().expect("before the decision is published");
    assert_eq!((kept.sha256, &picture[..]), (evidence.sha256, &b"\xff\xd8\xffpicture"[..]));
    // The barrier opens, the vehicle goes through, the barrier closes; each is reported.
    let reported = |state: BarrierState| {
        let kit = &kit;
        move || async move {
            let reads: Vec<ReadMessage> = kit.all(topics::READS).await;
            reads.into_iter().find(|r| r.barrier.as_ref().is_some_and(|b| b.state == state))
        }
    };
    kit.until(reported(BarrierState::Open), "report of the open barrier").await;
    kit.read(json!({"lane": CARS, "event_id": "r2", "vehicle_passed": true})).await;
    let passage = kit.journalled(|e| matches!(e, JournalEvent::Passage { .. })).await;
    let JournalEvent::Passage { passage } = passage.event else { unreachable!() };
    assert_eq!(passage.decision_id.as_deref(), Some(decision.id.as_str()));
    kit.until(reported(BarrierState::Closed), "report of the closed barrier").await;
    assert_eq!(machine.raised(), [CARS]);
    barrier.stop().await.unwrap();
    assert!(handle.ready().is_ok(), "{:?}", handle.status());
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_card_serves_at_one_lane_only() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine().await;
    let at_lane = |lane: &'static str, n: u32| {
        let kit = &kit;
        async move {
            kit.plate(lane, "苏G12345", &format!("p{n}")).await;
            kit.read(json!({"lane": lane, "event_id": format!("c{n}"), "card": "C1"})).await;
        }
    };
    at_lane(IN, 1).await;
    let held = kit.decided(1).await.remove(0);
    assert_eq!((held.verdict, codes(&held)), (Verdict::Hold, vec!["MANUAL_RELEASE_REQUIRED"]));
    kit.release(&held, "q1").await;
    kit.journalled(|e| matches!(e, JournalEvent::Command { .. })).await;
    let answers: Vec<Answer> = kit.all(ANSWERS).await;
    assert_eq!((answers[0].request_id.as_str(), answers[0].outcome), ("q1", AnswerOutcome::Done));
    // The first has not passed yet: what it will use is reserved.
    at_lane(IN2, 2).await;
    let second = kit.until(|| async { kit.decisions().await.into_iter().find(|d| d.lane == IN2) }, "decision at the second lane").await;
    assert_ne!(second.verdict, Verdict::Open);
    assert!(codes(&second).contains(&"CREDENTIAL_RESERVED"), "{:?}", codes(&second));
    // After the passage it is used up.
    kit.read(json!({"lane": IN, "event_id": "passed", "vehicle_passed": true})).await;
    kit.journalled(|e| matches!(e, JournalEvent::Used { .. })).await;
    kit.read(json!({"lane": IN2, "event_id": "gone", "vehicle_gone": true})).await;
    at_lane(IN2, 3).await;
    let third = kit
        .until(|| async { kit.decisions().await.into_iter().find(|d| d.lane == IN2 && d.id != second.id) }, "decision after the passage")
        .await;
    assert_ne!(third.verdict, Verdict::Open);
    assert!(!codes(&third).contains(&"MANUAL_RELEASE_REQUIRED"), "in order once only: {:?}", codes(&third));
    assert_eq!(kit.opens().await.len(), 1);
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_is_put_on_record_and_the_stream_goes_on() {
    let kit = Kit::new().await;
    let (engine, _handle) = kit.engine().await;
    let misfits: [&[u8]; 4] = [b"no json", br#"{"lane":"JCZ-9.L1","card":"C1"}"#, br#"{"lane":"JCZ-1.L1","crad":"C1"}"#, b"\xff\xfe"];
    for value in misfits {
        kit.append(NewRecord::new(topics::READS, SITE, value.to_vec())).await;
    }
    kit.append(NewRecord::new(topics::READS, SITE, vec![b' '; 20 << 10])).await;
    kit.append(NewRecord::new(topics::REGISTRY, "vehicle/X", br#"{"category":"NO_SUCH"}"#.to_vec())).await;
    kit.plate(CARS, "苏G00001", "good").await;
    kit.decided(1).await;
    let rejected: Vec<Rejected> =
        kit.until(|| async { Some(kit.all::<Rejected>(topics::REJECTED).await).filter(|r| r.len() == 6) }, "six rejected messages").await;
    let reason = |offset: u64| {
        rejected.iter().find(|r| r.topic == topics::READS && r.offset == offset).map(|r| r.reason.clone()).unwrap_or_default()
    };
    assert!(reason(1).contains("JCZ-9.L1"), "{}", reason(1));
    assert!(reason(2).contains("crad"), "{}", reason(2));
    assert!(reason(4).contains("at most"), "{}", reason(4));
    engine.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registry_write_is_answered_when_it_is_applied() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine().await;
    let write = |id: &str, value: serde_json::Value| {
        NewRecord::json(topics::REGISTRY, format!("enterprise/{id}"), &value).unwrap().header("request_id", format!("q-{id}"))
    };
    kit.append(write("E1", json!({"name": "甲物流", "status": "APPROVED"}))).await;
    kit.append(write("E2", json!({"nonsense": 1}))).await;
    let answers: Vec<Answer> = kit.until(|| async { Some(kit.all(ANSWERS).await).filter(|a: &Vec<Answer>| a.len() == 2) }, "answers").await;
    assert_eq!((answers[0].request_id.as_str(), answers[0].outcome), ("q-E1", AnswerOutcome::Done));
    assert_eq!((answers[1].request_id.as_str(), answers[1].outcome), ("q-E2", AnswerOutcome::Invalid));
    assert!(handle.store().record(portgate_core::registry::Kind::Enterprise, "E1").unwrap().is_some());
    engine.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_measurement_of_the_line_measures_it() {
    let kit = Kit::new().await;
    let dir = kit.dir.path().join("bench");
    let timing = portgate_engine::bench_line(kit.log.clone(), &dir, 5).await.unwrap();
    assert_eq!(timing.count, 5);
    assert!(timing.p50_us > 0.0 && timing.p50_us <= timing.max_us);
    let bare = portgate_engine::bench_bare(&*kit.log, topics::REJECTED, 5).await.unwrap();
    assert_eq!(bare.count, 5);
    // Five vehicles, five openings, and nothing else of that site.
    let opens: std::collections::BTreeSet<String> = kit.opens().await.into_iter().map(|c| c.approach_id).collect();
    assert_eq!(opens.len(), 5);
}

/// A clock that goes wrong by so many milliseconds.
struct Shifted(i64);

impl Clock for Shifted {
    fn now(&self) -> Instant {
        SystemClock.now().plus_millis(self.0)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backlog_comes_to_what_it_would_have_come_to_and_opens_nothing() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine_with(Arc::new(NoFrames), Arc::new(Shifted(-600_000))).await;
    kit.until(|| async { Some(()).filter(|()| handle.ready().is_ok() && handle.store().registry_head().revision >= 9) }, "registry").await;
    engine.stop().await.unwrap();
    drop(handle);
    // Five minutes ago, while the engine was away, a vehicle came and nobody opened.
    let read = json!({"lane": CARS, "event_id": "missed", "plate_read": {"text": "苏G00001", "confidence": 0.98}});
    let then = SystemClock.now().plus_millis(-300_000);
    kit.append(NewRecord::json(topics::READS, SITE, &read).unwrap().at(then.as_millis())).await;
    let machine = Arc::new(Counting::default());
    let barrier = kit.barrier(machine.clone());
    let (engine, handle) = kit.engine().await;
    let decision = kit.decided(1).await.remove(0);
    assert_eq!(decision.verdict, Verdict::Open, "{:?}", codes(&decision));
    assert_eq!(decision.decided_at.as_millis(), then.as_millis());
    assert!(kit.opens().await.iter().all(|c| c.expires_at < SystemClock.now()));
    kit.until(
        || async {
            let reads: Vec<ReadMessage> = kit.all(topics::READS).await;
            reads.into_iter().find(|r| r.barrier.as_ref().is_some_and(|b| b.state == BarrierState::Expired))
        },
        "report of the expired command",
    )
    .await;
    assert!(machine.raised().is_empty());
    barrier.stop().await.unwrap();
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}
