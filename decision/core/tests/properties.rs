//! Named invariants of the rules, over generated worlds near the regulation scenarios.

mod oracle;
mod worlds;

use std::cell::Cell;

use portgate_core::decision::Verdict;
use portgate_core::facts::{Entry, FactError, FactSource, UseBook};
use portgate_core::registry::{Kind, LaneClass};
use portgate_core::rules::{decide, Context, Outcome};
use portgate_core::scenario::Scenario;
use proptest::prelude::*;
use serde_json::json;
use worlds::worlds;

/// Facts that fail at the n-th reading.
struct FailsAt<'a> {
    facts: &'a dyn FactSource,
    left: Cell<u32>,
}

impl FailsAt<'_> {
    fn read<T>(&self, read: impl FnOnce() -> Result<T, FactError>) -> Result<T, FactError> {
        match self.left.get().checked_sub(1) {
            Some(left) => {
                self.left.set(left);
                read()
            }
            None => Err(FactError("planted".into())),
        }
    }
}

impl FactSource for FailsAt<'_> {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        self.read(|| self.facts.get(kind, id))
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        self.read(|| self.facts.dossier(plate))
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        self.read(|| self.facts.children(kind, parent))
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        self.read(|| self.facts.use_book(plate))
    }
}

fn decided_over(scenario: &Scenario, facts: &dyn FactSource) -> Outcome {
    let context = Context {
        checkpoint: "CP",
        lane: "CP.L1",
        profile: scenario.checkpoint.profile,
        direction: scenario.checkpoint.direction,
        lane_class: scenario.checkpoint.lane_class.unwrap_or(LaneClass::Mixed),
        it_port: scenario.checkpoint.it_port.unwrap_or(true),
        peak_mode: scenario.peak_mode.as_ref(),
        policy: &scenario.policy,
        approach_id: "A",
        degraded: None,
        now: scenario.at,
    };
    decide(&context, &scenario.inputs, scenario.at, facts)
}

proptest! {
    #![proptest_config(worlds::cases(4000))]

    #[test]
    fn no_open_without_every_applicable_check_passed(world in worlds()) {
        let Some((world, scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        let told = oracle::may_open(&world);
        let codes: Vec<&str> = outcome.reasons.iter().map(|r| r.reason.code()).collect();
        prop_assert_eq!(outcome.verdict == Verdict::Open, told.is_ok(), "{:?} but {:?}: {}", told, codes, world);
        prop_assert!(outcome.verdict != Verdict::Open || outcome.in_order());
    }

    #[test]
    fn an_outcome_is_well_formed(world in worlds()) {
        let Some((_, scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        prop_assert!(!outcome.reasons.is_empty());
        prop_assert!(outcome.reasons.windows(2).all(|w| w[0].reason < w[1].reason));
        prop_assert_eq!(Some(outcome.verdict), outcome.reasons.iter().map(|r| r.disposition).max());
        prop_assert_eq!(outcome.verdict == Verdict::Open, outcome.release_role.is_none());
        prop_assert!(outcome.verdict != Verdict::Refuse || outcome.effects.is_empty());
        prop_assert!(outcome.verdict == Verdict::Refuse || outcome.effects.len() == outcome.uses.len());
        if outcome.in_order() {
            // `LYG-R21` is manual entry, whose reason is a failure; every other row lists its effects.
            prop_assert!(outcome.row.is_some_and(|r| !r.effects().is_empty()), "{:?}", outcome.row);
        }
    }

    #[test]
    fn adding_a_ban_or_an_inspection_never_turns_a_verdict_milder(world in worlds(), kind in 0..3_usize) {
        let Some((_, mut scenario)) = world else { return Ok(()) };
        let before = scenario.outcome();
        let Some(plate) = before.plate.clone() else { return Ok(()) };
        let from = "2020-01-01T00:00:00+08:00";
        let (record, value) = [
            (Kind::Ban, json!({"plate": plate, "kind": "BLACKLIST", "from": from})),
            (Kind::Ban, json!({"plate": plate, "kind": "ONE_YEAR", "from": from})),
            (Kind::InspectionOrder, json!({"plate": plate, "state": "OPEN"})),
        ][kind].clone();
        scenario.facts.put(record, "added", &value).unwrap();
        let after = scenario.outcome();
        prop_assert!(after.verdict >= before.verdict, "{:?} then {:?}", before.reasons, after.reasons);
        let kept = before.reasons.iter().filter(|r| r.blocks()).all(|r| after.reasons.contains(r));
        prop_assert!(kept, "an added record must not hide a failure");
    }

    #[test]
    fn a_failing_fact_source_never_opens(world in worlds(), nth in 0..12_u32) {
        let Some((_, scenario)) = world else { return Ok(()) };
        let counting = FailsAt { facts: &scenario.facts, left: Cell::new(u32::MAX) };
        let whole = decided_over(&scenario, &counting);
        let readings = u32::MAX - counting.left.get();
        let failing = FailsAt { facts: &scenario.facts, left: Cell::new(nth) };
        let outcome = decided_over(&scenario, &failing);
        let codes: Vec<&str> = outcome.reasons.iter().map(|r| r.reason.code()).collect();
        // A reading that fails is never taken for one that found nothing.
        if nth < readings {
            prop_assert_eq!(codes, ["REGISTRY_UNAVAILABLE"]);
            prop_assert_eq!(outcome.verdict, Verdict::Hold);
        } else {
            prop_assert_eq!(outcome, whole);
        }
    }

    #[test]
    fn a_redelivered_event_and_a_repeated_passage_change_nothing(world in worlds()) {
        let Some((_, mut scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        prop_assert_eq!(&outcome, &scenario.outcome());
        let at = scenario.at;
        let first = scenario.facts.pass(&outcome.uses, "P1", at);
        prop_assert_eq!(first.len(), outcome.uses.len());
        let once = scenario.facts.clone();
        prop_assert!(scenario.facts.pass(&outcome.uses, "P1", at).is_empty());
        prop_assert_eq!(once, scenario.facts);
    }

    #[test]
    fn what_has_passed_does_not_open_again_at_the_same_lane(world in worlds()) {
        let Some((_, mut scenario)) = world else { return Ok(()) };
        let outcome = scenario.outcome();
        let consuming = outcome.uses.iter().any(|u| matches!(u.kind.as_str(), "presence" | "qr_code" | "manifest"));
        if outcome.verdict == Verdict::Open && consuming {
            let at = scenario.at;
            scenario.facts.pass(&outcome.uses, "P1", at);
            prop_assert_ne!(scenario.outcome().verdict, Verdict::Open);
        }
    }
}
