//! Where facts come from: what is authorised (registry) and what has been used (use book).
//!
//! Both are kept by plate, because every credential is bound to one: a decision then costs a
//! handful of point reads, however large the registry is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::registry::{Kind, Record, RecordError};
use crate::time::Instant;

/// A fact that could not be read. The outcome of a decision is then Hold with
/// `REGISTRY_UNAVAILABLE`, never Open (CH-50).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("facts could not be read: {0}")]
pub struct FactError(pub String);

impl From<RecordError> for FactError {
    fn from(e: RecordError) -> Self {
        Self(e.to_string())
    }
}

/// One record as the registry holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Kind.
    pub kind: Kind,
    /// Id.
    pub id: String,
    /// The record's fields as JSON; validated when it was written.
    pub value: serde_json::Value,
}

/// Whether a plate is inside the port area.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Presence {
    /// Entered and not left.
    Inside,
    /// Not inside.
    Outside,
}

/// A claim on a single-use credential or a presence by an approach that was opened or released
/// and has not yet passed, gone or expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    /// Approach that holds it.
    pub approach_id: String,
    /// Its lane.
    pub lane: String,
    /// It lapses then.
    pub until: Instant,
}

/// What has become of one credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseState {
    /// State in the words of its record's lifecycle (`registry.md`): `IN_USE`, `RECOVERED`, `USED`, `CONSUMED`, `CLOSED`, `ENTERED`, `COMPLETED`, `WRITTEN_OFF`.
    pub state: String,
    /// Issue id of the record when it was used; a record re-issued under another issue id starts afresh.
    pub issue: Option<String>,
    /// Passage that did it.
    pub passage_id: String,
    /// Event time.
    pub at: Instant,
}

/// Sightings are forgotten after this long: no policy asks for longer ways ([`crate::policy::Policy::check`]).
const SIGHTING_KEPT_MS: i64 = 86_400_000;

/// Everything used under one plate. Belongs to the engine; a registry write never resets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UseBook {
    /// Presence by passages; none: no passage yet, the registry's own word holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
    /// `kind/id` → state.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub used: BTreeMap<String, UseState>,
    /// `kind/id` (or `presence`) → claim.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reserved: BTreeMap<String, Reservation>,
    /// Checkpoint → arrival of the latest decided approach that a camera or a guard read so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sightings: BTreeMap<String, Instant>,
}

impl UseBook {
    /// The plate was seen at a checkpoint.
    pub fn seen(&mut self, checkpoint: &str, at: Instant) {
        self.sightings.retain(|_, earlier| at.millis_since(*earlier) <= SIGHTING_KEPT_MS);
        self.sightings.insert(checkpoint.to_owned(), at);
    }

    /// It was another plate that was seen there then.
    pub fn not_seen(&mut self, checkpoint: &str, at: Instant) {
        if self.sightings.get(checkpoint) == Some(&at) {
            self.sightings.remove(checkpoint);
        }
    }
}

/// Read access to registry and use. Implementations are synchronous and consistent: during one
/// decision the facts do not change.
pub trait FactSource {
    /// One record by id.
    fn get(&self, kind: Kind, id: &str) -> Result<Option<Entry>, FactError>;
    /// Every record bound to the plate (its `plate` field), in the order in which they were first
    /// written (ties of decision-table section 7 are broken by it).
    fn dossier(&self, plate: &str) -> Result<Vec<Entry>, FactError>;
    /// Records that name a parent instead of a plate: approvals by `appointment`, manifests by
    /// `trip`; in the order in which they were first written.
    fn children(&self, kind: Kind, parent: &str) -> Result<Vec<Entry>, FactError>;
    /// What has been used under the plate; empty if nothing.
    fn use_book(&self, plate: &str) -> Result<UseBook, FactError>;

    /// [`Self::get`], understood. A source that keeps text may read the record straight from it.
    fn record_of(&self, kind: Kind, id: &str) -> Result<Option<Record>, FactError> {
        self.get(kind, id)?.map(|entry| Ok(Record::from_entry(&entry)?)).transpose()
    }
    /// [`Self::dossier`], understood; fails if any of the records cannot be.
    fn records_of(&self, plate: &str) -> Result<Vec<Record>, FactError> {
        self.dossier(plate)?.iter().map(|entry| Ok(Record::from_entry(entry)?)).collect()
    }
}
