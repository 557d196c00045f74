//! A vehicle going through: who allowed it, and what that uses up.

use super::approach::{Approach, Phase};
use super::step::{Place, Run};
use super::LaneState;
use crate::facts::FactError;
use crate::journal::{AuthorisedBy, Ending, JournalEvent, Passage, Use};
use crate::read::ReadMessage;

impl Run<'_> {
    /// `vehicle_passed`: one vehicle went through behind the barrier. Effects are applied once,
    /// because the read that reports it is taken in once (CH-18).
    pub(super) fn passed(&mut self, place: &Place, state: &mut LaneState, read: &ReadMessage, event_id: &str) -> Result<(), FactError> {
        let at = read.observed_at.or(read.received_at).unwrap_or(self.now);
        match state.current.take() {
            Some(mut approach) if approach.phase == Phase::Decided => {
                let seen_at = self.event_time(place, read);
                let unanswered = state.unanswered.take_if(|u| u.approach_id == approach.approach_id);
                if let Some(before) = &unanswered {
                    self.free_uses(&before.uses, &before.approach_id)?;
                }
                let up = unanswered.filter(|u| self.now < u.until && u.down_at.is_none_or(|down| seen_at <= down));
                let by = match (&approach.authorisation, up) {
                    (Some(auth), _) => auth.by,
                    // It was commanded, nobody has said that the arm stayed down, and the vehicle is through.
                    (None, Some(up)) => {
                        approach.uses = up.uses;
                        up.by
                    }
                    (None, None) => AuthorisedBy::None,
                };
                let passage_id = format!("P-{}", approach.approach_id);
                let passed_with = passage_id.clone();
                let effects = self.apply_uses(&approach, by, &passage_id, at)?;
                let decision = self.latest(&approach)?;
                let plate = decision.as_ref().and_then(|d| d.plate.clone());
                let enterprise = decision.as_ref().and_then(|d| d.enterprise.clone());
                let mut codes = decision.as_ref().map(|d| d.violations.clone()).unwrap_or_default();
                self.emit(JournalEvent::Passage {
                    passage: Passage {
                        passage_id,
                        approach_id: Some(approach.approach_id.clone()),
                        decision_id: Some(approach.decision_id()),
                        site: self.site.to_owned(),
                        checkpoint: place.checkpoint.id.clone(),
                        lane: state.lane.clone(),
                        direction: place.lane.direction.as_str().to_owned(),
                        category: decision.and_then(|d| d.category),
                        plate: plate.clone(),
                        passed_at: at,
                        authorised_by: by,
                        effects,
                    },
                });
                if by == AuthorisedBy::None {
                    self.raise(place, Some(&approach), plate, enterprise, "V_PASSED_WHILE_REFUSED", "vehicle_passed")?;
                    codes.push("V_PASSED_WHILE_REFUSED".to_owned());
                }
                self.passed_with(&approach, &codes, &passed_with)?;
                self.free(state, &approach)?;
                self.end(place, state, &approach, Ending::Passed, at)
            }
            pending => {
                // Nobody had been decided: a second vehicle through one opening (一车一杆).
                self.emit(JournalEvent::Passage {
                    passage: Passage {
                        passage_id: format!("P-{event_id}"),
                        approach_id: None,
                        decision_id: None,
                        site: self.site.to_owned(),
                        checkpoint: place.checkpoint.id.clone(),
                        lane: state.lane.clone(),
                        direction: place.lane.direction.as_str().to_owned(),
                        category: None,
                        plate: None,
                        passed_at: at,
                        authorised_by: AuthorisedBy::None,
                        effects: Vec::new(),
                    },
                });
                self.raise(place, None, None, None, "V_TAILGATING", "vehicle_passed")?;
                match pending {
                    Some(approach) => self.end(place, state, &approach, Ending::Passed, at),
                    None => Ok(()),
                }
            }
        }
    }

    /// Applies what the decision said the passage uses. An unauthorised passage changes only the
    /// presence: the vehicle is where it is, but nothing was granted to it.
    fn apply_uses(
        &mut self,
        approach: &Approach,
        by: AuthorisedBy,
        passage_id: &str,
        at: crate::time::Instant,
    ) -> Result<Vec<String>, FactError> {
        let mut effects = Vec::new();
        for intent in &approach.uses {
            if by == AuthorisedBy::None && intent.presence().is_none() {
                continue;
            }
            if intent.is_done(&crate::facts::FactSource::use_book(self, &intent.plate)?) {
                continue;
            }
            self.edit_book(&intent.plate, |book| intent.apply(book, passage_id, at))?;
            effects.push(intent.effect.as_str().to_owned());
            self.emit(JournalEvent::Used {
                used: Use {
                    effect: intent.effect.as_str().to_owned(),
                    kind: intent.kind.as_str().to_owned(),
                    id: intent.id.clone(),
                    plate: Some(intent.plate.clone()),
                    passage_id: passage_id.to_owned(),
                    at,
                },
            });
        }
        Ok(effects)
    }
}
