//! Use, presence, re-issue, reservation and travel: what the use book adds to the records.

use serde_json::json;

use super::{said, scenario};
use crate::effect::UseIntent;
use crate::facts::{Presence, Reservation};
use crate::rules::Outcome;
use crate::scenario::Scenario;
use crate::time::Instant;

fn used_by(scenario: &mut Scenario, outcome: &Outcome, passage: &str) {
    let uses: Vec<UseIntent> = outcome.uses.clone();
    scenario.facts.pass(&uses, passage, scenario.at);
}

#[test]
fn what_a_passage_used_does_not_serve_again() {
    for (base, again) in [
        ("S001", "REFUSE SINGLE_CARD_ALREADY_USED@LYG-5.4 PLATE_ALREADY_INSIDE@LYG-7.8a"),
        ("S016", "REFUSE TASK_NOT_ACTIVE@LYG-7.7 PLATE_ALREADY_INSIDE@LYG-7.8a"),
        ("S018", "HOLD PLATE_ALREADY_INSIDE@LYG-7.8a"),
        ("S030", "REFUSE RECEPTION_ALREADY_USED@LYG-4.6c3 PLATE_ALREADY_INSIDE@LYG-7.8a"),
        ("S006", "HOLD SINGLE_CARD_ALREADY_USED@LYG-5.5a TASK_NOT_ACTIVE@LYG-7.6b EXIT_PERMIT_INVALID@LYG-7.6b NO_ENTRY_RECORD@LYG-7.8a"),
        ("S013", "REFUSE TASK_NOT_ACTIVE@LYG-7.6b EXIT_PERMIT_INVALID@LYG-7.6b LEAVE_CONSENT_MISSING@LYG-6.4e NO_ENTRY_RECORD@LYG-7.8a"),
        ("S115", "REFUSE APPOINTMENT_NOT_ACTIVE@HGS-1.1 QR_ALREADY_USED@HGS-2.1b"),
        ("S120", "REFUSE APPOINTMENT_NOT_ACTIVE@HGS-1.1"),
        ("S152", "REFUSE MANIFEST_ALREADY_WRITTEN_OFF@NNG-2.2.e3"),
    ] {
        let mut s = scenario(base, &[]);
        let first = s.outcome();
        assert!(first.in_order(), "{base} {}", said(&first));
        used_by(&mut s, &first, "P1");
        assert_eq!(said(&s.outcome()), again, "{base}");
    }
}

#[test]
fn a_visit_goes_in_and_out_once() {
    let mut visit = scenario("S030", &[]);
    let inward = visit.outcome();
    used_by(&mut visit, &inward, "P1");
    visit.checkpoint.direction = crate::registry::Direction::Exit;
    let outward = visit.outcome();
    assert_eq!(said(&outward), "HOLD MANUAL_RELEASE_REQUIRED@LYG-4.4b");
    used_by(&mut visit, &outward, "P2");
    assert_eq!(visit.facts.book_mut("沪A12D34").presence, Some(Presence::Outside));
    visit.checkpoint.direction = crate::registry::Direction::Entry;
    assert_eq!(said(&visit.outcome()), "REFUSE RECEPTION_ALREADY_USED@LYG-4.6c3");
}

#[test]
fn a_registry_write_never_resets_use_but_a_new_issue_does() {
    let mut s = scenario("S001", &[]);
    let first = s.outcome();
    used_by(&mut s, &first, "P1");
    s.facts.book_mut("苏G12345").presence = Some(Presence::Outside);
    let card = |issue: serde_json::Value| json!({"type": "SINGLE", "plate": "苏G12345", "status": "ISSUED", "task": "HP2603100001", "issue_id": issue});
    s.facts.put(crate::registry::Kind::Card, "C001", &card(json!(null))).unwrap();
    assert_eq!(said(&s.outcome()), "REFUSE SINGLE_CARD_ALREADY_USED@LYG-5.4");
    s.facts.put(crate::registry::Kind::Card, "C001", &card(json!("I2"))).unwrap();
    assert_eq!(said(&s.outcome()), "HOLD MANUAL_RELEASE_REQUIRED@LYG-0.12a");
}

#[test]
fn a_cancelled_card_stays_cancelled_whatever_its_use() {
    let mut s = scenario("S006", &[]);
    let entered = crate::facts::UseState { state: "IN_USE".into(), issue: None, passage_id: "P0".into(), at: s.at };
    s.facts.book_mut("苏G12345").used.insert("card/C001".into(), entered);
    let card = json!({"type": "SINGLE", "plate": "苏G12345", "status": "LOST", "task": "HP2603100001"});
    s.facts.put(crate::registry::Kind::Card, "C001", &card).unwrap();
    assert_eq!(said(&s.outcome()), "HOLD CARD_REPORTED_LOST@LYG-6.3c");
}

#[test]
fn a_damaged_use_book_holds() {
    let mut s = scenario("S001", &[]);
    let odd = crate::facts::UseState { state: "EATEN".into(), issue: None, passage_id: "P0".into(), at: s.at };
    s.facts.book_mut("苏G12345").used.insert("card/C001".into(), odd);
    assert_eq!(said(&s.outcome()), "HOLD REGISTRY_UNAVAILABLE");
}

fn reserve(s: &mut Scenario, plate: &str, key: &str, approach: &str, until: Instant) {
    let claim = Reservation { approach_id: approach.into(), lane: "JCZ-1.L9".into(), until };
    s.facts.book_mut(plate).reserved.insert(key.into(), claim);
}

#[test]
fn what_another_lane_has_reserved_holds_until_it_lapses() {
    for (base, plate, key) in [
        ("S001", "苏G12345", "card/C001"),
        ("S001", "苏G12345", "task/HP2603100001"),
        ("S018", "苏G66B02", "presence"),
        ("S030", "沪A12D34", "reception/reception-1"),
        ("S115", "新F56789", "qr_code/QR1"),
        ("S152", "桂F11223", "manifest/MF1"),
    ] {
        let mut s = scenario(base, &[]);
        let free = said(&s.outcome());
        let later = s.at.plus_millis(1);
        reserve(&mut s, plate, key, "other", later);
        assert_eq!(said(&s.outcome()), "HOLD CREDENTIAL_RESERVED", "{base} {key}");
        let now = s.at;
        reserve(&mut s, plate, key, "other", now);
        assert_eq!(said(&s.outcome()), free, "{base} {key}: lapsed");
        let own = s.id.clone();
        reserve(&mut s, plate, key, &own, later);
        assert_eq!(said(&s.outcome()), free, "{base} {key}: one's own");
    }
}

#[test]
fn a_plate_cannot_be_at_two_checkpoints_at_once() {
    let mut s = scenario("S018", &[]);
    s.policy.travel_min_s.entry("JCZ-2".into()).or_default().insert("JCZ-1".into(), 300);
    for (checkpoint, seconds, expected) in [
        ("JCZ-2", -299, "HOLD IMPOSSIBLE_TRAVEL"),
        ("JCZ-2", -300, "OPEN AUTO_RELEASE_BUSINESS_ENTRY@LYG-4.4a"),
        ("JCZ-2", 299, "HOLD IMPOSSIBLE_TRAVEL"),
        ("JCZ-3", -59, "HOLD IMPOSSIBLE_TRAVEL"),
        ("JCZ-3", -60, "OPEN AUTO_RELEASE_BUSINESS_ENTRY@LYG-4.4a"),
        ("JCZ-1", -1, "OPEN AUTO_RELEASE_BUSINESS_ENTRY@LYG-4.4a"),
    ] {
        let at = s.at.plus_millis(seconds * 1000);
        s.facts.book_mut("苏G66B02").sightings = [(checkpoint.to_owned(), at)].into();
        let outcome = s.outcome();
        assert_eq!(said(&outcome), expected, "{checkpoint} {seconds}");
        let clone = outcome.violations.iter().any(|v| v.as_str() == "V_CLONE_PLATE_SUSPECTED");
        assert_eq!(clone, expected.starts_with("HOLD"));
    }
}

#[test]
fn a_failing_hold_uses_only_what_can_still_serve() {
    let keys = |base: &str| scenario(base, &[]).outcome().uses.iter().map(UseIntent::key).collect::<Vec<_>>();
    assert_eq!(keys("S053"), ["presence", "task/HP2603100001"], "the card of another vehicle is not consumed");
    assert_eq!(keys("S072"), ["presence", "task/HP2603100001"], "refused: what a supervisor's release would use");
    assert!(scenario("S072", &[]).outcome().effects.is_empty(), "a refusal has no effects");
    assert!(keys("S063").is_empty() && keys("S040").is_empty());
}
