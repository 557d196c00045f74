//! `violations`: suspected at decision or passage time; `violation_versions`: what the named bodies
//! found, and what became of the sanctions proposed.

use portgate_core::journal::{JournalEntry, Violation};

use super::decisions::word;
use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "violations",
    doc: "One row per violation raised, as it was raised; what a person made of it is in `violation_versions`, what holds in `violations_in_force`.",
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

pub(super) static VERSIONS: Table = Table {
    name: "violation_versions",
    doc: "One row per word on a violation: verified, dismissed, a sanction accepted or declined.",
    time: "changed_at",
    bloom: &["plate", "violation_id"],
    columns: &[
        SITE,
        SEQ,
        col("violation_id", Kind::Text, "Violation id."),
        col("version", Kind::Int, "2 is the first word on it."),
        col("code", Kind::Text, "Code, like V_CARD_MISUSE."),
        col("status", Kind::Text, "SUSPECTED, VERIFIED or DISMISSED after it."),
        col("plate", Kind::Plate, "Plate."),
        col("enterprise", Kind::Text, "Carrier."),
        col("passage_id", Kind::Text, "Passage it went along with; null: an attempt."),
        col("found_by", Kind::Text, "Body that verified or dismissed it, like PAMC."),
        col("ground", Kind::Text, "Ground of a forced exit (LYG-2.5b): b1 to b5."),
        col("offence", Kind::Text, "Offence (LYG-6.4), like DOCUMENTS or CARGO_THEFT."),
        col("act", Kind::Text, "What the person did."),
        col("changed_by", Kind::Text, "Account of the person."),
        col("note", Kind::Words, "Why, in the person's words."),
        col("raised_at", Kind::Time, "When it was raised, event time."),
        col("changed_at", Kind::Time, "When this version was made."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, v: &Violation, out: &mut Rows) {
    if v.version > 1 {
        return out.push(
            &VERSIONS,
            [
                (&entry.site).into(),
                entry.seq.into(),
                (&v.violation_id).into(),
                v.version.into(),
                (&v.code).into(),
                (&v.status).into(),
                (&v.plate).into(),
                (&v.enterprise).into(),
                (&v.passage_id).into(),
                v.found_by.and_then(word).into(),
                v.ground.and_then(word).map(|g| g.to_lowercase()).into(),
                v.offence.and_then(word).into(),
                v.act.and_then(word).into(),
                v.by.as_ref().map(|p| p.name.as_str()).into(),
                (&v.note).into(),
                v.raised_at.into(),
                v.changed_at.unwrap_or(entry.at).into(),
            ],
        );
    }
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
