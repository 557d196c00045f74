//! `passages`: vehicles that really went through.

use portgate_core::journal::{AuthorisedBy, JournalEntry, Passage};

use super::{col, Kind, Rows, Table, SEQ, SITE};

pub(super) static TABLE: Table = Table {
    name: "passages",
    doc: "One row per vehicle that went through.",
    time: "passed_at",
    bloom: &["plate", "approach_id"],
    columns: &[
        SITE,
        SEQ,
        col("passage_id", Kind::Text, "Passage id."),
        col("approach_id", Kind::Text, "Approach; null: nobody had arrived (tailgating)."),
        col("decision_id", Kind::Text, "Decision in force."),
        col("checkpoint", Kind::Text, "Checkpoint."),
        col("lane", Kind::Text, "Lane."),
        col("direction", Kind::Text, "Direction of the lane."),
        col("category", Kind::Text, "Vehicle category."),
        col("plate", Kind::Plate, "Plate."),
        col("authorised_by", Kind::Text, "AUTO, GUARD, CUSTOMS or NONE."),
        col("effects", Kind::Texts, "Effects applied."),
        col("passed_at", Kind::Time, "When it passed, event time."),
    ],
};

pub(super) fn rows(entry: &JournalEntry, p: &Passage, out: &mut Rows) {
    out.push(
        &TABLE,
        [
            (&entry.site).into(),
            entry.seq.into(),
            (&p.passage_id).into(),
            (&p.approach_id).into(),
            (&p.decision_id).into(),
            (&p.checkpoint).into(),
            (&p.lane).into(),
            (&p.direction).into(),
            (&p.category).into(),
            (&p.plate).into(),
            authorised_by(p.authorised_by).into(),
            (&p.effects).into(),
            p.passed_at.into(),
        ],
    );
}

fn authorised_by(by: AuthorisedBy) -> &'static str {
    match by {
        AuthorisedBy::Auto => "AUTO",
        AuthorisedBy::Guard => "GUARD",
        AuthorisedBy::Customs => "CUSTOMS",
        AuthorisedBy::None => "NONE",
    }
}
