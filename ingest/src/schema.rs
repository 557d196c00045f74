//! The published JSON Schemas of every topic's message, generated from the types themselves.
//!
//! The files in `schemas/` are what outsiders read; `tests/schemas.rs` fails when they are stale
//! and rewrites them under `UPDATE_SCHEMAS=1`.

use portgate_core::command::Command;
use portgate_core::decision::{Answer, Decision};
use portgate_core::journal::JournalEntry;
use portgate_core::read::ReadMessage;
use portgate_core::registry::Kind;
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
pub fn all() -> Vec<(&'static str, Schema)> {
    vec![
        ("reads", schema_for!(ReadMessage)),
        ("decisions", schema_for!(Decision)),
        ("commands", schema_for!(Command)),
        ("journal", schema_for!(JournalEntry)),
        ("answers", schema_for!(Answer)),
        ("registry", schema_for!(RegistryRecord)),
        ("rejected", schema_for!(Rejected)),
    ]
}
