//! What people set: policy revisions, findings on violations, sanctions; and a clock that is set.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::Arc;

use portgate_core::decision::{Answer, AnswerOutcome, Decision, Verdict};
use portgate_core::journal::{JournalEntry, JournalEvent, Violation};
use portgate_core::registry::Kind;
use portgate_core::site::Replay;
use portgate_core::time::Instant;
use portgate_core::violation::SanctionStatus;
use portgate_engine::{topics, Clock, NoFrames, SystemClock, ANSWERS};
use portgate_log::NewRecord;
use serde_json::{json, Value};

use crate::kit::{Kit, CARS, SITE};

const STRICT: f64 = 0.99;

impl Kit {
    /// Writes a record in somebody's name and waits for the answer.
    async fn written(&self, key: &str, value: Option<Value>, request: &str, role: &str) -> Answer {
        let record = match value {
            Some(value) => NewRecord::json(topics::REGISTRY, key.to_owned(), &value).unwrap(),
            None => NewRecord::tombstone(topics::REGISTRY, key.to_owned()),
        };
        let by = json!({"name": format!("{role}-1"), "role": role}).to_string();
        self.append(record.header("request_id", request.to_owned()).header("by", by)).await;
        self.answered(request).await
    }

    async fn answered(&self, request: &str) -> Answer {
        let find = || async { self.all::<Answer>(ANSWERS).await.into_iter().find(|a| a.request_id == request) };
        self.until(find, "answer").await
    }

    /// A car comes, is decided, and leaves.
    async fn visit(&self, plate: &str, event: &str) -> Decision {
        let before = self.decisions().await.len();
        self.plate(CARS, plate, event).await;
        // What the machine waits for, the guard says: nothing more is to come.
        let waits = self.read(json!({"lane": CARS, "event_id": format!("{event}-typed"), "manual_plate": {"text": plate}}));
        if event.contains("unsure") {
            waits.await;
        }
        let decision = self.decided(before + 1).await.swap_remove(before);
        self.read(json!({"lane": CARS, "event_id": format!("{event}-gone"), "vehicle_gone": true})).await;
        let ended = |e: &JournalEvent| matches!(e, JournalEvent::Ended { approach_id, .. } if *approach_id == decision.approach_id);
        self.journalled(ended).await;
        decision
    }

    /// The journal comes out of a replay as it is.
    async fn replays(&self) {
        let mut replay = Replay::new(SITE, None);
        for entry in self.all::<JournalEntry>(topics::JOURNAL).await {
            replay.take(&entry).unwrap();
        }
        let report = replay.finish();
        assert!(report.decisions > 0 && report.differences.is_empty(), "{:?}", report.differences);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policy_revisions_are_kept_named_and_survive_a_restart() {
    let kit = Kit::new().await;
    let (engine, handle) = kit.engine().await;
    assert_eq!(kit.visit("苏G00001", "a").await.verdict, Verdict::Open);
    let bad = kit.written("policy/JCZ-1", Some(json!({"switches": {"plate_confidence_min": 7}})), "q0", "administrator").await;
    assert_eq!(bad.outcome, AnswerOutcome::Invalid);
    assert!(bad.message.unwrap().contains("switches.plate_confidence_min"));
    let strict = json!({"switches": {"plate_confidence_min": STRICT}});
    assert_eq!(kit.written("policy/JCZ-1", Some(strict), "q1", "administrator").await.outcome, AnswerOutcome::Done);
    let waiting = json!({"switches": {}, "effective_from": "2099-01-01T00:00:00+08:00"});
    kit.written("policy/JCZ-1", Some(waiting), "q2", "administrator").await;
    let trial = json!({"mode": "SHADOW", "switches": {"plate_confidence_min": 0.5}});
    kit.written("policy/JCZ-1@trial", Some(trial), "q3", "administrator").await;
    engine.stop().await.unwrap();
    drop(handle);
    let (engine, handle) = kit.engine().await;
    let held = kit.visit("苏G00001", "b-unsure").await;
    let timeline = handle.store().policies("JCZ-1").unwrap();
    assert_eq!(timeline.revisions.len(), 3);
    assert_eq!(timeline.revisions[0].by.as_ref().map(|p| p.name.as_str()), Some("administrator-1"));
    assert_eq!((held.verdict, &held.policy_revision), (Verdict::Hold, &timeline.revisions[0].revision));
    assert_eq!(
        held.shadow.as_ref().map(|s| (s.policy.as_str(), s.policy_revision.clone())),
        Some(("JCZ-1@trial", timeline.revisions[2].revision.clone()))
    );
    kit.written("policy/JCZ-1", None, "q4", "administrator").await;
    let missing = kit.visit("苏G00001", "c").await;
    assert_eq!((missing.verdict, missing.reasons[0].code.as_str()), (Verdict::Hold, "SYS_POLICY_MISSING"));
    kit.replays().await;
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_verified_violation_bans_only_after_a_person_has_said_so() {
    let kit = Kit::new().await;
    kit.put("card", "C9", json!({"type": "LONG", "plate": "苏G12345", "status": "ISSUED"})).await;
    let (engine, handle) = kit.engine().await;
    kit.read(json!({"lane": CARS, "event_id": "r1", "card": "C9", "plate_read": {"text": "苏G00001", "confidence": 0.98}})).await;
    kit.decided(1).await;
    // The topic is compacted: the latest version stays.
    let version = |n: u32| {
        let kit = &kit;
        move || async move { kit.all::<Violation>(topics::VIOLATIONS).await.into_iter().find(|v| v.version == n) }
    };
    let suspected = kit.until(version(1), "violation").await;
    assert_eq!((suspected.code.as_str(), suspected.status.as_str()), ("V_CARD_MISUSE", "SUSPECTED"));
    let rule = |request: &str, more: Value| {
        let role = if more["sanction_id"].is_string() { "registrar" } else { "security" };
        let mut ruling =
            json!({"request_id": request, "violation_id": suspected.violation_id, "reason": "核实", "by": {"name": role, "role": role}});
        ruling.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"lane": CARS, "event_id": request, "ruling": ruling})
    };
    kit.read(rule("q1", json!({"act": "verify", "ground": "b3"}))).await;
    assert_eq!(kit.answered("q1").await.outcome, AnswerOutcome::Done);
    let verified = kit.until(version(2), "second version").await;
    assert_eq!((verified.status.as_str(), verified.sanctions[0].status), ("VERIFIED", SanctionStatus::Proposed));
    kit.read(json!({"lane": CARS, "event_id": "gone", "vehicle_gone": true})).await;
    assert_eq!(kit.visit("苏G00001", "again").await.verdict, Verdict::Open, "proposed is not imposed");
    kit.read(rule("q2", json!({"act": "accept", "sanction_id": verified.sanctions[0].sanction_id}))).await;
    assert_eq!(kit.answered("q2").await.outcome, AnswerOutcome::Done);
    let banned = |e: &JournalEvent| matches!(e, JournalEvent::Registry { kind, by, .. } if kind == "ban" && by.as_ref().is_some_and(|p| p.name == "registrar"));
    kit.journalled(banned).await;
    let vehicle = || async {
        let value = handle.store().record(Kind::Vehicle, "苏G00001").unwrap().unwrap().value;
        (value["registration"] == "DEREGISTERED").then_some(())
    };
    kit.until(vehicle, "deregistration").await;
    assert_eq!(kit.visit("苏G00001", "banned").await.verdict, Verdict::Refuse);
    kit.replays().await;
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}

/// The machine's clock, set by hand.
struct Set(AtomicI64);

impl Clock for Set {
    fn now(&self) -> Instant {
        SystemClock.now().plus_millis(self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_opens_while_the_clock_lies_behind_the_journal() {
    let kit = Kit::new().await;
    let clock = Arc::new(Set(AtomicI64::new(0)));
    let (engine, handle) = kit.engine_with(Arc::new(NoFrames), clock.clone()).await;
    assert_eq!(kit.visit("苏G00001", "a").await.verdict, Verdict::Open);
    clock.0.store(-60_000, Ordering::SeqCst);
    let held = kit.visit("苏G00001", "b").await;
    assert_eq!((held.verdict, held.reasons[0].code.as_str()), (Verdict::Hold, "SYS_CLOCK_STEPPED"));
    clock.0.store(0, Ordering::SeqCst);
    assert_eq!(kit.visit("苏G00001", "c").await.verdict, Verdict::Open);
    kit.replays().await;
    engine.stop().await.unwrap();
    drop(handle);
    kit.sound().await;
}
