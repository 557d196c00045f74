//! The site: all lanes of one port area in one order.
//!
//! [`step`] takes one input and what the store holds ([`World`]) and returns what to write and
//! what to tell the world ([`Step`]). It keeps no state of its own: everything it knows between
//! two inputs is in [`LaneState`]s, use books and decisions that the shell commits in one batch
//! with the journal before anybody is told. Replaying the same inputs at the same times over the
//! same registry therefore gives the same bytes.

mod approach;
mod claims;
mod lane;
mod memory;
mod passage;
mod registry;
mod replay;
mod ruling;
mod spot;
mod step;
#[cfg(test)]
mod tests;
mod word;

pub use approach::{Approach, Authorisation, Claim, Phase};
pub use lane::{LaneState, Left, Unanswered};
pub use memory::MemoryWorld;
pub use replay::{input_of, Difference, Replay, ReplayReport};
pub use step::step;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use crate::decision::Decision;
use crate::facts::{FactError, FactSource, UseBook};
use crate::journal::{JournalEvent, Violation};
use crate::people::Principal;
use crate::read::ReadMessage;
use crate::reason::SysReason;
use crate::registry::Kind;
use crate::time::Instant;
use crate::timeline::Timeline;

/// What the store holds, as one step sees it: the last commit plus the steps since.
pub trait World: FactSource {
    /// State of a lane; none: nothing has happened there yet.
    fn lane(&self, lane: &str) -> Result<Option<LaneState>, FactError>;
    /// Latest version of a decision.
    fn decision(&self, id: &str) -> Result<Option<Decision>, FactError>;
    /// Whether a read of this id has been taken in (within the deduplication horizon).
    fn seen(&self, event_id: &str) -> Result<bool, FactError>;
    /// Number of registry changes applied.
    fn registry_revision(&self) -> u64;
    /// When the registry was last known to be current.
    fn registry_current_at(&self) -> Instant;
    /// The policy revisions of a scope; empty: there has never been one.
    fn policies(&self, scope: &str) -> Result<Arc<Timeline>, FactError>;
    /// Latest version of a violation.
    fn violation(&self, id: &str) -> Result<Option<Violation>, FactError>;
    /// Components that are away, with the time since when.
    fn degraded(&self) -> BTreeMap<SysReason, Instant>;
}

/// One thing that happens to a site.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A read from the topic, completed by the shell: `event_id` and `received_at` are set.
    Read(Box<ReadMessage>),
    /// A lane's deadline ([`LaneState::deadline`]) has passed.
    Tick {
        /// The lane.
        lane: String,
    },
    /// A registry record was written or deleted.
    Registry {
        /// Kind.
        kind: Kind,
        /// Id.
        id: String,
        /// The record; none: deleted.
        value: Option<Value>,
        /// Whom to answer.
        request_id: Option<String>,
        /// Who wrote it, where that is known.
        by: Option<Principal>,
    },
    /// The shell has noticed that a component is away, or back.
    Degraded {
        /// The component.
        component: SysReason,
        /// It is away.
        away: bool,
    },
}

/// One write. Applied in order, all in one atomic batch with the journal entries.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Replace a lane's state.
    Lane(Box<LaneState>),
    /// Store a decision version and make it the latest.
    Decision(Box<Decision>),
    /// Replace the use book of a plate; an empty one deletes it.
    UseBook {
        /// Plate.
        plate: String,
        /// Its book.
        book: UseBook,
    },
    /// Remember a read's id for deduplication.
    Seen {
        /// Id.
        event_id: String,
        /// Gate time.
        at: Instant,
    },
    /// Write or delete a registry record; raises the registry revision by one.
    Record {
        /// Kind.
        kind: Kind,
        /// Id.
        id: String,
        /// The record; none: delete.
        value: Option<Value>,
    },
    /// Replace the policy revisions of a scope.
    Policies {
        /// Checkpoint, or `default`.
        scope: String,
        /// Its revisions.
        timeline: Timeline,
    },
    /// Store a violation's latest version.
    Violation(Box<Violation>),
    /// A component is away since then; none: it is back.
    Degraded {
        /// The component.
        component: SysReason,
        /// Since when.
        since: Option<Instant>,
    },
}

/// Outcome of one step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Step {
    /// For the journal, in order; decisions, commands and answers among them go out through the
    /// outbox after the commit.
    pub events: Vec<JournalEvent>,
    /// What to write.
    pub changes: Vec<Change>,
}
