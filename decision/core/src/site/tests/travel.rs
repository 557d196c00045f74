use serde_json::json;

use super::{codes, decisions, Site, CARS};
use crate::command::BarrierState;
use crate::decision::Verdict;
use crate::people::Role;
use crate::read::{Action, BarrierReport};
use crate::registry::Kind;

const OTHER: &str = "JCZ-2.L1";

fn site() -> Site {
    let mut site = Site::new();
    site.put(Kind::Policy, "default", json!({"switches": {"travel_min_s": {"JCZ-1": {"JCZ-2": 300}}}}));
    site
}

#[test]
fn a_plate_cannot_be_at_two_checkpoints_faster_than_a_truck_drives() {
    for (later_s, verdict) in [(1, Verdict::Hold), (298, Verdict::Hold), (299, Verdict::Open), (400, Verdict::Open)] {
        let mut site = site();
        assert_eq!(site.visit(CARS, "苏G00001").verdict, Verdict::Open); // takes a second
        site.after_s(later_s);
        let there = site.visit(OTHER, "苏G00001");
        assert_eq!(there.verdict, verdict, "{} s apart", later_s + 1);
        assert_eq!(codes(&there).contains(&"IMPOSSIBLE_TRAVEL"), verdict == Verdict::Hold);
        assert_eq!(there.violations.contains(&"V_CLONE_PLATE_SUSPECTED".to_owned()), verdict == Verdict::Hold);
        site.replays();
    }
}

#[test]
fn a_double_is_noticed_while_the_first_still_stands_there() {
    let mut site = site();
    assert_eq!(site.decided(CARS, "苏G00001").verdict, Verdict::Open);
    site.after_s(5);
    let double = site.decided(OTHER, "苏G00001");
    assert_eq!(double.verdict, Verdict::Hold);
    assert!(codes(&double).contains(&"IMPOSSIBLE_TRAVEL"), "{:?}", codes(&double));
    // What is known of the plate elsewhere stays in the way of both.
    site.after_s(1);
    let again = decisions(&site.read(OTHER, |r| r.card = Some("none".into())));
    assert!(again.iter().all(|d| codes(d).contains(&"IMPOSSIBLE_TRAVEL")));
    site.replays();
}

#[test]
fn a_misread_plate_was_not_seen() {
    let mut site = site();
    let read = site.decided(CARS, "苏G00002");
    let word = |site: &mut Site| {
        let mut events = Vec::new();
        let decision = read.clone();
        let word = crate::read::Word {
            request_id: "q".into(),
            decision_id: decision.id,
            version: None,
            action: Action::Correct,
            reason: "行驶证".into(),
            plate: Some("苏G00001".into()),
            by: super::person(Role::Guard),
        };
        events.extend(site.read(CARS, |r| r.word = Some(word)));
        events
    };
    // Opened already: the command has to run out before the guard may correct it.
    site.after_s(10);
    site.take(super::Input::Tick { lane: CARS.into() });
    let command_id = Some(format!("C-{}-v1", read.approach_id));
    site.read(CARS, |r| r.barrier = Some(BarrierReport { state: BarrierState::Expired, command_id }));
    assert_eq!(decisions(&word(&mut site)).last().and_then(|d| d.plate.clone()).as_deref(), Some("苏G00001"));
    assert_eq!(site.decided(OTHER, "苏G00002").verdict, Verdict::Open, "the real one is somewhere else");
    site.replays();
}
