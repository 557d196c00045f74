//! What a node that is cut off knows: its store, and what has come in since.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portgate_core::command::Command;
use portgate_core::decision::Decision;
use portgate_core::facts::{Entry, FactError, FactSource, UseBook};
use portgate_core::journal::{JournalEvent, Violation};
use portgate_core::reason::SysReason;
use portgate_core::registry::{Kind, Record};
use portgate_core::site::{Change, LaneState, Step, World};
use portgate_core::time::Instant;
use portgate_core::timeline::Timeline;
use portgate_store::Overlay;

/// What has happened since the log went away; kept in memory, because the owner decides on all of it
/// anew from the reads.
#[derive(Default)]
pub(super) struct Episode {
    lanes: BTreeMap<String, LaneState>,
    decisions: BTreeMap<String, Decision>,
    books: BTreeMap<String, UseBook>,
    seen: BTreeSet<String>,
    /// Approaches that began since.
    begun: BTreeSet<String>,
    /// Those of them that the loop has reported.
    present: BTreeSet<String>,
}

impl Episode {
    pub(super) fn reads(&self) -> usize {
        self.seen.len()
    }

    /// Takes the outcome of a step in; answers with its commands.
    pub(super) fn apply(&mut self, outcome: &Step) -> Vec<Command> {
        for change in &outcome.changes {
            match change {
                Change::Lane(state) => drop(self.lanes.insert(state.lane.clone(), (**state).clone())),
                Change::Decision(decision) => drop(self.decisions.insert(decision.id.clone(), (**decision).clone())),
                Change::UseBook { plate, book } => drop(self.books.insert(plate.clone(), book.clone())),
                Change::Seen { event_id, .. } => drop(self.seen.insert(event_id.clone())),
                // The owner comes to these by itself.
                Change::Record { .. } | Change::Policies { .. } | Change::Violation(_) | Change::Degraded { .. } => {}
            }
        }
        let mut commands = Vec::new();
        for event in &outcome.events {
            match event {
                JournalEvent::Arrived { approach_id, .. } => drop(self.begun.insert(approach_id.clone())),
                JournalEvent::Command { command } => commands.push(command.clone()),
                _ => {}
            }
        }
        commands
    }

    /// The loop of the lane reports a vehicle: the approach that began here and stands there.
    pub(super) fn present(&mut self, lane: &str) -> Option<String> {
        let current = self.lanes.get(lane)?.current.as_ref()?.approach_id.clone();
        self.begun.contains(&current).then(|| {
            self.present.insert(current.clone());
            current
        })
    }

    pub(super) fn stands_here(&self, approach_id: &str) -> bool {
        self.present.contains(approach_id)
    }

    /// Lanes with a deadline up to now.
    pub(super) fn due(&self, now: Instant) -> Vec<String> {
        self.lanes.values().filter(|l| l.deadline().is_some_and(|d| d <= now)).map(|l| l.lane.clone()).collect()
    }
}

/// A site as a node sees it that is cut off.
pub(super) struct Spot<'a> {
    pub(super) base: Overlay<'a>,
    pub(super) episode: &'a Episode,
    pub(super) degraded: &'a BTreeMap<SysReason, Instant>,
}

impl FactSource for Spot<'_> {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        self.base.get(kind, id)
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        self.base.dossier(plate)
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        self.base.children(kind, parent)
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        match self.episode.books.get(plate) {
            Some(book) => Ok(book.clone()),
            None => self.base.use_book(plate),
        }
    }
    fn record_of(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        self.base.record_of(kind, id)
    }
    fn records_of(&self, plate: &str) -> Result<Vec<Record>, FactError> {
        self.base.records_of(plate)
    }
}

impl World for Spot<'_> {
    fn lane(&self, lane: &str) -> Result<Option<LaneState>, FactError> {
        match self.episode.lanes.get(lane) {
            Some(state) => Ok(Some(state.clone())),
            None => self.base.lane(lane),
        }
    }
    fn decision(&self, id: &str) -> Result<Option<Decision>, FactError> {
        match self.episode.decisions.get(id) {
            Some(decision) => Ok(Some(decision.clone())),
            None => self.base.decision(id),
        }
    }
    fn seen(&self, event_id: &str) -> Result<bool, FactError> {
        Ok(self.episode.seen.contains(event_id) || self.base.seen(event_id)?)
    }
    fn registry_revision(&self) -> u64 {
        self.base.registry_revision()
    }
    fn registry_current_at(&self) -> Instant {
        self.base.registry_current_at()
    }
    fn policies(&self, scope: &str) -> Result<Arc<Timeline>, FactError> {
        self.base.policies(scope)
    }
    fn violation(&self, id: &str) -> Result<Option<Violation>, FactError> {
        self.base.violation(id)
    }
    /// The log is away, that is known; whatever else is in doubt stays so.
    fn degraded(&self) -> BTreeMap<SysReason, Instant> {
        let mut away = self.base.degraded();
        away.remove(&SysReason::LogAway);
        away.extend(self.degraded.iter().map(|(component, since)| (*component, *since)));
        away
    }
}
