//! What was opened on the spot by a node that was cut off from the log: put on record by the owner.

use super::approach::{Approach, Authorisation};
use super::step::{schedule, Place, Run, Said};
use super::LaneState;
use crate::facts::FactError;
use crate::journal::{AuthorisedBy, JournalEvent};
use crate::plate::normalise;
use crate::read::{Action, OnTheSpot};

impl Run<'_> {
    /// Makes an opening on the spot the next version of the vehicle's decision, beside what the owner
    /// says of it on its own facts. Nothing is commanded: the barrier was told already. Where it fits no
    /// vehicle, or one that was let through otherwise, that is on record as a conflict.
    pub(super) fn on_the_spot(
        &mut self,
        place: &Place,
        state: &mut LaneState,
        spot: &OnTheSpot,
        event_id: String,
    ) -> Result<(), FactError> {
        // What is commanded from here on must not be taken for something older.
        state.fence = state.fence.max(spot.command.fence);
        let conflict = |what: &str| JournalEvent::Dropped {
            event_id,
            reason: format!("opened on the spot by {}, but {what}", spot.command.command_id),
        };
        let is_of = |a: &Approach| a.inputs.plate_read.as_ref().is_some_and(|p| normalise(&p.text) == spot.plate);
        let mut approach = match state.current.take() {
            None => {
                self.emit(conflict("no vehicle stood there"));
                return Ok(());
            }
            Some(other) if !is_of(&other) => {
                state.current = Some(other);
                self.emit(conflict("another vehicle stood there"));
                return Ok(());
            }
            Some(open) if open.authorisation.is_some() => {
                state.current = Some(open);
                self.emit(conflict("it had been let through already"));
                return Ok(());
            }
            Some(approach) => approach,
        };
        let outcome = self.decide(place, &approach);
        let by = OnTheSpot::speaker(&state.lane);
        let said = Said { by: &by, action: Action::Release, note: &note(spot) };
        self.record_decision(place, &mut approach, &outcome, Some(&said), None)?;
        // Executed until the barrier says otherwise: it was told right after this was durable.
        approach.authorisation = Some(Authorisation {
            by: AuthorisedBy::Auto,
            command_id: spot.command.command_id.clone(),
            expires_at: spot.command.expires_at,
            executed: true,
        });
        schedule(&mut approach, &place.policy, self.now);
        state.current = Some(approach);
        Ok(())
    }
}

/// In words, what it rested on there and then.
fn note(spot: &OnTheSpot) -> String {
    let rests: Vec<String> = spot
        .reasons
        .iter()
        .map(|r| [Some(r.code.as_str()), r.cite.as_deref()].into_iter().flatten().collect::<Vec<_>>().join(" "))
        .collect();
    format!(
        "断网期间由本车道自行放行 · opened at {} while cut off: {} ({}); registry revision {}, {} s old",
        spot.command.issued_at,
        rests.join(", "),
        spot.row.as_deref().unwrap_or("no row"),
        spot.registry_revision,
        spot.registry_age_ms.max(0) / 1000
    )
}
