use serde_json::json;

use super::{answer, codes, Site, CARS};
use crate::decision::AnswerOutcome;
use crate::facts::FactSource;
use crate::journal::JournalEvent;
use crate::people::Role;
use crate::registry::Kind;

fn order(site: &mut Site, id: &str, state: &str, role: Role) -> AnswerOutcome {
    let value = json!({"plate": "苏G00001", "state": state, "reason": "抽查"});
    answer(&site.write(Kind::InspectionOrder, id, Some(value), Some(role))).outcome
}

#[test]
fn an_inspection_is_ordered_held_for_and_concluded_by_whom_it_belongs_to() {
    let mut site = Site::new();
    assert_eq!(order(&mut site, "I1", "OPEN", Role::Guard), AnswerOutcome::Done);
    let held = site.visit(CARS, "苏G00001");
    assert!(codes(&held).contains(&"INSPECTION_ORDERED"));
    let written = site.world.get(Kind::InspectionOrder, "I1").unwrap().unwrap().value;
    assert_eq!((&written["by"], &written["ordered_by"]), (&json!("guard-1"), &json!("guard")));
    assert_eq!(order(&mut site, "I1", "CONCLUDED", Role::Customs), AnswerOutcome::Forbidden);
    site.after_s(60);
    assert_eq!(order(&mut site, "I1", "CONCLUDED", Role::Supervisor), AnswerOutcome::Done);
    let written = site.world.get(Kind::InspectionOrder, "I1").unwrap().unwrap().value;
    assert_eq!((&written["ordered_by"], &written["concluded_by"]), (&json!("guard"), &json!("supervisor-1")));
    assert_eq!(written["concluded_at"], json!(site.now));
    assert!(!codes(&site.visit(CARS, "苏G00001")).contains(&"INSPECTION_ORDERED"));
    // What customs ordered is customs' own.
    assert_eq!(order(&mut site, "I2", "OPEN", Role::Customs), AnswerOutcome::Done);
    for role in [Role::Guard, Role::Supervisor, Role::Registrar] {
        assert_eq!(order(&mut site, "I2", "CONCLUDED", role), AnswerOutcome::Forbidden, "{role:?}");
        let deleted = answer(&site.write(Kind::InspectionOrder, "I2", None, Some(role)));
        assert_eq!(deleted.outcome, AnswerOutcome::Forbidden, "{role:?}");
    }
    assert_eq!(order(&mut site, "I2", "CONCLUDED", Role::Customs), AnswerOutcome::Done);
    site.replays();
}

#[test]
fn every_write_is_on_record_with_who_did_it() {
    let mut site = Site::new();
    let on = json!({"active": true, "from": "2026-03-10T17:00:00+08:00", "to": "2026-03-10T18:30:00+08:00"});
    let events = site.write(Kind::PeakMode, "JCZ-1", Some(on), Some(Role::Supervisor));
    let Some(JournalEvent::Registry { by, value, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!(by.as_ref().map(|p| (p.name.as_str(), p.role)), Some(("supervisor-1", Role::Supervisor)));
    assert_eq!(value.as_ref().unwrap()["activated_by"], "supervisor-1");
    site.replays();
}
