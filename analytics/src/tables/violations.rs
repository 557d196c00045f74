//! `violations`: suspected at decision or passage time.

use portgate_core::journal::{JournalEntry, Violation};

use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "violations",
    doc: "One row per violation raised; a person may verify or dismiss it elsewhere.",
    time: "raised_at",
    bloom: &["plate"],
    columns: &[
        SITE,
        SEQ,
        col("violation_id", Kind::Text, "Violation id."),
        col("code", Kind::Text, "Code, like V_CARD_MISUSE."),
        col("source", Kind::Text, "The reason or event that raised it."),
        col("status", Kind::Text, "SUSPECTED, VERIFIED or DISMISSED, as of this row."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("approach_id", Kind::Text, "Approach."),
        col("decision_id", Kind::Text, "Decision."),
        col("plate", Kind::Plate, "Plate."),
        col("enterprise", Kind::Text, "Carrier."),
        col("raised_at", Kind::Time, "When, event time."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, v: &Violation, out: &mut Rows) {
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            (&v.violation_id).into(),
            (&v.code).into(),
            (&v.source).into(),
            (&v.status).into(),
            (&v.checkpoint).into(),
            (&v.lane).into(),
            (&v.approach_id).into(),
            (&v.decision_id).into(),
            (&v.plate).into(),
            (&v.enterprise).into(),
            v.raised_at.into(),
        ],
    );
}
