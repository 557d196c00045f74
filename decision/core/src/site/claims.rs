//! Open commands and what they claim: reserved when the barrier is told, kept while its arm may be moving,
//! free when nobody can go through on it any more.

use super::approach::{Approach, Authorisation};
use super::step::{schedule, Place, Run};
use super::{LaneState, Unanswered};
use crate::command::{BarrierState, Command, Order};
use crate::effect::UseIntent;
use crate::facts::{FactError, Reservation};
use crate::journal::{AuthorisedBy, JournalEvent};
use crate::read::BarrierReport;
use crate::reason::Reason;
use crate::time::Instant;

/// What a barrier or a loop has not said of a command this long after it ended did not happen,
/// milliseconds: longer than an arm stays up.
const WORD_MS: i64 = 30_000;

impl Run<'_> {
    /// Commands the barrier open for this approach and reserves what its passage will use.
    pub(super) fn authorise(
        &mut self,
        place: &Place,
        state: &mut LaneState,
        approach: &mut Approach,
        by: AuthorisedBy,
    ) -> Result<(), FactError> {
        state.fence = state.fence.saturating_add(1);
        let expires_at = self.now.plus_millis(i64::from(place.policy.command_expiry_s).saturating_mul(1000));
        let command = Command {
            command_id: format!("C-{}-v{}", approach.approach_id, approach.version),
            site: self.site.to_owned(),
            lane: state.lane.clone(),
            approach_id: approach.approach_id.clone(),
            decision_id: approach.decision_id(),
            decision_version: approach.version,
            order: Order::Open,
            fence: state.fence,
            issued_at: self.now,
            expires_at,
        };
        approach.authorisation = Some(Authorisation { by, command_id: command.command_id.clone(), expires_at, executed: false });
        // One vehicle, one raising: an arm that rises on the command before obeys this one.
        if let Some(before) = state.unanswered.take_if(|u| u.approach_id == approach.approach_id) {
            self.free_uses(&before.uses, &before.approach_id)?;
        }
        self.reserve(place, state, approach)?;
        self.emit(JournalEvent::Command { command });
        Ok(())
    }

    /// Claims what the passage of an authorised approach will use, as far as nobody else has.
    pub(super) fn reserve(&mut self, place: &Place, state: &LaneState, approach: &Approach) -> Result<(), FactError> {
        let until = self.now.plus_millis(i64::from(place.policy.approach_idle_expiry_s).saturating_mul(1000));
        for intent in &approach.uses {
            let claim = Reservation { approach_id: approach.approach_id.clone(), lane: state.lane.clone(), until };
            let now = self.now;
            self.edit_book(&intent.plate, |book| {
                if book.reserved.get(&intent.key()).is_none_or(|held| held.approach_id == claim.approach_id || held.until <= now) {
                    book.reserved.insert(intent.key(), claim);
                }
            })?;
        }
        Ok(())
    }

    /// Takes back a command that has not been executed. What it reserved stays claimed until the barrier
    /// has answered: its arm may be rising at this moment.
    pub(super) fn withdraw(&mut self, state: &mut LaneState, approach: &mut Approach) -> Result<(), FactError> {
        let Some(auth) = approach.authorisation.take() else { return Ok(()) };
        state.fence = state.fence.saturating_add(1);
        let command = Command {
            command_id: auth.command_id.clone(),
            site: self.site.to_owned(),
            lane: state.lane.clone(),
            approach_id: approach.approach_id.clone(),
            decision_id: approach.decision_id(),
            decision_version: approach.version,
            order: Order::Withdraw,
            fence: state.fence,
            issued_at: self.now,
            expires_at: auth.expires_at,
        };
        self.emit(JournalEvent::Command { command });
        self.await_word(state, approach, auth, None)
    }

    /// Keeps in mind that a command is not meant any more, and that its vehicle may have gone through on it all
    /// the same. `down_at`: as [`Unanswered::down_at`].
    pub(super) fn await_word(
        &mut self,
        state: &mut LaneState,
        approach: &Approach,
        auth: Authorisation,
        down_at: Option<Instant>,
    ) -> Result<(), FactError> {
        let until = if auth.executed { self.now } else { auth.expires_at }.plus_millis(WORD_MS);
        for intent in &approach.uses {
            self.edit_book(&intent.plate, |book| {
                if let Some(claim) = book.reserved.get_mut(&intent.key()).filter(|c| c.approach_id == approach.approach_id) {
                    claim.until = until;
                }
            })?;
        }
        state.unanswered = Some(Unanswered {
            approach_id: approach.approach_id.clone(),
            by: auth.by,
            command_id: auth.command_id,
            expires_at: auth.expires_at,
            down_at,
            until,
            uses: approach.uses.clone(),
        });
        Ok(())
    }

    /// What the barrier has said about a command that is not meant any more.
    fn answered(
        &mut self,
        place: &Place,
        state: &mut LaneState,
        current: Option<&mut Approach>,
        report: &BarrierReport,
    ) -> Result<(), FactError> {
        if state.unanswered.as_ref().is_none_or(|u| Some(&u.command_id) != report.command_id.as_ref()) {
            return Ok(());
        }
        match report.state {
            BarrierState::Opening | BarrierState::Open => {
                // Later than that another lane may have been opened on the same claims.
                let Some(current) = current.filter(|c| state.may_rise(c, self.now)) else { return Ok(()) };
                if let Some(up) = state.unanswered.take() {
                    // The arm was quicker: the passage uses what it went up on, whatever is doubted now.
                    current.authorisation =
                        Some(Authorisation { by: up.by, command_id: up.command_id, expires_at: up.expires_at, executed: true });
                    current.uses = up.uses;
                    self.reserve(place, state, current)?;
                }
            }
            BarrierState::Closed => {
                if let Some(down) = &mut state.unanswered {
                    down.down_at.get_or_insert(self.now);
                }
            }
            BarrierState::Expired | BarrierState::Rejected | BarrierState::Fault => {
                if let Some(vain) = state.unanswered.take() {
                    self.free_uses(&vain.uses, &vain.approach_id)?;
                }
            }
            BarrierState::Closing => {}
        }
        Ok(())
    }

    /// Frees every claim the approach holds, but for what the barrier may be opening on.
    pub(super) fn free(&mut self, state: &LaneState, approach: &Approach) -> Result<(), FactError> {
        let waited_for = state.unanswered.as_ref().filter(|u| u.approach_id == approach.approach_id);
        let kept = |i: &UseIntent| waited_for.is_some_and(|u| u.uses.iter().any(|k| k.plate == i.plate && k.key() == i.key()));
        self.free_uses(approach.uses.iter().filter(|i| !kept(i)), &approach.approach_id)
    }

    /// Frees what the approach has claimed of these.
    pub(super) fn free_uses<'a>(&mut self, uses: impl IntoIterator<Item = &'a UseIntent>, approach_id: &str) -> Result<(), FactError> {
        for intent in uses {
            self.edit_book(&intent.plate, |book| {
                if book.reserved.get(&intent.key()).is_some_and(|r| r.approach_id == approach_id) {
                    book.reserved.remove(&intent.key());
                }
            })?;
        }
        Ok(())
    }

    /// What a barrier says: how it stands, and what became of a command.
    pub(super) fn barrier(&mut self, place: &Place, state: &mut LaneState, report: &BarrierReport) -> Result<(), FactError> {
        let was = state.barrier;
        state.barrier = match report.state {
            BarrierState::Rejected | BarrierState::Expired => was,
            other => other,
        };
        let mut standing = state.current.take();
        self.answered(place, state, standing.as_mut(), report)?;
        let Some(mut current) = standing else { return Ok(()) };
        let mine = current.authorisation.as_ref().is_some_and(|a| Some(&a.command_id) == report.command_id.as_ref());
        let executed = current.authorisation.as_ref().is_some_and(|a| a.executed);
        match report.state {
            _ if !mine => {}
            BarrierState::Opening | BarrierState::Open => {
                if let Some(auth) = &mut current.authorisation {
                    auth.executed = true;
                }
            }
            // Closed again and nobody seen to pass, or out of order with the arm somewhere: as far as is known
            // the vehicle still stands there.
            BarrierState::Closed | BarrierState::Fault if executed => {
                let down_at = (report.state == BarrierState::Closed).then_some(self.now);
                if let Some(auth) = current.authorisation.take() {
                    self.await_word(state, &current, auth, down_at)?;
                }
                self.not_passed(place, &mut current)?;
            }
            // Never opened.
            BarrierState::Expired | BarrierState::Rejected | BarrierState::Fault => {
                self.free(state, &current)?;
                current.authorisation = None;
                self.not_passed(place, &mut current)?;
            }
            BarrierState::Closed | BarrierState::Closing => {}
        }
        schedule(&mut current, &place.policy, self.now);
        state.current = Some(current);
        Ok(())
    }

    /// The open command ran out or failed: a person decides anew.
    pub(super) fn not_passed(&mut self, place: &Place, approach: &mut Approach) -> Result<(), FactError> {
        let outcome = self.decide(place, approach);
        self.record_decision(place, approach, &outcome, None, Some(Reason::SysCommandExpired))
    }
}
