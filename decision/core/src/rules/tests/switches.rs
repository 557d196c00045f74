//! The policy's switches, the degradation ladder and lanes that contradict themselves.

use serde_json::json;

use super::{said, scenario, Edit};
use crate::facts::{Entry, FactError, FactSource, UseBook};
use crate::policy::{Policy, RefuseMode, ReleaseMode};
use crate::reason::SysReason;
use crate::registry::{Direction, Kind, LaneClass};
use crate::rules::{decide, Context, Outcome};

/// Decides a scenario under another context.
fn under(base: &str, edits: &[Edit], policy: Policy, change: impl FnOnce(&mut Context<'_>)) -> Outcome {
    let scenario = scenario(base, edits);
    let mut context = Context {
        checkpoint: "CP",
        lane: "CP.L1",
        profile: scenario.checkpoint.profile,
        direction: scenario.checkpoint.direction,
        lane_class: scenario.checkpoint.lane_class.unwrap_or(LaneClass::Mixed),
        it_port: true,
        peak_mode: None,
        policy: &policy,
        approach_id: "A",
        degraded: None,
        now: scenario.at,
    };
    change(&mut context);
    decide(&context, &scenario.inputs, scenario.at, &scenario.facts)
}

fn with(base: &str, edits: &[Edit], change: impl FnOnce(&mut Policy)) -> String {
    let mut policy = Policy::default();
    change(&mut policy);
    said(&under(base, edits, policy, |_| {}))
}

#[test]
fn each_switch_changes_what_it_names() {
    assert_eq!(with("S072", &[], |p| p.refuse_mode = RefuseMode::HoldAll), "HOLD CARD_REQUIRED@LYG-0.9c");
    assert_eq!(with("S001", &[], |p| p.production_release_mode = ReleaseMode::Auto), "OPEN AUTO_RELEASE_PRODUCTION@LYG-7.6a");
    assert_eq!(with("S072", &[], |p| p.production_release_mode = ReleaseMode::Auto), "REFUSE CARD_REQUIRED@LYG-0.9c");
    assert_eq!(with("S115", &[], |p| p.hgs_heavy_release_mode = ReleaseMode::Manual), "HOLD MANUAL_RELEASE_REQUIRED");
    assert_eq!(with("S090", &[], |p| p.require_release_instruction = false), "HOLD MANUAL_RELEASE_REQUIRED@LYG-0.12a");
    assert_eq!(with("S010", &[], |p| p.resident_card_exempt = false), "REFUSE CARD_REQUIRED@LYG-0.9c");
    assert_eq!(with("S087", &[], |p| p.resident_task_required = false), "HOLD MANUAL_RELEASE_REQUIRED@LYG-0.12a");
    assert_eq!(with("S033", &[], |p| p.reception_days = 3), "OPEN AUTO_RELEASE_RECEPTION_ENTRY@LYG-4.6c2");
    assert_eq!(with("S104", &[], |p| p.leave_consent_required = false), "HOLD MANUAL_RELEASE_REQUIRED@LYG-7.6b");
    assert_eq!(with("S175", &[], |p| p.trip_confirmation_min = 59), "OPEN FAST_CLEARANCE_RELEASE@NNG-2.2.e2");
    assert_eq!(with("S153", &[], |p| p.escort_officers_min = 3), "HOLD ESCORT_STAFF_SHORT@NNG-3.2");
    assert_eq!(with("S018", &[], |p| p.plate_confidence_min = 0.99), "HOLD PLATE_LOW_CONFIDENCE@LYG-7.3");
}

#[test]
fn a_policy_out_of_range_holds() {
    for threshold in [0.0, -1.0, f64::NAN, 1.01] {
        assert_eq!(with("S018", &[], |p| p.plate_confidence_min = threshold), "HOLD SYS_LANE_MISCONFIGURED");
    }
}

#[test]
fn a_lane_of_another_profile_holds() {
    let outcome = under("S018", &[], Policy::default(), |c| c.direction = Direction::Outbound);
    assert_eq!(said(&outcome), "HOLD SYS_LANE_MISCONFIGURED");
}

#[test]
fn a_degraded_component_never_opens_and_doubtful_facts_never_refuse() {
    for system in [
        SysReason::LaneMisconfigured,
        SysReason::LogAway,
        SysReason::RegistryStale,
        SysReason::CutOff,
        SysReason::ClockStepped,
        SysReason::DiskFull,
        SysReason::EvidenceAway,
        SysReason::RecogniserAway,
        SysReason::CameraAway,
        SysReason::CardReaderAway,
    ] {
        let open = under("S018", &[], Policy::default(), |c| c.degraded = Some(system));
        assert_eq!(said(&open), format!("HOLD {}", system.reason().code()));
        let refuse = under("S072", &[], Policy::default(), |c| c.degraded = Some(system));
        let verdict = if system.doubts_facts() { "HOLD" } else { "REFUSE" };
        assert_eq!(said(&refuse), format!("{verdict} {} CARD_REQUIRED@LYG-0.9c", system.reason().code()));
    }
}

/// Every read fails.
struct Away;

impl FactSource for Away {
    fn get(&self, _: Kind, _: &str) -> Result<Option<Entry>, FactError> {
        Err(FactError("away".into()))
    }
    fn dossier(&self, _: &str) -> Result<Vec<Entry>, FactError> {
        Err(FactError("away".into()))
    }
    fn children(&self, _: Kind, _: &str) -> Result<Vec<Entry>, FactError> {
        Err(FactError("away".into()))
    }
    fn use_book(&self, _: &str) -> Result<UseBook, FactError> {
        Err(FactError("away".into()))
    }
}

/// One record is damaged.
struct Damaged(Entry);

impl FactSource for Damaged {
    fn get(&self, _: Kind, _: &str) -> Result<Option<Entry>, FactError> {
        Ok(None)
    }
    fn dossier(&self, _: &str) -> Result<Vec<Entry>, FactError> {
        Ok(vec![self.0.clone()])
    }
    fn children(&self, _: Kind, _: &str) -> Result<Vec<Entry>, FactError> {
        Ok(Vec::new())
    }
    fn use_book(&self, _: &str) -> Result<UseBook, FactError> {
        Ok(UseBook::default())
    }
}

#[test]
fn facts_that_cannot_be_read_or_understood_hold_and_show_the_plate() {
    let base = scenario("S018", &[]);
    let policy = Policy::default();
    let context = Context {
        checkpoint: "CP",
        lane: "CP.L1",
        profile: base.checkpoint.profile,
        direction: base.checkpoint.direction,
        lane_class: LaneClass::Mixed,
        it_port: true,
        peak_mode: None,
        policy: &policy,
        approach_id: "A",
        degraded: None,
        now: base.at,
    };
    let damaged = Damaged(Entry { kind: Kind::Vehicle, id: "苏G66B02".into(), value: json!({"plate": "苏G66B02", "category": "BUS"}) });
    let sources: [&dyn FactSource; 2] = [&Away, &damaged];
    for facts in sources {
        let outcome = decide(&context, &base.inputs, base.at, facts);
        assert_eq!(said(&outcome), "HOLD REGISTRY_UNAVAILABLE");
        assert_eq!(outcome.plate.as_deref(), Some("苏G66B02"));
        assert!(outcome.uses.is_empty() && outcome.row.is_none());
    }
}
