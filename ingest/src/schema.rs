//! The published JSON Schemas of every topic's message, generated from the types themselves.
//!
//! The files in `schemas/` are what outsiders read (`registry/KIND` is the value of a registry record,
//! whose field that repeats the id may be left out); `tests/schemas.rs` fails when they are stale
//! and rewrites them under `UPDATE_SCHEMAS=1`.

use portgate_core::command::Command;
use portgate_core::decision::{Answer, Decision};
use portgate_core::journal::{JournalEntry, Violation};
use portgate_core::read::ReadMessage;
use portgate_core::registry::{
    Appointment, Approval, Ban, Card, Checkpoint, CustomsDriver, CustomsEnterprise, CustomsVehicle, Enterprise, Escort, ExitPermit,
    InspectionOrder, Kind, Lane, LeaveConsent, Manifest, PeakMode, PolicyRecord, QrCode, Reception, Site, Task, Trip, Vehicle,
};
use schemars::{schema_for, JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::validate::Rejected;

/// A registry record as files carry it, one JSON object a line. On `portgate.registry` the key is
/// `kind/id` and the value is `value` alone; a null value deletes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegistryRecord {
    /// Kind.
    pub kind: Kind,
    /// Id, unique within the kind.
    pub id: String,
    /// The record's fields.
    pub value: serde_json::Value,
}

/// Every published schema with its file name (without `.schema.json`), in a fixed order.
#[must_use]
pub fn all() -> Vec<(String, Schema)> {
    let messages = [
        ("reads", schema_for!(ReadMessage)),
        ("decisions", schema_for!(Decision)),
        ("commands", schema_for!(Command)),
        ("journal", schema_for!(JournalEntry)),
        ("violations", schema_for!(Violation)),
        ("answers", schema_for!(Answer)),
        ("rejected", schema_for!(Rejected)),
        ("registry", schema_for!(RegistryRecord)),
    ];
    let records = Kind::ALL.into_iter().map(|kind| (format!("registry/{kind}"), record(kind)));
    messages.into_iter().map(|(name, schema)| (name.to_owned(), schema)).chain(records).collect()
}

/// The schema of a kind's records: the values on `portgate.registry`.
fn record(kind: Kind) -> Schema {
    match kind {
        Kind::Enterprise => schema_for!(Enterprise),
        Kind::Vehicle => schema_for!(Vehicle),
        Kind::Card => schema_for!(Card),
        Kind::Task => schema_for!(Task),
        Kind::Reception => schema_for!(Reception),
        Kind::Ban => schema_for!(Ban),
        Kind::ExitPermit => schema_for!(ExitPermit),
        Kind::LeaveConsent => schema_for!(LeaveConsent),
        Kind::InspectionOrder => schema_for!(InspectionOrder),
        Kind::Appointment => schema_for!(Appointment),
        Kind::Approval => schema_for!(Approval),
        Kind::QrCode => schema_for!(QrCode),
        Kind::CustomsEnterprise => schema_for!(CustomsEnterprise),
        Kind::CustomsVehicle => schema_for!(CustomsVehicle),
        Kind::CustomsDriver => schema_for!(CustomsDriver),
        Kind::Trip => schema_for!(Trip),
        Kind::Manifest => schema_for!(Manifest),
        Kind::Escort => schema_for!(Escort),
        Kind::Site => schema_for!(Site),
        Kind::Checkpoint => schema_for!(Checkpoint),
        Kind::Lane => schema_for!(Lane),
        Kind::PeakMode => schema_for!(PeakMode),
        Kind::Policy => schema_for!(PolicyRecord),
    }
}
