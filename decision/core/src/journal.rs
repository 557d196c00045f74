//! The journal: the engine's one order of everything that decides, and what came of it
//! (topic `portgate.journal`). Analytics, dashboards, standbys and `replay` read nothing else.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::Command;
use crate::decision::{Answer, Decision};
use crate::people::Principal;
use crate::read::ReadMessage;
use crate::reason::SysReason;
use crate::time::Instant;
use crate::timeline::Revision;
use crate::violation::{Act, Body, Ground, Offence, Sanction};

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

/// A violation suspected at decision or passage time, in versions: the suspicion first, then what
/// the named body found and what became of the sanctions proposed from it. Nothing is overwritten.
/// Also the message on `portgate.violations`, where the latest version stays.
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
    /// 1 is the suspicion; every word on it makes the next.
    #[serde(default = "first_version")]
    pub version: u32,
    /// Regulation profile of the checkpoint: LYG, HGS or NNG.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Bodies one of which verifies or dismisses it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bodies: Vec<Body>,
    /// The passage it went along with; null: none so far, an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passage_id: Option<String>,
    /// The body that verified or dismissed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_by: Option<Body>,
    /// Ground of a forced exit it was verified as (LYG-2.5b).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Ground>,
    /// Offence it was verified as (LYG-6.4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offence: Option<Offence>,
    /// When this version was made, the gate's time; null: raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Instant>,
    /// The person behind this version; null: the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Principal>,
    /// What the person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act: Option<Act>,
    /// Why, in the person's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What it rests on: frame ids, documents, file numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// Sanctions proposed from it; nothing of them happens before a person accepts one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sanctions: Vec<Sanction>,
}

/// What a violation was written as before it had versions.
fn first_version() -> u32 {
    1
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

/// Reason with which a repeated read is dropped ([`JournalEvent::Dropped`]).
pub const REPEATED_READ: &str = "repeat of a read already taken in";

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
        /// Who wrote it, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Principal>,
    },
    /// A policy revision was taken in (`revision`), or those of a record were taken away (null).
    /// It follows the registry record that did it; which one decides follows from the instants.
    Policy {
        /// Checkpoint, or `default`.
        scope: String,
        /// Id of the record.
        id: String,
        /// The revision taken in.
        revision: Option<Box<Revision>>,
    },
    /// A component has gone away or come back: while it is away nothing is opened by machine.
    Degraded {
        /// The component.
        component: SysReason,
        /// It is away since; null: it is back.
        since: Option<Instant>,
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
    /// A violation suspected, or a new version of one.
    Violation {
        /// The violation.
        violation: Box<Violation>,
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
