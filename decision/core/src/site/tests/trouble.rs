use super::{codes, decisions, person, Site, CARS};
use crate::decision::Verdict;
use crate::journal::JournalEvent;
use crate::people::Role;
use crate::read::Action;
use crate::reason::SysReason;
use crate::registry::Kind;
use crate::site::Input;
use serde_json::json;

#[test]
fn a_component_away_holds_what_would_have_opened_until_it_is_back() {
    for (component, code) in [
        (SysReason::RegistryStale, "SYS_REGISTRY_STALE"),
        (SysReason::ClockStepped, "SYS_CLOCK_STEPPED"),
        (SysReason::LogAway, "SYS_LOG_AWAY"),
    ] {
        let mut site = Site::new();
        assert_eq!(site.visit(CARS, "苏G00001").verdict, Verdict::Open);
        site.take(Input::Degraded { component, away: true });
        assert!(site.take(Input::Degraded { component, away: true }).is_empty(), "said twice, on record once");
        let held = site.visit(CARS, "苏G00002");
        assert_eq!((held.verdict, codes(&held).first()), (Verdict::Hold, Some(&code)), "{component:?}");
        site.take(Input::Degraded { component, away: false });
        assert_eq!(site.visit(CARS, "苏G00003").verdict, Verdict::Open);
        site.replays();
    }
}

#[test]
fn doubtful_facts_refuse_nobody_and_a_person_decides() {
    let mut site = Site::new();
    assert_eq!(site.visit(CARS, "苏G99999").verdict, Verdict::Refuse, "an unknown vehicle");
    site.take(Input::Degraded { component: SysReason::RegistryStale, away: true });
    let held = site.decided(CARS, "苏G99998");
    assert_eq!(held.verdict, Verdict::Hold);
    let released = decisions(&site.word(&held, Role::Guard, Action::Release));
    assert_eq!(released.last().map(|d| (d.verdict, d.by.clone())), Some((Verdict::Open, Some(person(Role::Guard)))));
    site.replays();
}

#[test]
fn a_picture_is_missed_only_where_one_is_needed() {
    let mut site = Site::new();
    site.take(Input::Degraded { component: SysReason::EvidenceAway, away: true });
    assert_eq!(site.visit(CARS, "苏G00001").verdict, Verdict::Open, "no frame stands behind this read");
    let events = site.read(CARS, |r| {
        r.plate_read = Some(super::plate_read("苏G00002"));
        r.frame_id = Some("f1".into());
    });
    let held = decisions(&events).pop().unwrap();
    assert_eq!((held.verdict, codes(&held)[0]), (Verdict::Hold, "SYS_EVIDENCE_AWAY"));
    site.replays();
}

#[test]
fn a_lane_override_counts_for_a_while_and_for_its_vehicle_only() {
    let mut site = Site::new();
    site.put(Kind::Policy, "default", json!({"switches": {"lane_override_s": 60}}));
    site.put(Kind::Lane, "JCZ-1.L9", json!({"checkpoint": "JCZ-1", "direction": "ENTRY", "lane_class": "FREIGHT"}));
    let lane = "JCZ-1.L9";
    assert_eq!(codes(&site.decided(lane, "苏G00001"))[0], "WRONG_LANE");
    let opened = decisions(&site.read(lane, |r| r.lane_override = Some("supervisor-1".into()))).pop().unwrap();
    assert_eq!(opened.verdict, Verdict::Open, "a manager's word may open");
    // It is not driven on; the command runs out, and a minute later the word has, too.
    site.after_s(10);
    site.take(Input::Tick { lane: lane.into() });
    site.after_s(49);
    let still = decisions(&site.read(lane, |r| r.card = Some("unknown".into())));
    assert!(still.iter().all(|d| !codes(d).contains(&"WRONG_LANE")));
    site.after_s(1);
    let lapsed = decisions(&site.read(lane, |r| r.exit_permit = Some("none".into())));
    assert!(codes(lapsed.last().expect("a new version")).contains(&"WRONG_LANE"));
    site.read(lane, |r| r.vehicle_gone = Some(true));
    assert!(codes(&site.decided(lane, "苏G00002")).contains(&"WRONG_LANE"), "the next vehicle has none");
    site.replays();
}

#[test]
fn an_event_of_the_journal_says_since_when() {
    let mut site = Site::new();
    let events = site.take(Input::Degraded { component: SysReason::LogAway, away: true });
    assert_eq!(events, [JournalEvent::Degraded { component: SysReason::LogAway, since: Some(site.now) }]);
    let text = serde_json::to_string(&events[0]).unwrap();
    assert!(text.contains(r#""type":"degraded""#) && text.contains(r#""component":"log_away""#), "{text}");
}
