//! Reads: what a device or a person reports at a lane (topic `portgate.reads`).
//!
//! One message may carry several claims. Their names and shapes are those under `when` in the
//! scenario files, plus the lane's own signals (`vehicle_present`, `vehicle_passed`,
//! `vehicle_gone`, `queue_length`, `barrier`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::command::{BarrierState, Command};
use crate::decision::ReasonRecord;
use crate::people::{Principal, Role};
use crate::plate::PlateKind;
use crate::time::Instant;
use crate::violation::{Act, Body, Ground, Offence};

/// One character of a plate read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadCharacter {
    /// The character.
    pub char: String,
    /// Calibrated probability that it is right, 0 to 1.
    pub confidence: f64,
    /// The next best characters with their confidences, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<(String, f64)>,
}

/// A plate as a camera read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlateRead {
    /// The text; empty: nothing recognised.
    #[serde(default)]
    pub text: String,
    /// 0 to 1, the minimum over the characters; missing counts as 0 (decision-table 7.2).
    #[serde(default)]
    pub confidence: f64,
    /// Plate colour (CH-56), where the reader knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub colour: Option<String>,
    /// Layout and colour class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<PlateKind>,
    /// Per-character confidences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub characters: Vec<ReadCharacter>,
    /// Corners in the frame, pixels: top left, top right, bottom right, bottom left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corners: Option<[[f64; 2]; 4]>,
    /// False while later frames of the same track may still better the read; missing: settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settled: Option<bool>,
    /// SHA-256 (hex, first 16) of the models that made the read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A plate typed in by a guard from the vehicle licence (LYG-7.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManualPlate {
    /// The plate; empty counts as no entry.
    #[serde(default)]
    pub text: String,
    /// The document it was taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
}

/// What was seen of the load.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CargoObserved {
    /// Laden or empty; null: not seen, nothing is compared.
    #[serde(default)]
    pub laden: Option<bool>,
    /// Name of the cargo, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A customs seal as read at the lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SealRead {
    /// Number read; null: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no: Option<String>,
    /// False: broken; null: not reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intact: Option<bool>,
}

/// What a barrier reports of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BarrierReport {
    /// State it is in now.
    pub state: BarrierState,
    /// The command it answers, where it answers one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command_id: Option<String>,
}

/// What a person does with a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Let the held (or, as supervisor, refused) vehicle through.
    Release,
    /// Turn it back.
    Refuse,
    /// Replace the plate; the approach is decided again as a manual entry.
    Correct,
}

/// A person's word on a decision; becomes a new version of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Word {
    /// Answered under this id on `portgate.answers`.
    pub request_id: String,
    /// The decision spoken of.
    pub decision_id: String,
    /// The version the person saw; absent: the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What to do.
    pub action: Action,
    /// Why, in the person's words; kept on record.
    pub reason: String,
    /// The right plate, with [`Action::Correct`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate: Option<String>,
    /// Who says it.
    pub by: Principal,
}

/// A body's word on a violation, or on a sanction proposed from it; becomes a new version of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ruling {
    /// Answered under this id on `portgate.answers`.
    pub request_id: String,
    /// The violation spoken of.
    pub violation_id: String,
    /// The version the person saw; absent: the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// What to do.
    pub act: Act,
    /// Why, in the person's words; kept on record.
    pub reason: String,
    /// Whose finding it is; absent: the first body named that the person's role speaks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Body>,
    /// Ground of a forced exit, with [`Act::Verify`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ground: Option<Ground>,
    /// Offence, with [`Act::Verify`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offence: Option<Offence>,
    /// What it rests on: frame ids, documents, file numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<String>,
    /// The sanction, with [`Act::Accept`] and [`Act::Reject`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sanction_id: Option<String>,
    /// Who says it.
    pub by: Principal,
}

/// What a node that was cut off from the log has opened on the spot, for the site's owner to put on
/// record. It was durable before the barrier was told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OnTheSpot {
    /// What the barrier was told.
    pub command: Command,
    /// The plate it was opened for.
    pub plate: String,
    /// Row of the decision table.
    pub row: Option<String>,
    /// What it rested on.
    pub reasons: Vec<ReasonRecord>,
    /// Revision of the policy in force there.
    pub policy_revision: String,
    /// Registry changes known there.
    pub registry_revision: u64,
    /// How old that knowledge was, milliseconds.
    pub registry_age_ms: i64,
}

impl OnTheSpot {
    /// Who speaks for a lane that was cut off.
    pub fn speaker(lane: &str) -> Principal {
        Principal { name: "cut-off lane".into(), role: Role::Device, lanes: vec![lane.to_owned()] }
    }
}

/// A message on `portgate.reads`.
///
/// From outside only `lane` and one claim are needed: the gate fills in `event_id` (from the
/// message's place in the log), `received_at` (the log's timestamp) and `observed_at`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadMessage {
    /// Lane, like `JCZ-1.L1`.
    pub lane: String,
    /// Repeats of the same id are dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// The device's time of the observation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Instant>,
    /// The gate's time of receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_at: Option<Instant>,
    /// The account that reported it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reported_by: Option<Principal>,
    /// One vehicle as the camera sees it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub track_id: Option<String>,
    /// The frame a plate read rests on: the evidence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frame_id: Option<String>,
    /// Camera plate read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plate_read: Option<PlateRead>,
    /// Plate typed by the guard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manual_plate: Option<ManualPlate>,
    /// Id of the presented port pass card (LYG) or IC card (NNG).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card: Option<String>,
    /// Content of the presented release QR code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub qr: Option<String>,
    /// Id of the presented exit permit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_permit: Option<String>,
    /// The load as seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cargo_observed: Option<CargoObserved>,
    /// VINs read or typed, possibly only some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vins_observed: Option<Vec<String>>,
    /// Seal as read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seal: Option<SealRead>,
    /// Paper cargo logbook presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logbook: Option<bool>,
    /// Number of the paper transit declaration presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transit_declaration: Option<String>,
    /// Id of the driver presented.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// Manager who directed the vehicle to this lane (CH-12).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lane_override: Option<String>,
    /// False: the registry was unreachable (CH-50).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry_available: Option<bool>,
    /// A vehicle stands on the loop before the barrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_present: Option<bool>,
    /// A vehicle went through behind the barrier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_passed: Option<bool>,
    /// The vehicle left without passing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vehicle_gone: Option<bool>,
    /// Vehicles waiting in the lane, this one included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_length: Option<u32>,
    /// The barrier's own report.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub barrier: Option<BarrierReport>,
    /// A person's word on a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub word: Option<Word>,
    /// A body's word on a violation raised at this lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ruling: Option<Ruling>,
    /// True: taken in while the log was away, by a node that went on deciding on the spot. What the
    /// vehicle needs beyond that is a person's to give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_off: Option<bool>,
    /// What was opened on the spot meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_the_spot: Option<Box<OnTheSpot>>,
}
