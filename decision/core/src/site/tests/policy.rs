use serde_json::json;

use super::{codes, decisions, Site, CARS};
use crate::decision::{AnswerOutcome, Verdict};
use crate::journal::JournalEvent;
use crate::policy::Policy;
use crate::registry::Kind;
use crate::site::Replay;

fn threshold(plate_confidence_min: f64) -> serde_json::Value {
    json!({"switches": {"plate_confidence_min": plate_confidence_min}})
}

fn revision(plate_confidence_min: f64) -> String {
    Policy { plate_confidence_min, ..Policy::default() }.revision()
}

/// A threshold above the plate reads of these tests, which have 0.98.
const STRICT: f64 = 0.99;

#[test]
fn a_revision_takes_effect_at_its_instant_and_decisions_name_it() {
    let mut site = Site::new();
    assert_eq!(site.visit(CARS, "苏G00001").policy_revision, Policy::default().revision());
    let mut spring = threshold(STRICT);
    spring["effective_from"] = json!("2026-03-10T12:00:00+08:00");
    let mut summer = threshold(0.95);
    summer["effective_from"] = json!("2026-03-10T14:00:00+08:00");
    // The later one first: both wait, under one id.
    assert_eq!(site.put(Kind::Policy, "JCZ-1", summer).outcome, AnswerOutcome::Done);
    assert_eq!(site.put(Kind::Policy, "JCZ-1", spring).outcome, AnswerOutcome::Done);
    site.at("2026-03-10T11:59:59.999+08:00");
    let before = site.visit(CARS, "苏G00001");
    assert_eq!((before.verdict, before.policy_revision), (Verdict::Open, Policy::default().revision()));
    site.at("2026-03-10T12:00:00+08:00");
    let from_then_on = site.visit(CARS, "苏G00002");
    assert_eq!((from_then_on.verdict, &from_then_on.policy_revision), (Verdict::Hold, &revision(STRICT)));
    assert_eq!(codes(&from_then_on).first(), Some(&"PLATE_LOW_CONFIDENCE"));
    let elsewhere = site.visit("JCZ-2.L1", "苏G00003");
    assert_eq!(elsewhere.policy_revision, Policy::default().revision(), "another checkpoint");
    site.at("2026-03-10T14:00:00+08:00");
    let last = site.visit(CARS, "苏G00003");
    assert_eq!((last.verdict, last.policy_revision), (Verdict::Open, revision(0.95)));
    site.replays();
}

#[test]
fn a_vehicle_that_came_before_the_instant_is_decided_under_what_counts_when_it_is_decided() {
    let mut site = Site::new();
    let mut spring = threshold(STRICT);
    spring["effective_from"] = json!("2026-03-10T10:00:05+08:00");
    site.put(Kind::Policy, "default", spring);
    site.plate(CARS, "苏G0000"); // misread: it stands there and waits for its card
    site.at("2026-03-10T10:00:05+08:00");
    let decided =
        decisions(&site.read(CARS, |r| r.manual_plate = Some(crate::read::ManualPlate { text: "苏G00001".into(), document: None })));
    assert_eq!(decided.last().unwrap().policy_revision, revision(STRICT));
    site.replays();
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_the_old_one_stays() {
    let mut site = Site::new();
    site.put(Kind::Policy, "JCZ-1", threshold(STRICT));
    for (wrong, place, right) in [
        (json!({"switches": {"plate_confidence": 0.9}}), "switches.plate_confidence", "expected one of `plate_confidence_min`"),
        (json!({"switches": {"plate_confidence_min": 1.5}}), "switches.plate_confidence_min", "above 0 and at most 1"),
        (json!({"switches": {"exit_permit": "never"}}), "switches.exit_permit", "`always` or `laden_only`"),
        (json!({"switches": {"reception_days": 0}}), "switches.reception_days", "1 to 31 days"),
        (json!({}), ".", "missing field `switches`"),
        (json!({"switches": {}, "effective_from": "soon"}), "effective_from", "RFC 3339"),
        (json!({"switches": {}, "mode": "DARK"}), "mode", "`SHADOW`"),
    ] {
        let answer = site.put(Kind::Policy, "JCZ-1", wrong.clone());
        assert_eq!(answer.outcome, AnswerOutcome::Invalid, "{wrong}");
        let said = answer.message.unwrap();
        assert!(said.contains(&format!("field {place}:")) && said.contains(right), "{wrong}: {said}");
        assert_eq!(site.visit(CARS, "苏G00001").policy_revision, revision(STRICT), "{wrong}");
    }
    site.replays();
}

#[test]
fn a_policy_taken_away_opens_nothing_until_there_is_one_again() {
    let mut site = Site::new();
    site.put(Kind::Policy, "default", json!({"switches": {}}));
    assert_eq!(site.visit(CARS, "苏G00001").verdict, Verdict::Open);
    site.write(Kind::Policy, "default", None, None);
    let held = site.visit(CARS, "苏G00002");
    assert_eq!((held.verdict, held.policy_revision.as_str()), (Verdict::Hold, "none"));
    assert_eq!(codes(&held).first(), Some(&"SYS_POLICY_MISSING"));
    // One that waits for its instant does not decide yet.
    site.put(Kind::Policy, "default", json!({"switches": {}, "effective_from": "2026-03-10T11:00:00+08:00"}));
    assert_eq!(site.visit(CARS, "苏G00002").verdict, Verdict::Hold);
    site.at("2026-03-10T11:00:00+08:00");
    assert_eq!(site.visit(CARS, "苏G00002").verdict, Verdict::Open);
    site.replays();
}

#[test]
fn a_shadow_decides_beside_the_live_one_and_opens_nothing() {
    let mut site = Site::new();
    site.put(Kind::Policy, "JCZ-1@lenient", json!({"mode": "SHADOW", "switches": {"plate_confidence_min": 0.5}}));
    site.put(Kind::Policy, "JCZ-1", threshold(STRICT));
    let held = site.visit(CARS, "苏G00001");
    let shadow = held.shadow.clone().expect("what the trial says");
    assert_eq!((held.verdict, shadow.verdict, shadow.differs), (Verdict::Hold, Verdict::Open, true));
    assert_eq!((shadow.policy.as_str(), shadow.policy_revision), ("JCZ-1@lenient", revision(0.5)));
    assert!(held.advisory.is_none());
    let commanded = site.journal.iter().any(|e| matches!(e.event, JournalEvent::Command { .. }));
    assert!(!commanded, "the trial says Open and nothing is opened");
    // Where both say the same, that is on record, too.
    site.put(Kind::Policy, "JCZ-1", threshold(0.8));
    let opened = site.visit(CARS, "苏G00002");
    assert_eq!((opened.verdict, opened.shadow.map(|s| s.differs)), (Verdict::Open, Some(false)));
    // The trial goes live: nothing is left to try.
    site.put(Kind::Policy, "JCZ-1", threshold(0.5));
    assert_eq!(site.visit(CARS, "苏G00003").shadow, None);
    site.replays();
}

#[test]
fn advice_stands_beside_the_verdict_and_changes_nothing() {
    let mut site = Site::new();
    site.put(Kind::Policy, "default@advice", json!({"mode": "ADVISORY", "switches": {"plate_confidence_min": STRICT}}));
    let opened = site.decided(CARS, "苏G00001");
    let advice = opened.advisory.clone().expect("advice");
    assert_eq!((opened.verdict, advice.verdict, advice.differs), (Verdict::Open, Verdict::Hold, true));
    assert_eq!(advice.reasons.first().map(|r| r.code.as_str()), Some("PLATE_LOW_CONFIDENCE"));
    assert_eq!((opened.release_role, opened.shadow), (None, None));
    let commands = site.journal.iter().filter(|e| matches!(e.event, JournalEvent::Command { .. })).count();
    assert_eq!(commands, 1, "it opened all the same");
    site.replays();
}

#[test]
fn another_policy_over_the_journal_says_what_would_have_been_otherwise() {
    let mut site = Site::new();
    site.put(Kind::Policy, "JCZ-1", threshold(0.8));
    site.decided(CARS, "苏G00001");
    site.after_s(21);
    site.read(CARS, |r| r.vehicle_gone = Some(true));
    let strict = Policy { plate_confidence_min: STRICT, ..Policy::default() };
    let mut replay = Replay::new(super::SITE, Some(strict));
    for entry in &site.journal {
        replay.take(entry).unwrap();
    }
    let report = replay.finish();
    assert_eq!(report.differences.len(), 1, "its command expired, too: that is the same decision");
    assert!(report.differences[0].got.starts_with("HOLD PLATE_LOW_CONFIDENCE"), "{:?}", report.differences);
}
