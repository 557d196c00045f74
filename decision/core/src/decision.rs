//! Decisions: a verdict on record (topic `portgate.decisions`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::people::{Principal, Role};
use crate::read::{Action, PlateRead, ReadMessage};
use crate::time::Instant;

/// Open the barrier, hold for a person, or refuse. Ordered from mild to strict.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// The barrier opens.
    Open,
    /// A person decides.
    Hold,
    /// The vehicle is turned back.
    Refuse,
}

impl Verdict {
    /// As messages write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "OPEN",
            Self::Hold => "HOLD",
            Self::Refuse => "REFUSE",
        }
    }
}

/// How grave a reason is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The release mode of the row; nothing failed.
    Info,
    /// Settled at a glance.
    Low,
    /// Needs a look.
    Medium,
    /// Something is wrong.
    High,
    /// Suspicion of fraud, tampering or a ban.
    Critical,
}

/// One reason of a decision as recorded: code, its check, the clause it rests on, and the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReasonRecord {
    /// Stable code, like `CARD_EXPIRED`.
    pub code: String,
    /// Check that found it, `C01` to `C19`, or `SYS`.
    pub check: String,
    /// The one article shown; null: a system notice (CH-57).
    pub cite: Option<String>,
    /// What this reason alone would come to.
    pub disposition: Verdict,
    /// How grave.
    pub severity: Severity,
    /// 提示: the text shown in Chinese.
    pub zh: String,
    /// The text shown in English.
    pub en: String,
}

/// Where the identity came from, in order of precedence (CH-20).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlateSource {
    /// Typed by the guard.
    Manual,
    /// Camera at or above the threshold.
    Camera,
    /// The presented card's plate.
    Card,
    /// The presented QR code's plate.
    Qr,
}

/// The evidence frame, copied and hashed before the decision is published.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Frame id.
    pub frame_id: String,
    /// SHA-256 of the JPEG, hex.
    pub sha256: String,
}

/// What another policy revision than the one in force says of the same approach at the same moment,
/// on the same facts. It opens nothing and changes nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Beside {
    /// Id of the policy record that brought it.
    pub policy: String,
    /// Its revision id.
    pub policy_revision: String,
    /// Verdict or reasons differ from what the rules say under the policy in force.
    pub differs: bool,
    /// Its verdict.
    pub verdict: Verdict,
    /// Nothing failed under it.
    pub in_order: bool,
    /// Its reasons.
    pub reasons: Vec<ReasonRecord>,
}

/// A message on `portgate.decisions`: one version of one decision. Nothing is overwritten: a
/// person's word or a late read makes the next version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Decision id, the same on every surface.
    pub id: String,
    /// 1 is the machine's; higher ones follow words and late reads.
    pub version: u32,
    /// Approach decided.
    pub approach_id: String,
    /// Site.
    pub site: String,
    /// Checkpoint.
    pub checkpoint: String,
    /// Lane.
    pub lane: String,
    /// Regulation profile: LYG, HGS or NNG.
    pub profile: String,
    /// Direction of the lane.
    pub direction: String,
    /// Row of the decision table, like `LYG-R01`; null where no row applies.
    pub row: Option<String>,
    /// Vehicle category, like `PF_GENERAL`; null: unknown vehicle.
    pub category: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// Nothing failed: every reason is of severity info (a *green hold* when the verdict is Hold).
    pub in_order: bool,
    /// Reasons in the order of the checks.
    pub reasons: Vec<ReasonRecord>,
    /// Violations raised as SUSPECTED with this decision.
    pub violations: Vec<String>,
    /// What the passage will change.
    pub effects: Vec<String>,
    /// Role that may release it; null: nobody needs to.
    pub release_role: Option<Role>,
    /// Identity the checks ran on; null: none.
    pub plate: Option<String>,
    /// Where it came from.
    pub plate_source: Option<PlateSource>,
    /// Carrier, where the registry names one.
    pub enterprise: Option<String>,
    /// The camera's read, whatever the identity.
    pub plate_read: Option<PlateRead>,
    /// Card presented.
    pub card: Option<String>,
    /// Everything the decision was formed on, joined; `event_id` is the approach's.
    pub inputs: Box<ReadMessage>,
    /// Ids of the reads joined, in the order of the journal.
    pub read_ids: Vec<String>,
    /// Arrival: the approach's first read, event time.
    pub arrived_at: Instant,
    /// When the last needed read reached the gate.
    pub evidence_at: Instant,
    /// When the decision was formed.
    pub decided_at: Instant,
    /// From the last needed read to the decision, microseconds.
    pub latency_us: i64,
    /// Policy revision decided under.
    pub policy_revision: String,
    /// Registry revision seen.
    pub registry_revision: u64,
    /// Age of that revision's source when decided, milliseconds: how long ago the registry was known current.
    pub registry_age_ms: i64,
    /// SHA-256 of the models behind the plate read.
    pub model: Option<String>,
    /// The evidence frame.
    pub evidence: Option<Evidence>,
    /// The person behind this version; null: the machine.
    pub by: Option<Principal>,
    /// What the person did.
    pub action: Option<Action>,
    /// Why.
    pub note: Option<String>,
    /// What a revision on trial says, for whoever prepares it; not shown at the lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Box<Beside>>,
    /// What an advisory revision says: shown to the guard beside the verdict.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advisory: Option<Box<Beside>>,
}

/// Answer to a word or a registry write (topic `portgate.answers`, the gate's own).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    /// The request answered.
    pub request_id: String,
    /// What came of it.
    pub outcome: AnswerOutcome,
    /// Decision id, or `kind/id` of the record.
    pub subject: String,
    /// Version of the decision or revision of the registry after it.
    pub version: u64,
    /// In words, where it was not done.
    pub message: Option<String>,
}

/// What came of a word or a registry write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AnswerOutcome {
    /// Committed.
    Done,
    /// Somebody was faster, or the vehicle has gone.
    Conflict,
    /// No such decision.
    NotFound,
    /// The role may not.
    Forbidden,
    /// The word or record is not valid.
    Invalid,
}
