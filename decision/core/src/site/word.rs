//! A person's word on a decision: release, refuse, correct. Every word becomes a version.

use super::approach::Approach;
use super::step::{Place, Run, Said};
use super::LaneState;
use crate::decision::{AnswerOutcome, Decision, Verdict};
use crate::facts::FactError;
use crate::journal::AuthorisedBy;
use crate::people::Role;
use crate::plate::normalise;
use crate::read::{Action, ManualPlate, Word};
use crate::reason::Reason;
use crate::registry::Profile;
use crate::rules::Outcome;

/// A word that is not carried out, and why.
struct No(AnswerOutcome, String);

impl Run<'_> {
    /// Carries a person's word out, or answers why not. Nothing changes on a refusal, except that
    /// facts that got worse since the person looked are put on record as a new version.
    pub(super) fn word(&mut self, place: &Place, state: &mut LaneState, word: &Word) -> Result<(), FactError> {
        let Some(decision) = self.world.decision(&word.decision_id)? else {
            self.answer(&word.request_id, AnswerOutcome::NotFound, &word.decision_id, 0, Some("no such decision".into()));
            return Ok(());
        };
        let current = state.current.take();
        let (current, result) = match current {
            Some(mut approach) if approach.decision_id() == word.decision_id => {
                let result = self.carry_out(place, state, &mut approach, &decision, word)?;
                super::step::schedule(&mut approach, &place.policy, self.now);
                (Some(approach), result)
            }
            other => (other, Err(No(AnswerOutcome::Conflict, "the vehicle is no longer at the barrier".into()))),
        };
        let version = match (&result, &current) {
            (Ok(()), Some(a)) => a.version,
            _ => decision.version,
        };
        state.current = current;
        let (outcome, message) = match result {
            Ok(()) => (AnswerOutcome::Done, None),
            Err(No(outcome, message)) => (outcome, Some(message)),
        };
        self.answer(&word.request_id, outcome, &word.decision_id, u64::from(version), message);
        Ok(())
    }

    fn carry_out(
        &mut self,
        place: &Place,
        state: &mut LaneState,
        approach: &mut Approach,
        decision: &Decision,
        word: &Word,
    ) -> Result<Result<(), No>, FactError> {
        if !may(word.by.role, place.checkpoint.profile, decision, word.action, approach.refused_by_person) {
            let need = approach.release_role.unwrap_or(Role::Supervisor).as_str();
            return Ok(Err(No(AnswerOutcome::Forbidden, format!("this needs the role {need}"))));
        }
        if word.reason.trim().is_empty() {
            return Ok(Err(No(AnswerOutcome::Invalid, "field `reason`: say why, it is kept on record".into())));
        }
        if word.version.is_some_and(|v| v != approach.version) {
            return Ok(Err(No(AnswerOutcome::Conflict, format!("the decision has changed: it is at version {} now", approach.version))));
        }
        if approach.refused_by_person && word.action != Action::Correct {
            let supervisor = word.by.role == Role::Supervisor && word.action == Action::Release;
            if !supervisor {
                return Ok(Err(No(AnswerOutcome::Conflict, "somebody has refused it already".into())));
            }
        }
        let said = Said { by: &word.by, action: word.action, note: word.reason.trim() };
        match word.action {
            Action::Release => self.release(place, state, approach, decision, &said),
            Action::Refuse => {
                if approach.authorisation.as_ref().is_some_and(|a| a.executed) {
                    return Ok(Err(No(AnswerOutcome::Conflict, "the barrier is open already".into())));
                }
                let outcome = self.decide(place, approach);
                self.withdraw(state, approach)?;
                self.record_decision(place, approach, &outcome, Some(&said), None)?;
                approach.refused_by_person = true;
                Ok(Ok(()))
            }
            Action::Correct => {
                let text = word.plate.as_deref().map(normalise).unwrap_or_default();
                if text.is_empty() {
                    return Ok(Err(No(AnswerOutcome::Invalid, "field `plate`: give the plate as on the vehicle licence".into())));
                }
                if approach.authorisation.is_some() {
                    return Ok(Err(No(AnswerOutcome::Conflict, "it has been released already".into())));
                }
                approach.inputs.manual_plate = Some(ManualPlate { text, document: None });
                approach.claims.insert("manual_plate".into(), self.now);
                approach.refused_by_person = false;
                let outcome = self.decide(place, approach);
                self.record_decision(place, approach, &outcome, Some(&said), None)?;
                Ok(Ok(()))
            }
        }
    }

    /// The decision on the facts of this moment. A ban that began while the vehicle waited counts
    /// too: it blocks the entry, which is still to come (CH-17).
    fn decide_before_release(&self, place: &Place, approach: &Approach) -> Outcome {
        let banned = |o: &Outcome| o.reasons.iter().any(|r| matches!(r.reason, Reason::VehicleBlacklisted | Reason::VehicleBannedOneYear));
        let outcome = self.decide(place, approach);
        let now = self.decide(place, &Approach { arrived_at: self.now, ..approach.clone() });
        if banned(&now) && !banned(&outcome) {
            now
        } else {
            outcome
        }
    }

    fn release(
        &mut self,
        place: &Place,
        state: &mut LaneState,
        approach: &mut Approach,
        decision: &Decision,
        said: &Said<'_>,
    ) -> Result<Result<(), No>, FactError> {
        if approach.authorisation.is_some() || decision.verdict == Verdict::Open {
            return Ok(Err(No(AnswerOutcome::Conflict, "it has been released already".into())));
        }
        // The person's word covers what the person saw: facts that have got worse come first.
        let outcome = self.decide_before_release(place, approach);
        let worse: Vec<&str> = outcome
            .reasons
            .iter()
            .filter(|r| r.blocks())
            .map(|r| r.reason.code())
            .filter(|code| !decision.reasons.iter().any(|seen| seen.code == *code))
            .collect();
        if !worse.is_empty() {
            let message = format!("the facts have changed since: {}", worse.join(", "));
            self.record_decision(place, approach, &outcome, None, None)?;
            return Ok(Err(No(AnswerOutcome::Conflict, message)));
        }
        for intent in &outcome.uses {
            let book = crate::facts::FactSource::use_book(self, &intent.plate)?;
            if let Some(claim) = book.reserved.get(&intent.key()) {
                if claim.approach_id != approach.approach_id && claim.until > self.now {
                    return Ok(Err(No(AnswerOutcome::Conflict, format!("its {} is in use at lane {}", intent.kind, claim.lane))));
                }
            }
        }
        self.record_decision(place, approach, &outcome, Some(said), None)?;
        approach.refused_by_person = false;
        let by = if said.by.role == Role::Customs { AuthorisedBy::Customs } else { AuthorisedBy::Guard };
        self.authorise(place, state, approach, by)?;
        Ok(Ok(()))
    }
}

/// Who may say it: customs rows are customs' own; what the rules refused needs a supervisor; the
/// rest a guard or a supervisor. Turning a vehicle back and correcting a plate is any of theirs.
/// Where a person has refused, a guard is not forbidden but late.
fn may(role: Role, profile: Profile, decision: &Decision, action: Action, by_person: bool) -> bool {
    let customs = profile == Profile::Nng;
    match (action, role) {
        (Action::Release, Role::Customs) => customs,
        (Action::Release, Role::Supervisor) => !customs,
        (Action::Release, Role::Guard) => !customs && (decision.verdict != Verdict::Refuse || by_person),
        (Action::Refuse | Action::Correct, Role::Guard | Role::Supervisor) => true,
        (Action::Refuse | Action::Correct, Role::Customs) => customs,
        (_, Role::Security | Role::Analyst | Role::Registrar | Role::Administrator | Role::Device) => false,
    }
}
