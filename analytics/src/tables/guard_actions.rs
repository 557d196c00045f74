//! `guard_actions`: what people did with decisions, one row per word.

use portgate_core::decision::Decision;
use portgate_core::journal::JournalEntry;

use super::{col, decisions, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "guard_actions",
    doc: "One row per person's word on a decision.",
    time: "acted_at",
    bloom: &["id", "plate"],
    columns: &[
        SITE,
        SEQ,
        col("id", Kind::Text, "Decision spoken of."),
        col("version", Kind::Int, "Version of the decision the word made."),
        col("approach_id", Kind::Text, "Approach."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("direction", Kind::Text, "Direction of the lane."),
        col("category", Kind::Text, "Vehicle category."),
        col("action", Kind::Text, "RELEASE, TURN_BACK or CORRECT."),
        col("verdict", Kind::Text, "Verdict after the word."),
        col("plate", Kind::Plate, "Identity after the word."),
        col("guard", Kind::Text, "Account of the person."),
        col("role", Kind::Text, "Role of the person."),
        col("note", Kind::Words, "Why, in the person's words."),
        col("arrived_at", Kind::Time, "First read of the approach."),
        col("acted_at", Kind::Time, "When the word took effect."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, d: &Decision, out: &mut Rows) {
    let (Some(by), Some(action)) = (&d.by, d.action) else { return };
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            (&d.id).into(),
            d.version.into(),
            (&d.approach_id).into(),
            (&d.checkpoint).into(),
            (&d.lane).into(),
            (&d.direction).into(),
            (&d.category).into(),
            decisions::action(action).into(),
            decisions::verdict(d.verdict).into(),
            (&d.plate).into(),
            (&by.name).into(),
            by.role.as_str().into(),
            (&d.note).into(),
            d.arrived_at.into(),
            d.decided_at.into(),
        ],
    );
}
