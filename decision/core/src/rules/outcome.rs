//! What a decision comes to.

use super::Case;
use crate::cite;
use crate::decision::{PlateSource, ReasonRecord, Verdict};
use crate::effect::{Effect, UseIntent};
use crate::people::Role;
use crate::plate;
use crate::policy::RefuseMode;
use crate::read::ReadMessage;
use crate::reason::{Check, Reason};
use crate::registry::{Direction, Profile};
use crate::row::Row;
use crate::violation::Violation;

/// One reason of an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The reason.
    pub reason: Reason,
    /// The one article shown; none: a system notice.
    pub cite: Option<&'static str>,
    /// What it comes to here.
    pub disposition: Verdict,
    /// The violation it raises here.
    pub violation: Option<Violation>,
}

impl Finding {
    /// Whether it stands in the way of a release mode.
    pub fn blocks(&self) -> bool {
        self.reason.blocks()
    }

    /// As a decision on record carries it.
    pub fn record(&self) -> ReasonRecord {
        self.reason.record(self.cite, self.disposition)
    }
}

/// What the rules say of an approach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Row of the decision table; none where no row applies.
    pub row: Option<Row>,
    /// Vehicle category, like `PF_GENERAL`; none: unknown vehicle.
    pub category: Option<String>,
    /// The verdict: the worst disposition.
    pub verdict: Verdict,
    /// Reasons in decision order; at least one.
    pub reasons: Vec<Finding>,
    /// Violations raised, without repetition, in the order of the reasons.
    pub violations: Vec<Violation>,
    /// What the passage changes, in the order of the row. Nothing if the verdict is Refuse.
    pub effects: Vec<Effect>,
    /// What the passage uses and so what an Open or a release reserves; also if the verdict is
    /// Refuse, for the supervisor who releases nevertheless.
    pub uses: Vec<UseIntent>,
    /// Identity the checks ran on.
    pub plate: Option<String>,
    /// Where it came from.
    pub plate_source: Option<PlateSource>,
    /// Carrier, where the registry names one.
    pub enterprise: Option<String>,
    /// Who may release it; none: it opens.
    pub release_role: Option<Role>,
}

impl Outcome {
    pub(super) fn empty() -> Self {
        Self {
            row: None,
            category: None,
            verdict: Verdict::Hold,
            reasons: Vec::new(),
            violations: Vec::new(),
            effects: Vec::new(),
            uses: Vec::new(),
            plate: None,
            plate_source: None,
            enterprise: None,
            release_role: None,
        }
    }

    /// Nothing failed: every reason is of severity info.
    pub fn in_order(&self) -> bool {
        !self.reasons.iter().any(Finding::blocks)
    }

    /// The reasons as a decision on record carries them.
    pub fn reason_records(&self) -> Vec<ReasonRecord> {
        self.reasons.iter().map(Finding::record).collect()
    }
}

impl Case<'_> {
    /// Only `REGISTRY_UNAVAILABLE` (CH-50); the plate is shown, nothing is known of it.
    pub(super) fn unavailable(mut self) -> Outcome {
        self.add(Reason::RegistryUnavailable);
        if let Some((plate, source)) = stated_plate(self.inputs, self.context.policy.plate_confidence_min) {
            self.outcome.plate = Some(plate);
            self.outcome.plate_source = Some(source);
        }
        self.finish()
    }

    /// Turns what was found into the outcome: articles, dispositions, the worst of them.
    pub(super) fn finish(mut self) -> Outcome {
        let entry = self.entry();
        let policy = self.context.policy;
        // CH-11: goods inside the territory must reach the yard; a doubt in the facts refuses nobody.
        let lenient = self.context.direction == Direction::ImportYardIn
            || policy.refuse_mode == RefuseMode::HoldAll
            || self.context.degraded.is_some_and(|s| s.doubts_facts());
        let mut outcome = std::mem::replace(&mut self.outcome, Outcome::empty());
        for reason in &self.found {
            let disposition = match reason.disposition(entry) {
                Verdict::Refuse if lenient => Verdict::Hold,
                Verdict::Refuse => Verdict::Refuse,
                Verdict::Hold => Verdict::Hold,
                Verdict::Open => Verdict::Open,
            };
            let violation = reason.violation(entry);
            if let Some(v) = violation.filter(|v| !outcome.violations.contains(v)) {
                outcome.violations.push(v);
            }
            outcome.reasons.push(Finding { reason: *reason, cite: cite::article(*reason, &self.matter), disposition, violation });
        }
        // Open only on a release mode that says so; without any reason the outcome stays Hold.
        let released = outcome.reasons.iter().any(|r| r.reason.check() == Check::C19 && r.disposition == Verdict::Open);
        let worst = outcome.reasons.iter().map(|r| r.disposition).max();
        outcome.verdict = match worst {
            Some(Verdict::Open) if released => Verdict::Open,
            Some(Verdict::Refuse) => Verdict::Refuse,
            Some(Verdict::Open | Verdict::Hold) | None => Verdict::Hold,
        };
        outcome.effects = match outcome.verdict {
            Verdict::Refuse => Vec::new(),
            Verdict::Open | Verdict::Hold => effects_of(&outcome.uses),
        };
        outcome.release_role = match (outcome.verdict, self.context.profile) {
            (Verdict::Open, _) => None,
            (Verdict::Refuse, _) => Some(Role::Supervisor),
            (Verdict::Hold, Profile::Nng) => Some(Role::Customs),
            (Verdict::Hold, Profile::Lyg | Profile::Hgs) => Some(Role::Guard),
        };
        outcome
    }
}

fn effects_of(uses: &[UseIntent]) -> Vec<Effect> {
    uses.iter().map(|u| u.effect).collect()
}

/// The plate a guard typed, else the one the camera read surely enough (CH-20).
pub(super) fn stated_plate(inputs: &ReadMessage, confidence_min: f64) -> Option<(String, PlateSource)> {
    let typed = inputs.manual_plate.as_ref().map(|m| plate::normalise(&m.text)).filter(|t| !t.is_empty());
    if let Some(plate) = typed {
        return Some((plate, PlateSource::Manual));
    }
    let read = inputs.plate_read.as_ref().filter(|r| r.confidence >= confidence_min)?;
    Some((plate::normalise(&read.text), PlateSource::Camera)).filter(|(p, _)| !p.is_empty())
}
