use serde_json::json;

use super::{decisions, Site, CARS, OUT};
use crate::decision::{AnswerOutcome, Verdict};
use crate::journal::JournalEvent;
use crate::people::Role;
use crate::read::Action;
use crate::registry::{Kind, Record};
use crate::violation::{Act, Body, Ground, Offence, SanctionKind, SanctionStatus};

/// A business car shows a card bound to another plate.
fn misuse(site: &mut Site) -> crate::journal::Violation {
    site.put(Kind::Card, "C9", json!({"type": "LONG", "plate": "苏G12345", "status": "ISSUED"}));
    site.put(Kind::Card, "C1", json!({"type": "LONG", "plate": "苏G00001", "status": "ISSUED"}));
    site.read(CARS, |r| {
        r.plate_read = Some(super::plate_read("苏G00001"));
        r.card = Some("C9".into());
    });
    site.violation("V_CARD_MISUSE")
}

#[test]
fn a_suspicion_says_who_is_to_look_and_is_verified_once() {
    let mut site = Site::new();
    let suspected = misuse(&mut site);
    assert_eq!((suspected.status.as_str(), suspected.version, suspected.bodies[0]), ("SUSPECTED", 1, Body::Pamc));
    for role in [Role::Guard, Role::Supervisor, Role::Customs, Role::Analyst, Role::Administrator, Role::Device] {
        assert_eq!(site.rule(&suspected, role, Act::Verify, |_| ()).outcome, AnswerOutcome::Forbidden, "{role:?}");
    }
    assert_eq!(site.rule(&suspected, Role::Security, Act::Verify, |r| r.reason = "  ".into()).outcome, AnswerOutcome::Invalid);
    assert_eq!(site.rule(&suspected, Role::Security, Act::Verify, |r| r.ground = Some(Ground::B4)).outcome, AnswerOutcome::Invalid);
    let done = site.rule(&suspected, Role::Security, Act::Verify, |r| r.ground = Some(Ground::B3));
    assert_eq!((done.outcome, done.version), (AnswerOutcome::Done, 2));
    let verified = site.violation("V_CARD_MISUSE");
    assert_eq!((verified.status.as_str(), verified.found_by, verified.ground), ("VERIFIED", Some(Body::Pamc), Some(Ground::B3)));
    assert_eq!((verified.evidence.as_slice(), verified.note.as_deref()), (&["frame-1".to_owned()][..], Some("现场核实")));
    // The same once more stands; another word comes too late.
    let versions = site.journal.iter().filter(|e| matches!(e.event, JournalEvent::Violation { .. })).count();
    let again = site.rule(&suspected, Role::Security, Act::Verify, |r| r.ground = Some(Ground::B3));
    assert_eq!((again.outcome, again.version), (AnswerOutcome::Done, 2));
    let late = site.rule(&suspected, Role::Security, Act::Dismiss, |_| ());
    assert_eq!((late.outcome, late.version), (AnswerOutcome::Conflict, 2));
    let stale = site.rule(&suspected, Role::Security, Act::Dismiss, |r| r.version = Some(1));
    assert_eq!(stale.outcome, AnswerOutcome::Conflict);
    assert_eq!(site.journal.iter().filter(|e| matches!(e.event, JournalEvent::Violation { .. })).count(), versions);
    let unknown = site.rule(&verified, Role::Security, Act::Verify, |r| r.violation_id = "V-none".into());
    assert_eq!(unknown.outcome, AnswerOutcome::NotFound);
    site.replays();
}

#[test]
fn a_dismissed_suspicion_proposes_nothing() {
    let mut site = Site::new();
    let suspected = misuse(&mut site);
    assert_eq!(site.rule(&suspected, Role::Security, Act::Dismiss, |_| ()).outcome, AnswerOutcome::Done);
    let dismissed = site.violation("V_CARD_MISUSE");
    assert_eq!((dismissed.status.as_str(), dismissed.sanctions.len()), ("DISMISSED", 0));
    let late = site.rule(&suspected, Role::Security, Act::Verify, |_| ());
    assert_eq!(late.outcome, AnswerOutcome::Conflict);
    site.replays();
}

#[test]
fn a_sanction_is_proposed_and_nothing_happens_before_a_person_accepts_it() {
    let mut site = Site::new();
    let suspected = misuse(&mut site);
    site.rule(&suspected, Role::Security, Act::Verify, |r| r.ground = Some(Ground::B3));
    let verified = site.violation("V_CARD_MISUSE");
    let proposal = verified.sanctions[0].clone();
    assert_eq!((proposal.kind, proposal.cite.as_str(), proposal.status), (SanctionKind::OneYearBan, "LYG-2.5b3", SanctionStatus::Proposed));
    assert!(proposal.writes.is_empty());
    site.read(CARS, |r| r.vehicle_gone = Some(true));
    site.after_s(1);
    assert_eq!(site.visit(CARS, "苏G00001").verdict, Verdict::Open, "a proposal bans nobody");
    let accept = |r: &mut crate::read::Ruling| r.sanction_id = Some(proposal.sanction_id.clone());
    let other = site.rule(&verified, Role::Security, Act::Accept, accept);
    assert_eq!(other.outcome, AnswerOutcome::Forbidden, "the Production Business Department decides");
    site.at("2028-02-29T09:30:00+08:00");
    assert_eq!(site.rule(&verified, Role::Registrar, Act::Accept, accept).outcome, AnswerOutcome::Done);
    let twice = site.rule(&verified, Role::Registrar, Act::Reject, accept);
    assert_eq!(twice.outcome, AnswerOutcome::Conflict);
    let accepted = site.violation("V_CARD_MISUSE").sanctions[0].clone();
    assert_eq!(accepted.status, SanctionStatus::Accepted);
    let writes: Vec<Record> = accepted.writes.iter().map(|w| Record::parse(w.kind, &w.id, &w.value).unwrap()).collect();
    let [Record::Ban(ban), Record::Vehicle(vehicle)] = writes.as_slice() else { panic!("{writes:?}") };
    assert_eq!(
        (ban.from.to_string(), ban.to.unwrap().to_string()),
        ("2028-02-29T09:30:00.000+08:00".into(), "2029-02-28T09:30:00.000+08:00".into())
    );
    assert_eq!((ban.plate.as_str(), vehicle.registration), ("苏G00001", crate::registry::Registration::Deregistered));
    // The records go out over the registry; once they have come back they count.
    for write in accepted.writes {
        site.put(write.kind, &write.id, write.value);
    }
    assert_eq!(site.visit(CARS, "苏G00001").verdict, Verdict::Refuse);
    site.replays();
}

#[test]
fn an_attempt_is_no_leave_and_a_leave_is() {
    let mut site = Site::new();
    let truck = json!({"category": "PF_SHORT_HAUL", "registration": "APPROVED", "presence": "INSIDE"});
    site.put(Kind::Vehicle, "苏G66B02", truck);
    site.put(Kind::Card, "C5", json!({"type": "LONG", "plate": "苏G66B02", "status": "ISSUED", "task": "T5"}));
    site.put(Kind::Task, "T5", json!({"kind": "PF", "plate": "苏G66B02", "state": "ENTERED"}));
    site.put(Kind::ExitPermit, "P5", json!({"plate": "苏G66B02", "state": "ISSUED"}));
    let events = site.read(OUT, |r| {
        r.plate_read = Some(super::plate_read("苏G66B02"));
        r.card = Some("C5".into());
    });
    let refused = decisions(&events).pop().unwrap();
    assert_eq!(refused.verdict, Verdict::Refuse);
    let suspected = site.violation("V_UNAUTHORISED_LEAVE");
    let early = site.rule(&suspected, Role::Security, Act::Verify, |_| ());
    assert_eq!(early.outcome, AnswerOutcome::Conflict, "a refused attempt stays suspected");
    site.word(&refused, Role::Supervisor, Action::Release);
    site.read(OUT, |r| r.vehicle_passed = Some(true));
    let same = site.violation("V_UNAUTHORISED_LEAVE");
    assert_eq!((same.version, same.status.as_str()), (1, "SUSPECTED"), "going through is no body's word");
    assert_eq!(site.rule(&suspected, Role::Security, Act::Verify, |r| r.body = Some(Body::Terminal)).outcome, AnswerOutcome::Done);
    let verified = site.violation("V_UNAUTHORISED_LEAVE");
    assert!(verified.passage_id.is_some());
    assert_eq!(verified.sanctions[0].kind, SanctionKind::Blacklist);
    let id = verified.sanctions[0].sanction_id.clone();
    let rejected = site.rule(&verified, Role::Registrar, Act::Reject, |r| r.sanction_id = Some(id));
    assert_eq!(rejected.outcome, AnswerOutcome::Done);
    let after = site.violation("V_UNAUTHORISED_LEAVE").sanctions[0].clone();
    assert_eq!((after.status, after.writes.len()), (SanctionStatus::Rejected, 0));
    site.replays();
}

#[test]
fn documents_cost_every_card_and_cargo_the_long_one() {
    let mut site = Site::new();
    let suspected = misuse(&mut site);
    site.put(Kind::Card, "C2", json!({"type": "SINGLE", "plate": "苏G00001", "status": "ISSUED"}));
    site.rule(&suspected, Role::Security, Act::Verify, |r| r.offence = Some(Offence::Documents));
    let verified = site.violation("V_CARD_MISUSE");
    let id = verified.sanctions[0].sanction_id.clone();
    site.rule(&verified, Role::Registrar, Act::Accept, |r| r.sanction_id = Some(id));
    let writes = site.violation("V_CARD_MISUSE").sanctions[0].writes.clone();
    assert_eq!(writes.iter().map(|w| w.id.as_str()).collect::<Vec<_>>(), ["C1", "C2"]);
    assert!(writes.iter().all(|w| w.value["status"] == "CANCELLED" && w.value["cancel_reason"] == "DOCUMENTS"));
    site.replays();
}

#[test]
fn the_same_suspicion_of_one_vehicle_is_raised_once() {
    let mut site = Site::new();
    misuse(&mut site);
    let decision_id = site.violation("V_CARD_MISUSE").decision_id.unwrap();
    let decision = site.world.decisions[&decision_id].clone();
    // A good card takes the doubt away, the strange one brings it back.
    site.after_s(1);
    site.read(CARS, |r| r.card = Some("C1".into()));
    site.after_s(1);
    site.read(CARS, |r| r.card = Some("C9".into()));
    assert!(site.world.decisions[&decision_id].version > decision.version);
    let raised =
        site.journal.iter().filter(|e| matches!(&e.event, JournalEvent::Violation { violation } if violation.code == "V_CARD_MISUSE"));
    assert_eq!(raised.count(), 1);
    site.replays();
}
