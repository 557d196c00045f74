//! `decisions`: the machine's decisions, one row each; `decision_versions`: what came after.

use portgate_core::decision::{Decision, PlateSource, Verdict};
use portgate_core::journal::JournalEntry;
use portgate_core::read::Action;

use super::{col, Column, Kind, Rows, Table, SEQ, SITE};

/// The columns both tables share.
const COLUMNS: [Column; 44] = [
    SITE,
    SEQ,
    col("id", Kind::Text, "Decision id, the same on every surface."),
    col("version", Kind::Int, "1: the machine's first decision; higher ones follow people's words and late reads."),
    col("approach_id", Kind::Text, "The vehicle's stay at the lane that was decided."),
    col("checkpoint", Kind::Text, "Checkpoint."),
    col("lane", Kind::Text, "Lane."),
    col("profile", Kind::Text, "Regulation profile: LYG, HGS or NNG."),
    col("direction", Kind::Text, "Direction of the lane, like ENTRY or EXIT."),
    col("row_id", Kind::Text, "Row of the decision table; null where none applies."),
    col("category", Kind::Text, "Vehicle category; null: unknown vehicle."),
    col("verdict", Kind::Text, "OPEN, HOLD or REFUSE."),
    col("in_order", Kind::Bool, "Nothing failed: every reason is of severity info."),
    col("reasons", Kind::Texts, "Codes of the reasons in the order of the checks."),
    col("cites", Kind::Texts, "Articles cited, aligned with `reasons`; empty text: a system notice."),
    col("violations", Kind::Texts, "Violations raised as SUSPECTED."),
    col("effects", Kind::Texts, "What the passage will change."),
    col("release_role", Kind::Text, "Role that may release it; null: nobody needs to."),
    col("plate", Kind::Plate, "Identity the checks ran on; null: none."),
    col("plate_source", Kind::Text, "Where the identity came from: manual, camera, card or qr."),
    col("enterprise", Kind::Text, "Carrier, where the registry names one."),
    col("plate_read", Kind::Plate, "What the camera read, whatever the identity."),
    col("plate_confidence", Kind::Float, "Confidence of the camera's read, 0 to 1."),
    col("plate_kind", Kind::Text, "Layout of the plate as read."),
    col("plate_colour", Kind::Text, "Colour of the plate as read."),
    col("card", Kind::Text, "Card presented."),
    col("track_id", Kind::Text, "The vehicle as the camera follows it."),
    col("arrived_at", Kind::Time, "First read of the approach, event time."),
    col("evidence_at", Kind::Time, "When the last needed read reached the gate."),
    col("decided_at", Kind::Time, "When the decision was formed."),
    col("latency_us", Kind::Int, "From the last needed read to the decision, microseconds."),
    col("reads", Kind::Int, "How many reads were joined."),
    col("policy_revision", Kind::Text, "Policy revision decided under."),
    col("registry_revision", Kind::Int, "Registry revision seen."),
    col("registry_age_ms", Kind::Int, "How long ago the registry was known current, milliseconds."),
    col("model", Kind::Text, "SHA-256 of the models behind the plate read."),
    col("frame_id", Kind::Text, "The evidence frame."),
    col("frame_sha256", Kind::Text, "SHA-256 of the evidence frame."),
    col("decided_by", Kind::Text, "The person behind this version; null: the machine."),
    col("decided_by_role", Kind::Text, "That person's role."),
    col("action", Kind::Text, "What the person did: RELEASE, TURN_BACK or CORRECT."),
    col("note", Kind::Words, "Why, in the person's words."),
    col("driver", Kind::Words, "Driver presented."),
    col("taken_at", Kind::Time, "When the gate wrote it into its journal."),
];

/// The machine's first decision of each approach.
pub(super) static DECISIONS: Table = Table {
    name: "decisions",
    doc: "One row per decision: what the machine decided first, never changed afterwards.",
    time: "decided_at",
    bloom: &["plate", "card", "id", "approach_id"],
    columns: &COLUMNS,
};

/// Every later version.
pub(super) static VERSIONS: Table = Table {
    name: "decision_versions",
    doc: "One row per later version of a decision: a person's word, or a read that came late.",
    time: "decided_at",
    bloom: &["plate", "card", "id", "approach_id"],
    columns: &COLUMNS,
};

pub(super) fn rows(entry: &JournalEntry, d: &Decision, out: &mut Rows) {
    let read = d.plate_read.as_ref();
    let table = if d.version <= 1 { &DECISIONS } else { &VERSIONS };
    out.push(
        table,
        [
            (&entry.site).into(),
            entry.seq.into(),
            (&d.id).into(),
            d.version.into(),
            (&d.approach_id).into(),
            (&d.checkpoint).into(),
            (&d.lane).into(),
            (&d.profile).into(),
            (&d.direction).into(),
            (&d.row).into(),
            (&d.category).into(),
            d.verdict.as_str().into(),
            d.in_order.into(),
            (&d.reasons.iter().map(|r| r.code.clone()).collect::<Vec<_>>()).into(),
            (&d.reasons.iter().map(|r| r.cite.clone().unwrap_or_default()).collect::<Vec<_>>()).into(),
            (&d.violations).into(),
            (&d.effects).into(),
            d.release_role.map(|r| r.as_str()).into(),
            (&d.plate).into(),
            d.plate_source.map(source).into(),
            (&d.enterprise).into(),
            read.map(|r| r.text.as_str()).filter(|t| !t.is_empty()).into(),
            read.map(|r| r.confidence).into(),
            read.and_then(|r| r.kind).and_then(word).into(),
            read.and_then(|r| r.colour.as_deref()).into(),
            (&d.card).into(),
            (&d.inputs.track_id).into(),
            d.arrived_at.into(),
            d.evidence_at.into(),
            d.decided_at.into(),
            d.latency_us.into(),
            (d.read_ids.len() as u64).into(),
            (&d.policy_revision).into(),
            d.registry_revision.into(),
            d.registry_age_ms.into(),
            (&d.model).into(),
            d.evidence.as_ref().map(|e| e.frame_id.as_str()).into(),
            d.evidence.as_ref().map(|e| e.sha256.as_str()).into(),
            d.by.as_ref().map(|p| p.name.as_str()).into(),
            d.by.as_ref().map(|p| p.role.as_str()).into(),
            d.action.map(action).into(),
            (&d.note).into(),
            (&d.inputs.driver).into(),
            entry.at.into(),
        ],
    );
}

/// A person's action as the specification's tables write it.
pub(super) fn action(action: Action) -> &'static str {
    match action {
        Action::Release => "RELEASE",
        Action::Refuse => "TURN_BACK",
        Action::Correct => "CORRECT",
    }
}

/// The verdict a version ended in.
pub(super) fn verdict(verdict: Verdict) -> &'static str {
    verdict.as_str()
}

fn source(source: PlateSource) -> &'static str {
    match source {
        PlateSource::Manual => "manual",
        PlateSource::Camera => "camera",
        PlateSource::Card => "card",
        PlateSource::Qr => "qr",
    }
}

/// An enum as its message writes it.
pub(super) fn word<T: serde::Serialize>(value: T) -> Option<String> {
    serde_json::to_value(value).ok()?.as_str().map(str::to_owned)
}
