//! A world in memory: what the store is to the engine, for tests, scenarios and simulation.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{step, Change, Input, LaneState, Step, World};
use crate::decision::Decision;
use crate::facts::{Entry, FactError, FactSource, UseBook};
use crate::journal::Violation;
use crate::memory::MemoryFacts;
use crate::reason::SysReason;
use crate::registry::Kind;
use crate::time::Instant;
use crate::timeline::Timeline;

/// Everything a site knows, in ordered maps.
#[derive(Debug, Clone, Default)]
pub struct MemoryWorld {
    /// Registry and use books.
    pub facts: MemoryFacts,
    /// Lanes.
    pub lanes: BTreeMap<String, LaneState>,
    /// Latest decisions by id.
    pub decisions: BTreeMap<String, Decision>,
    /// Policy revisions by scope.
    pub policies: BTreeMap<String, Arc<Timeline>>,
    /// Latest violations by id.
    pub violations: BTreeMap<String, Violation>,
    /// Components that are away.
    pub degraded: BTreeMap<SysReason, Instant>,
    seen: BTreeSet<String>,
    revision: u64,
    current_at: Instant,
}

impl MemoryWorld {
    /// Takes one step and applies it.
    pub fn take(&mut self, site: &str, input: Input, now: Instant) -> Result<Step, FactError> {
        self.current_at = now;
        let out = step(self, site, input, now)?;
        for change in out.changes.clone() {
            self.apply(change);
        }
        Ok(out)
    }

    /// Applies one change, as the store does.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Lane(state) => {
                self.lanes.insert(state.lane.clone(), *state);
            }
            Change::Decision(decision) => {
                self.decisions.insert(decision.id.clone(), *decision);
            }
            Change::UseBook { plate, book } => *self.facts.book_mut(&plate) = book,
            Change::Seen { event_id, .. } => {
                self.seen.insert(event_id);
            }
            Change::Policies { scope, timeline } => {
                self.policies.insert(scope, Arc::new(timeline));
            }
            Change::Violation(violation) => {
                self.violations.insert(violation.violation_id.clone(), *violation);
            }
            Change::Degraded { component, since } => {
                match since {
                    Some(since) => self.degraded.insert(component, since),
                    None => self.degraded.remove(&component),
                };
            }
            Change::Record { kind, id, value } => {
                self.revision = self.revision.saturating_add(1);
                match value {
                    // INVARIANT: the step has parsed the record; what does not parse is not written.
                    Some(value) => {
                        let _ = self.facts.put(kind, &id, &value);
                    }
                    None => {
                        self.facts.delete(kind, &id);
                    }
                }
            }
        }
    }
}

impl FactSource for MemoryWorld {
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError> {
        self.facts.get(kind, id)
    }
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError> {
        self.facts.dossier(plate)
    }
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError> {
        self.facts.children(kind, parent)
    }
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError> {
        self.facts.use_book(plate)
    }
}

impl World for MemoryWorld {
    fn lane(&self, lane: &str) -> Result<Option<LaneState>, FactError> {
        Ok(self.lanes.get(lane).cloned())
    }
    fn decision(&self, id: &str) -> Result<Option<Decision>, FactError> {
        Ok(self.decisions.get(id).cloned())
    }
    fn seen(&self, event_id: &str) -> Result<bool, FactError> {
        Ok(self.seen.contains(event_id))
    }
    fn registry_revision(&self) -> u64 {
        self.revision
    }
    fn registry_current_at(&self) -> Instant {
        self.current_at
    }
    fn policies(&self, scope: &str) -> Result<Arc<Timeline>, FactError> {
        Ok(self.policies.get(scope).cloned().unwrap_or_default())
    }
    fn violation(&self, id: &str) -> Result<Option<Violation>, FactError> {
        Ok(self.violations.get(id).cloned())
    }
    fn degraded(&self) -> BTreeMap<SysReason, Instant> {
        self.degraded.clone()
    }
}
