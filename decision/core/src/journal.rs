//! The journal: the engine's one order of everything that decides, and what came of it
//! (topic `portgate.journal`). Analytics, dashboards, standbys and `replay` read nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::decision::{Answer, Decision};
use crate::read::ReadMessage;
use crate::time::Instant;

/// Who let a vehicle through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum AuthorisedBy {
    /// The machine's Open.
    Auto,
    /// A guard or supervisor.
    Guard,
    /// A customs officer.
    Customs,
    /// Nobody: passed while held or refused, or tailgating.
    None,
}

/// A vehicle really going through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// Passage id; effects are applied once per it (CH-18).
    pub passage_id: String,
    /// Approach; null: nobody had arrived (tailgating).
    pub approach_id: Option<String>,
    /// Decision in force.
    pub decision_id: Option<String>,
    /// Site.
    pub site: String,
    /// Checkpoint.
    pub checkpoint: String,
    /// Lane.
    pub lane: String,
    /// Direction.
    pub direction: String,
    /// Category.
    pub category: Option<String>,
    /// Plate.
    pub plate: Option<String>,
    /// Event time.
    pub passed_at: Instant,
    /// Who allowed it.
    pub authorised_by: AuthorisedBy,
    /// Effects applied, like `SINGLE_CARD_CONSUMED`.
    pub effects: Vec<String>,
}

/// A violation suspected at decision or passage time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Violation {
    /// Violation id.
    pub violation_id: String,
    /// Code, like `V_CARD_MISUSE`.
    pub code: String,
    /// The reason or event that raised it.
    pub source: String,
    /// SUSPECTED, VERIFIED or DISMISSED.
    pub status: String,
    /// Site.
    pub site: String,
    /// Checkpoint.
    pub checkpoint: String,
    /// Lane.
    pub lane: String,
    /// Approach.
    pub approach_id: Option<String>,
    /// Decision.
    pub decision_id: Option<String>,
    /// Plate.
    pub plate: Option<String>,
    /// Carrier.
    pub enterprise: Option<String>,
    /// Event time.
    pub raised_at: Instant,
}

/// What happened to a single-use credential, a card or a presence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Use {
    /// Effect, like `SINGLE_CARD_CONSUMED`.
    pub effect: String,
    /// Registry kind of what was used.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// Plate it was used with.
    pub plate: Option<String>,
    /// Passage that used it.
    pub passage_id: String,
    /// Event time.
    pub at: Instant,
}

/// How an approach ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// Went through.
    Passed,
    /// Left without passing.
    Gone,
    /// Nothing more was heard of it.
    Expired,
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalEntry {
    /// Site.
    pub site: String,
    /// Place in the site's one order, from 1, without gaps.
    pub seq: u64,
    /// The gate's time at which it was taken in.
    pub at: Instant,
    /// SHA-256 chain over all entries up to this one, hex; what makes it tamper-evident.
    pub chain: String,
    /// What happened.
    pub event: JournalEvent,
}

/// What can stand in the journal.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum JournalEvent {
    /// A read, completed with its ids and times; words included.
    Read {
        /// The read.
        read: Box<ReadMessage>,
    },
    /// A pending timer ran out (pairing window, expiry of a command, end of an approach).
    Timer {
        /// Approach it belonged to.
        approach_id: String,
        /// Lane.
        lane: String,
    },
    /// From here on decisions see this registry revision.
    Registry {
        /// Revision: number of changes applied.
        revision: u64,
        /// Kind of the record.
        kind: String,
        /// Id of the record.
        id: String,
        /// The record; null: deleted.
        value: Option<serde_json::Value>,
    },
    /// From here on decisions are made under this policy.
    Policy {
        /// Revision id.
        revision: String,
        /// The policy's values.
        value: serde_json::Value,
    },
    /// An approach began.
    Arrived {
        /// Approach.
        approach_id: String,
        /// Lane.
        lane: String,
        /// Event time of the first read.
        arrived_at: Instant,
    },
    /// An approach ended.
    Ended {
        /// Approach.
        approach_id: String,
        /// Lane.
        lane: String,
        /// How.
        ending: Ending,
    },
    /// A decision, or a new version of one.
    Decision {
        /// The decision.
        decision: Box<Decision>,
    },
    /// A barrier command.
    Command {
        /// The command.
        command: Command,
    },
    /// A vehicle went through.
    Passage {
        /// The passage.
        passage: Passage,
    },
    /// A credential, card or presence changed by a passage.
    Used {
        /// The use.
        used: Use,
    },
    /// A violation suspected.
    Violation {
        /// The violation.
        violation: Violation,
    },
    /// The answer given to a person or a registry writer.
    Answered {
        /// The answer.
        answer: Answer,
    },
    /// A read that was dropped on record: a repeat, or one that fits nothing.
    Dropped {
        /// Its id.
        event_id: String,
        /// Why.
        reason: String,
    },
}
