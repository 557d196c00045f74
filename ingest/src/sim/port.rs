//! How the simulator talks to a gate: frames, reads and papers in, barrier and decisions out.

use async_trait::async_trait;
use bytes::Bytes;
use portgate_core::command::BarrierState;
use portgate_core::decision::{Decision, Verdict};
use portgate_core::people::Principal;
use portgate_core::read::{Action, ReadMessage};
use portgate_core::registry::Kind;
use portgate_core::time::Instant;
use serde::Deserialize;
use serde_json::Value;

/// What the gate did not take.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortError {
    /// It cannot keep up; try again later.
    #[error("the gate is busy; try again in {retry_after_ms} ms")]
    Busy {
        /// After how many milliseconds.
        retry_after_ms: u64,
    },
    /// It said no; the same call will fail again.
    #[error("the gate refused: {0}")]
    Refused(String),
    /// It cannot be reached.
    #[error("the gate cannot be reached: {0}")]
    Unavailable(String),
}

/// A reason's code.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ReasonCode {
    /// Like `CARD_EXPIRED`.
    pub code: String,
    /// Like `info`.
    pub severity: portgate_core::decision::Severity,
}

/// What the simulator needs of a decision; reads from `portgate.decisions` and from the events'
/// view of it alike.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Decided {
    /// Decision id.
    pub id: String,
    /// Version.
    pub version: u32,
    /// Lane.
    pub lane: String,
    /// The verdict.
    pub verdict: Verdict,
    /// Nothing failed.
    pub in_order: bool,
    /// Why.
    pub reasons: Vec<ReasonCode>,
    /// When its vehicle arrived.
    pub arrived_at: Instant,
    /// What a person did to make this version.
    pub action: Option<Action>,
}

impl From<&Decision> for Decided {
    fn from(d: &Decision) -> Self {
        Self {
            id: d.id.clone(),
            version: d.version,
            lane: d.lane.clone(),
            verdict: d.verdict,
            in_order: d.in_order,
            reasons: d.reasons.iter().map(|r| ReasonCode { code: r.code.clone(), severity: r.severity }).collect(),
            arrived_at: d.arrived_at,
            action: d.action,
        }
    }
}

impl Decided {
    /// Whether a reason of this code is among them.
    #[must_use]
    pub fn says(&self, code: &str) -> bool {
        self.reasons.iter().any(|r| r.code == code)
    }
}

/// What the gate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// A barrier reports.
    Barrier {
        /// Lane.
        lane: String,
        /// Its state.
        state: BarrierState,
    },
    /// A new version of a decision.
    Decided(Decided),
}

impl Signal {
    /// The lane it concerns.
    #[must_use]
    pub fn lane(&self) -> &str {
        match self {
            Self::Barrier { lane, .. } => lane,
            Self::Decided(decided) => &decided.lane,
        }
    }
}

/// A person's word as the simulated guard says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuardWord {
    /// The decision spoken of.
    pub decision_id: String,
    /// Its lane.
    pub lane: String,
    /// The version the guard saw.
    pub version: u32,
    /// What to do.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// The right plate, with [`Action::Correct`].
    pub plate: Option<String>,
}

/// A gate, from the lane's side.
#[async_trait]
pub trait GatePort: Send + Sync + 'static {
    /// A camera pushes a frame.
    ///
    /// # Errors
    /// [`PortError`]; the frame was not taken.
    async fn post_frame(&self, lane: &str, jpeg: Bytes) -> Result<(), PortError>;

    /// A device reports.
    ///
    /// # Errors
    /// [`PortError`]; not known to be taken, may be repeated with the same `event_id`.
    async fn post_read(&self, read: ReadMessage) -> Result<(), PortError>;

    /// An office writes or (no value) deletes a registry record.
    ///
    /// # Errors
    /// [`PortError`].
    async fn put_record(&self, kind: Kind, id: &str, value: Option<&Value>) -> Result<(), PortError>;

    /// The guard speaks.
    ///
    /// # Errors
    /// [`PortError`].
    async fn say(&self, word: GuardWord) -> Result<(), PortError>;

    /// Plates that the gate knows to be inside from before, as far as it can be asked. The simulator
    /// lets them leave instead of arriving a second time.
    async fn inside(&self) -> Vec<String> {
        Vec::new()
    }

    /// What the gate says next; none: it will say nothing more. Called by one task at a time.
    async fn next_signal(&self) -> Option<Signal>;
}

/// The account the simulator's devices report under when they write to the log themselves.
pub(super) fn device() -> Principal {
    Principal { name: "simulator".to_owned(), role: portgate_core::people::Role::Device, lanes: Vec::new() }
}

/// The account of the simulated guard.
pub(super) fn guard() -> Principal {
    Principal { name: "guard".to_owned(), role: portgate_core::people::Role::Guard, lanes: Vec::new() }
}
